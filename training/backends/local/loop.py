"""The training loop: epochs of batches, each one optimiser step, until enough is learned.

Owns optimiser, schedule, early stop, the loss curve, and what has to be known to go on after a stop. Knows no file:
points and snapshots are handed to functions that the caller gives. AdamW: Loshchilov and Hutter 2019,
https://arxiv.org/abs/1711.05101.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch

from curation.errors import ErrataError
from training.backends.base import CurvePoint
from training.backends.local.chat import Encoded
from training.backends.local.data import Batch, batches, group
from training.backends.local.loss import Fit, Scored, SupervisedLoss, measure
from training.hyperparameters import Precision, Recipe

# A curve of 200 points shows its shape; 20 validations cost little beside the training.
_CURVE_POINTS = 200
_VALIDATIONS = 20
# Short runs of small batches: 0.999 would average over more steps than some of them have.
_BETAS = (0.9, 0.95)
# The cosine ends at a tenth of the peak, so that the last epochs still learn.
_FLOOR = 0.1


class Diverged(ErrataError):
    """The loss left the numbers; the sentence says at which step."""


@dataclass
class Position:
    """How far a training is; with weights, moments and chance, all that it takes to go on.

    Attributes:
        step: optimiser steps taken.
        epoch: the one being trained, from 1.
        batch: how many batches of this epoch are done.
        loss: sum over them, in nats.
        correct: supervised tokens in them that were the most probable ones.
        count: supervised tokens in them.
        tokens: seen in all epochs.
        seconds: spent on steps.
        order: the state of the shuffling as this epoch began, as ``random.Random.getstate`` gives it.
    """

    step: int = 0
    epoch: int = 1
    batch: int = 0
    loss: float = 0.0
    correct: int = 0
    count: int = 0
    tokens: int = 0
    seconds: float = 0.0
    order: Any = None


class Loop:
    """One training of one model.

    Attributes:
        steps: optimiser steps planned; an early stop ends below it.
        loss: mean training loss of the last whole epoch, in nats per supervised token.
        optimiser: of the weights that are trained.
    """

    def __init__(
        self,
        module: SupervisedLoss,
        recipe: Recipe,
        *,
        rows: Sequence[Encoded],
        validation: Sequence[Encoded],
        device: torch.device,
        report: Callable[[CurvePoint, float], None],
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; ``run`` trains.

        Args:
            module: what is trained.
            recipe: how.
            rows: the training side.
            validation: what is measured now and then; may be empty.
            device: where the module is.
            report: gets each point of the curve and the seconds left if no early stop comes.
            between: called after every step, where everything is at rest: the moment for a snapshot, or to stop.
        """
        self._module, self._recipe, self._device = module, recipe, device
        self._rows, self._validation = rows, validation
        self._report, self._between = report, between
        self._rng = random.Random(recipe.seed)
        lengths = [len(row.ids) for row in rows]
        # Grouping depends on the lengths alone, so every epoch has as many batches as this one.
        self.steps = recipe.epochs * len(group(lengths, recipe.batch_tokens, random.Random(0), apart=module.apart))
        self._parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.optimiser = _optimiser(self._parameters, recipe)
        self._at = Position(order=self._rng.getstate())
        self.loss = math.nan

    @property
    def step(self) -> int:
        """Optimiser steps taken."""
        return self._at.step

    def position(self) -> dict[str, Any]:
        """How far it is, for JSON; ``go_on_from`` takes it back."""
        return asdict(self._at)

    def go_on_from(self, position: Mapping[str, Any]) -> None:
        """Take up a training where ``position`` was noted; weights, moments and chance have been put back."""
        self._at = Position(**position)
        version, numbers, spare = self._at.order
        self._rng.setstate((version, tuple(numbers), spare))

    def run(self) -> None:
        """Train every epoch, or until one reaches what the recipe calls enough.

        Raises:
            Diverged: the loss is no number any more.
        """
        self._module.train()
        while self._at.epoch <= self._recipe.epochs:
            self.loss, accuracy = self._epoch()
            epoch = self._at.epoch
            # The figures of an epoch are from before its steps: the weights as they are now must hold as well.
            enough = self._enough(self.loss, accuracy) and self._holds()
            if enough or epoch == self._recipe.epochs or epoch % max(1, self._recipe.epochs // _VALIDATIONS) == 0:
                self._point(self.loss, self._validation_loss())
            if enough:
                return
            at = self._at
            self._at = Position(at.step, epoch + 1, tokens=at.tokens, seconds=at.seconds, order=self._rng.getstate())

    def _enough(self, loss: float, accuracy: float) -> bool:
        loss_limit, least_accuracy = self._recipe.stop_at_loss, self._recipe.stop_at_accuracy
        if loss_limit is None and least_accuracy is None:
            return False
        # The mean loss alone would hide one conversation that is not learned yet among many that are.
        return (loss_limit is None or loss < loss_limit) and accuracy >= (least_accuracy or 0.0)

    def _holds(self) -> bool:
        fit = self._measure(self._rows)
        return self._enough(fit.loss, fit.accuracy)

    def _epoch(self) -> tuple[float, float]:
        """The rest of a pass over the rows: its mean loss in nats per supervised token, and its accuracy."""
        at, every = self._at, max(1, self.steps // _CURVE_POINTS)
        ordered = batches(self._rows, self._recipe.batch_tokens, self._rng, apart=self._module.apart)
        for batch in ordered[at.batch :]:
            started = time.perf_counter()
            scored = self._one_step(batch.to(self._device))
            step_loss, step_count = scored.loss.item(), int(scored.count)
            at.seconds += time.perf_counter() - started
            at.tokens += batch.tokens
            at.batch, at.loss = at.batch + 1, at.loss + step_loss
            at.correct, at.count = at.correct + int(scored.correct), at.count + step_count
            if at.step % every == 0:
                self._point(step_loss / step_count, None)
            self._between()
        return at.loss / at.count, at.correct / at.count

    def _one_step(self, batch: Batch) -> Scored:
        """One optimiser step on one batch."""
        with self._precision():
            scored: Scored = self._module(batch)
        if not math.isfinite(scored.loss.item()):
            raise Diverged(
                "The loss was no number at step {step}; lower learning_rate, which is {rate:g}.",
                step=self._at.step + 1,
                rate=self._recipe.learning_rate,
            )
        # The batch's own mean, so that a batch of long replies takes no longer step than its neighbours.
        (scored.loss / scored.count).backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, self._recipe.max_grad_norm)
        for part in self.optimiser.param_groups:
            part["lr"] = self._recipe.learning_rate * self._share_of_peak(self._at.step)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self._at.step += 1
        return scored

    def _validation_loss(self) -> float | None:
        return self._measure(self._validation).loss if self._validation else None

    def _measure(self, rows: Sequence[Encoded]) -> Fit:
        with self._precision():
            return measure(self._module, rows, batch_tokens=self._recipe.batch_tokens, device=self._device)

    def _precision(self) -> AbstractContextManager[object]:
        """Half precision for matrix products; peft would compute adapters in 32 bits without it."""
        if not wants_half(self._recipe):
            return nullcontext()
        autocast: AbstractContextManager[object] = torch.autocast(self._device.type, dtype=torch.bfloat16)
        return autocast

    def _point(self, loss: float, validation_loss: float | None) -> None:
        at = self._at
        point = CurvePoint(at.step, loss, validation_loss, at.tokens / at.seconds)
        self._report(point, (self.steps - at.step) * at.seconds / at.step)

    def _share_of_peak(self, step: int) -> float:
        """Linear rise over the warm-up, then half a cosine down to the floor."""
        warmup = round(self.steps * self._recipe.warmup_share)
        if step < warmup:
            return (step + 1) / warmup
        done = (step - warmup) / max(1, self.steps - warmup)
        return _FLOOR + (1 - _FLOOR) * (1 + math.cos(math.pi * done)) / 2


def wants_half(recipe: Recipe) -> bool:
    """Whether matrix products are made in bfloat16: as the recipe says, by itself on a GPU."""
    if recipe.precision is Precision.AUTO:
        return bool(torch.cuda.is_available())
    return recipe.precision is Precision.BF16


def _optimiser(parameters: list[torch.nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    # Norms and other vectors are scales, not weights: pulling them to zero only hurts.
    groups = [
        {"params": [one for one in parameters if one.ndim >= 2], "weight_decay": recipe.weight_decay},  # noqa: PLR2004
        {"params": [one for one in parameters if one.ndim < 2], "weight_decay": 0.0},  # noqa: PLR2004
    ]
    return torch.optim.AdamW(
        [one for one in groups if one["params"]], lr=recipe.learning_rate, betas=_BETAS, fused=True
    )
