"""The project's default store of blobs, seen from here: the one way to what lies there.

Owns its address and its key, where it has one, which stays in memory; putting, and removing for good. What Errata puts
there lies under ``errata/``, each below a name that is known beforehand: so it is found again whoever was killed when.

https://learn.microsoft.com/azure/machine-learning/how-to-datastore
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from curation.wording import phrase
from training.backends.errors import Missing, Refused
from training.backends.foundry.access import arm as resources
from training.backends.foundry.access import remedies
from training.backends.foundry.access.clients import arm
from training.backends.foundry.access.credentials import credential, surroundings
from training.backends.foundry.access.patience import CONNECT_SECONDS, READ_SECONDS, RETRIES
from training.backends.foundry.access.refusals import provider_errors
from training.backends.foundry.place import AzurePlace

STORE = "workspaceblobstore"
"""As every project's default store is called."""

KEY_SECONDS = 1800.0
"""How long a key is held at most: what is asked for below is good for an hour."""

_NO_KEY = "None"
_FOR_AN_HOUR = {"expirableSecret": True, "expireAfterHours": 1}
"""As azure-ai-ml asks: a token for this store and this hour, where the service gives them, in place of the account's
own key, which opens everything."""
_UPLOAD = phrase("The upload of the dataset")
_REMOVAL = phrase("The removal of what was uploaded")


def address(path: str) -> str:
    """As a job's input or output, and a data asset, names a path: ``azureml://datastores/workspaceblobstore/…``."""
    return f"azureml://datastores/{STORE}/paths/{path}"


@contextmanager
def opened(place: AzurePlace, doing: str | None = None) -> Iterator[Any]:
    """The store's ContainerClient, one for all threads, with its connections; never to be closed.

    Raises:
        Missing, Refused, Unreached: what the block asks for is not there; the provider says no, or nothing.
    """
    try:
        with provider_errors(doing, place):
            yield _container(place, surroundings(), int(time.time() // KEY_SECONDS))
    except Missing:
        raise
    except Refused:
        _container.cache_clear()  # its key may be good no longer
        raise


@lru_cache(maxsize=2)
def _container(place: AzurePlace, _surroundings: object, _held: int) -> Any:
    from azure.storage.blob import ContainerClient  # noqa: PLC0415 (only where something is brought or removed)

    url, container, key = _store(place)
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
    with opened(place, _UPLOAD) as container, file.open("rb") as content:
        container.upload_blob(path, content, overwrite=True)
    return address(path)


def remove(place: AzurePlace, folder: str) -> int:
    """Delete everything below ``folder/``; how many files that were.

    Raises:
        Refused, Unreached: the provider says no, or nothing; some may be gone, and asked again the others go.
    """
    removed = 0
    with opened(place, _REMOVAL) as container:
        # With an end, or the folder of run-1 would take that of run-1-2 with it. Folders of a store that has some
        # come after what is in them.
        names = sorted((one.name for one in container.list_blobs(name_starts_with=f"{folder}/")), reverse=True)
    for name in names:
        with suppress(Missing), opened(place, _REMOVAL) as container:
            container.delete_blob(name, delete_snapshots="include")
            removed += 1
    return removed


def _store(place: AzurePlace) -> tuple[str, str, str | None]:
    """Address, container and key of the project's default store; no key where only a person's own rights open it."""
    path = f"{remedies.workspace_scope(place, place.project)}/datastores/{STORE}"
    store = arm().get(path, resources.DATASTORES).get("properties") or {}
    secrets: dict[str, Any] = {}
    if (store.get("credentials") or {}).get("credentialsType") != _NO_KEY:
        secrets = arm().post(f"{path}/listSecrets", resources.DATASTORES, _FOR_AN_HOUR).body
    url = f"{store.get('protocol') or 'https'}://{store.get('accountName')}.blob.{store.get('endpoint')}"
    return url, str(store.get("containerName")), secrets.get("key") or secrets.get("sasToken")
