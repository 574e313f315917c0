"""Which examples leave the house in an export, and that it is written down that they did."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlmodel import Session

from curation import assistants, audit, dataset, examples
from curation.errors import Invalid
from curation.exports import ExportRow
from curation.people import Actor, require
from curation.policies import Permission
from curation.split import Side


class Part(StrEnum):
    """Which side of a dataset is asked for."""

    TRAIN = "train"
    VALIDATION = "validation"
    ALL = "all"


def hand_over(
    session: Session, actor: Actor, now: datetime, *, name: str | None = None, part: Part = Part.ALL
) -> list[ExportRow]:
    """The rows of a dataset as frozen, or every approved example under its assistant's current prompt.

    Quarantined rows stay: they lie too close to the other side. The order never changes.

    Raises:
        NotAllowed, NotFound: may not export; no such dataset.
        Invalid: a side without a dataset, or nothing to export.
    """
    require(session, actor, Permission.EXPORT)
    if name is None and part is not Part.ALL:
        raise Invalid("Only a dataset has sides: name one, or leave out --side. List them with: errata dataset list")
    rows = _approved(session) if name is None else _frozen(session, name, part)
    if not rows:
        raise Invalid("There is nothing to export: approve or import examples first.")
    subject = "examples" if name is None else f"dataset:{dataset.find(session, name).key}"
    audit.record(session, actor, now, "examples.exported", subject=subject, details={"rows": len(rows)})
    return rows


def _frozen(session: Session, name: str, part: Part) -> list[ExportRow]:
    sides = {Side.TRAIN, Side.VALIDATION} if part is Part.ALL else {Side(part.value)}
    items = dataset.items(session, dataset.find(session, name))
    return [ExportRow(item.conversation, item.example.rejected) for item in items if item.side in sides]


def _approved(session: Session) -> list[ExportRow]:
    prompts: dict[int | None, str | None] = {None: None}
    for assistant in assistants.listed(session):
        current = assistants.current_prompt(session, assistant.key)
        prompts[assistant.key] = current.text if current is not None else None
    return [
        ExportRow(examples.conversation_of(example, prompts[example.assistant_id]), example.rejected)
        for example in examples.approved(session)
    ]
