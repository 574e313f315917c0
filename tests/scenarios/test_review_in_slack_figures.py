"""How much work a round of review is, and how soon what was saved is seen: figures, printed with ``-s``."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from statistics import quantiles
from typing import Any

from builders import Office
from sqlmodel import select

from bot.sandbox.people import Person
from curation.candidates import Reason
from curation.store.tables import Candidate, Example, Review

ITEMS = 60
SHOWN = 20
WORDS = {"edited": "It lasts six months, and the app reminds you.", "comment": "The manual says something else."}


class Hand:
    """Somebody at the modal whose presses and submissions are counted."""

    def __init__(self, person: Person) -> None:
        self.person, self.presses = person, 0

    def press(self, action_id: str) -> None:
        self.presses += 1
        self.person.click_in_modal(action_id)

    def submit(self, values: dict[str, str]) -> None:
        self.presses += 1
        assert self.person.submit(values) == {}


def approve(hand: Hand) -> None:
    hand.submit({})


def edit(hand: Hand) -> None:
    hand.press("review_edit")
    hand.submit({"edited": WORDS["edited"]})


def send_back(hand: Hand) -> None:
    hand.press("review_return")
    hand.submit({"comment": WORDS["comment"]})


def reject(hand: Hand) -> None:
    hand.press("review_reject")
    hand.submit({"comment": WORDS["comment"]})


VERDICTS: list[Callable[[Hand], None]] = [approve, approve, approve, edit, send_back, reject]


def rows(office: Office, table: type) -> list[Any]:
    with office.store.read() as session:
        return list(session.exec(select(table)))


def test_sixty_that_wait_are_reviewed_with_at_most_two_presses_each(office: Office) -> None:
    rng = random.Random(20261121)
    reasons = [None, *Reason]
    for number in range(ITEMS):
        said = {"reason": rng.choice(reasons), "topic": rng.choice([None, "filters", "orders"])}
        office.flag(f"Question {number} about lamp {rng.random()}?", f"Answer {number}: six months.", **said)
    hand, presses, decided = Hand(office.ben), list[int](), set[int]()
    office.review(office.ben)
    while (candidate := office.reviewed(office.ben)) is not None:
        before = hand.presses
        rng.choice(VERDICTS)(hand)
        presses.append(hand.presses - before)
        decided.add(candidate)
    assert len(decided) == len(presses) == ITEMS
    assert max(presses) <= 2
    given = [review.verdict for review in rows(office, Review)]
    assert {"approve", "edit_and_approve", "return", "reject"} == set(given)
    assert len(given) == ITEMS
    assert len(rows(office, Example)) == sum(verdict.endswith("approve") for verdict in given)
    assert len(office.cards()) == 1  # one message in the channel, from the first to the last
    print(f"\n{ITEMS} reviewed with {1 + sum(presses)} presses, the one that opens the window included")  # noqa: T201


def test_what_was_saved_is_in_the_window_and_in_the_channel_within_a_second(office: Office) -> None:
    in_window, in_channel = [], []
    office.deliverer.start()
    try:
        for number in range(SHOWN):
            _, reply = office.ask(f"How long is filter {number} good for?", "For ever.")
            office.ana.message_shortcut(office.channel, reply, "correct_reply")
            office.wait_for_thread(office.ana)
            office.wait()  # the message's last edit lies far enough back
            assert office.ana.submit({"correction": f"Six months, number {number}."}) == {}
            acknowledged = time.perf_counter()

            office.ben.global_shortcut("review_corrections")
            assert f"{number + 1} for you" in str(office.ben.modal)
            in_window.append(time.perf_counter() - acknowledged)

            words = "1 waits for review" if number == 0 else f"{number + 1} wait for review"
            seen = lambda words=words: any(one["text"].startswith(words) for one in _errata(office))  # noqa: E731
            office.workspace.wait_until(seen, what=f"{words} in the channel")
            in_channel.append(time.perf_counter() - acknowledged)
    finally:
        office.deliverer.stop()
    assert len(rows(office, Candidate)) == SHOWN
    window, channel = (quantiles(times, n=20, method="inclusive")[-1] for times in (in_window, in_channel))
    print(f"\np95 of {SHOWN}: in the window {window * 1000:.0f} ms, in the channel {channel * 1000:.0f} ms")  # noqa: T201
    # The aim is one second; a busy machine that runs other tests beside this one is given three.
    assert window < 3
    assert channel < 3


def _errata(office: Office) -> list[dict[str, Any]]:
    mine = office.workspace.bot_id
    return [message for message in office.workspace.messages(office.channel) if message.get("bot_id") == mine]
