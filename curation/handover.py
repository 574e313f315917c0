"""Which examples leave the house in an export, and that it is written down that they did."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from curation import assistants, audit, dataset, examples
from curation.errors import Conflict, Invalid
from curation.exports import ExportFormat, ExportRow, Part
from curation.people import Actor, require
from curation.policies import Permission
from curation.split import Side


def hand_over(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    target: ExportFormat,
    name: str | None = None,
    part: Part = Part.ALL,
) -> list[ExportRow]:
    """The rows of a dataset as frozen, or every approved example under its assistant's current prompt.

    Quarantined rows stay: they lie too close to the other side. The order never changes.

    Raises:
        NotAllowed, NotFound: may not export; no such dataset.
        Invalid: a side without a dataset.
        Conflict: nothing is left to export: nothing is approved, the side is empty, or no row gives a pair.
    """
    require(session, actor, Permission.EXPORT)
    if name is None and part is not Part.ALL:
        raise Invalid("Only a dataset has sides: name one, or leave out --side. List them with: errata dataset list")
    rows = _approved(session) if name is None else _frozen(session, name, part)
    if not rows and part is not Part.ALL:
        raise Conflict(f"There is nothing to hand over: {name} has no {part.value} rows. Give another --side.")
    if not rows:
        raise Conflict("There is nothing to hand over: no example is approved yet. Approve or import some first.")
    if target is ExportFormat.DPO and all(row.rejected is None for row in rows):
        raise Conflict(
            f"There is nothing to hand over: none of the {len(rows):,} rows has a rejected reply, and only a "
            "correction gives a preference pair. Correct replies and approve them, then export again."
        )
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
