"""Authors hear back: one message for each correction, and one when a model that learned it is live."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import Office, open_office
from shop import QUESTION, Shop, opened
from sqlmodel import select

from bot.blocks import authors as blocks
from bot.blocks.review import AMEND
from bot.sandbox.limits import check_message
from bot.sandbox.people import Person
from bot.speech import OWN_NAMES, speaking
from curation import corrections, people, proposals, reviews, undoing
from curation.candidates import CandidateKind, CandidateStatus
from curation.people import Actor, PersonId
from curation.policies import RoleName
from curation.privacy.removal import remove_candidates
from curation.reviews import Verdict
from curation.store.tables import Candidate, Notice, Review
from curation.summaries import of_candidate


@pytest.fixture
def shop(office: Office, tmp_path: Path) -> Shop:
    return opened(office, tmp_path / "home")


def flag(office: Office, person: Person, reply: str = "It lasts for ever.", correction: str = "Six months.") -> int:
    """Somebody corrects a reply; the candidate's id."""
    _, ts = office.ask(QUESTION, reply)
    assert office.correct(person, ts, correction) == {}
    with office.store.read() as session:
        return session.exec(select(Candidate.id).order_by(Candidate.id.desc())).first() or 0  # type: ignore[union-attr]


def decide(office: Office, name: str, candidate: int, verdict: Verdict, **words: Any) -> None:
    with office.store.write() as session:
        reviews.decide(session, office.actor(name), office.ahead(), candidate_id=candidate, verdict=verdict, **words)


def heard(office: Office, person: Person) -> list[dict[str, Any]]:
    """What Errata wrote to this person alone."""
    office.deliver()
    return [message for message in person.dms if message.get("bot_id") == office.workspace.bot_id]


def only(office: Office, person: Person) -> str:
    (message,) = heard(office, person)
    return json.dumps(message, ensure_ascii=False)


def test_a_correction_is_followed_in_one_message_from_its_return_to_its_approval(office: Office) -> None:
    candidate = flag(office, office.ana)
    assert heard(office, office.ana) == []
    decide(office, "ben", candidate, Verdict.RETURN, comment="Say what it depends on.")
    told = only(office, office.ana)
    assert f"Ben returned your correction #{candidate} to you." in told
    assert "Say what it depends on." in told
    assert AMEND in told

    office.ana.click(office.ana.dm_channel, heard(office, office.ana)[0]["ts"], AMEND)
    office.workspace.wait_until(lambda: office.ana.modal is not None, what="the form")
    assert office.ana.submit({"correction": "Six months, with hard water four."}) == {}
    told = only(office, office.ana)
    assert "is reworked and waits for review" in told
    assert AMEND not in told

    decide(office, "bea", candidate, Verdict.APPROVE)
    assert f"Thank you: Bea approved your correction #{candidate}." in only(office, office.ana)


def test_what_a_reviewer_edited_is_shown_beside_what_was_written(office: Office) -> None:
    candidate = flag(office, office.ana)
    decide(office, "ben", candidate, Verdict.EDIT_AND_APPROVE, edited="It lasts six months.")
    told = only(office, office.ana)
    assert "Ben edited your correction" in told
    assert "*You wrote*\\n" in told
    assert "Six months." in told
    assert "It lasts six months." in told
    assert heard(office, office.ben) == []  # who edits is an author as well, and knows it already


def test_a_rejection_comes_with_its_reason(office: Office) -> None:
    candidate = flag(office, office.ana)
    decide(office, "ben", candidate, Verdict.REJECT, comment="The reply was right.")
    told = only(office, office.ana)
    assert "Ben rejected your correction" in told
    assert "The reply was right." in told


def test_an_endorsement_is_called_one(office: Office) -> None:
    _, ts = office.ask(QUESTION, "Six months.")
    assert office.endorse(office.ana, ts) == {}
    decide(office, "ben", 1, Verdict.APPROVE)
    assert "Ben approved your endorsement #1" in only(office, office.ana)


def test_a_decision_that_is_taken_back_is_told_in_the_same_message(office: Office) -> None:
    candidate = flag(office, office.ana)
    decide(office, "ben", candidate, Verdict.APPROVE)
    assert "approved" in only(office, office.ana)
    with office.store.write() as session:
        (given,) = session.exec(select(Review.id)).all()
        assert given is not None
        undoing.undo(session, office.actor("ben"), office.ahead(), review_id=given)
    assert f"Your correction #{candidate} waits for review again." in only(office, office.ana)


def test_somebody_who_tries_things_alone_hears_nothing_of_themselves(tmp_path: Path) -> None:
    with open_office(tmp_path, ERRATA_SOLO="true") as office:
        candidate = flag(office, office.ben)
        with office.store.write() as session:
            alone = Actor(office.actor("ben").person_id, solo=True)
            reviews.decide(session, alone, office.ahead(), candidate_id=candidate, verdict=Verdict.APPROVE)
        assert heard(office, office.ben) == []


