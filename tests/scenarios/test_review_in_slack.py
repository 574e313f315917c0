"""Reviewing in one window: what is shown, each verdict, taking one back, and several reviewers at once."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from builders import Office, open_office
from sqlmodel import select
from test_runs_in_slack import full_disk

from bot.app import now
from bot.sandbox.people import Person
from curation import people, proposals
from curation.candidates import CandidateStatus, Reason
from curation.claims import CLAIM
from curation.policies import RoleName
from curation.reviews import UNDO, Verdict
from curation.screening import worklist
from curation.store.tables import Candidate, Claim, Correction, Example, Review

QUESTION = "How long is the filter of my lamp good for?"
WRONG = "The filter lasts for ever, you never change it."
RIGHT = "The filter lasts six months, then you change it."


def rows(office: Office, table: type) -> list[Any]:
    with office.store.read() as session:
        return list(session.exec(select(table)))


def text(shown: Any) -> str:
    """All that is said there, without the word joiners that keep it from linking."""
    return json.dumps(shown, ensure_ascii=False).replace("\u2060", "")


def front(person: Person) -> str:
    """All that the modal in front of this person says."""
    assert person.modal is not None
    return text(person.modal["blocks"])


def statuses(office: Office) -> list[str]:
    return [candidate.status for candidate in rows(office, Candidate)]


# What stands in the channel.


def test_however_many_corrections_wait_the_channel_has_one_message_edited_in_place(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    first = office.queue()
    assert first["text"].startswith("1 waits for review · oldest 0 minutes")
    office.flag("Is it <!channel> safe?", "Yes.", reason=Reason.UNSAFE)
    office.flag("Wie lange hält der Filter meiner Lampe, bitte?", "Sechs Monate.")
    office.flag("Where do I buy one?", "In the app.")
    now_ = office.queue()
    assert now_["ts"] == first["ts"]
    assert len(office.cards()) == 1
    assert now_["text"].startswith("4 wait for review · 1 is risky")
    lines = text(now_["blocks"])
    assert "Correction #2 · English · Unsafe" in lines
    assert lines.index("#2") < lines.index("#1")  # the most urgent first
    assert "#4" not in lines  # three of them in a line each
    assert "<!channel>" not in lines


def test_the_message_names_who_reviews_and_loses_its_button_when_nothing_is_left(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.review(office.ben)
    office.flag("Where do I buy one?", "In the app.")  # whatever changes the queue brings its message up to date
    assert "Reviewing now: Ben" in text(office.queue())
    office.approve(office.ben)
    office.reject(office.ben, "It is sold in shops only.")
    done = office.queue()
    assert done["text"] == "Nothing waits for review. 2 were decided in the last 24 hours."
    assert "review_open" not in text(done)
    assert "/errata stats" in text(done)


def test_what_comes_after_everything_was_done_begins_a_new_message_and_the_old_one_points_to_it(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    first = office.queue()
    office.review(office.ben)
    office.approve(office.ben)
    assert office.queue()["text"].startswith("Nothing waits")
    office.flag("Where do I buy one?", "In the app.")
    second = office.queue()
    assert second["ts"] > first["ts"]
    assert second["text"].startswith("1 waits for review")
    (old,) = [card for card in office.cards() if card["ts"] == first["ts"]]
    assert old["text"] == "What waits for review is in a newer message below."
    assert "review_open" not in text(old)


# What is shown.


def test_the_window_shows_the_difference_who_wrote_it_and_how_much_waits(office: Office) -> None:
    office.flag(QUESTION, RIGHT, reason=Reason.WRONG_FACT, topic="filters", note="See the manual.")
    office.flag("Where do I buy one?", "In the app.", by="ben")
    view = office.review(office.ben)
    shown = text(view["blocks"])
    assert "1 of 1 · 1 for you · 1 is yours (a second person decides it)" in shown
    assert "by Ana · Bris · Wrong fact · filters · English" in shown
    assert QUESTION in shown
    (rich,) = [block for block in view["blocks"] if block["type"] == "rich_text"]
    marked = [
        (*element.get("style", {"as it is": True}), element["text"]) for element in rich["elements"][0]["elements"]
    ]
    assert marked[:3] == [
        ("as it is", "The filter lasts"),
        ("strike", " for ever,"),
        ("bold", " six months, then"),
    ]
    assert "See the manual." in shown
    assert view["submit"]["text"] == "Approve"


def test_an_endorsement_is_shown_once_and_endorsed(office: Office) -> None:
    _, reply = office.ask(QUESTION, RIGHT)
    assert office.endorse(office.ana, reply) == {}
    view = office.review(office.ben)
    assert text(view["blocks"]).count(RIGHT) == 1
    assert view["submit"]["text"] == "Endorse"
    office.approve(office.ben)
    (example,) = rows(office, Example)
    assert (example.kind, example.rejected) == ("endorsement", None)


def test_of_a_long_conversation_the_last_turns_are_shown_and_the_others_counted(office: Office) -> None:
    thread = office.customer.post(office.channel, "Turn 1")
    for number in range(2, 8):
        (office.bris if number % 2 == 0 else office.customer).post(office.channel, f"Turn {number}", thread_ts=thread)
    reply = office.bris.post(office.channel, WRONG, thread_ts=thread)
    office.correct(office.ana, reply, RIGHT)
    shown = text(office.review(office.ben)["blocks"])
    assert "2 earlier turns are not shown." in shown
    assert [f"Turn {number}" in shown for number in range(1, 8)] == [False, False, True, True, True, True, True]


def test_hostile_words_neither_ping_nor_link_nor_break_the_window(office: Office) -> None:
    hostile = "<!channel> @here *bold* `code` <https://evil.test|click> \u202e" + "ä&<" * 900
    office.flag(hostile, hostile + "!", note=hostile, topic=hostile[:60])
    for part in office.review(office.ben)["blocks"]:
        if part["type"] == "section":
            assert "<!channel>" not in text(part)
            assert "<https" not in text(part)
    assert office.approve(office.ben) == {}
    assert len(rows(office, Example)) == 1


def test_a_reviewer_is_spoken_to_in_their_own_language(office: Office) -> None:
    with office.store.write() as session:
        session.get_one(people.Person, office.actor("ben").person_id).language = "de"
    office.flag(QUESTION, RIGHT)
    office.review(office.ben)
    assert office.approve(office.ben) == {}
    assert len(rows(office, Example)) == 1


# Each verdict, and the next candidate.


def test_approving_is_one_press_that_brings_the_next_one(office: Office) -> None:
    for number in range(2):
        office.flag(f"{QUESTION} ({number})", RIGHT)
    office.review(office.ben)
    window = office.ben.modal["id"]
    assert office.reviewed(office.ben) == 1
    assert office.approve(office.ben) == {}
    assert office.ben.modal["id"] == window
    assert office.reviewed(office.ben) == 2
    assert "You approved #1." in front(office.ben)
    assert "2 of 2" in front(office.ben)
    assert office.approve(office.ben) == {}
    assert "Nothing is left for you to review." in front(office.ben)
    assert "In this round: 2 approved." in front(office.ben)
    assert [example.messages[-1]["content"] for example in rows(office, Example)] == [RIGHT, RIGHT]


def test_an_edit_a_return_and_a_rejection_each_take_a_press_and_a_form(office: Office) -> None:
    for number in range(3):
        office.flag(f"{QUESTION} ({number})", RIGHT)
    office.review(office.ben)
    assert office.approve(office.ben, edited="Six months.") == {}
    assert "You edited and approved #1." in front(office.ben)
    assert office.send_back(office.ben, "Say that the app reminds them.") == {}
    assert "You returned #2" in front(office.ben)
    assert office.reject(office.ben, "Not for the model.") == {}
    assert "1 edited and approved, 1 returned, 1 rejected" in front(office.ben)
    assert statuses(office) == ["approved", "returned", "rejected"]
    assert [review.comment for review in rows(office, Review)][1:] == [
        "Say that the app reminds them.",
        "Not for the model.",
    ]
    (example,) = rows(office, Example)
    assert example.messages[-1]["content"] == "Six months."
    assert example.authors == [office.actor("ana").person_id, office.actor("ben").person_id]


def test_what_was_typed_about_one_candidate_does_not_stand_in_the_form_of_the_next(office: Office) -> None:
    for number in range(2):
        office.flag(f"{QUESTION} ({number})", f"{RIGHT} ({number})")
    office.review(office.ben)
    office.send_back(office.ben, "Shorter.")
    office.ben.click_in_modal("review_return")
    state = office.ben.modal["state"]["values"]["comment"]
    assert [field["value"] for field in state.values()] == [None]
    office.ben.click_in_modal("review_back")
    office.ben.click_in_modal("review_edit")
    state = office.ben.modal["state"]["values"]["edited"]
    assert [field["value"] for field in state.values()] == [f"{RIGHT} (1)"]


def test_back_leaves_a_form_without_a_decision(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.review(office.ben)
    office.ben.click_in_modal("review_reject")
    office.ben.click_in_modal("review_back")
    assert office.ben.modal["submit"]["text"] == "Approve"
    assert statuses(office) == ["pending"]
    assert office.approve(office.ben) == {}


def test_an_empty_comment_is_an_error_in_the_form(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.review(office.ben)
    assert "the comment is empty" in office.send_back(office.ben, " \n ")["comment"]
    assert "the reason is empty" not in front(office.ben)
    assert statuses(office) == ["pending"]
    assert office.ben.submit({"comment": "Shorter."}) == {}
    assert statuses(office) == ["returned"]


def test_what_is_skipped_comes_back_when_asked_for(office: Office) -> None:
    for number in range(3):
        office.flag(f"{QUESTION} ({number})", RIGHT)
    office.review(office.ben)
    office.ben.click_in_modal("review_skip")
    office.ben.click_in_modal("review_skip")
    assert office.reviewed(office.ben) == 3
    office.approve(office.ben)
    assert "You skipped 2." in front(office.ben)
    office.ben.click_in_modal("review_again")
    assert office.reviewed(office.ben) == 1
    assert statuses(office) == ["pending", "pending", "approved"]


def test_a_reply_of_many_pages_is_edited_in_parts_and_loses_nothing(office: Office) -> None:
    long = "\n\n".join(f"{number}. {RIGHT} " + "word " * 80 for number in range(15)).strip()
    office.flag(QUESTION, long)
    office.review(office.ben)
    office.ben.click_in_modal("review_edit")
    fields = [block["block_id"] for block in office.ben.modal["blocks"] if block["type"] == "input"]
    assert fields[:2] == ["edited", "edited:2"]
    first = next(iter(office.ben.modal["state"]["values"]["edited"].values()))["value"]
    assert office.ben.submit({"edited": first.replace("0.", "Zero.")}) == {}
    assert rows(office, Correction)[-1].text == long.replace("0.", "Zero.", 1)


# Taking it back.


def test_a_decision_is_undone_from_the_next_view_and_its_candidate_comes_back(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.flag("Where do I buy one?", "In the app.")
    office.review(office.ben)
    office.approve(office.ben)
    assert len(rows(office, Example)) == 1
    office.ben.click_in_modal("review_undo")
    assert "Undone: #1 waits again." in front(office.ben)
    assert office.reviewed(office.ben) == 1
    assert "1 of 2" in front(office.ben)
    assert statuses(office) == ["pending", "pending"]
    assert rows(office, Example) == []
    assert office.reject(office.ben, "On second thoughts, no.") == {}
    assert statuses(office) == ["rejected", "pending"]


def test_the_last_decision_is_undone_from_the_closing_view(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.review(office.ben)
    office.send_back(office.ben, "Shorter.")
    assert "Nothing is left" in front(office.ben)
    office.ben.click_in_modal("review_undo")
    assert office.reviewed(office.ben) == 1
    assert statuses(office) == ["pending"]


def test_after_ten_minutes_a_decision_stands_and_the_window_says_so(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.flag("Where do I buy one?", "In the app.")
    office.review(office.ben)
    office.approve(office.ben)
    with office.store.write() as session:
        session.get_one(Review, 1).decided_at -= UNDO * 1.1
    office.ben.click_in_modal("review_undo")
    assert "it cannot be undone any more" in front(office.ben)
    assert office.reviewed(office.ben) == 2
    assert statuses(office)[0] == "approved"


def test_nobody_undoes_what_somebody_else_decided(office: Office) -> None:
    for number in range(3):
        office.flag(f"{QUESTION} ({number})", RIGHT)
    bea = office.people["bea"]
    office.review(office.ben)
    office.approve(office.ben)
    office.review(bea)
    office.approve(bea)
    office.forge(bea, "review_undo", "1")
    bea.click_in_modal("review_undo")
    assert "nobody else can undo it" in front(bea)
    assert statuses(office)[0] == "approved"


# Near-duplicates.


def near(office: Office) -> None:
    """Three that ask nearly the same, of which one says something else, and one about another thing; #2 is shown."""
    office.flag("How long is the filter of my desk lamp from Klarbris good for, please?", RIGHT)
    office.flag("How long is the filter of my desk lamp from Klarbris good for please", RIGHT, reason=Reason.UNSAFE)
    office.flag("How long is the filter of my desk lamp from Klarbris good for, please!", "Ask in the shop.")
    office.flag("Where do I buy a new battery?", "In the app.")
    while worklist.step(office.store, now()):
        pass
    office.review(office.ben)
    assert office.reviewed(office.ben) == 2


