"""Dataset versions: finding them, their rows, their files and what is written about them. Immutable once frozen.

Owns that the same version always writes the same bytes. How one is made: ``curation.datasets.freezing``; how two
differ: ``curation.datasets.comparison``; where rows come from: ``curation.datasets.lineage``.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlmodel import Session, col, func, select

from curation import assistants, audit
from curation.datasets import manifest, sides
from curation.datasets.freezing import VALIDATION_SHARE, freeze, share_of
from curation.datasets.frozen import Item, digest_of, release
from curation.datasets.preparing import Options
from curation.datasets.split import Side
from curation.errors import Invalid, NotFound, Unavailable
from curation.findings import Finding
from curation.formats.exports import write_atomically
from curation.people import Actor, require
from curation.policies import Permission
from curation.store.tables import DatasetNote, DatasetRow, DatasetVersion, Example, SystemPrompt

__all__ = [
    "VALIDATION_SHARE",
    "Files",
    "Item",
    "Options",
    "annotate",
    "approved_since",
    "contributing_places",
    "erased",
    "find",
    "findings",
    "freeze",
    "items",
    "listed",
    "notes",
    "share_of",
    "write_files",
]


@dataclass(frozen=True, slots=True)
class Files:
    """Where a version's sides lie."""

    train: Path
    validation: Path


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
    raise NotFound("There is no dataset {name}; list them with: errata dataset list", name=name)


def listed(session: Session) -> list[DatasetVersion]:
    """Every version, newest first."""
    return list(session.exec(select(DatasetVersion).order_by(col(DatasetVersion.id).desc())))


def approved_since(session: Session, moment: datetime | None) -> int:
    """How many examples were approved after a moment; all of them without one."""
    counted = select(func.count()).select_from(Example).where(col(Example.erased_at).is_(None))
    if moment is not None:
        counted = counted.where(col(Example.approved_at) > moment)
    return int(session.exec(counted).one())


def items(session: Session, version: DatasetVersion) -> list[Item]:
    """The rows of a version in their order, exactly as frozen; those of an erased customer are gone."""
    prompts = {prompt.key: (prompt.key, prompt.text) for prompt in session.exec(select(SystemPrompt))}
    rows = session.exec(
        select(DatasetRow, Example)
        .join(Example, col(Example.id) == col(DatasetRow.example_id))
        .where(DatasetRow.dataset_id == version.key, col(Example.erased_at).is_(None))
        .order_by(col(DatasetRow.position))
    )
    return [
        release(example, Side(row.side), prompts[row.prompt_id] if row.prompt_id is not None else None, row.treated)
        for row, example in rows
    ]


def erased(session: Session, version: DatasetVersion) -> list[int]:
    """The examples of a version whose words were erased since it was frozen: only their ids are left."""
    gone = (
        select(DatasetRow.example_id)
        .join(Example, col(Example.id) == col(DatasetRow.example_id))
        .where(DatasetRow.dataset_id == version.key, col(Example.erased_at).is_not(None))
    )
    return sorted(session.exec(gone))


def findings(session: Session, version: DatasetVersion) -> list[Finding]:
    """What should be known about a version today: the prompts are compared with those in use now.

    What was said when it was frozen of personal data and of harm stays true of its words, and of the share for
    validation too.
    """
    rows = items(session, version)
    lacking = sides.without_validation((item.topic, item.language, item.side) for item in rows)
    said = [
        Finding.from_json(one)
        for one in version.manifest.get("findings", ())
        if one["rule"].startswith(("privacy.", "screen.", "split.share"))
    ]
    return [*manifest.findings_of(rows, lacking=lacking, prompts=assistants.prompt_versions(session)), *said]


def write_files(session: Session, version: DatasetVersion, directory: Path) -> Files:
    """Write ``train.jsonl``, ``validation.jsonl`` and ``manifest.json``; the same version, the same bytes.

    Of a version from which a customer was erased the manifest names the rows that are gone, and its digest is
    no longer that of the files.

    Raises:
        Unavailable: the disk refuses, or the rows no longer give the version's digest.
    """
    rows, gone = items(session, version), erased(session, version)
    if not gone and digest_of(rows) != version.digest:
        raise Unavailable(
            "The rows of {dataset} no longer match its digest; restore the database from a backup.",
            dataset=version.name,
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            "{folder} cannot be made ({cause}); free space or choose another home.",
            folder=directory,
            cause=error.strerror,
        ) from error
    files = Files(directory / "train.jsonl", directory / "validation.jsonl")
    write_atomically(files.train, (item.line() for item in rows if item.side is Side.TRAIN))
    write_atomically(files.validation, (item.line() for item in rows if item.side is Side.VALIDATION))
    about = {"name": version.name, "frozen_at": version.frozen_at.isoformat(), **version.manifest}
    if gone:
        about["erased"] = gone
    text = json.dumps(about, ensure_ascii=False, indent=2) + "\n"
    write_atomically(directory / "manifest.json", [text.encode()])
    return files


def annotate(session: Session, actor: Actor, now: datetime, version: DatasetVersion, text: str) -> DatasetNote:
    """Write about a version what its figures don't say; a note is added, never changed.

    Raises:
        NotAllowed, Invalid: the actor may not freeze; the text is empty.
    """
    require(session, actor, Permission.FREEZE)
    if not text.strip():
        raise Invalid("The description is empty: say what the dataset is for, or what is particular about it.")
    note = DatasetNote(dataset_id=version.key, text=text.strip(), written_by=actor.person_id, written_at=now)
    session.add(note)
    session.flush()
    audit.record(session, actor, now, "dataset.described", subject=f"dataset:{version.key}", details={"note": note.key})
    return note


def notes(session: Session, version: DatasetVersion) -> list[DatasetNote]:
    """What was written about a version, oldest first."""
    written = select(DatasetNote).where(DatasetNote.dataset_id == version.key)
    return list(session.exec(written.order_by(col(DatasetNote.id))))


def contributing_places(session: Session, version: DatasetVersion) -> list[str]:
    """The destinations (for Slack: team and channel) whose threads the version learned from, those it owes most first.

    Somebody's direct messages are none of them: what becomes of a model is not told there.

    A captured example has an assistant, and its source is ``place/message``: ``T1/C1/1700000000.000100`` came from
    ``T1/C1``. A row of a file has neither, also where a reviewer made a correction of it.
    """
    sources = session.exec(
        select(Example.source)
        .join(DatasetRow, col(DatasetRow.example_id) == col(Example.id))
        .where(DatasetRow.dataset_id == version.key, col(Example.assistant_id).is_not(None))
    )
    places = Counter(source.rsplit("/", 1)[0] for source in sources)
    channels = [place for place in places if not place.rsplit("/", 1)[-1].startswith("D")]
    return sorted(channels, key=lambda place: (-places[place], place))
