"""What an endpoint is to serve, as the request in its folder says it. Knows no torch: the bot writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be served under a name.

    Attributes:
        name: for a request's ``model``.
        path: of a whole model, or of the base of ``adapter``: a directory or a hub id.
        adapter: a directory that peft loads; None for a whole model.
    """

    name: str
    path: str
    adapter: Path | None = None

    def as_json(self) -> dict[str, str | None]:
        """What ``from_json`` reads."""
        return {"name": self.name, "path": self.path, "adapter": str(self.adapter) if self.adapter else None}

    @classmethod
    def from_json(cls, row: Mapping[str, str | None]) -> Self:
        """Read what ``as_json`` wrote."""
        adapter = row["adapter"]
        return cls(str(row["name"]), str(row["path"]), Path(adapter) if adapter else None)
