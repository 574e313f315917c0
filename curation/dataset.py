"""Dataset versions: freezing, digest, manifest, files, lineage. Immutable once frozen.

Owns what a version contains and that the same version always writes the same bytes. Refuses to
freeze rows whose system prompt nobody has said: a model tuned under another prompt than it is
served with learns the wrong thing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session, col, select

from curation import assistants, audit, examples, people
from curation.candidates import CandidateKind
from curation.conversation import Conversation
from curation.duplicates import fingerprint, near_earlier
from curation.errors import Conflict, Invalid, NotFound, Unavailable
from curation.exports import json_line, write_atomically
from curation.people import Actor, require
from curation.policies import Permission
from curation.split import GroupKeys, Side, assign
from curation.store.tables import DatasetRow, DatasetVersion, Example, SplitKey, SystemPrompt

SALT = "errata"
VALIDATION_SHARE = 0.1
MOST_VALIDATION = 0.5
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a version as it is trained on: the conversation under its system prompt, and its side."""

    example: Example
    side: Side
    prompt_id: int | None
    conversation: Conversation

    def line(self) -> bytes:
        """The row's line of JSONL, newline included."""
        row = {
            "messages": self.conversation.as_json(),
            "metadata": {
                "example": self.example.key,
                "kind": self.example.kind,
                "topic": self.example.topic,
                "language": self.example.language,
                "thread": self.example.thread,
            },
        }
        return json_line(row)


@dataclass(frozen=True, slots=True)
class Files:
    """Where a version's sides lie."""

    train: Path
    validation: Path


def freeze(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    name: str | None = None,
    validation_share: float = VALIDATION_SHARE,
) -> tuple[DatasetVersion, bool]:
    """Release every approved example as an immutable version.

    Args:
        validation_share: of the groups that have no side yet, above 0 and at most a half; a side, once given, stays.

    Returns:
        The version, and whether it is new: unchanged examples give the version that holds them.

    Raises:
        NotAllowed: the actor is not an owner.
        Invalid: the name or the share is not one, or nothing is approved yet.
        Conflict: the name is taken, or an assistant's system prompt is not known.
    """
    require(session, actor, Permission.FREEZE)
    if not 0 < validation_share <= MOST_VALIDATION:
        raise Invalid(f"A validation side of {validation_share:.0%} is not possible; give above 0 % and at most 50 %.")
    approved = examples.approved(session)
    if not approved:
        raise Invalid("Nothing is approved yet: review the queue with errata review, or import attested examples.")
    name = _free_name(session, name)
    placed = _place(session, approved, _prompts(session, approved), validation_share)
    digest = _digest(placed)
    same = session.exec(select(DatasetVersion).where(DatasetVersion.digest == digest)).first()
    if same is not None:
        return same, False
    version = DatasetVersion(
        name=name, digest=digest, manifest=_manifest(placed, digest), frozen_by=actor.person_id, frozen_at=now
    )
    session.add(version)
    session.flush()
    session.execute(
        insert(DatasetRow),
        [
            {
                "dataset_id": version.key,
                "position": position,
                "example_id": item.example.key,
                "side": item.side.value,
                "prompt_id": item.prompt_id,
            }
            for position, item in enumerate(placed)
        ],
    )
    audit.record(session, actor, now, "dataset.frozen", subject=f"dataset:{version.key}", details={"digest": digest})
    return version, True


def share_of(text: str) -> float:
    """``5%`` → 0.05, and ``0.05`` as it is; Invalid where it is neither."""
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise Invalid(f"{text} is no share; write 10% or 0.1.") from error


def find(session: Session, name: str) -> DatasetVersion:
    """The version of this name, or whose digest begins with it (at least 6 characters)."""
    by_name = session.exec(select(DatasetVersion).where(DatasetVersion.name == name)).first()
    if by_name is not None:
        return by_name
    if len(name) >= 6:  # noqa: PLR2004 (as the docstring says: shorter prefixes are typing errors)
        begun = select(DatasetVersion).where(col(DatasetVersion.digest).startswith(name, autoescape=True))
        found = list(session.exec(begun))
        if len(found) == 1:
            return found[0]
    raise NotFound(f"There is no dataset {name}; list them with: errata dataset list")


def listed(session: Session) -> list[DatasetVersion]:
    """Every version, newest first."""
    return list(session.exec(select(DatasetVersion).order_by(col(DatasetVersion.id).desc())))


def items(session: Session, version: DatasetVersion) -> list[Item]:
    """The rows of a version in their order, exactly as frozen."""
    prompts = {prompt.key: prompt.text for prompt in session.exec(select(SystemPrompt))}
    rows = session.exec(
        select(DatasetRow, Example)
        .join(Example, col(Example.id) == col(DatasetRow.example_id))
        .where(DatasetRow.dataset_id == version.key)
        .order_by(col(DatasetRow.position))
    )
    return [
        Item(
            example=example,
            side=Side(row.side),
            prompt_id=row.prompt_id,
            conversation=examples.conversation_of(
                example, prompts[row.prompt_id] if row.prompt_id is not None else None
            ),
        )
        for row, example in rows
    ]


