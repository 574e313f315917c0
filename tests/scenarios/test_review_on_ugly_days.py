"""What a reviewer sees, and what is kept, when Slack or somebody else gets in between."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import Office, open_office
from sqlmodel import select

from bot.sandbox.people import Person
from curation.reviews import Verdict
from curation.store.tables import Candidate, Claim, Example, Review

QUESTION, RIGHT = "How long is the filter of my lamp good for?", "It lasts six months."
UNCHANGED = ["hash_conflict", "not_found", "ratelimited", 500]
"""After these the window shows what it showed; after a lost or a late answer it shows what follows."""


def rows(office: Office, table: type) -> list[Any]:
    with office.store.read() as session:
        return list(session.exec(select(table)))


def front(person: Person) -> str:
    assert person.modal is not None
    return json.dumps(person.modal["blocks"], ensure_ascii=False).replace("\u2060", "")


def statuses(office: Office) -> list[str]:
    return [candidate.status for candidate in rows(office, Candidate)]


@pytest.mark.parametrize("fault", ["expired_trigger_id", "exchanged_trigger_id", "ratelimited", 503])
def test_where_slack_opens_no_window_the_reviewer_is_asked_to_press_again(office: Office, fault: str | int) -> None:
    office.flag(QUESTION, RIGHT)
    message = office.queue()
    office.workspace.fail_next("views.open", fault)
    office.ben.click(office.channel, message["ts"], "review_open")
    office.workspace.wait_until(lambda: office.ben.ephemerals, what="the answer")
    assert "press the button again" in office.ben.ephemerals[-1]["text"]
    assert office.ben.modal is None
    assert statuses(office) == ["pending"]
    office.review(office.ben)
    assert office.approve(office.ben) == {}


@pytest.mark.parametrize("fault", [*UNCHANGED, "drop_answer", "timeout"])
def test_a_decision_is_taken_back_once_although_slack_does_not_show_it(office: Office, fault: str | int) -> None:
    office.flag(QUESTION, RIGHT)
    office.review(office.ben)
    office.approve(office.ben)
    office.workspace.fail_next("views.update", fault)
    office.ben.click_in_modal("review_undo")
    assert statuses(office) == ["pending"]
    assert rows(office, Example) == []
    if fault in UNCHANGED:
        office.ben.click_in_modal("review_undo")
    assert "Undone: #1 waits again." in front(office.ben)
    assert len([one for one in rows(office, Review) if one.undone_at is not None]) == 1
    assert office.approve(office.ben) == {}
    assert statuses(office) == ["approved"]


@pytest.mark.parametrize("fault", UNCHANGED)
def test_a_skip_that_slack_does_not_show_skips_nothing_unseen(office: Office, fault: str | int) -> None:
    office.flag(QUESTION, RIGHT)
    office.flag("Where do I buy one?", "In the app.")
    office.review(office.ben)
    office.workspace.fail_next("views.update", fault)
    office.ben.click_in_modal("review_skip")
    assert office.reviewed(office.ben) == 1
    assert office.approve(office.ben) == {}
    assert statuses(office) == ["approved", "pending"]


def test_a_reviewer_of_another_workspace_is_shown_and_decides_nothing(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    zoe = office.workspace.add_person("Zoe", stranger=True)
    office.workspace.bring_in(office.channel, zoe)
    zoe.click(office.channel, office.queue()["ts"], "review_open")
    assert RIGHT not in json.dumps(zoe.modal)
    assert (statuses(office), rows(office, Claim)) == (["pending"], [])


def test_a_reviewer_who_left_is_given_nothing_to_decide_any_more(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.workspace.subscriptions = frozenset({"user_change"})
    office.workspace.deactivate(office.ben)
    office.workspace.wait_until_delivered()
    with pytest.raises(Exception, match="Ben"):
        office.review(office.ben)
    office.review(office.people["bea"])
    assert office.approve(office.people["bea"]) == {}


def test_closing_a_window_that_names_somebody_elses_candidate_takes_nothing_from_them(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.flag("Where do I buy one?", "In the app.")
    bea = office.people["bea"]
    office.review(office.ben)
    office.review(bea)
    office.forge(bea, "private_metadata", '{"candidate":1,"seen":1}')
    bea.close_modal()
    claims = {one.candidate_id: one.person_id for one in rows(office, Claim)}
    assert claims[1] == office.actor("ben").person_id


def test_in_two_windows_of_one_reviewer_each_decision_counts_once_and_each_can_be_undone(office: Office) -> None:
    """As with a telephone and a computer: what was decided in one is not decided again in the other."""
    office.flag(QUESTION, RIGHT)
    office.review(office.ben)
    first = (office.ben.modal or {})["private_metadata"]
    assert office.approve(office.ben) == {}
    office.ben.close_modal()
    office.flag("Where do I buy one?", "In the app.")
    office.review(office.ben)
    office.forge(office.ben, "private_metadata", first)
    assert office.approve(office.ben) == {}
    assert len(rows(office, Review)) == 1
    office.ben.click_in_modal("review_undo")
    assert statuses(office) == ["pending", "pending"]


def test_what_went_into_a_dataset_meanwhile_stays_and_undo_says_where(office: Office) -> None:
    from curation.datasets import dataset  # noqa: PLC0415 (this test alone freezes)

    office.flag(QUESTION, RIGHT)
    office.flag("Where do I buy one?", "In the app.")
    office.review(office.ben)
    office.approve(office.ben)
    office.decide("bea", 2, Verdict.APPROVE)
    dataset.freeze(office.store, office.actor("olga"), office.ahead(), name="v1")
    office.ben.click_in_modal("review_undo")
    assert "is in the dataset v1 already" in front(office.ben)
    assert statuses(office) == ["approved", "approved"]


def test_of_two_approvals_the_first_is_taken_back_and_the_author_may_amend_in_between(tmp_path: Any) -> None:
    with open_office(tmp_path, ERRATA_APPROVALS="2") as office:
        bea, key = office.people["bea"], office.flag(QUESTION, RIGHT)
        office.review(office.ben)
        office.approve(office.ben)
        office.ben.close_modal()
        office.review(bea)
        bea.click_in_modal("review_edit")
        assert bea.submit({"edited": "Six months, then change it."}) == {}
        assert "was of an earlier text" in front(bea)
        bea.click_in_modal("review_undo")
        assert statuses(office) == ["pending"]
        assert office.reviewed(bea) == key
        assert office.approve(bea) == {}
        assert rows(office, Example) == []  # Ben's approval was of an earlier version
        office.review(office.ben)
        assert office.approve(office.ben) == {}
        (example,) = rows(office, Example)
        assert example.messages[-1]["content"] == RIGHT
        assert example.authors == [office.actor("ana").person_id]


@pytest.mark.parametrize(
    ("reply", "correction"),
    [
        ("الفلتر يدوم إلى الأبد.", "الفلتر يدوم \u200fستة أشهر\u200e."),
        ("It lasts.", "It\u200b las\u200dts."),
        ("x" * 2900, "x" * 1400 + "y" * 1500),
        ("滤芯可以使用多久" * 300, "滤芯可以使用六个月" * 300),
        ("It lasts.", "z" * 30_001),
        ("It lasts.", "It lasts.\u202e"),
    ],
)
def test_whatever_script_or_length_the_window_opens_and_the_text_is_kept_whole(
    office: Office, reply: str, correction: str
) -> None:
    office.flag(QUESTION, correction, reply=reply)
    office.review(office.ben)
    assert office.reviewed(office.ben) == 1
    office.ben.click_in_modal("review_edit")
    office.ben.click_in_modal("review_back")
    assert office.approve(office.ben) == {}
    (example,) = rows(office, Example)
    assert example.messages[-1]["content"] == correction
