"""Freezing: which approved examples become a version, under which prompts.

Owns what is left out and why, and that equal rows are one version. What a row is: ``curation.datasets.frozen``; on
which side: ``curation.datasets.sides``; what a version says about itself: ``curation.datasets.manifest``. Refuses to
freeze rows whose system prompt nobody has said: a model tuned under another prompt than it is served with learns the
wrong thing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session, select

from curation import assistants, audit, examples, expiry, knowledge
from curation.datasets import manifest, sides
from curation.datasets.frozen import Item, digest_of, release
from curation.datasets.split import Side
from curation.errors import Conflict, Invalid
from curation.findings import Finding
from curation.formats.jsonl import Row
from curation.people import Actor, require
from curation.policies import Permission
from curation.privacy import releases
from curation.privacy.treatment import DEFAULT_TERMS, Terms
from curation.store.rows import table_of
from curation.store.tables import DatasetRow, DatasetVersion, Example
from curation.tokens.counters import TokenCounter

VALIDATION_SHARE = 0.1
MOST_VALIDATION = 0.5
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Options:
    """What an owner may choose about a version beyond its name and its share for validation.

    Attributes:
        validation: rows of one's own to validate with, in place of a share of the new groups.
        include_changing: keep corrections of facts that change.
        prompt: the assistant under whose current prompt rows of files are put.
        counters: what counts tokens for the manifest.
        privacy: under which terms examples leave the store.
    """

    validation: Sequence[Row] = ()
    include_changing: bool = False
    prompt: str | None = None
    counters: Sequence[TokenCounter] = ()
    privacy: Terms = DEFAULT_TERMS


def freeze(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    name: str | None = None,
    validation_share: float = VALIDATION_SHARE,
    options: Options | None = None,
) -> tuple[DatasetVersion, bool]:
    """Release the approved examples that still hold as an immutable version.

    Args:
        validation_share: of the rows, above 0 and at most a half; a side, once given, stays.

    Returns:
        The version, and whether it is new: unchanged examples give the version that holds them.

    Raises:
        NotAllowed: the actor is not an owner.
        Invalid: the name or the share is not one, or there is nothing to release.
        Conflict: the name is taken, an assistant's system prompt is not known, or a row of one's own to validate
            with belongs to what was trained on.
    """
    require(session, actor, Permission.FREEZE)
    options = options or Options()
    if not 0 < validation_share <= MOST_VALIDATION:
        raise Invalid(f"A validation side of {validation_share:.0%} is not possible; give above 0 % and at most 50 %.")
    name = _free_name(session, name)
    held_out = examples.held_out(session, actor, now, options.validation, name=name) if options.validation else {}
    everything = examples.approved(session)
    leaving = _leaving(session, actor, now, everything, options)
    chosen = leaving.chosen
    prompts = _prompts(session, chosen, options.prompt)
    placement = sides.place(
        session,
        everything,
        {example.key for example in chosen},
        validation_share=validation_share,
        held_out=held_out,
    )
    if Side.TRAIN not in placement.sides and held_out:
        raise Invalid("Nothing is left to train on: every example belongs with the rows of the validation file.")
    rows = [
        release(example, side, prompts.get(example.assistant_id), leaving.treated.get(example.key))
        for example, side in zip(chosen, placement.sides, strict=True)
    ]
    digest = digest_of(rows)
    same = session.exec(select(DatasetVersion).where(DatasetVersion.digest == digest)).first()
    if same is not None:
        return same, False
    about = manifest.of_rows(
        rows,
        digest=digest,
        ties=placement.ties,
        left_out=leaving.left_out,
        prompts=assistants.prompt_versions(session),
        counters=options.counters,
        privacy=options.privacy.policy.value,
        told=leaving.findings,
    )
    version = DatasetVersion(name=name, digest=digest, manifest=about, frozen_by=actor.person_id, frozen_at=now)
    session.add(version)
    session.flush()
    _store(session, version, rows)
    audit.record(session, actor, now, "dataset.frozen", subject=f"dataset:{version.key}", details={"digest": digest})
    return version, True


def share_of(text: str) -> float:
    """``5%`` → 0.05, and ``0.05`` as it is; Invalid where it is neither."""
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise Invalid(f"{text} is neither a share nor a file; write 10% or 0.1, or name a file of rows.") from error


def _free_name(session: Session, name: str | None) -> str:
    taken = set(session.exec(select(DatasetVersion.name)))
    if name is None:
        number = len(taken) + 1
        while f"v{number}" in taken:
            number += 1
        return f"v{number}"
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{name!r} cannot name a dataset: use up to 63 lower-case letters, digits, dots, dashes and underscores."
        )
    if name in taken:
        raise Conflict(f"There is a dataset named {name} already, and datasets never change; choose another name.")
    return name


@dataclass(frozen=True, slots=True)
class _Leaving:
    """The examples of a version, the words that replace theirs, who stays behind and why, and what to tell."""

    chosen: list[Example]
    treated: Mapping[int, Mapping[str, Any]]
    left_out: dict[str, list[int]]
    findings: Sequence[Finding]


def _leaving(
    session: Session, actor: Actor, now: datetime, everything: Sequence[Example], options: Options
) -> _Leaving:
    if not everything:
        raise Invalid("Nothing is approved yet: review the queue with errata review, or import attested examples.")
    expired = expiry.expired(expiry.newest(session), now)
    changing = set() if options.include_changing else knowledge.changing(session) - expired
    left_out = {
        why: [one.key for one in everything if one.key in ids]
        for why, ids in (("expired", expired), ("changing_fact", changing))
        if ids
    }
    absent = expired | changing
    chosen = [example for example in everything if example.key not in absent]
    if not chosen:
        raise Invalid("Nothing is left to freeze: every approved example has expired or is of a fact that changes.")
    released = releases.treat(session, actor, now, chosen, options.privacy)
    if released.left_out:
        left_out["undecided_privacy"] = released.left_out
        chosen = [example for example in chosen if example.key not in set(released.left_out)]
    if not chosen:
        raise Invalid("Nothing is left to freeze: personal data in every row is undecided. See: errata privacy list")
    return _Leaving(chosen, released.treated, left_out, released.findings)


def _prompts(session: Session, chosen: Sequence[Example], for_files: str | None) -> dict[int | None, tuple[int, str]]:
    """Id and text of the prompt of every assistant whose replies are among the examples; under None, that for files."""
    prompts: dict[int | None, tuple[int, str]] = {}
    wanted = {example.assistant_id for example in chosen}
    for assistant in assistants.listed(session):
        if assistant.key not in wanted and assistant.name != for_files:
            continue
        prompt = assistants.current_prompt(session, assistant.key)
        if prompt is None:
            raise Conflict(
                f"The system prompt of {assistant.name} is not known, and a model tuned without it answers differently "
                f"in use. Say it with: errata assistants prompt {json.dumps(assistant.name)} --file prompt.txt"
            )
        prompts[assistant.key] = (prompt.key, prompt.text)
    if for_files is not None:
        prompts[None] = prompts[assistants.find(session, for_files).key]
    return prompts


def _store(session: Session, version: DatasetVersion, rows: Sequence[Item]) -> None:
    placed: list[Mapping[str, Any]] = [
        {
            "dataset_id": version.key,
            "position": position,
            "example_id": item.example.key,
            "side": item.side.value,
            "prompt_id": item.prompt_id,
            "treated": item.treated,
        }
        for position, item in enumerate(rows)
    ]
    session.connection().execute(insert(table_of(DatasetRow)), placed)
