"""Cases: the questions put to a model before and after tuning, with the reply that is right.

Owns which rows of a dataset version become cases: each correction (was it learned?) and each
endorsement (was it kept?). Imported rows are nobody's judgement of a reply here, so they are none; of
imported pairs some are asked which reply is the likelier, and count as neither fixed nor kept. Owns as
well which question a new endpoint has to answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from curation.conversation import Conversation, Role
from curation.datasets.dataset import Item
from curation.datasets.split import Side
from curation.formats.exports import json_line, write_atomically
from training.evaluation.evaluations import JUDGED

MOST_PAIRS = 500
"""Imported pairs that are asked, held-out ones first; the interval of a share is then 9 % wide at most."""


def write_cases(rows: Sequence[Item], reasons: Mapping[int, str], path: Path) -> int:
    """Write the cases of these rows as JSONL, imported pairs behind them, and return how many lines there are.

    A line is ``{"id": "12", "kind": "correction" or "endorsement" or "imported", "side": "train",
    "messages": [turns before the reply], "expected": "the approved reply", "flagged": "the wrong reply"
    or null, "topic", "language", "reason": each a text or null}``.

    Args:
        rows: of a version.
        reasons: why replies were flagged, by the examples' numbers (``training.particulars``).
        path: of the file.
    """
    usable = [item for item in rows if item.side is not Side.QUARANTINE]
    judged = [item for item in usable if item.example.kind in JUDGED]
    pairs = [item for item in usable if item.example.kind not in JUDGED and item.rejected is not None]
    pairs.sort(key=lambda item: item.side is not Side.VALIDATION)
    asked = [*judged, *pairs[:MOST_PAIRS]]
    write_atomically(path, _lines(asked, reasons))
    return len(asked)


def probe_question(rows: Sequence[Item]) -> Conversation:
    """What an endpoint is asked before it goes live: the turns before a corrected reply, else a first question.

    Without a correction it is the first row up to its first user turn, system prompt included: an imported
    dialogue's last exchange is often no more than "Thank you, that would be all."

    Args:
        rows: a version's, at least one; the same rows give the same question.
    """
    corrected = next((item for item in rows if item.rejected is not None), None)
    if corrected is not None:
        return Conversation(corrected.conversation.messages[:-1])
    turns = rows[0].conversation.messages
    asked = next(place for place, turn in enumerate(turns) if turn.role is Role.USER)
    return Conversation(turns[: asked + 1])


def _lines(asked: Sequence[Item], reasons: Mapping[int, str]) -> Iterator[bytes]:
    for item in asked:
        *prompt, reply = item.conversation.as_json()
        case = {
            "id": str(item.example.key),
            "kind": item.example.kind,
            "side": item.side.value,
            "messages": prompt,
            "expected": reply["content"],
            "flagged": item.rejected,
            "topic": item.labels["topic"],
            "language": item.labels["language"],
            "reason": reasons.get(item.example.key),
        }
        yield json_line(case)
