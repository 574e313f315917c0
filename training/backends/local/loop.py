"""The training loop: epochs of batches, each one optimiser step, until enough is learned.

Owns optimiser, schedule, early stop and the loss curve. Knows no file: each point is handed to a
function that the caller gives. AdamW: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch

from curation.errors import ErrataError
from training.backends.base import CurvePoint
from training.backends.local.chat import Encoded
from training.backends.local.data import Batch, batches
from training.backends.local.loss import SupervisedLoss, measure
from training.recipe import Recipe

# A curve of 200 points shows its shape; 20 validations cost little beside the training.
_CURVE_POINTS = 200
_VALIDATIONS = 20
# The cosine ends at a tenth of the peak, so that the last epochs still learn.
_FLOOR = 0.1


class Diverged(ErrataError):
    """The loss left the numbers; the sentence says at which step."""


class Loop:
    """One training of one model.

    Attributes:
        step: optimiser steps taken.
        steps: optimiser steps planned; an early stop ends below it.
        loss: mean training loss of the last whole epoch, in nats per supervised token.
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
    ) -> None:
        """``report`` gets each point of the curve and the seconds left if no early stop comes."""
        self._module, self._recipe, self._device = module, recipe, device
        self._rows, self._validation, self._report = rows, validation, report
        self._rng = random.Random(recipe.seed)
        # Grouping depends on the lengths alone, so every epoch has as many batches as this one.
        self.steps = recipe.epochs * len(batches(rows, recipe.batch_tokens, random.Random(0)))
        self._parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._optimiser = _optimiser(self._parameters, recipe)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, self._share_of_peak)
        self.step, self.loss = 0, math.nan
        self._tokens, self._seconds = 0, 0.0

    def run(self) -> None:
        """Train every epoch, or until the mean loss of one is below ``stop_at_loss``.

        Raises:
            Diverged: the loss is no number any more.
        """
        self._module.train()
        for epoch in range(1, self._recipe.epochs + 1):
            self.loss = self._epoch()
            enough = self._recipe.stop_at_loss is not None and self.loss < self._recipe.stop_at_loss
            if enough or epoch == self._recipe.epochs or epoch % max(1, self._recipe.epochs // _VALIDATIONS) == 0:
                self._point(self.loss, self._validation_loss())
            if enough:
                return

    def _epoch(self) -> float:
        """One pass over the rows; its mean loss in nats per supervised token."""
        loss, count = 0.0, 0
        every = max(1, self.steps // _CURVE_POINTS)
        for batch in batches(self._rows, self._recipe.batch_tokens, self._rng):
            started = time.perf_counter()
            step_loss, step_count = self._one_step(batch.to(self._device))
            self._seconds += time.perf_counter() - started
            self._tokens += batch.tokens
            loss, count = loss + step_loss, count + step_count
            if self.step % every == 0:
                self._point(step_loss / step_count, None)
        return loss / count

    def _one_step(self, batch: Batch) -> tuple[float, int]:
        """The loss summed over the batch's supervised tokens, and their number."""
        with _autocast(self._device):
            scored = self._module(batch)
        loss, count = scored.loss.item(), int(scored.count)
        if not math.isfinite(loss):
            raise Diverged(
                f"The loss was no number at step {self.step + 1}; "
                f"lower learning_rate, which is {self._recipe.learning_rate:g}."
            )
        (scored.loss / count).backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, self._recipe.max_grad_norm)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self._schedule.step()
        self.step += 1
        return loss, count

    def _validation_loss(self) -> float | None:
        if not self._validation:
            return None
        with _autocast(self._device):
            fit = measure(self._module, self._validation, batch_tokens=self._recipe.batch_tokens, device=self._device)
        return fit.loss

    def _point(self, loss: float, validation_loss: float | None) -> None:
        point = CurvePoint(self.step, loss, validation_loss, self._tokens / self._seconds)
        self._report(point, (self.steps - self.step) * self._seconds / self.step)

    def _share_of_peak(self, step: int) -> float:
        """Linear rise over the warm-up, then half a cosine down to the floor."""
        warmup = round(self.steps * self._recipe.warmup_share)
        if step < warmup:
            return (step + 1) / warmup
        done = (step - warmup) / max(1, self.steps - warmup)
        return _FLOOR + (1 - _FLOOR) * (1 + math.cos(math.pi * done)) / 2


def _optimiser(parameters: list[torch.nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    # Norms and other vectors are scales, not weights: pulling them to zero only hurts.
    groups = [
        {"params": [one for one in parameters if one.ndim >= 2], "weight_decay": recipe.weight_decay},  # noqa: PLR2004
        {"params": [one for one in parameters if one.ndim < 2], "weight_decay": 0.0},  # noqa: PLR2004
    ]
    return torch.optim.AdamW([one for one in groups if one["params"]], lr=recipe.learning_rate, fused=True)


def _autocast(device: torch.device) -> AbstractContextManager[object]:
    """Half precision for matrix products on a GPU; peft would compute adapters in 32 bits without it."""
    if device.type != "cuda":
        return nullcontext()
    autocast: AbstractContextManager[object] = torch.autocast("cuda", dtype=torch.bfloat16)
    return autocast
