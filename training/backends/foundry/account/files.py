"""The files of a job at the openai API: written as it wants them, uploaded once, looked for before anything is sent.

Owns their names, which hold the run's id and the attempt: after an answer that was lost the file is found by its name
and not sent a second time. Refuses what the provider would refuse hours later.
"""

from __future__ import annotations

import codecs
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from curation.errors import Unavailable
from curation.findings import Finding, Severity
from curation.formats import exports, preferences
from curation.formats.exports import MINIMUM_ROWS, ExportRow
from curation.formats.format import AZURE_LIMIT_BYTES, Format
from curation.formats.jsonl import Row, open_jsonl
from curation.wording import Phrase, phrase, plural
from training.backends.base import Job
from training.backends.foundry.access.refusals import provider_errors
from training.particulars import read_particulars

if TYPE_CHECKING:
    from openai import OpenAI

SIDES = ("train", "validation")
PURPOSE: Final = "fine-tune"
_READY, _BROKEN = frozenset({"processed", "succeeded"}), frozenset({"error", "failed", "deleted"})


@dataclass(frozen=True, slots=True)
class Written:
    """One side as it will be uploaded.

    Attributes:
        rows: how many it has.
        size: in bytes.
        tools: how many of them use tools.
        left_out: rows of the dataset that it cannot hold, which are those without a rejected reply.
    """

    path: Path
    rows: int
    size: int
    tools: int
    left_out: int