def test_people_of_the_command_line_are_owed_nothing(office: Office) -> None:
    candidate = flag(office, office.ana)
    local = Actor(PersonId("local/otto"))
    with office.store.write() as session:
        people.grant(session, office.actor("olga"), office.ahead(), person=local.person_id, role=RoleName.AGENT)
        proposals.amend(session, local, office.ahead(), candidate_id=candidate, correction="Half a year.")
        assert corrections.authors(corrections.versions(session, candidate))[1] == "local/otto"
    decide(office, "ben", candidate, Verdict.APPROVE)
    assert "approved" in only(office, office.ana)
    with office.store.read() as session:
        told = {notice.destination for notice in session.exec(select(Notice)) if notice.kind == "candidate.author"}
    assert told == {f"person:{office.actor('ana').person_id}"}


@pytest.mark.parametrize("refusal", ["missing_scope", "user_disabled", "user_not_found", "cannot_dm_bot"])
def test_a_message_that_cannot_be_opened_fails_alone(office: Office, refusal: str) -> None:
    candidate = flag(office, office.ana)
    decide(office, "ben", candidate, Verdict.APPROVE)
    other = flag(office, office.people["bea"])
    decide(office, "ben", other, Verdict.APPROVE)
    office.workspace.fail_next("conversations.open", refusal)
    office.deliver()
    with office.store.read() as session:
        states = [(one.status, one.trouble) for one in session.exec(select(Notice)) if one.kind == "candidate.author"]
    assert sorted(states, key=str) == [("delivered", None), ("failed", refusal)]


def test_an_answer_that_is_lost_on_the_way_tells_nobody_twice(office: Office) -> None:
    candidate = flag(office, office.ana)
    decide(office, "ben", candidate, Verdict.APPROVE)
    office.workspace.fail_next("chat.postMessage", "drop_answer")
    assert "approved" in only(office, office.ana)


def test_an_author_hears_once_when_a_model_that_learned_their_corrections_is_live(shop: Shop) -> None:
    office = shop.office
    assert len(heard(office, office.ana)) == 2  # both were approved
    shop.say("train v1")
    shop.work()
    run_id = shop.run().id
    office.olga.click(office.channel, shop.message("run_deploy"), "run_deploy")
    shop.work()
    (told,) = [message for message in heard(office, office.ana) if "live" in message["text"]]
    assert told["text"] == f"1 reply that you helped with is live in {run_id}."  # the other one is held out
    assert [message for message in heard(office, office.ben) if "live" in message["text"]] == []

    shop.say(f"undeploy {run_id}")
    shop.work()
    (told,) = [message for message in heard(office, office.ana) if "live" in message["text"]]
    assert told["text"] == f"1 reply that you helped with was in {run_id}, which is no longer live."


def test_an_author_is_spoken_to_in_their_own_language_whatever_the_channel_speaks(office: Office) -> None:
    office.ana.command("/errata", "language deutsch", office.channel)
    candidate = flag(office, office.ana)
    decide(office, "ben", candidate, Verdict.APPROVE)
    with office.store.read() as session:
        summary = of_candidate(session, session.get_one(Candidate, candidate))
    (message,) = heard(office, office.ana)
    assert message["text"] == blocks.told_text(speaking("de"), summary)


def test_what_was_erased_is_told_to_be_gone(office: Office) -> None:
    candidate = flag(office, office.ana)
    decide(office, "ben", candidate, Verdict.REJECT, comment="No.")
    assert "No." in only(office, office.ana)
    with office.store.write() as session:
        remove_candidates(session, office.ahead(), [candidate])
    told = only(office, office.ana)
    assert "Errata keeps nothing of it any more" in told
    assert "Six months." not in told


@pytest.mark.parametrize("language", OWN_NAMES)
@pytest.mark.parametrize("status", CandidateStatus)
@pytest.mark.parametrize("kind", [CandidateKind.CORRECTION, CandidateKind.ENDORSEMENT])
def test_the_message_fits_into_slacks_limits_in_every_language(
    office: Office, language: str, status: CandidateStatus, kind: CandidateKind
) -> None:
    candidate = flag(office, office.ana, correction="<!channel> " + "ä&" * 1400)
    with office.store.write() as session:
        row = session.get_one(Candidate, candidate)
        row.status, row.kind = status.value, kind.value
        session.flush()
        summary = of_candidate(session, row)
    say = speaking(language)
    content = {"text": blocks.told_text(say, summary), "blocks": blocks.told(say, summary)}
    check_message(content)
    assert "<!channel>" not in json.dumps(content)
