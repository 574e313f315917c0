"""What the sandbox trains in place of a provider's model: a tiny one in a process of its own, or nothing.

Owns the stages of a training, whichever API asked for it, and what befalls it on request (``Fate``). A loss comes from
the training itself: where the sandbox only simulates, there is none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Literal

from training.backends.base import CurvePoint, Job, JobStatus
from training.backends.local import folder, launcher
from training.backends.local.backend import LocalBackend
from training.hyperparameters import Recipe
from training.recipe import load_recipe
from training.sandbox.cloud import Cloud
from training.sandbox.toy_jobs import Wishes, make_job, recipe_of

LABEL = "errata.sandbox"
"""The property by which everything that only looks like a provider's model is known."""
TRAINED = "trained a tiny model in its place"
SIMULATED = "simulated: nothing was trained"
_STOP_SECONDS = 10


class Stage(IntEnum):
    """How far a training is; each API has its own words for them."""

    NOT_STARTED = 0
    QUEUED = 1
    RUNNING = 2
    PAUSED = 3
    CANCELLING = 4
    FINALIZING = 5
    COMPLETED = 6
    FAILED = 7
    CANCELLED = 8
    SILENT = 9

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self >= Stage.COMPLETED


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of the next training that is asked for.

    Attributes:
        becomes: ``Failed``, ``Canceled`` (by the provider), ``NotResponding``: once it was seen running, and nothing is
            trained; ``Slow``, ``Long``: it waits in the queue, or only seems to run, for so many seconds first.
        message: what the provider says of a failure.
        seconds: of ``Slow`` and ``Long``.
    """

    becomes: Literal["Failed", "Canceled", "NotResponding", "Slow", "Long"]
    message: str = "The node went away."
    seconds: float = 30.0

    @property
    def late(self) -> bool:
        """Whether it is trained all the same, once its time has come."""
        return self.becomes in {"Slow", "Long"}


@dataclass(slots=True)
class Tuning:
    """One training.

    Attributes:
        job: for the local backend; None where it is simulated.
        stage: where it stood when somebody last looked.
        reason: what the provider says, of one that failed.
        ended: when it reached its last stage.
    """

    name: str
    job: Job | None
    began: datetime
    fate: Fate | None = None
    stage: Stage = Stage.NOT_STARTED
    reason: str | None = None
    ended: datetime | None = None
    submitted: bool = False
    finalizing_since: datetime | None = None
    cancelled: bool = False
    paused: bool = False

    @property
    def label(self) -> str:
        """What became of it, for the property ``LABEL``."""
        return SIMULATED if self.job is None else TRAINED

    @property
    def model(self) -> Path | None:
        """The tuned weights of a completed one; None where it is simulated."""
        return None if self.job is None else self.job.directory / folder.MODEL


@dataclass
class Toys:
    """The trainings of one sandbox, and the knobs.

    Attributes:
        trains: whether anything is trained; otherwise every training is simulated.
        recipe: what a training follows where it was asked for nothing else.
        rate_factor: learning rates that were asked for are multiplied by it: what is right for billions of weights that
            know a language moves a tiny random model by nothing.
        seconds: how long a simulated training takes.
        finalizing: how long one stays in ``FINALIZING``, which at least one look sees; azure-ai-ml looks
            twice for each answer that it gives.
        fates: what becomes of the next trainings, first come first served.
    """

    trains: bool = True
    recipe: Recipe = field(default_factory=lambda: load_recipe("rehearsal"))
    rate_factor: float = 1.0
    seconds: float = 3.0
    finalizing: float = 0.0
    fates: list[Fate] = field(default_factory=list)
    _local: LocalBackend = field(default_factory=LocalBackend)
    _tunings: list[Tuning] = field(default_factory=list)

    def start(
        self, cloud: Cloud, name: str, train: bytes, validation: bytes, wishes: Wishes, *, preferences: bool = False
    ) -> Tuning:
        """Start a training, or the appearance of one.

        Args:
            cloud: whose clock and folder it uses.
            name: unique in the sandbox.
            train: JSONL of chat rows, or of preference pairs.
            validation: the same.
            wishes: its hyperparameters.
            preferences: whether the rows are pairs.

        Raises:
            Refusal: a hyperparameter that no recipe can say.
        """
        if not self._tunings:
            cloud.closing.append(self._close)
        fate = self.fates.pop(0) if self.fates else None
        job = None
        if self.trains:
            recipe = recipe_of(self.recipe, wishes, rate_factor=self.rate_factor, preferences=preferences)
            job = make_job(cloud.folder / "tuned" / name, name, recipe, (train, validation), wishes.base)
        tuning = Tuning(name, job, cloud.clock(), fate)
        self._tunings.append(tuning)
        if fate is None:
            self._submit(tuning)
        return tuning

    def named(self, name: str) -> Tuning | None:
        """The training of this name."""
        return next((one for one in self._tunings if one.name == name), None)

    def look(self, cloud: Cloud, tuning: Tuning) -> Stage:
        """Where it stands now; a stage that was passed never comes back, but for a pause."""
        if not tuning.stage.final:
            now = cloud.clock()
            stage = self._next(tuning, now)
            if stage is Stage.FINALIZING:
                since, tuning.finalizing_since = tuning.finalizing_since, tuning.finalizing_since or now
                stage = Stage.COMPLETED if since and now >= _after(since, self.finalizing) else stage
            tuning.stage = stage
            tuning.ended = now if stage.final else None
        return tuning.stage

    def cancel(self, tuning: Tuning) -> None:
        """Ask it to stop; nothing happens to one that has ended."""
        if not tuning.stage.final:
            tuning.cancelled = True
            self._halt(tuning)

    def pause(self, tuning: Tuning) -> None:
        """Stop it where it can go on."""
        tuning.paused = True
        self._halt(tuning)

    def resume(self, tuning: Tuning) -> None:
        """Go on after a pause."""
        tuning.paused = False
        tuning.stage = Stage.QUEUED
        if tuning.job is not None and tuning.submitted:
            self._local.resume(tuning.job)

    def curve(self, tuning: Tuning) -> tuple[CurvePoint, ...]:
        """Its losses so far; none of a simulated one."""
        return self._local.poll(tuning.job).curve if tuning.job is not None and tuning.submitted else ()

    def steps(self, tuning: Tuning) -> int:
        """Optimiser steps planned; 0 while unknown, and for ever where nothing is trained."""
        return self._local.poll(tuning.job).steps if tuning.job is not None and tuning.submitted else 0

    def trained_tokens(self, tuning: Tuning) -> int | None:
        """Tokens that a completed training has gone over, all epochs together; None where nothing was trained."""
        result = None if tuning.job is None else folder.read_json(tuning.job.directory / folder.RESULT)
        if tuning.job is None or result is None or "training" not in result:
            return None
        progress, tokens = self._local.poll(tuning.job), int(result["training"]["tokens"])
        share = progress.step / progress.steps if progress.steps else 1.0
        return round(tokens * tuning.job.recipe.epochs * share)

    def _next(self, tuning: Tuning, now: datetime) -> Stage:
        fate = tuning.fate
        if fate is not None and not fate.late:
            return _fated(tuning, fate)
        seems = Stage.RUNNING if fate is not None and fate.becomes == "Long" else Stage.QUEUED
        if not tuning.submitted and not tuning.cancelled:
            if fate is not None and now < _after(tuning.began, fate.seconds):
                return min(seems, Stage(tuning.stage + 1))
            self._submit(tuning)
        if tuning.job is None or not tuning.submitted:
            return self._simulated(tuning, now)
        return max(seems, self._real(tuning, tuning.job))

    def _real(self, tuning: Tuning, job: Job) -> Stage:
        progress = self._local.poll(job)
        tuning.reason = progress.reason if progress.status is JobStatus.FAILED else None
        if tuning.cancelled and not progress.status.final:
            return Stage.CANCELLING
        if progress.status is JobStatus.CANCELLED and tuning.paused:
            return Stage.PAUSED
        return _STAGES[progress.status]

    def _simulated(self, tuning: Tuning, now: datetime) -> Stage:
        if tuning.cancelled:
            return Stage.CANCELLED
        if tuning.paused:
            return Stage.PAUSED
        waited = tuning.fate.seconds if tuning.fate is not None else 0.0
        if now >= _after(tuning.began, waited + self.seconds):
            return Stage.FINALIZING
        return Stage.RUNNING if now >= _after(tuning.began, waited + self.seconds / 3) else Stage.QUEUED

    def _submit(self, tuning: Tuning) -> None:
        if tuning.job is not None:
            self._local.submit(tuning.job)
        tuning.submitted = True

    def _halt(self, tuning: Tuning) -> None:
        if tuning.job is not None and tuning.submitted:
            self._local.cancel(tuning.job)

    def _close(self) -> None:
        for tuning in self._tunings:
            if tuning.job is not None:
                launcher.stop(tuning.job.directory, wait_seconds=_STOP_SECONDS)


_STAGES = {
    JobStatus.QUEUED: Stage.QUEUED,
    JobStatus.RUNNING: Stage.RUNNING,
    JobStatus.COMPLETED: Stage.FINALIZING,
    JobStatus.FAILED: Stage.FAILED,
    JobStatus.CANCELLED: Stage.CANCELLED,
}


def _fated(tuning: Tuning, fate: Fate) -> Stage:
    if tuning.stage < Stage.RUNNING:
        return Stage(tuning.stage + 1)
    if fate.becomes == "Failed":
        tuning.reason = fate.message
        return Stage.FAILED
    return Stage.CANCELLED if fate.becomes == "Canceled" else Stage.SILENT


def _after(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(seconds=seconds)
