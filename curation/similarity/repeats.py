"""What is found about rows that repeat: the same dialogue, the same turns answered in two ways, nearly the same words.

Owns the rules and their findings; what is the same, or nearly, is decided by ``curation.similarity.duplicates``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from curation.checking.scanned import Scan, first_of
from curation.findings import Finding, Severity
from curation.formats.rules import Rule
from curation.similarity.duplicates import across
from curation.wording import phrase

if TYPE_CHECKING:
    from numpy.typing import NDArray

_REPEATED = Rule(
    "duplicates.exact",
    Severity.WARNING,
    "No dialogue stands twice, but for case, spaces and the system turn.",
    "Keep one: a repeated dialogue is learned twice as hard.",
)
_NEAR = Rule(
    "duplicates.near",
    Severity.INFO,
    "No user says, or nearly says, what one did before.",
    "Nothing to do: a split keeps the two on one side. Leave one out where they teach the same.",
)
_CONFLICT = Rule(
    "duplicates.conflict",
    Severity.WARNING,
    "The same turns are answered in one way.",
    "Decide which reply is right and leave the other out: taught both, a model gives either.",
)
_ACROSS = Rule(
    "duplicates.across_sides",
    Severity.WARNING,
    "No user in the validation file says what one in the training file says, or nearly.",
    "Leave the row out of one of the two: what was trained on proves nothing when it is asked again.",
)
RULES: tuple[Rule, ...] = (_REPEATED, _NEAR, _CONFLICT, _ACROSS)
"""Every rule about repeats, in the order in which the reference lists them."""


def findings(scan: Scan) -> Iterator[Finding]:
    """Each repeat and each conflict with its line; near-duplicates together, since a template has thousands."""
    if not scan.rows:
        return
    # The search comes first: what is in memory here would be in that of every process that shares it.
    clusters = scan.clusters()
    lines = scan.column("line")
    named = set()
    first = first_of(scan.column("dialogue"))
    for row in _changed(first):
        named.add(row)
        yield _REPEATED.found(
            phrase("the dialogue is the same as on line {line:,}.", line=int(lines[first[row]])), int(lines[row])
        )
    first = first_of(scan.column("prompt"))
    replies = scan.column("reply")
    for row in (replies != replies[first]).nonzero()[0].tolist():
        if row not in named:
            named.add(row)
            message = phrase("the same turns are answered otherwise on line {line:,}.", line=int(lines[first[row]]))
            yield _CONFLICT.found(message, int(lines[row]))
    near = [row for row in _changed(clusters) if row not in named]
    if near:
        row = near[0]
        yield _NEAR.found(
            phrase(
                "In {count:,} of {total:,} rows the user says, or nearly says, what one did before: line {line:,} what "
                "line {earlier:,} says.",
                count=len(near),
                total=scan.rows,
                line=int(lines[row]),
                earlier=int(lines[clusters[row]]),
            )
        )


def _changed(first: NDArray[Any]) -> list[int]:
    """The rows that are not the first of their kind."""
    import numpy as np  # noqa: PLC0415 (a tenth of a second that --help need not wait for)

    rows: list[int] = (first != np.arange(len(first))).nonzero()[0].tolist()
    return rows


def judge_sides(train: Sequence[tuple[int, str]], validation: Sequence[tuple[int, str]]) -> list[Finding]:
    """A finding for each row of ``validation`` whose user says what one in ``train`` says, or nearly.

    Both as line and words of the user: ``([(7, "Where is it?")], [(2, "where is it?")])`` gives one, on line 7.
    """
    pairs = across([said for _, said in validation], [said for _, said in train])
    return [
        _ACROSS.found(
            phrase(
                "on line {line:,} of the validation file the user says the same, or nearly, as here.",
                line=validation[one][0],
            ),
            train[other][0],
        )
        for one, other in pairs
    ]
