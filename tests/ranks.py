"""One optimiser step by several processes, or by one: what it came to, written down for a test to compare.

``torchrun --nproc-per-node 2 tests/ranks.py MODEL OUT JOB`` writes ``OUT/{none,fsdp}.safetensors``: every gradient of
the step, whole, and the loss that all processes agree on. Then it carries out the training in the folder JOB, which
saves the start of other processes.
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from training.backends.local import checkpoint, process
from training.backends.local.chat import Encoded
from training.backends.local.tuning import trainer
from training.backends.local.tuning.adapters import with_adapters
from training.backends.local.tuning.loop import Hooks, Loop
from training.backends.local.tuning.loss import SupervisedLoss
from training.backends.local.tuning.parallel import Ranks, join, whole
from training.hyperparameters import Lora, Method, Recipe, Sharding

RECIPE = Recipe(
    name="together",
    method=Method.LORA,
    learning_rate=1e-3,
    epochs=1,
    batch_tokens=4096,
    warmup_share=0.0,
    weight_decay=0.0,
    max_grad_norm=100.0,  # so that nothing is scaled down
    seed=7,
    max_length=128,
    device_tokens=100,
    lora=Lora(4, 8, 0.0, ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"), ("lm_head",)),
)


def rows() -> list[Encoded]:
    """Eleven conversations, so that two processes never have equally many; one weighs more than the others."""
    rng = random.Random(4)
    found = []
    for place in range(11):
        length = rng.randrange(8, 90)
        ids = [rng.randrange(5, 280) for _ in range(length)]
        supervised = [rng.random() < 0.5 for _ in ids[:-1]]
        found.append(Encoded(ids, [*supervised, True], weight=2.5 if place == 3 else 1.0))
    return found


def one_step(base: Path, ranks: Ranks, sharding: Sharding) -> dict[str, torch.Tensor]:
    """Gradients of the first step by name, and its loss and accuracy per unit of weight."""
    recipe = replace(RECIPE, sharding=sharding)
    torch.manual_seed(1)
    loaded = checkpoint.load(base, dtype=torch.float32, device=ranks.device)
    objective = SupervisedLoss(with_adapters(loaded.model, recipe, base))
    with torch.no_grad():
        for name, parameter in objective.named_parameters():
            if "lora_B" in name:  # which begin as zero, and then half of the gradients would be
                parameter.normal_(std=0.05)
    found: dict[str, torch.Tensor] = {}
    losses = []
    loop = Loop(
        objective,
        recipe,
        rows=rows(),
        validation=rows()[:3],
        hooks=Hooks(report=lambda point, _eta: losses.append([point.loss, point.validation_loss])),
        ranks=ranks,
    )

    def note(*_: object) -> None:
        for name, parameter in objective.named_parameters():
            if parameter.requires_grad:
                found[name] = whole(parameter.grad).clone()

    loop.optimiser.register_step_pre_hook(note)
    loop.run()
    return {**found, "losses": torch.tensor(losses, dtype=torch.float64)}


def main(base: Path, out: Path, job: Path) -> None:
    """Both ways and the training, as one of the processes."""
    torch.set_num_threads(1)
    ranks = join()
    for sharding in Sharding:
        found = one_step(base, ranks, sharding)
        if ranks.first:
            save_file(found, out / f"{sharding}.safetensors")
    (out / "loaded.json").write_text(json.dumps(sorted(sys.modules)), encoding="utf-8")
    sys.exit(process.carry_out(job, trainer.train))  # in the same group, which it leaves


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
