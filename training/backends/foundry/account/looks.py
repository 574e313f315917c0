"""A look at a job of the openai API: what it says about itself, as the port's progress.

Owns what is asked and what is remembered of it in the job's folder, so that a look that fails, or is not due, still has
an answer. The provider's own sentences are left where they are: they may repeat a customer's words.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from curation.wording import Phrase, phrase, unpacked
from training.backends.base import CurvePoint, JobStatus, Progress
from training.backends.errors import Missing, Refused
from training.backends.foundry.account import api
from training.backends.foundry.account import results as openai_results
from training.backends.foundry.account.state import State
from training.backends.foundry.account.statuses import PAUSED, reason_of, status_of
from training.backends.foundry.place import AzurePlace
from training.backends.local import folder

log = logging.getLogger("errata.foundry")

SEEN = "seen.json"
_EVENTS = 100
_LOOKING = phrase("The look at the job")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the last look has shown.

    Attributes:
        job: its id.
        registered: what the provider calls the tuned model; None until there is one.
        results: ids of the files that the provider wrote about the job.
    """

    job: str
    progress: Progress
    registered: str | None = None
    results: tuple[str, ...] = ()

    @property
    def lasting(self) -> Self:
        """Without the estimate of the time, which differs at every look."""
        return replace(self, progress=replace(self.progress, eta_seconds=None))

    @classmethod
    def read(cls, directory: Path, job: str) -> Self:
        """What ``write`` kept of this job; a queued one where nothing is kept."""
        row = folder.read_json(directory / SEEN)
        if row is None or row["job"] != job:
            return cls(job, Progress(JobStatus.QUEUED))
        progress = Progress(
            status=JobStatus(row["status"]),
            step=row["step"],
            steps=row["steps"],
            curve=tuple(CurvePoint(*point) for point in row["curve"]),
            reason=unpacked(row["reason"]) if row["reason"] is not None else None,
            notes=tuple(unpacked(note) for note in row["notes"]),
            trained_tokens=row["trained_tokens"],
            link=row["link"],
        )
        return cls(job, progress, row["registered"], tuple(row["results"]))

    def write(self, directory: Path) -> None:
        """Keep it in the job's folder."""
        said = self.progress
        row = {
            "job": self.job,
            "status": said.status.value,
            "step": said.step,
            "steps": said.steps,
            "curve": [point.row for point in said.curve],
            "reason": _packed(said.reason) if said.reason is not None else None,
            "notes": [_packed(note) for note in said.notes],
            "trained_tokens": said.trained_tokens,
            "link": said.link,
            "registered": self.registered,
            "results": list(self.results),
        }
        folder.write_json(directory / SEEN, row)

    @staticmethod
    def forget(directory: Path) -> None:
        """The job is looked at anew."""
        (directory / SEEN).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Look:
    """Looks at jobs of one account.

    Attributes:
        clock: seconds since 1970.
        preempted: the provider pauses the job for others now and then, and lets it go on by itself.
    """

    place: AzurePlace
    clock: Callable[[], float]
    preempted: bool = False

    def at(self, seen: Seen, state: State) -> Seen:
        """What the job shows now.

        Raises:
            Refused, Unreached: the provider does not say.
        """
        try:
            job = api.told(self.place, f"fine_tuning/jobs/{seen.job}", _LOOKING)
        except Missing:
            gone = phrase("The provider no longer knows the job {job}: resume the run to train anew.", job=seen.job)
            return replace(seen, progress=replace(seen.progress, status=JobStatus.FAILED, reason=gone))
        status, reason = self._outcome(job, state)
        metrics = _metrics(self.place, seen.job) if status is not JobStatus.QUEUED else []
        points = {point.step: point for point in (*seen.progress.curve, *openai_results.curve_of_metrics(metrics))}
        curve = tuple(points[step] for step in sorted(points))
        results = tuple(job.get("result_files") or ())
        if status.final and results:
            curve = _results(self.place, results) or curve
        step = curve[-1].step if curve else 0
        estimated = job.get("estimated_finish")
        progress = Progress(
            status=status,
            step=step,
            steps=step if status is JobStatus.COMPLETED else max(step, _planned(metrics), seen.progress.steps),
            eta_seconds=max(0.0, estimated - self.clock()) if estimated and not status.final else None,
            curve=curve,
            reason=reason,
            notes=(*state.notes, *(_checkpoints(self.place, seen.job) if status is JobStatus.COMPLETED else ())),
            trained_tokens=job.get("trained_tokens"),
            link=_link(self.place),
        )
        registered = job.get("fine_tuned_model") if status is JobStatus.COMPLETED else None
        return Seen(seen.job, progress, registered, results)

    def _outcome(self, job: Mapping[str, Any], state: State) -> tuple[JobStatus, Phrase | None]:
        """Where it stands, and why where it did not go well."""
        word = str(job.get("status")).lower()
        status = status_of(word)
        if word in PAUSED and not state.cancelled and not self.preempted:
            return JobStatus.CANCELLED, phrase("The job was paused at its provider.")
        if status is JobStatus.FAILED:
            return status, reason_of((job.get("error") or {}).get("code"))
        if status is JobStatus.CANCELLED:
            stopped = phrase("The job was cancelled at its provider.")
            return status, folder.STOPPED if state.cancelled else stopped
        if status is JobStatus.COMPLETED and not job.get("fine_tuned_model"):
            return JobStatus.RUNNING, None  # its name comes a little later
        if status is JobStatus.QUEUED and state.cancelled:
            return JobStatus.RUNNING, None  # what is queued counts as never started, and this one may start yet
        return status, None


