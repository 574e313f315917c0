"""What is kept of a job at the openai API beside the job itself: which attempt it is, its files, its id.

Owns ``remote.json`` in the job's folder. Nothing secret is in it, and no words of customers'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

from curation.wording import Phrase, unpacked
from training.backends.local import folder

STATE = "remote.json"


@dataclass(frozen=True, slots=True)
class State:
    """How far a job's way to its provider is.

    Attributes:
        run_id: whose job it is.
        attempt: from 1; a job that is trained anew has the next number.
        files: ids of the uploaded files of this attempt, by side.
        job: its id; None until it is created.
        cancelled: somebody asked to stop it.
        kept_notes: sentences about the data, packed.
    """

    run_id: str
    attempt: int = 1
    files: Mapping[str, str] = field(default_factory=dict)
    job: str | None = None
    cancelled: bool = False
    kept_notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the attempt is called at the provider: ``run-1a2b3c4d``, and ``run-1a2b3c4d-2`` for the second."""
        return self.run_id if self.attempt == 1 else f"{self.run_id}-{self.attempt}"

    @property
    def notes(self) -> tuple[str, ...]:
        """The sentences."""
        return tuple(unpacked(note) for note in self.kept_notes)

    @classmethod
    def read(cls, directory: Path) -> Self | None:
        """What ``write`` left in the folder; None where nothing is there."""
        row = folder.read_json(directory / STATE)
        if row is None:
            return None
        return cls(**{**row, "kept_notes": tuple(row["kept_notes"])})

    def write(self, directory: Path) -> None:
        """Keep it, whole or not at all."""
        folder.write_json(directory / STATE, asdict(self))

    def with_files(self, files: Mapping[str, str]) -> Self:
        """With these uploads beside what it has."""
        return replace(self, files={**self.files, **files})

    def noting(self, notes: Sequence[Phrase]) -> Self:
        """With these sentences."""
        return replace(self, kept_notes=tuple(note.packed() for note in notes))

    def started(self, job: str) -> Self:
        """Once the provider has the job."""
        return replace(self, job=job)

    def stopped(self) -> Self:
        """Once somebody has asked to stop it."""
        return replace(self, cancelled=True)

    def next_attempt(self) -> Self:
        """To be trained anew."""
        return replace(self, attempt=self.attempt + 1, files={}, job=None, cancelled=False)