def test_near_duplicates_are_ticked_where_their_correction_is_the_same_and_decided_together(office: Office) -> None:
    near(office)
    (block,) = [one for one in office.ben.modal["blocks"] if one["block_id"] == "beside"]
    assert [option["text"]["text"][:2] for option in block["element"]["options"]] == ["#1", "#3"]
    assert [option["text"]["text"][:2] for option in block["element"]["initial_options"]] == ["#1"]
    assert "Ask in the shop." in front(office.ben)
    assert office.approve(office.ben) == {}
    assert "You approved #2. 1 like it went with it." in front(office.ben)
    assert statuses(office) == ["approved", "approved", "pending", "pending"]
    office.ben.click_in_modal("review_undo")
    assert "So does 1 like it." in front(office.ben)
    assert statuses(office) == ["pending"] * 4


def test_what_is_not_ticked_waits_on(office: Office) -> None:
    near(office)
    assert office.ben.submit({"beside": []}) == {}
    assert statuses(office) == ["pending", "approved", "pending", "pending"]


def test_a_reason_is_given_for_all_that_are_ticked_and_an_edit_is_of_one(office: Office) -> None:
    near(office)
    office.ben.click_in_modal("review_edit")
    assert "decide together" not in front(office.ben)
    office.ben.click_in_modal("review_back")
    office.ben.click_in_modal("review_reject")
    assert "decide together" in front(office.ben)
    assert office.ben.submit({"comment": "Asked every day."}) == {}
    assert statuses(office) == ["rejected", "rejected", "pending", "pending"]


