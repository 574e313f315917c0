"""Which examples leave the house in an export, and that it is written down that they did."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from curation import assistants, audit, examples
from curation.datasets import dataset
from curation.datasets.frozen import release
from curation.datasets.split import Side
from curation.errors import Conflict, Invalid
from curation.formats.exports import ExportRow, Part, holds
from curation.formats.format import Format
from curation.people import Actor, require
from curation.policies import Permission
from curation.privacy import releases
from curation.privacy.treatment import DEFAULT_TERMS, Terms
from curation.store.tables import Example


def hand_over(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    target: Format,
    name: str | None = None,
    part: Part = Part.ALL,
    privacy: Terms = DEFAULT_TERMS,
) -> list[ExportRow]:
    """The rows of a dataset as frozen, or every approved example under its assistant's current prompt.

    Quarantined rows stay: they lie too close to the other side. The order never changes.

    Raises:
        NotAllowed, NotFound: may not export; no such dataset.
        Invalid: a side without a dataset.
        Conflict: nothing is left to export: nothing is approved, the side is empty, or the format takes no row; or a
            dataset was frozen while nobody looked for the personal data in it.
    """
    require(session, actor, Permission.EXPORT)
    if name is None and part is not Part.ALL:
        raise Invalid("Only a dataset has sides: name one, or leave out --side. List them with: errata dataset list")
    if name is not None:
        releases.require_treated(session, dataset.find(session, name), privacy)
    rows = _approved(session, actor, now, privacy) if name is None else _frozen(session, name, part)
    if not rows and part is not Part.ALL:
        raise Conflict(f"There is nothing to hand over: {name} has no {part.value} rows. Give another --side.")
    if not rows:
        raise Conflict("There is nothing to hand over: no example is approved yet. Approve or import some first.")
    if target is Format.DPO and all(row.rejected is None for row in rows):
        raise Conflict(
            f"There is nothing to hand over: none of the {len(rows):,} rows has a rejected reply, and only a "
            "correction gives a preference pair. Correct replies and approve them, then export again."
        )
    if not any(holds(row.conversation, target) for row in rows):
        raise Conflict(
            f"There is nothing to hand over: all of the {len(rows):,} rows use tools in a way that {target} cannot "
            "hold. Export them with --format openai or azure."
        )
    subject = "examples" if name is None else f"dataset:{dataset.find(session, name).key}"
    audit.record(session, actor, now, "examples.exported", subject=subject, details={"rows": len(rows)})
    return rows


def _frozen(session: Session, name: str, part: Part) -> list[ExportRow]:
    sides = {Side.TRAIN, Side.VALIDATION} if part is Part.ALL else {Side(part.value)}
    items = dataset.items(session, dataset.find(session, name))
    return [ExportRow(item.conversation, item.rejected, _labels(item.example)) for item in items if item.side in sides]


def _approved(session: Session, actor: Actor, now: datetime, privacy: Terms) -> list[ExportRow]:
    prompts: dict[int | None, tuple[int, str] | None] = {None: None}
    for assistant in assistants.listed(session):
        current = assistants.current_prompt(session, assistant.key)
        prompts[assistant.key] = (current.key, current.text) if current is not None else None
    approved = examples.approved(session)
    released = releases.treat(session, actor, now, approved, privacy)
    items = [
        release(example, Side.TRAIN, prompts[example.assistant_id], released.treated.get(example.key))
        for example in approved
        if example.key not in set(released.left_out)
    ]
    return [ExportRow(item.conversation, item.rejected, _labels(item.example)) for item in items]


def _labels(example: Example) -> tuple[str, ...]:
    """What is known of an example that no target carries."""
    return tuple(key for key, value in (("topic", example.topic), ("language", example.language)) if value)
