"""The project's default store of blobs, seen from here: the one way to what lies there.

Owns its address and its key, where it has one, which stays in memory; putting, and removing for good. What Errata puts
there lies under ``errata/``, each below a name that is known beforehand: so it is found again whoever was killed when.

https://learn.microsoft.com/azure/machine-learning/how-to-datastore
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from curation.wording import phrase
from training.backends.errors import Missing
from training.backends.foundry.access.clients import CONNECT_SECONDS, READ_SECONDS, RETRIES, ml_client
from training.backends.foundry.access.credentials import credential, surroundings
from training.backends.foundry.access.refusals import provider_errors
from training.backends.foundry.place import AzurePlace

STORE = "workspaceblobstore"
"""As every project's default store is called."""

_UPLOAD = phrase("The upload of the dataset")
_REMOVAL = phrase("The removal of what was uploaded")


def address(path: str) -> str:
    """As a job's input or output, and a data asset, names a path: ``azureml://datastores/workspaceblobstore/…``."""
    return f"azureml://datastores/{STORE}/paths/{path}"


def opened(place: AzurePlace) -> Any:
    """The store's ContainerClient, for one round of questions; its key is fetched once for many of them."""
    from azure.storage.blob import ContainerClient  # noqa: PLC0415 (only where something is brought or removed)

    url, container, key = _store(place, surroundings())
    return ContainerClient(
        url,
        container,
        credential=key or credential(),
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retry_total=RETRIES,
        initial_backoff=1,  # seconds; left alone, it is a quarter of a minute before anybody hears of a refusal
        increment_base=2,
    )


def put(place: AzurePlace, file: Path, path: str) -> str:
    """Upload a file, over what may lie there half, and return its address. Raises Refused, Unreached."""
    with provider_errors(_UPLOAD, place), opened(place) as container, file.open("rb") as content:
        container.upload_blob(path, content, overwrite=True)
    return address(path)


def remove(place: AzurePlace, folder: str) -> int:
    """Delete everything below ``folder/``; how many files that were.

    Raises:
        Refused, Unreached: the provider says no, or nothing; some may be gone, and asked again the others go.
    """
    removed = 0
    with opened(place) as container:
        with provider_errors(_REMOVAL, place):
            # With an end, or the folder of run-1 would take that of run-1-2 with it. Folders of a store that has some
            # come after what is in them.
            names = sorted((one.name for one in container.list_blobs(name_starts_with=f"{folder}/")), reverse=True)
        for name in names:
            with suppress(Missing), provider_errors(_REMOVAL, place):
                container.delete_blob(name, delete_snapshots="include")
                removed += 1
    return removed


@lru_cache(maxsize=4)
def _store(place: AzurePlace, _surroundings: object) -> tuple[str, str, str | None]:
    """Address, container and key of the project's default store; no key where only a person's own rights open it."""
    store = ml_client(place).datastores.get_default(include_secrets=True)
    held = store.credentials
    key = getattr(held, "account_key", None) or getattr(held, "sas_token", None)
    return f"{store.protocol}://{store.account_name}.blob.{store.endpoint}", store.container_name, key
