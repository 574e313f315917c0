"""The review modal and the queue's message with the worst that people write: Slack takes them, nobody is pinged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOON
from test_blocks import CANDIDATE, TEXTS, assert_harmless, hostile_candidate, mrkdwn

from bot.blocks import queue, review
from bot.blocks.elements import Block
from bot.blocks.queue import Queue
from bot.blocks.review import Shown, Told
from bot.listeners.rounds import MOST_PASSED, Round, unpacked
from bot.sandbox.limits import check_message, check_view
from bot.speech import ENGLISH_SPOKEN, OWN_NAMES, speaking
from curation.candidates import CandidateKind
from curation.findings import Finding, Severity
from curation.queue import Tally
from curation.reviews import Decision, LeftOut, Verdict
from curation.summaries import CandidateSummary
from curation.wording import phrase

MANY = Tally(waiting=10**6, for_you=10**6, yours=10**5, claimed=10**4, other_languages=10**3, risky=9, oldest_at=NOON)
NONE = Tally(0, 0, 0, 0, 0, 0, None)
FULL = Round(
    "E0123456789/T0123456789/C0123456789",
    2**63 - 1,
    2**63 - 1,
    Verdict.EDIT_AND_APPROVE,
    tuple(range(2**63 - MOST_PASSED, 2**63)),
    dict.fromkeys(Verdict, 10**6),
    2**63 - 1,
)


def finding(message: str, severity: Severity = Severity.WARNING) -> Finding:
    return Finding("screen.new_link", severity, message, "Look at it.")


def shown(summary: CandidateSummary, **changes: object) -> Shown:
    return replace(Shown(summary, MANY, 7, FULL.packed()), **changes)  # type: ignore[arg-type]  # of any attribute


def views(text: str) -> Iterator[Block]:
    """Every view of the modal, about this text."""
    for say in (ENGLISH_SPOKEN, *map(speaking, [one for one in OWN_NAMES if one != "en"])):
        for kind in CandidateKind if say is ENGLISH_SPOKEN else [CandidateKind.CORRECTION]:
            summary = replace(hostile_candidate(text, "pending", kind.value), findings=(finding(text),) * 12)
            beside = [
                replace(summary, id=number, correction=text * (number % 2)) for number in range(10**18, 10**18 + 9)
            ]
            told = Told(text, undo=2**63 - 1, found=[finding(text)] * 9, left_out=[LeftOut(1, phrase(text))] * 5)
            view = shown(summary, beside=beside)
            yield review.review_view(say, view, told)
            for verdict in (Verdict.EDIT_AND_APPROVE, Verdict.RETURN, Verdict.REJECT):
                yield review.verdict_view(say, view, verdict)
        given = dict.fromkeys(Verdict, 10**6)
        yield review.over_view(say, MANY, given=given, passed=10**6, metadata=FULL.packed(), told=told)
        yield review.over_view(say, NONE, given={}, passed=0, metadata="")
        yield review.stopped_view(say, text)
        yield review.retry_view(say, text, FULL.packed())
        yield review.amend_view(say, summary)


@pytest.mark.parametrize("name", TEXTS)
def test_slack_takes_every_view_in_every_language_and_none_of_them_pings_or_links(name: str) -> None:
    for view in views(TEXTS[name]):
        check_view(view, kind="modal")
        for text in mrkdwn(view):
            assert_harmless(text)


@pytest.mark.parametrize("name", TEXTS)
def test_slack_takes_the_queues_message_and_it_neither_pings_nor_links(name: str) -> None:
    text = TEXTS[name]
    first = [hostile_candidate(text, "pending", kind.value) for kind in CandidateKind]
    for language in OWN_NAMES:
        for number in (0, 1, 10**6):
            waiting = Queue("T1/C1", number, number, number, NOON, [text[:80]] * 9, first, number)
            blocks = queue.queue(speaking(language), waiting, NOON + timedelta(days=number))
            line = queue.queue_text(speaking(language), waiting, NOON)
            check_message({"text": line, "blocks": blocks})
            for part in (line, *mrkdwn(blocks)):
                assert_harmless(part)


@pytest.mark.parametrize("text", ["x", "@a", "&", "滤", "👩🏽‍🚒"])
def test_the_longest_texts_fit_into_every_view(text: str) -> None:
    longest = text * 30_000
    summary = replace(
        hostile_candidate(longest[:3000], "pending", "correction"),
        reply=longest,
        correction=f"{longest}!",
        turns=(("user", longest),) * 9,
    )
    view = shown(summary, beside=[replace(summary, id=number, correction=longest) for number in range(9)])
    check_view(review.review_view(ENGLISH_SPOKEN, view, Told("Done.", undo=1)), kind="modal")
    for verdict in (Verdict.EDIT_AND_APPROVE, Verdict.RETURN, Verdict.REJECT):
        check_view(review.verdict_view(ENGLISH_SPOKEN, view, verdict), kind="modal")
    check_view(review.amend_view(ENGLISH_SPOKEN, summary), kind="modal")


def told(view: Block) -> str:
    return json.dumps(view["blocks"], ensure_ascii=False).replace("\u2060", "")


def test_a_candidate_in_full() -> None:
    view = review.review_view(
        ENGLISH_SPOKEN, shown(replace(CANDIDATE, note="See the manual."), waiting=replace(MANY, for_you=3))
    )
    assert [block["type"] for block in view["blocks"]] == [
        *("context", "header", "context", "section", "section", "section", "section", "actions"),
    ]
    assert view["blocks"][0]["elements"][0]["text"] == (
        "7 of 9 · 3 for you · 100,000 are yours (a second person decides those)"
    )
    assert view["blocks"][2]["elements"][0]["text"] == "by Ana · Bris · Wrong fact · filters · English"
    buttons = {element["action_id"]: element["value"] for element in view["blocks"][-1]["elements"]}
    assert buttons == dict.fromkeys([review.EDIT, review.RETURN, review.REJECT, review.SKIP], "7:12")
    assert view["notify_on_close"]


def test_of_many_warnings_five_are_shown_worst_first_and_the_others_are_counted() -> None:
    found = (finding("Only to know.", Severity.INFO), *(finding(f"Odd {number}.") for number in range(7)))
    (block,) = [
        block
        for block in review.review_view(ENGLISH_SPOKEN, shown(replace(CANDIDATE, findings=found)))["blocks"]
        if "Look twice" in json.dumps(block)
    ]
    lines = block["text"]["text"].replace("\u2060", "").splitlines()
    assert lines[1] == ":warning: Odd 0."
    assert lines[-1] == "and 3 more: `errata review 7`"
    assert len(lines) == 1 + 5 + 1


@pytest.mark.parametrize("hours", [0, 1, 23, 25, 49])
def test_the_oldest_is_told_in_a_unit_that_fits(hours: int) -> None:
    line = queue.queue_text(ENGLISH_SPOKEN, Queue("T1/C1", 2, oldest_at=NOON), NOON + timedelta(hours=hours))
    age = {0: "0 minutes", 1: "1 hour", 23: "23 hours", 25: "1 day", 49: "2 days"}[hours]
    assert line == f"2 wait for review · oldest {age}"


def test_of_many_reviewers_five_are_named() -> None:
    blocks = queue.queue(ENGLISH_SPOKEN, Queue("T1/C1", 1, reviewing=tuple("ABCDEFG")), NOON)
    assert "Reviewing now: A, B, C, D, E and 2 more" in json.dumps(blocks)


def test_an_empty_queue_says_what_was_done_and_what_waits_for_its_author() -> None:
    line = queue.queue_text(ENGLISH_SPOKEN, Queue("T1/C1", 0, returned=1, decided=12), NOON)
    assert line == ("Nothing waits for review. 12 were decided in the last 24 hours. 1 is back with its author.")


def test_what_was_done_together_left_out_or_only_half_is_said() -> None:
    done = Decision(1, "T1/UBEN", "approve", None, False, (7, 8, 9), (), second_needed=True, lapsed=("Bea",))
    assert review.done_line(ENGLISH_SPOKEN, done) == (
        "You approved #7. 2 like it went with it. A second reviewer has to approve it, too. "
        "The approval of Bea was of an earlier text."
    )
    view = review.review_view(
        ENGLISH_SPOKEN, shown(CANDIDATE), Told("Done.", left_out=[LeftOut(8, phrase("Bea was faster."))])
    )
    assert "#8 was not decided with it: Bea was faster." in told(view)


def test_a_round_fits_into_what_a_view_carries_and_comes_back_as_it_was() -> None:
    packed = FULL.packed()
    assert len(packed) <= 3000
    assert unpacked({"private_metadata": packed}) == FULL
    assert unpacked({"private_metadata": Round().packed()}) == Round()


def test_a_round_forgets_the_first_of_very_many_that_were_skipped() -> None:
    going_on = Round()
    for number in range(MOST_PASSED + 5):
        going_on = going_on.passing(number)
    assert going_on.passed == tuple(range(5, MOST_PASSED + 5))


def test_taking_a_decision_back_takes_it_out_of_the_count() -> None:
    going_on = Round().after(Verdict.APPROVE, 3, 2).after(Verdict.REJECT, 4, 1)
    assert going_on.position == 4
    assert going_on.without(Verdict.REJECT, 1) == replace(
        going_on, given={Verdict.APPROVE: 2, Verdict.REJECT: 0}, review=None
    )
