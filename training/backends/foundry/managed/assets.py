"""A dataset's sides in the project's default datastore, as data assets named by their digests.

Owns how a side is written for the service, that the same bytes are uploaded once, whoever trains on them, and that they
go again. Refuses a file of which a row cannot be used: left out, it would be missing from what was counted and shown;
and to touch an asset that somebody else has made.

https://learn.microsoft.com/rest/api/azureml/data-versions
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from curation.formats.exports import ExportRow, write
from curation.formats.format import Format
from curation.wording import phrase
from training.backends.errors import Missing, Refused
from training.backends.foundry import sides
from training.backends.foundry.access import remedies, stores
from training.backends.foundry.access.apart import apart
from training.backends.foundry.access.clients import arm, ml_client
from training.backends.foundry.access.refusals import provider_errors
from training.backends.foundry.access.sdks import azure_ml
from training.backends.foundry.place import AzurePlace

log = logging.getLogger("errata.foundry")

VERSION = "1"
"""Of every asset: other bytes have another digest, and so another name."""
API = "2024-10-01"

_UPLOAD = phrase("The upload of the dataset")
_FILE = "rows.jsonl"
_REMOVAL = phrase("The removal of what was uploaded")
_DIGITS = 32
_NAMED = re.compile(rf"/data/(?P<name>errata-[0-9a-f]{{{_DIGITS}}})/versions/")
_CHUNK = 1 << 20


def write_side(side: Path, path: Path) -> int:
    """Write a side of a dataset, chat JSONL, as the service reads it, and return the number of rows.

    Raises:
        Invalid: a row cannot be used, or there is no such file.
        Unavailable: the disk refuses.
    """
    return write((ExportRow(row.conversation) for row in sides.rows(side)), Format.AZURE, path)


def uploaded(place: AzurePlace, side: Path, written: Path, noted: Callable[[str], None]) -> str:
    """The id of the side's data asset; uploaded unless it stands there already.

    Args:
        side: chat JSONL.
        written: where the file to be uploaded may lie meanwhile; it is removed, as dialogues are personal data.
        noted: is told the asset's name before anything is sent: what nobody knows of, nobody removes.

    Raises:
        Invalid: as ``write_side``.
        Refused, Unreached: the provider says no, or nothing.
    """
    try:
        write_side(side, written)
        name = asset_name(written)
        noted(name)
        found = _found(place, name)
        # Archived are those whose rows were removed, or are about to be: they are put there anew.
        if found is None or (found.ours and found.archived):
            _make(place, name, stores.put(place, written, f"{_folder(name)}/{_FILE}"))
        return _id(place, name)
    finally:
        written.unlink(missing_ok=True)


@apart
def remove(place: AzurePlace, name: str) -> int:
    """Remove the asset of this name with its rows; how many files went. One that somebody else has made stays.

    First it is archived, so that nobody starts on what is about to go; then the rows go, then the asset itself. Where
    Azure does not delete it, it stays archived and empty. Removing twice is removing once.

    Raises:
        Refused, Unreached: the provider says no, or nothing; asked again, the rest goes.
    """
    found = _found(place, name)
    if found is not None and not found.ours:
        log.info("a data asset is somebody else's and stays: asset=%s", name)
        return 0
    if found is not None and not found.archived:
        with provider_errors(_REMOVAL, place):
            ml_client(place).data.archive(name, VERSION)
    removed = stores.remove(place, _folder(name))  # without an asset, too: its maker may have been killed before
    if found is not None:
        try:
            arm().delete(_id(place, name), API)
        except Missing:
            pass
        except Refused:
            log.info("Azure keeps an empty data asset: asset=%s", name)
    return removed


def asset_name(written: Path) -> str:
    """What the asset with the bytes of a file is called: ``errata-3f2a…``."""
    digest = hashlib.sha256()
    with written.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return f"errata-{digest.hexdigest()[:_DIGITS]}"


def name_in(address: str) -> str | None:
    """The name of Errata's asset that an id or an address leads to; None for another's."""
    found = _NAMED.search(address)
    return found["name"] if found is not None else None


@dataclass(frozen=True, slots=True)
class _Found:
    """An asset that is there.

    Attributes:
        ours: Errata has made it, of what lies in Errata's own part of the store.
        archived: its rows are gone, or about to go.
    """

    ours: bool
    archived: bool


def _found(place: AzurePlace, name: str) -> _Found | None:
    try:
        told = arm().get(_id(place, name), API).get("properties") or {}
    except Missing:
        return None
    ours = str(told.get("dataUri") or "").partition("/paths/")[2].startswith(f"{_folder(name)}/")
    return _Found(ours, bool(told.get("isArchived")))


def _make(place: AzurePlace, name: str, path: str) -> None:
    azure_ml()
    from azure.ai.ml.entities import Data  # noqa: PLC0415 (azure is loaded once something is uploaded)

    asset = Data(
        name=name,
        version=VERSION,
        path=path,
        type="uri_file",
        description="Dialogues of a dataset of Errata's; the name is made of the digest of the bytes.",
    )
    with provider_errors(_UPLOAD, place):
        ml_client(place).data.create_or_update(asset)


def _folder(name: str) -> str:
    """Where its rows lie in the store."""
    return f"errata/data/{name}"


def _id(place: AzurePlace, name: str) -> str:
    return f"{remedies.workspace_scope(place, place.project)}/data/{name}/versions/{VERSION}"
