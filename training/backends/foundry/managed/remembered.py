"""What is known here of a job at Azure, in one file of the job's folder. Nothing in it is secret."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from curation.wording import Phrase, unpacked
from training.backends.base import CurvePoint, Job, JobStatus, Progress
from training.backends.local import folder

STATE = "remote.json"


@dataclass(slots=True)
class Remembered:
    """A job there.

    Attributes:
        name: what it is called, unique in the project; its model is called so, too.
        attempt: how often the run was tried, from 1.
        base: the id of what it starts from; None until it was looked up.
        data: ids of the uploaded sides, ``train`` and ``validation``.
        uploads: names of every asset that any attempt has uploaded, or was about to.
        created: Azure has it.
        cancelled: somebody wants it to stop.
        silent_since: since when it could not be handed over.
        seen_at: when Azure said last how it stands.
        status: Azure's word for that.
        registered: the id of the tuned model, once it is there.
        progress: what is told of it.
    """

    name: str
    attempt: int = 1
    base: str | None = None
    data: dict[str, str] = field(default_factory=dict)
    uploads: list[str] = field(default_factory=list)
    created: bool = False
    cancelled: bool = False
    silent_since: datetime | None = None
    seen_at: datetime | None = None
    status: str | None = None
    registered: str | None = None
    progress: Progress = field(default_factory=lambda: Progress(JobStatus.QUEUED))

    @classmethod
    def of(cls, job: Job) -> Self:
        """What is known, or the beginning: a run's first attempt."""
        return cls.read(job) or cls(job.run_id)

    @classmethod
    def read(cls, job: Job) -> Self | None:
        """What ``keep`` wrote; None where nothing was."""
        row = folder.read_json(job.directory / STATE)
        if row is None:
            return None
        moments = {name: _moment(row[name]) for name in ("silent_since", "seen_at")}
        return cls(**{**row, **moments, "progress": _progress(row["progress"])})

    def keep(self, job: Job) -> None:
        """Write all of it, or nothing."""
        job.directory.mkdir(parents=True, exist_ok=True)
        moments = {name: _text(getattr(self, name)) for name in ("silent_since", "seen_at")}
        progress = {
            **{one.name: getattr(self.progress, one.name) for one in fields(self.progress)},
            "curve": [point.row for point in self.progress.curve],
            "reason": _packed(self.progress.reason),
            "notes": [_packed(note) for note in self.progress.notes],
        }
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "progress"}
        folder.write_json(job.directory / STATE, plain | moments | {"progress": progress})

    def next(self) -> Remembered:
        """The beginning of another attempt: a job of this name has ended there.

        Its data are looked for anew: an erasure may have taken rows out of them since.
        """
        attempt = self.attempt + 1
        run_id = self.name if self.attempt == 1 else self.name.rpartition("-")[0]
        return Remembered(f"{run_id}-{attempt}", attempt, self.base, uploads=self.uploads)


def _progress(row: dict[str, Any]) -> Progress:
    return Progress(
        **{
            **row,
            "status": JobStatus(row["status"]),
            "curve": tuple(CurvePoint(*point) for point in row["curve"]),
            "reason": unpacked(row["reason"]) if row["reason"] else None,
            "notes": tuple(unpacked(note) for note in row["notes"]),
        }
    )


def _packed(text: str | None) -> str | None:
    return text.packed() if isinstance(text, Phrase) else text


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
