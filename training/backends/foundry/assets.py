"""A dataset's sides in the project's default datastore, as data assets named by their digests.

Owns how a side is written for the service and that the same bytes are uploaded once, whoever trains on them. Refuses a
file of which a row cannot be used: left out, it would be missing from what was counted and shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from curation.errors import Invalid
from curation.findings import Finding
from curation.formats.exports import ExportRow, write
from curation.formats.format import Format
from curation.formats.jsonl import open_jsonl
from curation.wording import phrase
from training.backends.errors import Missing
from training.backends.foundry.clients import ml_client
from training.backends.foundry.place import AzurePlace
from training.backends.foundry.refusals import provider_errors
from training.backends.foundry.sdks import azure_ml

if TYPE_CHECKING:
    from azure.ai.ml.entities import Data

VERSION = "1"
"""Of every asset: other bytes have another digest, and so another name."""

_UPLOAD = phrase("The upload of the dataset")
_DIGITS = 32
_CHUNK = 1 << 20


def write_side(side: Path, path: Path) -> int:
    """Write a side of a dataset, chat JSONL, as the service reads it, and return the number of rows.

    Raises:
        Invalid: a row cannot be used, or there is no such file.
        Unavailable: the disk refuses.
    """
    return write(_rows(side), Format.AZURE, path)


def uploaded(place: AzurePlace, side: Path, written: Path) -> str:
    """The id of the side's data asset; uploaded unless it stands there already.

    Args:
        side: chat JSONL.
        written: where the file to be uploaded may lie meanwhile; it is removed, as dialogues are personal data.

    Raises:
        Invalid: as ``write_side``.
        Refused, Unreached: the provider says no, or nothing.
    """
    try:
        write_side(side, written)
        name = asset_name(written)
        return str((_found(place, name) or _made(place, name, written)).id)
    finally:
        written.unlink(missing_ok=True)


def asset_name(written: Path) -> str:
    """What the asset with the bytes of a file is called: ``errata-3f2a…``."""
    digest = hashlib.sha256()
    with written.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return f"errata-{digest.hexdigest()[:_DIGITS]}"


def _rows(side: Path) -> Iterator[ExportRow]:
    for found in open_jsonl(side):
        if isinstance(found, Finding):
            raise Invalid("{file}: {finding}", file=side.name, finding=found.sentence())
        yield ExportRow(found.conversation)


def _found(place: AzurePlace, name: str) -> Data | None:
    try:
        with provider_errors(_UPLOAD, place):
            return ml_client(place).data.get(name, VERSION)
    except Missing:
        return None


def _made(place: AzurePlace, name: str, written: Path) -> Data:
    azure_ml()
    from azure.ai.ml.entities import Data  # noqa: PLC0415 (azure is loaded once something is uploaded)

    asset = Data(
        name=name,
        version=VERSION,
        path=str(written.resolve()),
        type="uri_file",
        description="Dialogues of a dataset of Errata's; the name is made of the digest of the bytes.",
    )
    with provider_errors(_UPLOAD, place), redirect_stderr(StringIO()):  # the library writes colours there
        return ml_client(place).data.create_or_update(asset)
