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
from training.backends.local.data import Batch, batches, group
from training.backends.local.loss import Fit, Scored, SupervisedLoss, measure
from training.recipe import Precision, Recipe

# A curve of 200 points shows its shape; 20 validations cost little beside the training.
_CURVE_POINTS = 200
_VALIDATIONS = 20
# Short runs of small batches: 0.999 would average over more steps than some of them have.
_BETAS = (0.9, 0.95)
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
        self.steps = recipe.epochs * len(
            group([len(row.ids) for row in rows], recipe.batch_tokens, random.Random(0), apart=module.apart)
        )
        self._parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._optimiser = _optimiser(self._parameters, recipe)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, self._share_of_peak)
        self.step, self.loss = 0, math.nan
        self._tokens, self._seconds = 0, 0.0

    def run(self) -> None:
        """Train every epoch, or until one reaches what the recipe calls enough.

        Raises:
            Diverged: the loss is no number any more.
        """
        self._module.train()
        for epoch in range(1, self._recipe.epochs + 1):
            self.loss, accuracy = self._epoch()
            # The figures of an epoch are from before its steps: the weights as they are now must hold as well.
            enough = self._enough(self.loss, accuracy) and self._holds()
            if enough or epoch == self._recipe.epochs or epoch % max(1, self._recipe.epochs // _VALIDATIONS) == 0:
                self._point(self.loss, self._validation_loss())
            if enough:
                return

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
        """One pass over the rows: mean loss in nats per supervised token, share of them predicted right."""
        loss, correct, count = 0.0, 0, 0
        every = max(1, self.steps // _CURVE_POINTS)
        for batch in batches(self._rows, self._recipe.batch_tokens, self._rng, apart=self._module.apart):
            started = time.perf_counter()
            scored = self._one_step(batch.to(self._device))
            step_loss, step_count = scored.loss.item(), int(scored.count)
            self._seconds += time.perf_counter() - started
            self._tokens += batch.tokens
            loss, correct, count = loss + step_loss, correct + int(scored.correct), count + step_count
            if self.step % every == 0:
                self._point(step_loss / step_count, None)
        return loss / count, correct / count

    def _one_step(self, batch: Batch) -> Scored:
        """One optimiser step on one batch."""
        with self._precision():
            scored: Scored = self._module(batch)
        if not math.isfinite(scored.loss.item()):
            raise Diverged(
                "The loss was no number at step {step}; lower learning_rate, which is {rate:g}.",
                step=self.step + 1,
                rate=self._recipe.learning_rate,
            )
        # The batch's own mean, so that a batch of long replies takes no longer step than its neighbours.
        (scored.loss / scored.count).backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, self._recipe.max_grad_norm)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self._schedule.step()
        self.step += 1
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
    return torch.optim.AdamW(
        [one for one in groups if one["params"]], lr=recipe.learning_rate, betas=_BETAS, fused=True
    )


def wants_half(recipe: Recipe) -> bool:
    """Whether matrix products are made in bfloat16: as the recipe says, by itself on a GPU."""
    if recipe.precision is Precision.AUTO:
        return bool(torch.cuda.is_available())
    return recipe.precision is Precision.BF16
