"""The part of the project's default store in which a job keeps what it makes, seen from here.

Owns its address and bringing files from it; what was brought half is brought again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.backends.foundry.access import stores
from training.backends.foundry.place import AzurePlace


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
        return stores.address(self._prefix)

    def bring(self, directory: Path, *names: str) -> None:
        """Copy files here, those of these names or all, the result last; of all, one that has its size here stays."""
        with stores.opened(self.place) as container:
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
        stores.remove(self.place, self._prefix.rstrip("/"))

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
