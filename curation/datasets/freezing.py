"""Freezing: the approved examples become an immutable version, while everybody else goes on working.

Owns the two steps. What takes its time (a look for personal data, the sides, the digest, the tokens) is done on what
the store said in one moment; then a short transaction writes the version, once it has made sure that nothing that
matters has changed. Where something has, all is prepared again. Owns as well that equal rows are one version. Refuses
to freeze rows whose system prompt nobody has said: a model tuned under another prompt than it is served with learns the
wrong thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from sqlmodel import Session, col, select

from curation import audit, examples
from curation.datasets import sides
from curation.datasets.basis import basis_of, newest_example
from curation.datasets.preparing import Options, Prepared, Told, gather, prepare, refuse_warned, unseen
from curation.datasets.split import Side
from curation.errors import Conflict, Invalid
from curation.people import Actor, require
from curation.policies import Permission
from curation.privacy import releases
from curation.privacy.ahead import look_ahead
from curation.privacy.treatment import Policy
from curation.store.engine import Store
from curation.store.rows import insert_rows
from curation.store.tables import DatasetRow, DatasetVersion, Example

VALIDATION_SHARE = 0.1
MOST_VALIDATION = 0.5
ATTEMPTS = 5
"""How often a version is prepared at most: erasures and decisions about personal data come by the day."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)


class Changed(Exception):
    """What a version was prepared from holds no longer; nothing was written."""


def freeze(
    store: Store,
    actor: Actor,
    now: datetime,
    *,
    name: str | None = None,
    validation_share: float = VALIDATION_SHARE,
    options: Options | None = None,
    told: Told = lambda _what, _done, _total: None,
    beside: Callable[[Session, DatasetVersion, bool], None] = lambda _session, _version, _new: None,
) -> tuple[DatasetVersion, bool]:
    """Release the approved examples that still hold as an immutable version.

    What is approved while this works is not in it.

    Args:
        validation_share: of the rows, above 0 and at most a half; a side, once given, stays.
        told: is told how far it is.
        beside: is called with the version, and whether it is new, in the transaction that writes it.

    Returns:
        The version, and whether it is new: unchanged examples give the version that holds them.

    Raises:
        NotAllowed: the actor is not an owner.
        Invalid: the name or the share is not one, or nothing is left to train on beside ``options.validation``.
        Conflict: there is nothing to release, the name is taken, an assistant's system prompt is not known, a row of
            one's own to validate with belongs to what was trained on, there is a warning and ``options.strict``
            holds, or what is to be frozen kept changing.
        StoreUnavailable, Overtaken: nothing is frozen; what was found of personal data until then stays written.
    """
    options = options or Options()
    with store.read() as session:
        possible = require_possible(session, actor, name=name, validation_share=validation_share)
    held_out = _hold_out(store, actor, now, options, possible) if options.validation else {}
    with store.read() as session:
        newest = newest_example(session)
    for attempt in range(ATTEMPTS):
        if options.privacy.policy is not Policy.OFF:
            look_ahead(
                store,
                regions=options.privacy.regions,
                again=attempt == 0,
                told=lambda done, total: told("Looking for personal data", done, total),
            )
        told("Reading", 0, 0)
        with store.read() as session:
            gathered = gather(session, now, newest, options)
        if unseen(gathered, options):
            continue
        prepared = prepare(gathered, validation_share=validation_share, held_out=held_out, options=options, told=told)
        try:
            with store.write() as session:
                version, new = commit(
                    session, actor, now, prepared, name=name, validation_share=validation_share, options=options
                )
                beside(session, version, new)
        except Changed:
            continue
        return version, new
    raise Conflict("Nothing is frozen: what was to be frozen kept changing. Freeze again when it is quieter.")


def commit(
    session: Session,
    actor: Actor,
    now: datetime,
    prepared: Prepared,
    *,
    name: str | None,
    validation_share: float,
    options: Options,
) -> tuple[DatasetVersion, bool]:
    """Write a prepared version, if all that it was made from still holds.

    Raises:
        Changed: it does not.
        NotAllowed, Invalid, Conflict: as ``freeze``.
    """
    name = require_possible(session, actor, name=name, validation_share=validation_share)
    if basis_of(session, prepared.basis.newest) != prepared.basis:
        raise Changed
    if options.privacy.policy is Policy.OFF:
        releases.record_off(session, actor, now, len(prepared.rows))
    sides.remember(session, prepared.learned)
    same = session.exec(select(DatasetVersion).where(DatasetVersion.digest == prepared.digest)).first()
    if same is not None:
        refuse_warned(same.manifest, options)
        return same, False
    if prepared.manifest is None:
        raise Changed
    version = DatasetVersion(
        name=name, digest=prepared.digest, manifest=dict(prepared.manifest), frozen_by=actor.person_id, frozen_at=now
    )
    session.add(version)
    session.flush()
    _store(session, version, prepared)
    details = {"digest": version.digest}
    audit.record(session, actor, now, "dataset.frozen", subject=f"dataset:{version.key}", details=details)
    return version, True


