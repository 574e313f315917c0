"""What the rows of a version say twice: one dialogue over again, or one question answered in two ways.

Owns what counts as that among approved examples, which ``curation.similarity.repeats`` asks of the lines of a file
under the same rules: a dialogue repeats another whatever its system prompt, but under another prompt it may be answered
otherwise. Rows in quarantine teach nothing, and are passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from curation.datasets.split import Side
from curation.findings import Finding
from curation.similarity import repeats
from curation.similarity.duplicates import conflicts, fingerprint
from curation.wording import Phrase, phrase, plural

if TYPE_CHECKING:
    from curation.datasets.frozen import Item

_SHOWN = 5
RULES = tuple(rule for rule in repeats.RULES if rule.id in {"duplicates.exact", "duplicates.conflict"})
"""Those of ``curation.similarity.repeats`` that are asked of a version."""
_EXACT, _CONFLICT = RULES


def findings(rows: Sequence[Item]) -> list[Finding]:
    """One finding about the rows that repeat an earlier one, and one about the questions with several answers."""
    kept = [item for item in rows if item.side is not Side.QUARANTINE]
    keys = [item.example.key for item in kept]
    first: dict[tuple[str, str], int] = {}
    again = []
    for key, item in zip(keys, kept, strict=True):
        earlier = first.setdefault((fingerprint(item.asked), fingerprint(item.said)), key)
        if earlier != key:
            again.append(phrase("{example} as {earlier}", example=key, earlier=earlier))
    torn = [
        phrase("{examples:and}", examples=[str(keys[position]) for position in group])
        for group in conflicts([(f"{item.system or ''}\n{item.asked}", item.said) for item in kept])
    ]
    found = []
    if again:
        found.append(
            _EXACT.found(
                plural(
                    "{count:,} row says the same as an earlier one, by example: {examples}.",
                    "{count:,} rows say the same as an earlier one, by example: {examples}.",
                    len(again),
                    examples=_some(again),
                ),
                fix=phrase(
                    "Let the others expire, since a repeated dialogue is learned twice as hard: errata examples expire "
                    "ID --after DATE --reason TEXT"
                ),
            )
        )
    if torn:
        found.append(
            _CONFLICT.found(
                plural(
                    "{count:,} question has replies that differ, by example: {examples}.",
                    "{count:,} questions have replies that differ, by example: {examples}.",
                    len(torn),
                    examples=_some(torn),
                ),
                fix=phrase(
                    "Decide which reply is right, and let the other expire: errata examples expire ID --after DATE "
                    "--reason TEXT"
                ),
            )
        )
    return found


def _some(places: Sequence[str]) -> Phrase:
    shown, more = places[:_SHOWN], len(places) - _SHOWN
    if more > 0:
        return phrase("{places:clauses} and {more:,} more", places=shown, more=more)
    return phrase("{places:clauses}", places=shown)