def write_files(session: Session, version: DatasetVersion, directory: Path) -> Files:
    """Write ``train.jsonl``, ``validation.jsonl`` and ``manifest.json``; the same version, the same bytes.

    Raises:
        Unavailable: the disk refuses, or the rows no longer give the version's digest.
    """
    rows = items(session, version)
    if _digest(rows) != version.digest:
        raise Unavailable(f"The rows of {version.name} no longer match its digest; restore the database from a backup.")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"{directory} cannot be made ({error.strerror}); free space or choose another home."
        ) from error
    files = Files(directory / "train.jsonl", directory / "validation.jsonl")
    write_atomically(files.train, (item.line() for item in rows if item.side is Side.TRAIN))
    write_atomically(files.validation, (item.line() for item in rows if item.side is Side.VALIDATION))
    manifest = json.dumps({"name": version.name, **version.manifest}, ensure_ascii=False, indent=2) + "\n"
    write_atomically(directory / "manifest.json", [manifest.encode()])
    return files


def lineage(session: Session, version: DatasetVersion) -> list[dict[str, Any]]:
    """Where each row came from: source, words, people and verdict, in the version's order."""
    return [
        {
            "example": item.example.key,
            "side": item.side.value,
            "kind": item.example.kind,
            "source": item.example.source,
            "candidate": item.example.candidate_id,
            "question": item.conversation.first_user_text(),
            "flagged": item.example.rejected,
            "reply": item.conversation.messages[-1].content,
            "authors": [people.name_of(session, author) for author in item.example.authors],
            "approved_by": people.name_of(session, item.example.approved_by),
            "approved_at": item.example.approved_at.isoformat(),
            "reviewed": item.example.attested is None,
            "self_approved": item.example.self_approved,
        }
        for item in items(session, version)
    ]


def contributing_places(session: Session, version: DatasetVersion) -> list[str]:
    """The destinations (for Slack: team and channel) whose threads the version learned from.

    A captured example's source is ``place/message``, so ``T1/C1/1700000000.000100`` came from ``T1/C1``.
    """
    sources = session.exec(
        select(Example.source)
        .join(DatasetRow, col(DatasetRow.example_id) == col(Example.id))
        .where(DatasetRow.dataset_id == version.key, Example.kind != CandidateKind.IMPORTED.value)
    )
    return sorted({source.rsplit("/", 1)[0] for source in sources})


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


def _prompts(session: Session, approved: Sequence[Example]) -> dict[int, SystemPrompt]:
    """The current prompt of every assistant whose replies are among the examples."""
    prompts: dict[int, SystemPrompt] = {}
    for assistant in assistants.listed(session):
        if not any(example.assistant_id == assistant.key for example in approved):
            continue
        prompt = assistants.current_prompt(session, assistant.key)
        if prompt is None:
            raise Conflict(
                f"The system prompt of {assistant.name} is not known, and a model tuned without it answers differently "
                f"in use. Say it with: errata assistants prompt {json.dumps(assistant.name)} --file prompt.txt"
            )
        prompts[assistant.key] = prompt
    return prompts


def _place(
    session: Session, approved: Sequence[Example], prompts: dict[int, SystemPrompt], validation_share: float
) -> list[Item]:
    """Give every example its side and its prompt; remember the side of every new group."""
    texts = [Conversation.from_json(example.messages).user_text() for example in approved]
    prints = [fingerprint(text) for text in texts]
    groups = [
        _group(example, prints[position], [prints[earlier] for earlier in near])
        for position, (example, near) in enumerate(zip(approved, near_earlier(texts), strict=True))
    ]
    known = {row.key: Side(row.side) for row in session.exec(select(SplitKey))}
    sides, learned = assign(groups, known, salt=SALT, validation_share=validation_share)
    if learned:
        session.execute(insert(SplitKey), [{"key": key, "side": side.value} for key, side in learned.items()])
    placed = []
    for example, side in zip(approved, sides, strict=True):
        prompt = prompts.get(example.assistant_id) if example.assistant_id is not None else None
        conversation = examples.conversation_of(example, prompt.text if prompt is not None else None)
        placed.append(Item(example, side, prompt.key if prompt is not None else None, conversation))
    return placed


def _group(example: Example, own: str, near: Sequence[str]) -> GroupKeys:
    """What may not be torn apart: a thread, a customer, and questions that are nearly the same.

    A row names only the near questions that came before it, so that its keys never change as others follow.
    """
    keys = [f"thread:{example.thread}", f"text:{own}", *(f"text:{text}" for text in near)]
    if example.customer:
        keys.append(f"customer:{example.customer}")
    return GroupKeys(tuple(dict.fromkeys(keys)))


def _digest(rows: Iterable[Item]) -> str:
    """SHA-256 over every line with its side, in order."""
    digest = hashlib.sha256()
    for item in rows:
        digest.update(item.side.value.encode() + b"\0" + item.line())
    return digest.hexdigest()


def _manifest(rows: Sequence[Item], digest: str) -> dict[str, Any]:
    """What a version says about itself: counts, never words."""
    sides = Counter(item.side.value for item in rows)
    return {
        "digest": digest,
        "rows": len(rows),
        "sides": {side.value: sides[side.value] for side in Side},
        "kinds": _counted(item.example.kind for item in rows),
        "topics": _counted(item.example.topic or "unknown" for item in rows),
        "languages": _counted(item.example.language or "unknown" for item in rows),
        "imported": sum(item.example.attested is not None for item in rows),
        "self_approved": sum(item.example.self_approved for item in rows),
        "authors": len({author for item in rows for author in item.example.authors}),
        "approvers": len({item.example.approved_by for item in rows}),
        "prompts": sorted({item.prompt_id for item in rows if item.prompt_id is not None}),
    }


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
