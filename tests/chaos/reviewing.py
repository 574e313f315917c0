"""Reviewers in a game: every door to the one modal, every button in it, and the rows that have to come of it."""

from __future__ import annotations

import json
from collections.abc import Callable

from builders import now
from chaos.game import Game
from sqlmodel import col, select

from bot.sandbox.people import Person
from curation import corrections, tallies
from curation.store.tables import Candidate, Claim, Correction, Example, Review
from curation.verdicts import Verdict

CARD = ("review_approve", "review_edit", "review_return", "review_reject")
FORMS = {
    Verdict.EDIT_AND_APPROVE: ("review_edit", "edited"),
    Verdict.RETURN: ("review_return", "comment"),
    Verdict.REJECT: ("review_reject", "comment"),
}
UNDONE_SHARE = 0.4
COLLEAGUE_SHARE = 0.4
MOST_SKIPPED = 100


class Reviewing:
    """What reviewers do."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.office = game.office
        self.rng = game.rng
        self._doors: tuple[Callable[[Person], str | None], ...] = (
            self._by_queue,
            self._by_shortcut,
            self._by_command,
            self._by_home,
        )

    def decide(self, verdict: Verdict | None = None) -> bool:
        """A verdict in the modal: one review, an example where it is approved, and perhaps it is taken back.

        Args:
            verdict: this one, for good; None: whichever.
        """
        person = self._reviewer()
        shown = self._open(person)
        if shown is None:
            self._close(person)
            return False
        if self.rng.random() < COLLEAGUE_SHARE:
            self._colleague(person, shown)
        undoes = verdict is None and self.rng.random() < UNDONE_SHARE
        verdict = verdict or self.rng.choice(list(Verdict))
        reviews, examples = self.game.count(Review), self.game.count(Example)
        most = 1 + self._give(person, verdict)
        made, taught = self.game.count(Review) - reviews, self.game.count(Example) - examples
        self.game.expect(1 <= made <= most, f"{verdict} made {made} reviews of at most {most}")
        approved = verdict in {Verdict.APPROVE, Verdict.EDIT_AND_APPROVE}
        self.game.expect(taught == (made if approved else 0), f"{verdict} of {made} made {taught} examples")
        self.game.expect(self.office.reviewed(person) != shown, "what was decided is shown again")
        if undoes:
            self._undo(person, shown, examples)
        self._close(person)
        self.game.deliver()
        return True

    def look_around(self) -> bool:
        """Every form and back, everything skipped, looked at again, undone, closed: nothing is decided by that."""
        person = self._reviewer()
        if self._open(person) is None:
            self._close(person)
            return False
        reviews = self.game.count(Review)
        person.click_in_modal(self.rng.choice([button for button, _ in FORMS.values()]))
        self._close(person)
        self._by_shortcut(person)
        for button, _ in FORMS.values():
            person.click_in_modal(button)
            self.game.expect(self._is_front(person, "review_verdict"), f"{button} shows no form")
            person.click_in_modal("review_back")
            self.game.expect(self._is_front(person, "review_decide"), "there is no way back from the form")
        self._skip_all(person)
        self._close(person)
        self._by_shortcut(person)
        skipped = self._skip_all(person)
        if self._is_front(person, "review_over"):
            person.click_in_modal("review_again")
            self.game.expect(self.office.reviewed(person) in skipped, "what was skipped is not shown again")
        self.game.expect(self.game.count(Review) == reviews, "looking around decided something")
        self._close(person)
        return True

    def press_card(self) -> bool:
        """A button on a card from before there was the queue: the modal opens on that candidate, or says why not."""
        with self.office.store.read() as session:
            keys = list(session.exec(select(Candidate.id)))
            if not keys:
                return False
            key = self.rng.choice(keys)
            seen = corrections.versions(session, key)[-1].id
        person, reviews = self._reviewer(), self.game.count(Review)
        for button in CARD:
            card = self.office.old_card(button, f"{key}:{seen}")
            person.click(self.office.channel, card, button)
            self.game.expect(person.modal is not None, "a card opened nothing")
            self._close(person)
        self.game.expect(self.game.count(Review) == reviews, "a card decided something unseen")
        return True

    def amend(self) -> bool:
        """An author reworks what came back, from the direct message."""
        for name in ("ana", "bea"):
            person = self.office.people[name]
            for message in reversed(person.dms):
                key = self.game.button(message, "review_amend")
                if key is None:
                    continue
                with self.office.store.read() as session:
                    candidate = session.get(Candidate, int(key))
                if candidate is None or candidate.status != "returned":
                    continue
                self._rework(person, message["ts"], int(key))
                return True
        return self._have_one_returned()

    # What happens in it.

    def _skip_all(self, person: Person) -> list[int | None]:
        """Skip until nothing is left, or nearly; what was skipped."""
        skipped: list[int | None] = []
        while self.office.reviewed(person) is not None and len(skipped) < MOST_SKIPPED:
            skipped.append(self.office.reviewed(person))
            person.click_in_modal("review_skip")
        self.game.expect(len(skipped) == len(set(skipped)), f"shown again after it was skipped: {skipped}")
        return skipped

    def _rework(self, person: Person, ts: str, key: int) -> None:
        text = self.game.words("B")[:3000]
        person.click(person.dm_channel, ts, "review_amend")
        errors = person.submit({"correction": text})
        with self.office.store.read() as session:
            newest = session.exec(select(Correction).order_by(col(Correction.id).desc())).first()
            status = session.get_one(Candidate, key).status
        kept = newest is not None and newest.candidate_id == key and newest.text.startswith(text.strip())
        self.game.expect(errors == {} and kept, f"not amended: {errors}")
        self.game.expect(status == "pending", f"what was reworked is {status}")
        self._close(person)
        self.game.deliver()

    def _have_one_returned(self) -> bool:
        """Return something to Ana, so that there is something to rework the next time."""
        person = self._reviewer()
        if self._open(person) is not None:
            self._give(person, Verdict.RETURN)
        self._close(person)
        self.game.deliver()
        return False

    def _give(self, person: Person, verdict: Verdict) -> int:
        """Give this verdict; how many near-duplicates may be decided with it."""
        beside = self._beside(person) if verdict is not Verdict.EDIT_AND_APPROVE else 0
        alone = beside and self.rng.random() < 0.5
        values: dict[str, object] = {"beside": []} if alone else {}
        if verdict is not Verdict.APPROVE:
            button, field = FORMS[verdict]
            person.click_in_modal(button)
            values[field] = self.game.words("V")[:3000]
        errors = person.submit(values)
        self.game.expect(errors == {}, f"a verdict was refused: {errors}")
        return 0 if alone else beside

    def _undo(self, person: Person, candidate_id: int, examples: int) -> None:
        """Take the decision back: the candidate waits again, its example is gone, and it is shown once more."""
        person.click_in_modal("review_undo")
        with self.office.store.read() as session:
            status = session.get_one(Candidate, candidate_id).status
            given = select(Review).where(Review.candidate_id == candidate_id).order_by(col(Review.id).desc())
            newest = session.exec(given).first()
        undone = newest is not None and newest.undone_at is not None
        self.game.expect(status == "pending" and undone, f"what was undone is {status}, its review: {newest}")
        self.game.expect(self.game.count(Example) == examples, "what was undone left an example")
        self.game.expect(self.office.reviewed(person) == candidate_id, "what was undone is not shown again")

    def _colleague(self, person: Person, shown: int) -> None:
        """A colleague looks meanwhile: they are shown something else, and give it back."""
        others = [one for one in self._reviewers() if one is not person]
        colleague = self.rng.choice(others)
        colleague.global_shortcut("review_corrections")
        self.game.expect(self.office.reviewed(colleague) != shown, "two reviewers are shown the same candidate")
        self._close(colleague)

    # The way in and out.

    def _open(self, person: Person) -> int | None:
        """Through one of the doors; the candidate that is shown, which there is where something waits for them."""
        place = self.rng.choice(self._doors)(person)
        actor = self.office.actor(self._name(person))
        with self.office.store.read() as session:
            waiting = tallies.tally(session, actor, now(), place=place).for_you
        shown = self.office.reviewed(person)
        self.game.expect(person.modal is not None, "review did not open")
        self.game.expect((shown is None) is (waiting == 0), f"{waiting} wait for a reviewer who is shown {shown}")
        return shown

    def _by_queue(self, person: Person) -> str | None:
        self.game.deliver()
        messages = self.office.workspace.messages(self.office.channel)
        found = [one["ts"] for one in messages if "review_open" in json.dumps(one.get("blocks", []))]
        if not found:
            return self._by_shortcut(person)
        person.click(self.office.channel, found[-1], "review_open")
        return f"{self.office.workspace.team_id}/{self.office.channel}"

    def _by_shortcut(self, person: Person) -> str | None:
        person.global_shortcut("review_corrections")
        return None

    def _by_command(self, person: Person) -> str | None:
        person.command("/errata", "review", self.office.channel)
        return None

    def _by_home(self, person: Person) -> str | None:
        self.game.go_home(person)
        if "review_open" not in json.dumps(person.home):
            return self._by_shortcut(person)
        person.click_in_home("review_open")
        return None

    def _close(self, person: Person) -> None:
        """Close everything; what was claimed for the modal is free again."""
        shown = self.office.reviewed(person) if person.modal and "review_" in person.modal["callback_id"] else None
        while person.modal is not None:
            person.close_modal()
        if shown is not None:
            with self.office.store.read() as session:
                claim = session.get(Claim, shown)
            held = claim is not None and claim.person_id == self._person_id(person)
            self.game.expect(not held, "a closed modal keeps its claim")

    # Who and what.

    def _reviewers(self) -> list[Person]:
        return [self.office.people[name] for name in ("ben", "bea", "olga")]

    def _reviewer(self) -> Person:
        return self.rng.choice(self._reviewers())

    def _name(self, person: Person) -> str:
        return next(name for name, one in self.office.people.items() if one is person)

    def _person_id(self, person: Person) -> str:
        return str(self.office.actor(self._name(person)).person_id)

    def _is_front(self, person: Person, callback_id: str) -> bool:
        return person.modal is not None and person.modal["callback_id"] == callback_id

    def _beside(self, person: Person) -> int:
        """How many near-duplicates the modal offers to decide together."""
        assert person.modal is not None
        blocks = [one for one in person.modal["blocks"] if one.get("block_id") == "beside"]
        return len(blocks[0]["element"]["options"]) if blocks else 0
