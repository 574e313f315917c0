"""Writing examples for whoever trains: one writer per target, whole files or none.

Owns which writer a target has and the atomic write. Refuses to drop anything in silence: what a target cannot
carry is said by ``losses``, what its trainer would refuse by ``limits``.
"""

from __future__ import annotations

import codecs
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from curation.conversation import Conversation
from curation.errors import Invalid, Unavailable
from curation.findings import Finding, Severity
from curation.formats import preferences, sharegpt
from curation.formats.format import AZURE_LIMIT_BYTES, Format
from curation.formats.lines import STANDARD_INPUT
from curation.formats.rules import Rule

MINIMUM_ROWS = 10
"""The least that OpenAI and Azure take."""


class Part(StrEnum):
    """Which side of a dataset is asked for."""

    TRAIN = "train"
    VALIDATION = "validation"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One example: its turns, the assistant's last, and the flagged reply that the last one replaces.

    ``labels`` are the keys of what else is known of it, such as ``topic``.
    """

    conversation: Conversation
    rejected: str | None = None
    labels: tuple[str, ...] = ()


RULES: tuple[Rule, ...] = (
    Rule(
        "export.weight",
        Severity.WARNING,
        "The target reads weights, or no reply has the weight 0.",
        "Choose openai or azure, or leave these rows out: the target learns from every reply.",
    ),
    Rule(
        "export.tools",
        Severity.WARNING,
        "The target takes tools in the way in which the row uses them.",
        "Choose openai or azure for them: phi takes no tools, sharegpt one call in a turn and nothing said beside it.",
    ),
    Rule(
        "export.name",
        Severity.WARNING,
        "The target reads the names of speakers, or no turn has one.",
        "Choose openai or azure where the names matter.",
    ),
    Rule(
        "export.labels",
        Severity.INFO,
        "Topic, language and the like stay in Errata.",
        "Nothing to do: no target learns from them, and errata dataset lineage tells them.",
    ),
    Rule(
        "export.not_a_pair",
        Severity.INFO,
        "Every row carries a rejected reply.",
        "Nothing to do: endorsed and imported rows have no rejected reply, so they give no pair.",
    ),
    Rule(
        "export.few",
        Severity.WARNING,
        f"A file for OpenAI or Azure has at least {MINIMUM_ROWS} rows.",
        "Approve or import more before you upload it.",
    ),
    Rule(
        "export.size",
        Severity.ERROR,
        "A file for Azure is smaller than 512 MB.",
        "Do not upload it: export one side at a time, or a smaller dataset.",
    ),
)
"""What ``losses`` and ``limits`` look for."""

_BY_ID = {rule.id: rule for rule in RULES}


def write(rows: Iterable[ExportRow], target: Format, path: Path) -> int:
    """Write ``rows`` for ``target`` and return how many were written; equal rows give equal bytes.

    Rows that the target cannot hold are left out: ``losses`` counts them.

    Raises:
        Invalid: a row for preference pairs does not end with the assistant.
        Unavailable: the disk refuses. Whatever happens, ``path`` holds all rows or what it held before.
    """
    written = 0

    def lines() -> Iterator[bytes]:
        nonlocal written
        if target is Format.AZURE:
            yield codecs.BOM_UTF8
        for row in rows:
            record = _record(row, target)
            if record is not None:
                written += 1
                yield json_line(record)

    write_atomically(path, lines())
    return written


def holds(conversation: Conversation, target: Format) -> bool:
    """Whether the target has a place for what the conversation does with tools."""
    if target is Format.PHI:
        return not conversation.uses_tools
    return target is not Format.SHAREGPT or sharegpt.carries(conversation)


def losses(rows: Iterable[ExportRow], target: Format) -> list[Finding]:
    """What ``target`` cannot carry of ``rows``, as findings about the whole."""
    plain = target in (Format.PHI, Format.SHAREGPT, Format.DPO)
    total = 0
    lost: Counter[str] = Counter()
    for row in rows:
        total += 1
        lost["export.labels"] += bool(row.labels)
        if target is Format.DPO and row.rejected is None:
            lost["export.not_a_pair"] += 1
        elif not holds(row.conversation, target):
            lost["export.tools"] += 1
        elif plain:
            turns = row.conversation.messages
            lost["export.weight"] += target is not Format.DPO and any(turn.weight == 0 for turn in turns)
            lost["export.name"] += any(turn.name is not None for turn in turns)
    sentences = {
        "export.weight": f"rows have replies of weight 0; {target} ignores it.",
        "export.tools": f"rows use tools in a way that {target} cannot hold and are left out.",
        "export.name": f"rows have names of speakers; {target} leaves them out.",
        "export.labels": f"rows have a topic, a language or the like; {target} carries none of them.",
        "export.not_a_pair": "rows have no rejected reply and are left out.",
    }
    return [
        _BY_ID[key].found(f"{lost[key]:,} of {total:,} {sentence}") for key, sentence in sentences.items() if lost[key]
    ]


def limits(written: int, size_bytes: int, target: Format) -> list[Finding]:
    """What the trainer would refuse about a file of so many rows and bytes."""
    found = []
    if target is not Format.PHI and target is not Format.SHAREGPT and written < MINIMUM_ROWS:
        found.append(_BY_ID["export.few"].found(f"The file has {written:,} rows; {MINIMUM_ROWS} are the least."))
    if target is Format.AZURE and size_bytes >= AZURE_LIMIT_BYTES:
        message = f"The file has {size_bytes:,} bytes; the limit is {AZURE_LIMIT_BYTES:,}."
        found.append(_BY_ID["export.size"].found(message))
    return found


def write_atomically(path: Path, chunks: Iterable[bytes]) -> None:
    """Write ``chunks`` to the file that ``path`` leads to: through one beside it, renamed, so never by halves.

    Only the owner may read the file: dialogues are personal data.

    Raises:
        Invalid: it leads to no file: a rename would put one in the place of a device or a pipe, such as /dev/null.
        Unavailable: the disk refuses; ``path`` is as it was.
    """
    try:
        target = _file_at(path)
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise _refused(path, error) from error
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            for chunk in chunks:
                handle.write(chunk)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _refused(path, error) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_directory(target.parent)


def _file_at(path: Path) -> Path:
    """The file to be made or replaced, at the end of any links."""
    if path == STANDARD_INPUT:  # and output, by the same sign
        raise Invalid("- is no file: what is written here is written whole or not at all. Name a file.")
    try:
        target = path.resolve()
    except RuntimeError as error:
        raise Invalid("{path} is a link that leads to itself; name a file.", path=path) from error
    if target.exists() and not target.is_file() and not target.is_dir():  # a folder the disk itself refuses
        raise Invalid("{path} is a device or a pipe, whose place no file may take; name a file.", path=path)
    return target


def _refused(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        "{path} could not be written ({cause}); check the folder, its rights and free space.",
        path=path,
        cause=error.strerror,
    )


def _sync_directory(directory: Path) -> None:
    """Without this a power cut may undo the rename; file systems that cannot do it have to do without."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def json_line(record: Mapping[str, Any]) -> bytes:
    """The record as one line of JSONL, its line break included: ``{"a":"é"}``."""
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    # Valid in JSON, but readers that use str.splitlines would end the line here.
    for separator in "\u0085\u2028\u2029":
        text = text.replace(separator, f"\\u{ord(separator):04x}")
    return text.encode() + b"\n"


def _record(row: ExportRow, target: Format) -> dict[str, Any] | None:
    """The row as the target reads it; None where it cannot hold it."""
    conversation = row.conversation
    if target is Format.DPO:
        return preferences.record_of(conversation, row.rejected) if row.rejected is not None else None
    if not holds(conversation, target):
        return None
    match target:
        case Format.PHI:
            return {"messages": [{"role": turn.role.value, "content": turn.content} for turn in conversation.messages]}
        case Format.SHAREGPT:
            return sharegpt.record_of(conversation)
        case _:
            return {"messages": conversation.as_json(), **conversation.toolbox()}
