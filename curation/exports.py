"""Writing examples for whoever trains: one writer per target, whole files or none.

Owns the shape of each target's rows and the atomic write. Refuses to drop anything in silence: what
a target cannot carry is said by ``losses``.
"""

from __future__ import annotations

import codecs
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from curation.conversation import Conversation, Message, Role
from curation.errors import Invalid, Unavailable
from curation.findings import Finding, Severity
from curation.rules import Rule


class ExportFormat(StrEnum):
    """Who the file is for."""

    OPENAI = "openai"
    """Chat completions: ``{"messages": [...]}`` with weights and names."""
    AZURE = "azure"
    """The same with a byte order mark, as Azure OpenAI and Foundry ask for."""
    PHI = "phi"
    """Azure ML's fine-tune component: roles and contents only."""
    SHAREGPT = "sharegpt"
    """``{"conversations": [{"from": "human", "value": ...}]}``."""
    DPO = "dpo"
    """Preference pairs as OpenAI takes them; only rows that carry a rejected reply."""


class Part(StrEnum):
    """Which side of a dataset is asked for."""

    TRAIN = "train"
    VALIDATION = "validation"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One example: its turns, the assistant's last, and the flagged reply that the last one replaces."""

    conversation: Conversation
    rejected: str | None = None


RULES: tuple[Rule, ...] = (
    Rule(
        "export.weight",
        Severity.WARNING,
        "The target reads weights, or no reply has the weight 0.",
        "Choose openai or azure, or leave these rows out: the target learns from every reply.",
    ),
    Rule(
        "export.not_a_pair",
        Severity.INFO,
        "Every row carries a rejected reply.",
        "Nothing to do: endorsed and imported rows have no rejected reply, so they give no pair.",
    ),
)
"""What ``losses`` looks for."""

_SPEAKERS = {Role.SYSTEM: "system", Role.USER: "human", Role.ASSISTANT: "gpt", Role.TOOL: "tool"}


def write(rows: Iterable[ExportRow], target: ExportFormat, path: Path) -> int:
    """Write ``rows`` for ``target`` and return how many were written; equal rows give equal bytes.

    Raises:
        Invalid: a row for preference pairs does not end with the assistant.
        Unavailable: the disk refuses. Whatever happens, ``path`` holds all rows or what it held before.
    """
    written = 0

    def lines() -> Iterator[bytes]:
        nonlocal written
        if target is ExportFormat.AZURE:
            yield codecs.BOM_UTF8
        for row in rows:
            record = _record(row, target)
            if record is not None:
                written += 1
                yield json_line(record)

    write_atomically(path, lines())
    return written


def losses(rows: Iterable[ExportRow], target: ExportFormat) -> list[Finding]:
    """What ``target`` cannot carry of ``rows``, as findings about the whole."""
    weight, not_a_pair = RULES
    unlearned = unpaired = total = 0
    for row in rows:
        total += 1
        unlearned += any(message.weight == 0 for message in row.conversation.messages)
        unpaired += row.rejected is None
    found = []
    if unlearned and target in (ExportFormat.PHI, ExportFormat.SHAREGPT):
        found.append(weight.found(f"{unlearned:,} of {total:,} rows have replies of weight 0; {target} ignores it."))
    if unpaired and target is ExportFormat.DPO:
        found.append(not_a_pair.found(f"{unpaired:,} of {total:,} rows have no rejected reply and are left out."))
    return found


def write_atomically(path: Path, chunks: Iterable[bytes]) -> None:
    """Write ``chunks`` to ``path``: through a file beside it, synced and renamed, so never by halves.

    Only the owner may read the file: dialogues are personal data.

    Raises:
        Unavailable: the disk refuses; ``path`` is as it was.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise _refused(path, error) from error
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            for chunk in chunks:
                handle.write(chunk)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _refused(path, error) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _refused(path: Path, error: OSError) -> Unavailable:
    return Unavailable(f"{path} could not be written ({error.strerror}); check the folder, its rights and free space.")


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


def _record(row: ExportRow, target: ExportFormat) -> dict[str, Any] | None:
    turns = row.conversation.messages
    match target:
        case ExportFormat.OPENAI | ExportFormat.AZURE:
            return {"messages": row.conversation.as_json()}
        case ExportFormat.PHI:
            return {"messages": [_bare(message) for message in turns]}
        case ExportFormat.SHAREGPT:
            return {"conversations": [{"from": _SPEAKERS[turn.role], "value": turn.content} for turn in turns]}
        case ExportFormat.DPO:
            return _pair(row)


def _pair(row: ExportRow) -> dict[str, Any] | None:
    """Source: OpenAI's and Azure's guides to direct preference optimisation."""
    if row.rejected is None:
        return None
    turns = row.conversation.messages
    if not turns or turns[-1].role is not Role.ASSISTANT:
        raise Invalid("A preference pair must end with the assistant's reply; check the dataset with errata check.")
    return {
        "input": {"messages": [_bare(message) for message in turns[:-1]]},
        "preferred_output": [_bare(turns[-1])],
        "non_preferred_output": [_bare(Message(Role.ASSISTANT, row.rejected))],
    }


def _bare(message: Message) -> dict[str, str]:
    return {"role": message.role.value, "content": message.content}
