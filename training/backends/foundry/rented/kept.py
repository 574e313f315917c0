"""The part of the project's default store in which a job keeps what it makes, seen from here.

Owns its address and bringing files from it; what was brought half is brought again. While a job runs, one request
brings its progress: a worker may watch a hundred of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.backends.errors import Missing
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

    def bring(self, directory: Path) -> None:
        """Copy everything here, the result last; a file that has its size here stays. Raises Refused, Unreached."""
        with stores.opened(self.place) as container:
            found = sorted(self._files(container), key=lambda one: one[0] == "result.json")
            for path, size, blob in found:
                here = directory / path
                if not here.is_file() or here.stat().st_size != size:
                    _copy(container, blob, here)

    def bring_one(self, directory: Path, name: str) -> None:
        """Copy one file here, over what is here; nothing happens where there is none. Raises as ``bring``."""
        with suppress(Missing), stores.opened(self.place) as container:
            _copy(container, f"{self._prefix}{name}", directory / name)

    def has_files(self) -> bool:
        """Whether anything is there. Raises as ``bring``."""
        with stores.opened(self.place) as container:
            return next(self._files(container), None) is not None

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


def _copy(container: Any, blob: str, here: Path) -> None:
    download = container.download_blob(blob)  # before anything is made here: it may not be there
    here.parent.mkdir(parents=True, exist_ok=True)
    partial = here.with_name(f"{here.name}.partial")
    with partial.open("wb") as file:
        download.readinto(file)
    partial.replace(here)
