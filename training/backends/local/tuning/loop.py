"""The training loop: epochs of steps, each accumulated from pieces, until enough is learned.

Owns steps, validations, the loss curve, and what has to be known to go on after a stop. Knows no file and no kind of
row: points, snapshots and best weights are handed to functions that the caller gives, and rows go to the objective.
"""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from training.backends.base import CurvePoint
from training.backends.local.tuning.convergence import Convergence
from training.backends.local.tuning.data import group
from training.backends.local.tuning.loss import Fit, measure
from training.backends.local.tuning.objective import Objective
from training.backends.local.tuning.optimisation import adamw, learning_rate
from training.backends.local.tuning.parallel import ALONE, Ranks
from training.backends.local.tuning.precision import precision
from training.hyperparameters import Recipe, Sharding

# A curve of 200 points shows its shape.
_CURVE_POINTS = 200
_SEEDS = 1_000_003  # a prime, so that no two runs' steps share a seed


@dataclass
class Position:
    """How far a training is; with weights and moments all that it takes to go on.

    Attributes:
        step: optimiser steps taken.
        epoch: the one being trained, from 1.
        batch: how many steps of this epoch are done.
        loss: sum over them, in nats.
        correct: weight of what was predicted right in them.
        count: weight of all that was predicted in them.
        tokens: seen in all epochs.
        seconds: spent on steps.
        since: loss and count since the last point of the curve.
        order: the state of the shuffling as this epoch began, as ``random.Random.getstate`` gives it.
        convergence: what its losses come to.
    """

    step: int = 0
    epoch: int = 1
    batch: int = 0
    loss: float = 0.0
    correct: float = 0.0
    count: float = 0.0
    tokens: int = 0
    seconds: float = 0.0
    since: tuple[float, float] = (0.0, 0.0)
    order: Any = None
    convergence: Convergence = field(default_factory=Convergence)


@dataclass(frozen=True)
class Hooks:
    """What the caller does meanwhile.

    Attributes:
        report: gets each point of the curve and the seconds left if no early stop comes.
        between: called after every step, where everything is at rest: the moment for a snapshot, or to stop.
        best: called where the validation loss is the lowest so far.
    """

    report: Callable[[CurvePoint, float], None]
    between: Callable[[], None] = lambda: None
    best: Callable[[], None] = lambda: None


