"""The part of the project's default store in which a job keeps what it makes, seen from here.

Owns its address and bringing files from it; what was brought half is brought again. The key of the store, where there
is one, stays in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from training.backends.foundry.clients import ml_client
from training.backends.foundry.credentials import credential, surroundings
from training.backends.foundry.place import AzurePlace

STORE = "workspaceblobstore"
"""As every project's default store is called."""


@dataclass(frozen=True)
class Kept:
    """Everything that one job keeps.

    Attributes:
        name: of the job at the provider.
    """

    place: AzurePlace
    name: str

    @property
    def address(self) -> str:
        """As a job's input or output names it."""
        return f"azureml://datastores/{STORE}/paths/{self._prefix}"

    def bring(self, directory: Path, *names: str) -> None:
        """Copy files here, those of these names or all, the result last; of all, one that has its size here stays."""
        with self._container() as container:
            found = sorted(self._files(container), key=lambda one: one[0] == "result.json")
            for path, size, blob in found:
                here = directory / path
                if (names and path not in names) or (here.is_file() and here.stat().st_size == size and not names):
                    continue
                here.parent.mkdir(parents=True, exist_ok=True)
                partial = here.with_name(f"{here.name}.partial")
                with partial.open("wb") as file:
                    container.download_blob(blob).readinto(file)
                partial.replace(here)

    def remove(self) -> None:
        """Delete everything there."""
        with self._container() as container:
            for _, _, blob in list(self._files(container)):
                container.delete_blob(blob)

    def _container(self) -> Any:
        """The store's container, for one round of questions; its key is fetched once for many of them."""
        from azure.storage.blob import ContainerClient  # noqa: PLC0415 (only where something is brought)

        address, container, key = _store(self.place, surroundings())
        return ContainerClient(address, container, credential=key or credential())

    @property
    def _prefix(self) -> str:
        return f"errata/{self.name}/"

    def _files(self, container: Any) -> Iterator[tuple[str, int, str]]:
        """Path below the job's own, bytes, and the whole name of each."""
        for blob in container.list_blobs(name_starts_with=self._prefix):
            path = blob.name.removeprefix(self._prefix)
            # A store with folders lists them as empty files; a name that climbs out of its folder is none of ours.
            if path and not path.endswith("/") and ".." not in Path(path).parts and not Path(path).is_absolute():
                yield path, blob.size, blob.name


@lru_cache(maxsize=4)
def _store(place: AzurePlace, _surroundings: object) -> tuple[str, str, str | None]:
    """Address, container and key of the project's default store; no key where only a person's own rights open it."""
    store = ml_client(place).datastores.get_default(include_secrets=True)
    held = store.credentials
    key = getattr(held, "account_key", None) or getattr(held, "sas_token", None)
    return f"{store.protocol}://{store.account_name}.blob.{store.endpoint}", store.container_name, key
