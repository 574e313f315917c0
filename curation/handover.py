"""Which examples leave the house in an export, which stay and why, and that it is written down that they left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session

from curation import audit, examples
from curation.datasets import dataset, prompts, sides
from curation.datasets.frozen import release
from curation.datasets.split import Side
from curation.errors import Conflict, Invalid
from curation.findings import Finding
from curation.formats.exports import ExportRow, Part, holds
from curation.formats.format import Format
from curation.people import Actor, require
from curation.policies import Permission
from curation.privacy import releases
from curation.privacy.ahead import look_ahead
from curation.privacy.treatment import DEFAULT_TERMS, Policy, Terms
from curation.store.engine import Store
from curation.store.tables import Example


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What leaves, and what does not.

    Attributes:
        rows: in the order in which they were approved.
        left_out: ``{why: ids}`` of the examples that stay: ``undecided_privacy``, ``quarantine``.
        findings: why they stay and what releases them, and what was done to those that leave.
    """

    rows: list[ExportRow]
    left_out: Mapping[str, Sequence[int]] = field(default_factory=dict)
    findings: Sequence[Finding] = ()


def look_first(
    store: Store,
    actor: Actor,
    *,
    name: str | None = None,
    part: Part = Part.ALL,
    privacy: Terms = DEFAULT_TERMS,
    told: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Look for personal data in what is to leave while nobody waits; ``hand_over`` finds little left to look at.

    Args:
        told: is told how many examples have been looked at, and of how many.

    Raises:
        NotAllowed, NotFound, Invalid: as ``hand_over``.
        StoreUnavailable, Overtaken: what was looked at until then stays so.
    """
    with store.read() as session:
        _require_possible(session, actor, name, part)
        treated = name is not None and releases.was_treated(dataset.find(session, name))
    if not treated and privacy.policy is not Policy.OFF:
        look_ahead(store, regions=privacy.regions, told=told)


def hand_over(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    target: Format,
    name: str | None = None,
    part: Part = Part.ALL,
    privacy: Terms = DEFAULT_TERMS,
) -> HandedOver:
    """The rows of a dataset as frozen, or every approved example under the prompt in use where it was asked.

    Quarantined rows stay: they lie too close to the other side. The order never changes.

    Raises:
        NotAllowed, NotFound: may not export; no such dataset.
        Invalid: a side without a dataset.
        Conflict: nothing is left to export: nothing is approved, the side is empty, nobody has decided about the
            personal data in any row, or the format takes no row; or a dataset was frozen while nobody looked for the
            personal data in it.
    """
    _require_possible(session, actor, name, part)
    if name is not None:
        releases.require_treated(session, dataset.find(session, name), privacy)
    handed = _approved(session, actor, now, privacy) if name is None else _frozen(session, name, part)
    rows = handed.rows
    if not rows and part is not Part.ALL:
        raise Conflict(
            "There is nothing to hand over: {name} has no {part} rows. Give another --side.", name=name, part=part.value
        )
    if not rows and handed.left_out:
        raise Conflict(
            "There is nothing to hand over: nobody has decided about the personal data in any row. Look for it with: "
            "errata privacy scan --examples"
        )
    if not rows:
        raise Conflict("There is nothing to hand over: no example is approved yet. Approve or import some first.")
    if target is Format.DPO and all(row.rejected is None for row in rows):
        raise Conflict(
            "There is nothing to hand over: none of the {total:,} rows has a rejected reply, and only a correction "
            "gives a preference pair. Correct replies and approve them, then export again.",
            total=len(rows),
        )
    if not any(holds(row.conversation, target) for row in rows):
        raise Conflict(
            "There is nothing to hand over: all of the {total:,} rows use tools in a way that {target} cannot hold. "
            "Export them with --format openai or azure.",
            total=len(rows),
            target=target,
        )
    subject = "examples" if name is None else f"dataset:{dataset.find(session, name).key}"
    audit.record(session, actor, now, "examples.exported", subject=subject, details={"rows": len(rows)})
    return handed


def _require_possible(session: Session, actor: Actor, name: str | None, part: Part) -> None:
    require(session, actor, Permission.EXPORT)
    if name is None and part is not Part.ALL:
        raise Invalid("Only a dataset has sides: name one, or leave out --side. List them with: errata dataset list")


def _frozen(session: Session, name: str, part: Part) -> HandedOver:
    wanted = {Side.TRAIN, Side.VALIDATION} if part is Part.ALL else {Side(part.value)}
    items = dataset.items(session, dataset.find(session, name))
    rows = [ExportRow(item.conversation, item.rejected, _labels(item.example)) for item in items if item.side in wanted]
    between = [item.example.key for item in items if item.side is Side.QUARANTINE] if part is Part.ALL else []
    return HandedOver(rows, {"quarantine": between} if between else {}, sides.findings({}, len(between)))


def _approved(session: Session, actor: Actor, now: datetime, privacy: Terms) -> HandedOver:
    approved, in_use = examples.approved(session), prompts.current(session)
    released = releases.treat(session, actor, now, approved, privacy)
    staying = set(released.left_out)
    items = [
        release(example, Side.TRAIN, in_use.get(example), released.treated.get(example.key))
        for example in approved
        if example.key not in staying
    ]
    rows = [ExportRow(item.conversation, item.rejected, _labels(item.example)) for item in items]
    left_out = {"undecided_privacy": released.left_out} if released.left_out else {}
    return HandedOver(rows, left_out, released.findings)


def _labels(example: Example) -> tuple[str, ...]:
    """What is known of an example that no target carries."""
    return tuple(key for key, value in (("topic", example.topic), ("language", example.language)) if value)
