"""Several processes that train one model: who they are, what each takes of the work, and how they agree.

Owns all that knows of ``torch.distributed``. Started by torchrun (or accelerate, which sets the same variables) the
processes join; a process on its own is a group of one and pays nothing. Every process sees the same rows in the same
order and knows by itself which are its own, so that nothing but gradients and a few figures travels between them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from training.hyperparameters import Sharding

T = TypeVar("T")

_PATIENCE = timedelta(hours=1)
"""For a process that writes a large model while the others wait."""
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        rank: its number, from 0.
        size: how many there are.
        device: where its part of the model is.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether it speaks for all: it writes progress, snapshots and the model."""
        return self.rank == 0

    def share(self, batches: Sequence[T]) -> Iterator[tuple[T, bool]]:
        """This process's batches, as many as any other's; what is there only to keep step does not count.

        Wrapped modules talk to each other in every call: a process with fewer calls would leave the others waiting.
        """
        for start in range(0, len(batches), self.size):
            mine = start + self.rank
            yield (batches[mine], True) if mine < len(batches) else (batches[0], False)

    def total(self, values: Sequence[float]) -> list[float]:
        """Each of the values, summed over all processes."""
        if self.size == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(summed)
        return [float(one) for one in summed.tolist()]

    def wrap(self, objective: nn.Module, layers: Sequence[nn.Module], sharding: Sharding) -> nn.Module:
        """What is to be called instead of the objective, so that gradients are those of all processes' batches.

        Args:
            objective: with its trained weights marked.
            layers: those between which weights may be put together and taken apart again.
            sharding: of the weights.
        """
        if self.size == 1:
            return objective
        if sharding is Sharding.NONE:
            # Without device ids nothing is copied: a batch is where it belongs already.
            wrapped: nn.Module = DistributedDataParallel(objective, gradient_as_bucket_view=True)
            return wrapped
        for layer in layers:
            fully_shard(layer)
        fully_shard(objective)
        return objective

    def last_of(self, wrapped: nn.Module, *, last: bool) -> AbstractContextManager[object]:
        """Around a forward and backward pass: gradients are exchanged with the last one of a step only."""
        if isinstance(wrapped, FSDPModule):
            wrapped.set_requires_gradient_sync(last)
        if last or not isinstance(wrapped, DistributedDataParallel):
            return nullcontext()
        waiting: AbstractContextManager[object] = wrapped.no_sync()
        return waiting

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            distributed.barrier()

    def leave(self) -> None:
        """The group; no more than this is owed to the others."""
        if self.size > 1:
            distributed.destroy_process_group()


ALONE = Ranks(0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def join() -> Ranks:
    """The group that torchrun or accelerate started this process in; a group of one without them."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    end_with_parent()
    local = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpus = torch.cuda.is_available()
    device = torch.device("cuda", local) if on_gpus else torch.device("cpu")
    if on_gpus:
        torch.cuda.set_device(device)
    if not distributed.is_initialized():  # a second time it would read the first one's addresses, and wait for ever
        distributed.init_process_group("nccl" if on_gpus else "gloo", timeout=_PATIENCE)
    return Ranks(distributed.get_rank(), size, device)


def end_with_parent() -> None:
    """Whoever started the group holds the folder's lock: without it nobody would know that this process still writes.

    Linux does so by itself once it is told; elsewhere a group that lost its parent has to be ended by hand.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def whole(tensor: Any) -> torch.Tensor:
    """A tensor of which processes hold parts, put together; every process has to ask for it."""
    gathered: torch.Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return gathered


def put(into: Any, value: torch.Tensor) -> None:
    """Copy a whole tensor into one of which this process may hold a part."""
    if isinstance(into, DTensor):
        value = distribute_tensor(value.to(into.device), into.device_mesh, into.placements)
    with torch.no_grad():
        into.copy_(value)