def _metrics(place: AzurePlace, job: str) -> list[Mapping[str, Any]]:
    """The newest metrics, in any order; none where the provider tells none."""
    events = _listed(place, f"fine_tuning/jobs/{job}/events", limit=_EVENTS)
    data = (event.get("data") for event in events if event.get("type") == "metrics")
    return [one for one in data if isinstance(one, Mapping)]


def _listed(place: AzurePlace, path: str, **query: int) -> list[Mapping[str, Any]]:
    """The first page of a list; empty where the provider does not show it."""
    try:
        rows = api.told(place, path, _LOOKING, **query).get("data")
    except Refused:
        return []
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _planned(metrics: list[Mapping[str, Any]]) -> int:
    told = [row["total_steps"] for row in metrics if isinstance(row.get("total_steps"), int)]
    return max(told, default=0)


def _results(place: AzurePlace, files: tuple[str, ...]) -> tuple[CurvePoint, ...]:
    """The curve in the first file that has one."""
    for file_id in files:
        try:
            content = api.content(place, file_id, _LOOKING)
        except Refused:
            continue
        if curve := openai_results.curve_of(content):
            return curve
    return ()


def _checkpoints(place: AzurePlace, job: str) -> list[Phrase]:
    """The earlier states of the model that the provider keeps, a sentence each, the oldest first."""
    kept = _listed(place, f"fine_tuning/jobs/{job}/checkpoints")
    return [
        phrase(
            "The provider keeps the model as it was after step {step:,}: {name}.",
            step=int(one.get("step_number") or 0),
            name=str(one.get("fine_tuned_model_checkpoint") or ""),
        )
        for one in sorted(kept, key=lambda one: int(one.get("step_number") or 0))
    ]


def _link(place: AzurePlace) -> str | None:
    """Where the portal shows the account, with its jobs."""
    if place.account is None:
        return None
    return (
        f"https://ai.azure.com/resource/overview?wsid=/subscriptions/{place.subscription}/resourceGroups/{place.group}"
        f"/providers/Microsoft.CognitiveServices/accounts/{place.account}"
    )


def _packed(text: str) -> str:
    return text.packed() if isinstance(text, Phrase) else text
