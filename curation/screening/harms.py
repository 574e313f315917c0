"""What may harm somebody in an example: hate, self-harm, sexual content, violence, as an outside judge rates it.

Owns the port to such a judge, from which severity on its rating is a finding, and what is said where it gives none.
Knows no provider. Pure but for the judge: nothing is kept here, and no word of a text is ever said or logged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from curation.errors import Unavailable
from curation.findings import Finding, Severity
from curation.screening.suspicions import BY_NAME
from curation.wording import Phrase, phrase, plural

if TYPE_CHECKING:
    from curation.formats.jsonl import Row


class Harm(StrEnum):
    """What a text may be rated as."""

    HATE = "hate"
    SELF_HARM = "self_harm"
    SEXUAL = "sexual"
    VIOLENCE = "violence"


IN_WORDS: Mapping[Harm, Phrase] = {
    Harm.HATE: phrase("hate"),
    Harm.SELF_HARM: phrase("self-harm"),
    Harm.SEXUAL: phrase("sexual content"),
    Harm.VIOLENCE: phrase("violence"),
}
"""For people."""

HIGHEST = 7
"""The highest severity; 0 is none."""

THRESHOLD = 4
"""From here on a rating is a warning, unless a team says otherwise."""

GRAVE = 6
"""From here on it is an error, which keeps a dataset from being trained on."""

PAUSE_SECONDS = 300.0
"""How long a judge that gave no answer is left alone."""

AT_ONCE = 50
"""Rows that are handed to the judge together."""

MOST_ROWS = 1_000
"""Rows of a dataset that are rated while it is frozen, the newest; a check rates all of them."""

Severities = Mapping[Harm, int]
"""By category, 0 to ``HIGHEST``; what is missing is 0."""


class Screen(Protocol):
    """The judge."""

    def __call__(self, texts: Sequence[str]) -> Sequence[Severities | None]:
        """The severities of each text, None of one that it does not take.

        Raises:
            Unavailable: it gives none at all; one sentence says why.
        """


@dataclass
class Watch:
    """A judge with a team's thresholds.

    Attributes:
        screen: the judge.
        thresholds: from which severity on each category is a warning; ``THRESHOLD`` where nothing is said.
        clock: seconds that only grow.
    """

    screen: Screen
    thresholds: Mapping[Harm, int] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    _quiet_until: float = float("-inf")
    _why: str = ""

    def willing(self) -> bool:
        """Whether the judge may be asked: one that gave no answer is left alone for a while."""
        return self.clock() >= self._quiet_until

    def of_one(self, asked: Sequence[str], reply: str) -> list[Finding]:
        """What is found in one correction, its reply first.

        Args:
            asked: the turns before it.
            reply: what would be learned.
        """
        try:
            answer, *others = self._rated([reply, *asked])
        except Unavailable as error:
            return [_unknown(error.sentence)]
        judged = (self._judged(_worst([answer]), _of_reply), self._judged(_worst(others), _of_turns))
        found = [one for one in judged if one is not None]
        return [*found, _not_taken(1)] if None in [answer, *others] else found

    def of_rows(self, rows: Iterable[Row], told: Callable[[int], None] = lambda _done: None) -> Iterator[Finding]:
        """What is found in the rows of a file or dataset, with their lines; one finding where the judge gives up.

        Args:
            told: is told how many rows were rated.
        """
        left, done, refused = iter(rows), 0, 0
        while batch := list(islice(left, AT_ONCE)):
            texts = [_texts(row) for row in batch]
            try:
                rated = iter(self._rated([text for row in texts for text in row]))
            except Unavailable as error:
                yield _unknown(error.sentence)
                return
            for row, spoken in zip(batch, texts, strict=True):
                ratings = [next(rated) for _ in spoken]
                refused += None in ratings
                found = self._judged(_worst(ratings), _of_row, row.line)
                if found is not None:
                    yield found
            done += len(batch)
            told(done)
        if refused:
            yield _not_taken(refused)

    def of_dataset(self, rows: Sequence[tuple[int, Row]], told: Callable[[int], None]) -> list[Finding]:
        """The same of a dataset that is being frozen, together: a finding for each severity, naming examples.

        Args:
            rows: each behind the number of its example, by which it is found again: not by its line.
            told: is told how many rows were rated.
        """
        ids = {row.line: example for example, row in rows}
        found = list(self.of_rows((row for _, row in rows[-MOST_ROWS:]), told))
        together = []
        for rule in (BY_NAME["very_harmful"], BY_NAME["harmful"]):
            examples = [ids[one.line] for one in found if one.rule == rule.id and one.line is not None]
            if examples:
                message = plural(
                    "{count:,} example is rated as harmful, from {least} of {highest} on: {examples}",
                    "{count:,} examples are rated as harmful, from {least} of {highest} on: {examples}",
                    len(examples),
                    least=GRAVE if rule.id == BY_NAME["very_harmful"].id else min(self._least(one) for one in Harm),
                    highest=HIGHEST,
                    examples=examples[:_NAMED],
                )
                together.append(rule.found(message))
        together += [replace(one, severity=Severity.WARNING) for one in found if one.line is None]
        if len(rows) > MOST_ROWS:
            message = phrase(
                "Only the newest {most:,} of {all:,} rows were rated for harm.", most=MOST_ROWS, all=len(rows)
            )
            together.append(BY_NAME["harm_unknown"].found(message))
        return together

    def _rated(self, texts: Sequence[str]) -> Sequence[Severities | None]:
        if not self.willing():
            raise Unavailable("{why}", why=self._why)
        try:
            return self.screen(texts)
        except Unavailable as error:
            self._quiet_until, self._why = self.clock() + PAUSE_SECONDS, error.sentence
            raise

    def _judged(
        self, severities: Severities, told: Callable[[Sequence[Phrase]], Phrase], line: int | None = None
    ) -> Finding | None:
        found = {one: severities.get(one, 0) for one in Harm if severities.get(one, 0) >= self._least(one)}
        if not found:
            return None
        rule = BY_NAME["very_harmful" if max(found.values()) >= GRAVE else "harmful"]
        harms = [
            phrase("{harm} {severity} of {highest}", harm=IN_WORDS[one], severity=severity, highest=HIGHEST)
            for one, severity in found.items()
        ]
        return rule.found(told(harms), line)

    def _least(self, harm: Harm) -> int:
        return self.thresholds.get(harm, THRESHOLD)


_NAMED = 10


def _of_reply(harms: Sequence[Phrase]) -> Phrase:
    return phrase("The correction is rated as {harms:and}.", harms=harms)


def _of_turns(harms: Sequence[Phrase]) -> Phrase:
    return phrase("What was said before the correction is rated as {harms:and}.", harms=harms)


def _of_row(harms: Sequence[Phrase]) -> Phrase:
    return phrase("The conversation is rated as {harms:and}.", harms=harms)


def _texts(row: Row) -> list[str]:
    """What is said in a row; the system prompt is the team's own."""
    return [message.text for message in row.conversation.with_system(None).messages]


def _worst(rated: Sequence[Severities | None]) -> Severities:
    return {one: max((each.get(one, 0) for each in rated if each is not None), default=0) for one in Harm}


def _not_taken(count: int) -> Finding:
    told = plural(
        "Something in {count:,} conversation could not be rated for harm.",
        "Something in {count:,} conversations could not be rated for harm.",
        count,
    )
    return BY_NAME["unscreened"].found(told)


def _unknown(why: str) -> Finding:
    return BY_NAME["harm_unknown"].found(phrase("It was not rated for harm: {why}", why=why))
