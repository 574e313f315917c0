"""The files of a job at the openai API: written as it wants them, uploaded once, looked for before anything is sent.

Owns their names, which hold the run's id and the attempt: after an answer that was lost the file is found by its name
and not sent a second time. Refuses what the provider would refuse hours later.
"""

from __future__ import annotations

import codecs
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from curation.errors import Unavailable
from curation.findings import Finding
from curation.formats import exports, preferences
from curation.formats.exports import MINIMUM_ROWS, ExportRow
from curation.formats.format import AZURE_LIMIT_BYTES, Format
from curation.formats.jsonl import Row
from curation.wording import Phrase, phrase, plural
from training.backends.base import Job
from training.backends.foundry import sides
from training.backends.foundry.access.clients import openai_client
from training.backends.foundry.access.refusals import provider_errors
from training.backends.foundry.place import AzurePlace
from training.particulars import read_particulars

TRAIN = "train"
SIDES = (TRAIN, "validation")
PURPOSE: Final = "fine-tune"
_LISTING = phrase("The list of files")
_UPLOAD = phrase("The upload of the dataset")
_LOOKING = phrase("The look at an uploaded file")
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


def findings(written: Mapping[str, Written], *, pairs: bool) -> list[Finding]:
    """What the provider would refuse about the files beside what ``sides`` finds in the rows they are made of."""
    if not pairs:
        return []
    found = []
    train, validation = (written[side] for side in SIDES)
    more = phrase("Approve more corrections of flagged replies and freeze again.")
    if train.rows < MINIMUM_ROWS:
        message = plural(
            "The training side has {count} pair of replies; {least} are the least.",
            "The training side has {count} pairs of replies; {least} are the least.",
            train.rows,
            least=MINIMUM_ROWS,
        )
        found.append(sides.error("openai.few", message, more))
    if validation.rows == 0:
        message = phrase("The validation side has no pair of replies.")
        found.append(sides.error("openai.validation", message, more))
    for side, one in written.items():
        if one.size >= AZURE_LIMIT_BYTES:
            found.append(sides.error("openai.size", _too_large(side, one), phrase("Freeze a smaller dataset.")))
    return found


def tools_in(written: Mapping[str, Written]) -> list[Finding]:
    """What stands in the way of a model that cannot be tuned on tools."""
    using = sum(one.tools for one in written.values())
    if not using:
        return []
    message = plural(
        "{count:,} row uses tools, which this model cannot be tuned on.",
        "{count:,} rows use tools, which this model cannot be tuned on.",
        using,
    )
    fix = phrase("Choose a model of OpenAI's, or leave these rows out of the dataset.")
    return [sides.error("openai.tools", message, fix)]


def notes(written: Mapping[str, Written]) -> list[Phrase]:
    """What is to be known about the files, a sentence each."""
    return [_without_pairs(side, one) for side, one in written.items() if one.left_out]


def name_of(attempt: str, side: str) -> str:
    """``run-1a2b3c4d-2-train.jsonl`` for the second attempt of a run."""
    return f"{attempt}-{side}.jsonl"


def uploaded(place: AzurePlace, attempt: str) -> dict[str, str]:
    """The ids of the files that are there already, by their sides.

    Raises:
        Refused, Unreached: the provider says no, or nothing.
    """
    wanted = {name_of(attempt, side): side for side in SIDES}
    with provider_errors(_LISTING, place):
        return {
            wanted[file.filename]: file.id
            for file in openai_client(place, retries=0).files.list(purpose=PURPOSE)
            if file.filename in wanted and str(file.status).lower() not in _BROKEN
        }


def of_run(place: AzurePlace, run_id: str) -> list[str]:
    """The ids of all that was ever uploaded for a run, of every attempt. Raises as ``uploaded``."""
    named = re.compile(rf"{re.escape(run_id)}(-\d+)?-({'|'.join(SIDES)})\.jsonl")
    with provider_errors(_LISTING, place):
        files = openai_client(place).files.list(purpose=PURPOSE)
        return [file.id for file in files if named.fullmatch(file.filename)]


def upload(place: AzurePlace, attempt: str, side: str, path: Path) -> str:
    """Send one side, once, and return its id. Raises as ``uploaded``."""
    with provider_errors(_UPLOAD, place), path.open("rb") as file:
        return str(
            openai_client(place, retries=0).files.create(file=(name_of(attempt, side), file), purpose=PURPOSE).id
        )


def ready(place: AzurePlace, file_id: str) -> bool:
    """Whether the provider has taken the file in.

    Raises:
        Unavailable: it never will; Refused, Missing, Unreached: as ``uploaded``.
    """
    with provider_errors(_LOOKING, place):
        status = str(openai_client(place, retries=0).files.retrieve(file_id).status).lower()
    if status in _BROKEN:
        raise Unavailable(
            "The provider cannot read an uploaded file: check the dataset with errata check, then train anew."
        )
    return status in _READY


def _write(source: Path, target: Path, rejected: Mapping[int, str] | None) -> Written:
    read, tools, pairs = 0, 0, 0

    def rows() -> Iterator[Row]:
        nonlocal read, tools
        for row in sides.rows(source):
            read, tools = read + 1, tools + row.conversation.uses_tools
            yield row

    def lines(known: Mapping[int, str]) -> Iterator[bytes]:
        nonlocal pairs
        yield codecs.BOM_UTF8  # which Azure asks for in every file
        for row in rows():
            if (key := _example(row)) in known:
                pairs += 1
                yield exports.json_line(preferences.record_of(row.conversation, known[key]))

    if rejected is None:
        written = exports.write((ExportRow(row.conversation) for row in rows()), Format.AZURE, target)
    else:
        exports.write_atomically(target, lines(rejected))
        written = pairs
    return Written(target, written, target.stat().st_size, tools, read - written)


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


def _too_large(side: str, one: Written) -> Phrase:
    told = {"size": one.size, "limit": AZURE_LIMIT_BYTES}
    if side == TRAIN:
        return phrase("The training side has {size:,} bytes; the provider takes fewer than {limit:,}.", **told)
    return phrase("The validation side has {size:,} bytes; the provider takes fewer than {limit:,}.", **told)


def _without_pairs(side: str, one: Written) -> Phrase:
    if side == TRAIN:
        return plural(
            "{count:,} row of the training side was left out: there is no rejected reply to compare with.",
            "{count:,} rows of the training side were left out: there is no rejected reply to compare with.",
            one.left_out,
        )
    return plural(
        "{count:,} row of the validation side was left out: there is no rejected reply to compare with.",
        "{count:,} rows of the validation side were left out: there is no rejected reply to compare with.",
        one.left_out,
    )
