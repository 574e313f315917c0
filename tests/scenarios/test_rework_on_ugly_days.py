"""Reworking what came back: in two forms, too late, or of somebody else; what was typed is never overwritten unseen."""

from __future__ import annotations

import json
from typing import Any

from builders import Office
from sqlmodel import select

from curation.reviews import Verdict
from curation.store.tables import Candidate, Correction

WRONG_TURN = "review_amend"


def texts(office: Office) -> list[str]:
    with office.store.read() as session:
        return [one.text for one in session.exec(select(Correction))]


def returned(office: Office) -> int:
    """A correction of Ana's that Ben sent back to her."""
    key = office.flag("How long?", "Six months.")
    office.decide("ben", key, Verdict.RETURN, comment="Say it politely.")
    office.deliver()
    return key


def press(office: Office) -> dict[str, Any]:
    office.ana.click(office.ana.dm_channel, office.ana.dms[0]["ts"], WRONG_TURN)
    assert office.ana.modal is not None
    return office.ana.modal


def test_what_was_decided_meanwhile_is_refused_before_anybody_writes(office: Office) -> None:
    key = returned(office)
    office.decide("bea", key, Verdict.REJECT, comment="Never mind.")
    modal = press(office)
    assert f"Candidate {key} is rejected" in json.dumps(modal)
    assert "submit" not in modal or modal["submit"] is None


def test_a_form_from_before_somebody_changed_the_correction_overwrites_nothing(office: Office) -> None:
    key = returned(office)
    press(office)
    stale = json.loads(json.dumps(office.ana.modal))
    assert office.ana.submit({"correction": "Six months, please."}) == {}
    press_again = press(office)
    assert press_again["private_metadata"] != stale["private_metadata"]
    office.forge(office.ana, "private_metadata", stale["private_metadata"])
    errors = office.ana.submit({"correction": "Half a year."})
    assert "changed the correction in between" in errors["correction"]
    assert "Half a year." in json.dumps(office.ana.modal)
    assert texts(office) == ["Six months.", "Six months, please."]
    with office.store.read() as session:
        assert session.get_one(Candidate, key).status == "pending"


def test_a_form_that_is_sent_twice_is_one_version(office: Office) -> None:
    returned(office)
    press(office)
    assert office.ana.submit({"correction": "Six months, please."}) == {}
    sent = next(one for one in reversed(office.workspace.deliveries) if one.kind == "interaction")
    assert office.workspace.redeliver(sent).answer.status == 200
    assert texts(office) == ["Six months.", "Six months, please."]


def test_a_form_of_the_last_version_with_the_bare_id_still_saves(office: Office) -> None:
    key = returned(office)
    press(office)
    office.forge(office.ana, "private_metadata", str(key))
    assert office.ana.submit({"correction": "Six months, please."}) == {}
    assert texts(office)[-1] == "Six months, please."


def test_a_form_that_names_nothing_keeps_the_text(office: Office) -> None:
    returned(office)
    for forged in ("", "x", "1:x", "1:99999999999999999999", "[1]"):
        press(office)
        office.forge(office.ana, "private_metadata", forged)
        errors = office.ana.submit({"correction": "Six months, please."})
        assert "another version of Errata" in errors["correction"]
        office.ana.close_modal()
    assert texts(office) == ["Six months."]


def test_whoever_has_no_role_reworks_nothing(office: Office) -> None:
    returned(office)
    press(office)
    office.forge(office.ana, "private_metadata", "1:1")
    ts = office.old_card(WRONG_TURN, "1")
    office.customer.click(office.channel, ts, WRONG_TURN)
    assert "correction" not in json.dumps((office.customer.modal or {}).get("callback_id", ""))
    assert "Six months." not in json.dumps(office.customer.modal)