@contextmanager
def writing(job: Job) -> Iterator[dict[str, Written]]:
    """Both sides in the job's folder, by ``train`` and ``validation``, for as long as they are needed.

    The same job gives the same bytes. They do not stay: nobody who erases a customer would look for them there.

    Raises:
        Invalid, Unavailable: a side cannot be read, or the disk refuses.
    """
    folder = job.directory / "upload"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        rejected = _rejected(job) if job.recipe.preference is not None else None
        yield {
            side: _write(path, folder / f"{side}.jsonl", rejected)
            for side, path in zip(SIDES, (job.train, job.validation), strict=True)
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def findings(written: Mapping[str, Written], *, pairs: bool, tools: bool) -> list[Finding]:
    """What the provider would refuse about the files; ``tools`` says whether the model can be tuned on tools."""
    found = []
    train, validation = (written[side] for side in SIDES)
    if train.rows < MINIMUM_ROWS and pairs:
        message = plural(
            "The training side has {count} pair of replies; {least} are the least.",
            "The training side has {count} pairs of replies; {least} are the least.",
            train.rows,
            least=MINIMUM_ROWS,
        )
        found.append(_error("openai.few", message, _more(pairs=pairs)))
    elif train.rows < MINIMUM_ROWS:
        message = plural(
            "The training side has {count} example; {least} are the least.",
            "The training side has {count} examples; {least} are the least.",
            train.rows,
            least=MINIMUM_ROWS,
        )
        found.append(_error("openai.few", message, _more(pairs=pairs)))
    if validation.rows == 0:
        message = (
            phrase("The validation side has no pair of replies.") if pairs else phrase("The validation side is empty.")
        )
        found.append(_error("openai.validation", message, _more(pairs=pairs)))
    found += [
        _error(
            "openai.size",
            phrase(
                "The {side} side has {size:,} bytes; the provider takes fewer than {limit:,}.",
                side=side,
                size=one.size,
                limit=AZURE_LIMIT_BYTES,
            ),
            phrase("Freeze a smaller dataset."),
        )
        for side, one in written.items()
        if one.size >= AZURE_LIMIT_BYTES
    ]
    using = train.tools + validation.tools
    if using and not tools:
        found.append(
            _error(
                "openai.tools",
                plural(
                    "{count:,} row uses tools, which this model cannot be tuned on.",
                    "{count:,} rows use tools, which this model cannot be tuned on.",
                    using,
                ),
                phrase("Choose a model of OpenAI's, or leave these rows out of the dataset."),
            )
        )
    return found


def notes(written: Mapping[str, Written]) -> list[Phrase]:
    """What is to be known about the files, a sentence each."""
    return [
        plural(
            "{count:,} row of the {side} side was left out: there is no rejected reply to compare with.",
            "{count:,} rows of the {side} side were left out: there is no rejected reply to compare with.",
            one.left_out,
            side=side,
        )
        for side, one in written.items()
        if one.left_out
    ]


def name_of(attempt: str, side: str) -> str:
    """``run-1a2b3c4d-2-train.jsonl`` for the second attempt of a run."""
    return f"{attempt}-{side}.jsonl"


def uploaded(client: OpenAI, attempt: str) -> dict[str, str]:
    """The ids of the files that are there already, by their sides.

    Raises:
        Refused, Unreached: the provider says no, or nothing.
    """
    wanted = {name_of(attempt, side): side for side in SIDES}
    with provider_errors(phrase("The list of files")):
        return {
            wanted[file.filename]: file.id
            for file in client.files.list(purpose=PURPOSE)
            if file.filename in wanted and str(file.status).lower() not in _BROKEN
        }


def of_run(client: OpenAI, run_id: str) -> list[str]:
    """The ids of all that was ever uploaded for a run, of every attempt. Raises as ``uploaded``."""
    named = re.compile(rf"{re.escape(run_id)}(-\d+)?-({'|'.join(SIDES)})\.jsonl")
    with provider_errors(phrase("The list of files")):
        return [file.id for file in client.files.list(purpose=PURPOSE) if named.fullmatch(file.filename)]


def upload(client: OpenAI, attempt: str, side: str, path: Path) -> str:
    """Send one side and return its id; the client must not repeat by itself. Raises as ``uploaded``."""
    with provider_errors(phrase("The upload of the dataset")), path.open("rb") as file:
        return str(client.files.create(file=(name_of(attempt, side), file), purpose=PURPOSE).id)


def ready(client: OpenAI, file_id: str) -> bool:
    """Whether the provider has taken the file in.

    Raises:
        Unavailable: it never will; Refused, Missing, Unreached: as ``uploaded``.
    """
    with provider_errors(phrase("The look at an uploaded file")):
        status = str(client.files.retrieve(file_id).status).lower()
    if status in _BROKEN:
        raise Unavailable(
            "The provider cannot read an uploaded file: check the dataset with errata check, then train anew."
        )
    return status in _READY


def _write(source: Path, target: Path, rejected: Mapping[int, str] | None) -> Written:
    rows = [row for row in open_jsonl(source) if isinstance(row, Row)]
    if rejected is None:
        written = exports.write((ExportRow(row.conversation) for row in rows), Format.AZURE, target)
    else:
        pairs = [(row, rejected[key]) for row in rows if (key := _example(row)) in rejected]
        written = len(pairs)
        exports.write_atomically(target, _pairs(pairs))
    tools = sum(row.conversation.uses_tools for row in rows)
    return Written(target, written, target.stat().st_size, tools, len(rows) - written)


def _pairs(pairs: Iterable[tuple[Row, str]]) -> Iterator[bytes]:
    """With a byte order mark, which Azure asks for in every file."""
    yield codecs.BOM_UTF8
    for row, rejected in pairs:
        yield exports.json_line(preferences.record_of(row.conversation, rejected))


def _rejected(job: Job) -> dict[int, str]:
    """The flagged replies, by the numbers of the examples that correct them."""
    if job.particulars is None or not job.particulars.is_file():
        return {}
    known = read_particulars(job.particulars)
    return {key: one.rejected for key, one in known.items() if one.rejected is not None}


def _example(row: Row) -> int:
    """The example's number; -1, which none has, where the row does not say."""
    number: Any = row.metadata.get("example")
    return number if isinstance(number, int) else -1


def _more(*, pairs: bool) -> str:
    return (
        phrase("Approve more corrections of flagged replies and freeze again.")
        if pairs
        else phrase("Approve more examples and freeze again.")
    )


def _error(rule: str, message: str, fix: str) -> Finding:
    return Finding(rule, Severity.ERROR, message, fix)