class Loop:
    """One training of one model.

    Attributes:
        steps: optimiser steps planned; an early stop ends below it.
        loss: mean training loss of the last whole epoch, in nats per unit of weight.
        optimiser: of the weights that are trained.
    """

    def __init__(
        self,
        objective: Objective,
        recipe: Recipe,
        *,
        rows: Sequence[Any],
        validation: Sequence[Any],
        hooks: Hooks,
        ranks: Ranks = ALONE,
    ) -> None:
        """Prepare; ``run`` trains.

        Args:
            objective: what is trained, on its device.
            recipe: how.
            rows: the training side, of the objective's own kind.
            validation: what is measured now and then; may be empty.
            hooks: what the caller does meanwhile.
            ranks: the processes that share the work.
        """
        self._objective, self._recipe, self._hooks, self._ranks = objective, recipe, hooks, ranks
        self._rows, self._validation = rows, validation
        self._lengths = [len(row) for row in rows]
        self._counts = [objective.count(row) for row in rows]
        self._rng = random.Random(recipe.seed)
        # Grouping depends on the lengths alone, so every epoch has as many steps as this one.
        self.steps = recipe.epochs * len(self._grouped(random.Random(0)))
        self._validate_every = max(1, self.steps // recipe.validations)
        self._point_every = max(1, self.steps // _CURVE_POINTS)
        self._call = ranks.wrap(objective, list(objective.core.base_model.layers), recipe.sharding)
        self._parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
        sharded = ranks.size > 1 and recipe.sharding is Sharding.FSDP
        self.optimiser = adamw(self._parameters, recipe, fused=not sharded)
        self._at = Position(order=self._rng.getstate())
        self.loss = float("nan")

    @property
    def step(self) -> int:
        """Optimiser steps taken."""
        return self._at.step

    def position(self) -> dict[str, Any]:
        """How far it is, for JSON; ``go_on_from`` takes it back."""
        return asdict(self._at)

    def go_on_from(self, position: Mapping[str, Any]) -> None:
        """Take up a training where ``position`` was noted; weights and moments have been put back."""
        noted = {**position, "since": tuple(position["since"])}
        self._at = Position(**{**noted, "convergence": Convergence(**noted["convergence"])})
        version, numbers, spare = self._at.order
        self._rng.setstate((version, tuple(numbers), spare))

    def run(self) -> None:
        """Train every epoch, or until one reaches what the recipe calls enough, or nothing is gained for long.

        Raises:
            Diverged: the loss is no number any more, or rose for good.
        """
        self._call.train()
        if self._at.count:  # where it was stopped at its very end, no step is left to say it
            self.loss = self._at.loss / self._at.count
        while not self._exhausted():
            at = self._at
            if not self._epoch():
                return
            self.loss = at.loss / at.count
            # The figures of an epoch are from before its steps: the weights as they are now must hold as well.
            if self._enough(self.loss, at.correct / at.count) and self._holds():
                if at.step % self._validate_every and at.step < self.steps:
                    self._point(validate=True)
                return
            if at.epoch == self._recipe.epochs:
                return
            self._at = Position(
                at.step,
                at.epoch + 1,
                tokens=at.tokens,
                seconds=at.seconds,
                since=at.since,
                order=self._rng.getstate(),
                convergence=at.convergence,
            )

    def _grouped(self, rng: random.Random) -> list[list[int]]:
        return group(self._lengths, self._recipe.batch_tokens, rng, apart=self._objective.apart)

    def _epoch(self) -> bool:
        """The rest of a pass over the rows; false where it ended early."""
        at = self._at
        for indices in self._grouped(self._rng)[at.batch :]:
            started = time.perf_counter()
            loss, correct = self._one_step(indices)
            count = sum(self._counts[index] for index in indices)
            at.seconds += time.perf_counter() - started
            at.step, at.batch = at.step + 1, at.batch + 1
            at.tokens += sum(self._lengths[index] for index in indices)
            at.loss, at.correct, at.count = at.loss + loss, at.correct + correct, at.count + count
            at.since = (at.since[0] + loss, at.since[1] + count)
            at.convergence.stepped(at.step, loss / count, self._recipe.learning_rate, scale=self._objective.scale)
            validate = at.step % self._validate_every == 0 or at.step == self.steps
            if validate or at.step % self._point_every == 0:
                self._point(validate=validate)
            self._hooks.between()
            if self._exhausted():
                self.loss = at.loss / at.count
                return False
        return True

    def _exhausted(self) -> bool:
        return self._recipe.patience is not None and self._at.convergence.without_gain >= self._recipe.patience

    def _one_step(self, indices: Sequence[int]) -> tuple[float, float]:
        """One optimiser step on rows that all processes share: its loss, and the weight of what was right."""
        recipe, ranks = self._recipe, self._ranks
        # Dropout's chance follows from where the training is, so that a resumed one meets the same.
        torch.manual_seed((recipe.seed * _SEEDS + self._at.step) * ranks.size + ranks.rank)
        count = sum(self._counts[index] for index in indices)
        pieces = list(ranks.share(self._pieces(indices)))
        sums = [0.0, 0.0]
        for place, (piece, counts) in enumerate(pieces):
            batch = self._objective.pack([self._rows[index] for index in piece]).to(ranks.device)
            with ranks.last_of(self._call, last=place == len(pieces) - 1):
                with precision(self._recipe, self._ranks.device):
                    scored = self._call(batch)
                # The step's own mean, so that a step of long replies is no longer than its neighbours; processes'
                # gradients are averaged, so each has to bring as many times more.
                (scored.loss * (ranks.size / count if counts else 0.0)).backward()
            if counts:
                sums = [sums[0] + scored.loss.item(), sums[1] + scored.correct.item()]
        torch.nn.utils.clip_grad_norm_(self._parameters, recipe.max_grad_norm)
        for part in self.optimiser.param_groups:
            part["lr"] = learning_rate(recipe, self._at.step, self.steps)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        loss, correct = ranks.total(sums)
        return loss, correct

    def _pieces(self, indices: Sequence[int]) -> list[list[int]]:
        """A step's rows in pieces of as many tokens as a process works on at a time."""
        recipe = self._recipe
        most = min(recipe.piece_tokens, -(-recipe.batch_tokens // self._ranks.size))
        if most == recipe.batch_tokens:
            return [list(indices)]
        found = group([self._lengths[index] for index in indices], most, random.Random(0), apart=self._objective.apart)
        return [[indices[place] for place in piece] for piece in found]

    def _enough(self, loss: float, accuracy: float) -> bool:
        loss_limit, least_accuracy = self._recipe.stop_at_loss, self._recipe.stop_at_accuracy
        if loss_limit is None and least_accuracy is None:
            return False
        # The mean loss alone would hide one conversation that is not learned yet among many that are.
        return (loss_limit is None or loss < loss_limit) and accuracy >= (least_accuracy or 0.0)

    def _holds(self) -> bool:
        fit = self._measure(self._rows)
        return self._enough(fit.loss, fit.accuracy)

    def _measure(self, rows: Sequence[Any]) -> Fit:
        with precision(self._recipe, self._ranks.device):
            return measure(
                self._objective,
                rows,
                batch_tokens=self._recipe.piece_tokens,
                device=self._ranks.device,
                ranks=self._ranks,
                call=self._call,
            )

    def _point(self, *, validate: bool) -> None:
        """A point of the curve: the mean loss since the one before it, and the validation loss where it is its turn."""
        at = self._at
        validation = self._measure(self._validation).loss if validate and self._validation else None
        if validation is not None and at.convergence.validated(validation):
            self._hooks.best()
        loss, count = at.since
        at.since = (0.0, 0.0)
        point = CurvePoint(
            at.step,
            loss / count if count else at.loss / at.count,
            validation,
            at.tokens / at.seconds,
            memory_bytes=peak_bytes(),
        )
        self._hooks.report(point, (self.steps - at.step) * at.seconds / at.step)


def peak_bytes() -> int:
    """The most memory this process has held so far: of its GPU, or of the machine where there is none."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    # Not getrusage, which counts what the process was forked from as well.
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