def require_possible(session: Session, actor: Actor, *, name: str | None, validation_share: float) -> str:
    """Refuse what can be told to be impossible without a look at every example; the name that the version will have.

    Raises:
        NotAllowed, Invalid, Conflict: as ``freeze``.
    """
    require(session, actor, Permission.FREEZE)
    if not 0 < validation_share <= MOST_VALIDATION:
        raise Invalid(
            "A validation side of {share:.0%} is not possible; give above 0 % and at most 50 %.", share=validation_share
        )
    name = _free_name(session, name)
    if session.exec(select(Example.id).where(col(Example.erased_at).is_(None)).limit(1)).first() is None:
        raise Conflict("Nothing is approved yet: review the queue with errata review, or import attested examples.")
    return name


def share_of(text: str) -> float:
    """``5%`` → 0.05, and ``0.05`` as it is; Invalid where it is neither."""
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise Invalid(
            "{text} is neither a share nor a file; write 10% or 0.1, or name a file of rows.", text=text
        ) from error


def attest_held_out(
    session: Session, actor: Actor, now: datetime, options: Options, learned: Mapping[str, Side], *, name: str
) -> None:
    """Take the rows of a validation file that are no examples yet as such, and keep their side, in one commit.

    So nothing that comes after it, be it a refusal or a kill, leaves them where a later dataset would train on them.

    Args:
        learned: their sides, as ``sides.hold_out`` gives them.

    Raises:
        NotAllowed: the actor is not an owner.
    """
    _, fresh = examples.known_again(session, options.validation)
    origin, reason = _origin(name)
    examples.attest(session, actor, now, fresh, origin=origin, reason=reason)
    sides.remember(session, learned)


def _hold_out(store: Store, actor: Actor, now: datetime, options: Options, name: str) -> dict[int, int]:
    """The examples that the rows of a validation file are, ``{example: line}``; those not known yet are attested.

    The look for personal data, the sides and the digest need their ids, so they are written before the version is.
    Whether the file can be held out is known by then.
    """
    origin, reason = _origin(name)
    for _ in range(ATTEMPTS):
        with store.read() as session:
            lines, fresh = examples.known_again(session, options.validation)
            if not fresh:
                return lines
            everything, stored = examples.approved(session), sides.remembered(session)
            newest = newest_example(session)
        new = [
            Example(id=newest + place, **examples.attested(actor, now, row, origin=origin, reason=reason))
            for place, row in enumerate(fresh, start=1)
        ]
        held_out = lines | {one.key: row.line for one, row in zip(new, fresh, strict=True)}
        learned = sides.hold_out([*everything, *new], stored, held_out)
        with store.write() as session:
            if sides.count(session) == len(stored):
                require_possible(session, actor, name=name, validation_share=VALIDATION_SHARE)
                attest_held_out(session, actor, now, options, learned, name=name)
    raise Conflict("Nothing is frozen: what was to be frozen kept changing. Freeze again when it is quieter.")


def _origin(name: str) -> tuple[str, str]:
    """Where rows of a validation file are said to come from, and why they were taken."""
    return f"validation:{name}", f"Validation file of the dataset {name}"


def _free_name(session: Session, name: str | None) -> str:
    taken = set(session.exec(select(DatasetVersion.name)))
    if name is None:
        number = len(taken) + 1
        while f"v{number}" in taken:
            number += 1
        return f"v{number}"
    if not _NAME.fullmatch(name):
        raise Invalid(
            "{name!r} cannot name a dataset: use up to 63 lower-case letters, digits, dots, dashes and underscores.",
            name=name,
        )
    if name in taken:
        raise Conflict(
            "There is a dataset named {name} already, and datasets never change; choose another name.", name=name
        )
    return name


def _store(session: Session, version: DatasetVersion, prepared: Prepared) -> None:
    placed = (
        {
            "dataset_id": version.key,
            "position": position,
            "example_id": item.example.key,
            "side": item.side.value,
            "prompt_id": item.prompt_id,
            "treated": item.treated,
        }
        for position, item in enumerate(prepared.rows)
    )
    insert_rows(session, DatasetRow, placed)