def test_a_near_duplicate_that_changed_meanwhile_is_left_out_and_named(office: Office) -> None:
    near(office)
    with office.store.write() as session:
        proposals.amend(session, office.actor("ana"), now(), candidate_id=1, correction="Twelve years.")
    assert office.approve(office.ben) == {}
    assert "#1 was not decided with it: Ana changed the correction in between" in front(office.ben)
    assert statuses(office) == ["pending", "approved", "pending", "pending"]


# Several people.


def test_two_reviewers_are_never_shown_the_same(office: Office) -> None:
    for number in range(10):
        office.flag(f"{QUESTION} ({number})", RIGHT)
    bea, seen = office.people["bea"], Counter[int | None]()
    for person in (office.ben, bea):
        office.review(person)
    while office.reviewed(office.ben) or office.reviewed(bea):
        for person in (office.ben, bea):
            if office.reviewed(person) is not None:
                seen[office.reviewed(person)] += 1
                assert office.approve(person) == {}
    assert seen == Counter(range(1, 11))
    assert len(rows(office, Example)) == 10


def test_an_author_is_not_shown_their_own_and_hears_who_decides_it(office: Office) -> None:
    office.flag(QUESTION, RIGHT, by="ben")
    office.review(office.ben)
    assert "1 is yours: a second person decides it." in front(office.ben)
    assert office.reviewed(office.ben) is None


def test_what_is_in_a_language_that_a_reviewer_does_not_read_is_named_at_the_end(office: Office) -> None:
    with office.store.write() as session:
        session.get_one(people.Person, office.actor("ben").person_id).reads = ["de"]
    office.flag(QUESTION, RIGHT)
    office.review(office.ben)
    assert "1 is in another language: /errata language" in front(office.ben)


def test_somebody_who_was_faster_is_named_and_the_form_keeps_what_was_typed(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.flag("Where do I buy one?", "In the app.")
    office.review(office.ben)
    office.ben.click_in_modal("review_return")
    office.decide("bea", 1, Verdict.APPROVE)
    assert "Bea was faster" in office.ben.submit({"comment": "Shorter."})["comment"]
    assert "Shorter." in text(office.ben.modal["state"])
    office.ben.click_in_modal("review_back")
    assert "Candidate 1 is approved" in front(office.ben)
    assert office.reviewed(office.ben) == 2
    assert len(rows(office, Example)) == 1


def test_an_approval_that_comes_too_late_says_so_and_goes_on(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.flag("Where do I buy one?", "In the app.")
    office.review(office.ben)
    office.decide("bea", 1, Verdict.REJECT, comment="No.")
    assert office.approve(office.ben) == {}
    assert "Bea was faster: candidate 1 is rejected." in front(office.ben)
    assert office.reviewed(office.ben) == 2
    assert rows(office, Example) == []


def test_a_correction_that_changed_in_between_is_shown_anew_before_it_is_approved(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.review(office.ben)
    with office.store.write() as session:
        proposals.amend(session, office.actor("ana"), now(), candidate_id=1, correction="The filter lasts a year.")
    assert office.approve(office.ben) == {}
    assert "Ana changed the correction in between" in front(office.ben)
    assert " a year" in front(office.ben)
    assert rows(office, Example) == []
    assert office.approve(office.ben) == {}
    assert len(rows(office, Example)) == 1


def test_a_form_is_not_opened_for_a_correction_that_changed_in_between(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.review(office.ben)
    with office.store.write() as session:
        proposals.amend(session, office.actor("ana"), now(), candidate_id=1, correction="The filter lasts a year.")
    office.ben.click_in_modal("review_edit")
    assert "The correction changed in between" in front(office.ben)
    assert office.ben.modal["submit"]["text"] == "Approve"


def test_two_people_returning_at_once_are_one_return(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    bea = office.people["bea"]
    office.review(office.ben)
    office.ben.click_in_modal("review_return")
    with office.store.write() as session:
        for claim in session.exec(select(Claim)):
            session.delete(claim)  # Ben was away for too long
    office.review(bea)
    bea.click_in_modal("review_reject")
    assert office.ben.submit({"comment": "Shorter."}) == {}
    assert "Ben was faster" in bea.submit({"comment": "No."}).get("comment", "") or statuses(office) == ["rejected"]
    assert len(rows(office, Review)) == (1 if statuses(office) == ["returned"] else 2)


def test_closing_the_window_gives_back_what_was_claimed_for_it(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    bea = office.people["bea"]
    office.review(office.ben)
    office.review(bea)
    assert "1 is with a colleague." in front(bea)
    office.ben.close_modal()
    assert rows(office, Claim) == []
    bea.click_in_modal("review_again") if "review_again" in front(bea) else office.review(bea)
    assert office.reviewed(bea) == 1


def test_where_two_have_to_approve_the_first_one_hears_so_and_the_second_one_is_shown_it(tmp_path: Path) -> None:
    with open_office(tmp_path, ERRATA_APPROVALS="2") as office:
        office.flag(QUESTION, RIGHT)
        office.review(office.ben)
        assert office.approve(office.ben) == {}
        assert "You approved #1. A second reviewer has to approve it, too." in front(office.ben)
        assert office.reviewed(office.ben) is None
        assert rows(office, Example) == []
        bea = office.people["bea"]
        office.review(bea)
        assert office.approve(bea) == {}
        assert "A second reviewer" not in front(bea)
        assert len(rows(office, Example)) == 1


def test_an_expired_claim_does_not_keep_anybody_from_deciding(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    bea = office.people["bea"]
    office.review(office.ben)
    with office.store.write() as session:
        for claim in session.exec(select(Claim)):
            claim.until -= CLAIM * 2
    office.review(bea)
    assert office.reviewed(bea) == 1
    assert office.approve(office.ben) == {}
    bea.click_in_modal("review_reject")
    assert "Candidate 1 is approved: nobody has to decide about it now." in front(bea)
    assert statuses(office) == ["approved"]


# Who may not, twice pressed, forged.


def test_an_agent_is_told_who_may_review(office: Office) -> None:
    office.flag(QUESTION, RIGHT, by="ben")
    office.review(office.ana)
    assert "Ana may not review corrections: that takes the role reviewer" in front(office.ana)
    office.review(office.ana, shortcut=True)
    assert "Ana may not review corrections" in front(office.ana)
    assert rows(office, Claim) == []


def test_a_role_that_was_taken_away_meanwhile_ends_the_round_with_a_sentence(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.review(office.ben)
    with office.store.write() as session:
        person = office.actor("ben").person_id
        people.revoke(session, office.actor("olga"), now(), person=person, role=RoleName.REVIEWER)
    assert office.approve(office.ben) == {}
    assert "Ben may not review corrections" in front(office.ben)
    assert statuses(office) == ["pending"]


def test_a_role_that_was_taken_away_while_a_form_was_open_is_an_error_in_it(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.review(office.ben)
    office.ben.click_in_modal("review_edit")
    with office.store.write() as session:
        person = office.actor("ben").person_id
        people.revoke(session, office.actor("olga"), now(), person=person, role=RoleName.REVIEWER)
    assert "may not review" in office.ben.submit({"edited": "Mine."})["edited"]
    office.ben.click_in_modal("review_back")
    assert "may not review" in front(office.ben)
    assert rows(office, Example) == []


def test_the_global_shortcut_opens_the_same_window(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.review(office.ben, shortcut=True)
    assert office.reviewed(office.ben) == 1
    assert office.approve(office.ben) == {}


def test_a_submission_delivered_twice_approves_once(office: Office) -> None:
    for number in range(3):
        office.flag(f"{QUESTION} ({number})", RIGHT)
    office.review(office.ben)
    office.approve(office.ben)
    submission = next(one for one in reversed(office.workspace.deliveries) if one.kind == "interaction")
    assert office.workspace.redeliver(submission).answer.status == 200
    assert statuses(office) == ["approved", "pending", "pending"]
    assert len(rows(office, Example)) == 1


def test_a_button_pressed_twice_does_what_it_does_once(office: Office) -> None:
    for number in range(3):
        office.flag(f"{QUESTION} ({number})", RIGHT)
    office.review(office.ben)
    before = office.ben.modal
    office.ben.click_in_modal("review_skip")
    pressed = next(one for one in reversed(office.workspace.deliveries) if one.kind == "interaction")
    office.workspace.redeliver(pressed)
    assert office.reviewed(office.ben) == 2
    assert office.ben.modal["hash"] != before["hash"]


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "7",
        "[]",
        "{",
        '{"candidate":"1; DROP TABLE reviews","seen":1}',
        '{"candidate":1}',
        '{"candidate":-1,"seen":1}',
        '{"candidate":1e3,"seen":true}',
        '{"candidate":99999999999999999999,"seen":1}',
        '{"candidate":1,"seen":1,"place":7}',
        '{"candidate":1,"seen":1,"passed":7}',
        '{"candidate":1,"seen":1,"given":[1]}',
        '{"candidate":1,"seen":1,"verdict":"burn"}',
    ],
)
def test_a_window_that_carries_something_else_is_refused_with_a_sentence(office: Office, metadata: str) -> None:
    office.flag(QUESTION, RIGHT)
    office.review(office.ben)
    office.forge(office.ben, "private_metadata", metadata)
    assert office.approve(office.ben) == {}
    assert "another version of Errata" in front(office.ben)
    assert statuses(office) == ["pending"]


def test_a_forged_id_decides_nothing_that_the_person_may_not(office: Office) -> None:
    office.flag(QUESTION, RIGHT, by="ben")
    office.flag("Where do I buy one?", "In the app.")
    office.review(office.ben)
    office.forge(office.ben, "private_metadata", '{"candidate":1,"seen":1}')
    assert office.approve(office.ben) == {}
    assert "a second person approves it" in front(office.ben)
    assert office.reviewed(office.ben) == 2
    office.forge(office.ben, "private_metadata", '{"candidate":77,"seen":1}')
    assert office.approve(office.ben) == {}
    assert "There is no candidate 77" in front(office.ben)
    assert rows(office, Example) == []


def test_a_card_of_an_earlier_errata_opens_the_window_on_its_candidate(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.flag("Where do I buy one?", "In the app.")
    for action_id in ("review_approve", "review_return"):
        ts = office.old_card(action_id, "2:2")
        office.ben.click(office.channel, ts, action_id)
        assert office.reviewed(office.ben) == 2
        assert office.ben.modal["submit"]["text"] == "Approve"
        office.ben.close_modal()
    assert statuses(office) == ["pending", "pending"]


def test_where_slack_does_not_open_the_window_pressing_again_works(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.queue()
    office.workspace.fail_next("views.open", 500)
    office.ben.click(office.channel, office.queue()["ts"], "review_open")
    office.workspace.wait_until(lambda: office.ben.ephemerals, what="the answer")
    assert "press the button again" in office.ben.ephemerals[-1]["text"]
    assert office.reviewed(office.ben) is None
    office.review(office.ben)
    assert office.reviewed(office.ben) == 1


def test_on_a_full_disk_nothing_is_lost_and_trying_again_works(office: Office) -> None:
    office.flag(QUESTION, f"{RIGHT} " * 1000)  # an example for which the file has to grow
    office.review(office.ben)
    lift = full_disk(office)
    assert office.approve(office.ben) == {}
    assert "The disk is full; nothing was written." in front(office.ben)
    assert office.ben.modal["submit"]["text"] == "Try again"
    lift()
    assert statuses(office) == ["pending"]
    assert office.approve(office.ben) == {}
    assert "You approved #1." in front(office.ben)
    assert statuses(office) == ["approved"]


def test_where_slack_does_not_change_the_window_pressing_again_works(office: Office) -> None:
    office.flag(QUESTION, RIGHT)
    office.review(office.ben)
    office.workspace.fail_next("views.update", 500)
    office.ben.click_in_modal("review_edit")
    assert office.ben.modal["submit"]["text"] == "Approve"
    assert office.approve(office.ben, edited="Six months.") == {}
    assert statuses(office) == [CandidateStatus.APPROVED.value]
