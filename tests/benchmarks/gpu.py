"""Adapters on a Phi-3.5-mini of random weights on a GPU: our core, transformers' Trainer, and TRL where there is one.

``make bench-gpu`` needs a CUDA GPU of 24 GB or more and no download; without a GPU it says so and measures nothing.
Each contestant trains in a process of its own. Figures: tokens that are no padding per second of wall-clock time after
a warm-up, the share of what this GPU reaches in a plain bfloat16 matrix product, and the most memory.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

GOAL, STRETCH = 0.50, 0.60
"""Of the measured ceiling."""
WINDOW, RANK, ALPHA = 4096, 16, 32
TARGETS = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
SUPERVISED = 0.35
"""Share of a support dialogue that is the assistant's."""


def main() -> None:
    """Measure the ceiling, let each contestant train, and print JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="optimiser steps after three of warm-up")
    parser.add_argument("--step-tokens", type=int, default=65_536)
    parser.add_argument("--device-tokens", type=int, default=16_384)
    parser.add_argument("--checkpointing", action="store_true", help="compute each layer twice, for small GPUs")
    parser.add_argument("--contestant", choices=("ours", "trainer_flat", "trl"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    import torch  # noqa: PLC0415

    if not torch.cuda.is_available():
        print(json.dumps({"name": "gpu", "measured": False, "why": "there is no CUDA GPU on this machine"}))
        return
    if options.contestant:
        print(json.dumps(CONTESTANTS[options.contestant](options)))
        return
    ceiling = matmul_ceiling()
    print(json.dumps({"name": "gpu.ceiling", "device": torch.cuda.get_device_name(), "tflops": round(ceiling / 1e12)}))
    for name in CONTESTANTS:
        if name == "trl" and importlib.util.find_spec("trl") is None:
            continue
        figures = _in_a_process(name)
        if "tokens_per_second" in figures:
            share = figures["tokens_per_second"] * flops_per_token() / ceiling
            figures |= {"mfu": round(share, 3)}
            if name == "ours":
                figures |= {"goal": GOAL, "stretch": STRETCH, "met": share >= GOAL}
        print(json.dumps({"name": f"gpu.{name}", **figures}), flush=True)


def matmul_ceiling() -> float:
    """Floating-point operations per second of a large bfloat16 matrix product, the best of several."""
    import torch  # noqa: PLC0415

    size, best = 8192, 0.0
    one, other = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(20):
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(10):
            one @ other
        torch.cuda.synchronize()
        best = max(best, 10 * 2 * size**3 / (time.perf_counter() - started))
    return best


def flops_per_token() -> float:
    """Of LoRA training: forward, and backward for what flows through frozen weights; attention left out."""
    config = _config()
    body = config.num_hidden_layers * (4 * config.hidden_size**2 + 3 * config.hidden_size * config.intermediate_size)
    return 4.0 * (body + SUPERVISED * config.hidden_size * config.vocab_size)


def _config() -> Any:
    """Phi-3.5-mini's shape: 3.8 billion weights."""
    from transformers import Phi3Config  # noqa: PLC0415

    return Phi3Config(
        vocab_size=32_064,
        hidden_size=3072,
        intermediate_size=8192,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=32,
        max_position_embeddings=WINDOW,
        original_max_position_embeddings=WINDOW,
        pad_token_id=32_000,
    )


def _model() -> Any:
    import torch  # noqa: PLC0415
    from transformers import Phi3ForCausalLM  # noqa: PLC0415

    torch.manual_seed(0)
    with torch.device("cuda"):
        return Phi3ForCausalLM._from_config(_config(), dtype=torch.bfloat16)


def _rows(tokens: int) -> list[tuple[list[int], list[bool]]]:
    """Conversations of 50 to 1,500 tokens with random words, until there are so many tokens."""
    rng, found, held = random.Random(1), [], 0
    while held < tokens:
        length = min(WINDOW, int(rng.lognormvariate(5.7, 0.7)) + 50)
        found.append(([rng.randrange(100, 32_000) for _ in range(length)], _supervised(rng, length)))
        held += length
    return found


def _supervised(rng: random.Random, length: int) -> list[bool]:
    """Whole turns, as replies are."""
    wanted: list[bool] = []
    while len(wanted) < length:
        wanted += [rng.random() < SUPERVISED] * rng.randrange(10, 60)
    return [*wanted[: length - 1], True]


def _in_a_process(name: str) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", __file__, *sys.argv[1:], "--contestant", name]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (this file)
    if ran.returncode:
        return {"failed": (ran.stderr.strip().splitlines() or ["no message"])[-1][:300]}
    figures: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return figures


def _ours(options: argparse.Namespace) -> dict[str, Any]:
    import torch  # noqa: PLC0415

    from training.backends.local.chat import Encoded  # noqa: PLC0415
    from training.backends.local.tuning.adapters import with_adapters  # noqa: PLC0415
    from training.backends.local.tuning.loop import Hooks, Loop  # noqa: PLC0415
    from training.backends.local.tuning.loss import SupervisedLoss  # noqa: PLC0415
    from training.recipe import load_recipe  # noqa: PLC0415

    torch.set_float32_matmul_precision("high")
    recipe = replace(
        load_recipe("phi-lora"),
        epochs=1,
        batch_tokens=options.step_tokens,
        device_tokens=options.device_tokens,
        gradient_checkpointing=options.checkpointing,
    )
    objective = SupervisedLoss(with_adapters(_model(), recipe, Path()))
    if options.checkpointing:
        objective.core.activation_checkpointing_enable()
    objective.to("cuda")

    def run(steps: int) -> tuple[int, float, float]:
        rows = [Encoded(ids, supervised) for ids, supervised in _rows(steps * options.step_tokens)]
        loop = Loop(objective, recipe, rows=rows, validation=[], hooks=Hooks(report=lambda _point, _eta: None))
        torch.cuda.synchronize()
        started = time.perf_counter()
        loop.run()
        torch.cuda.synchronize()
        return sum(map(len, rows)), time.perf_counter() - started, loop.loss

    run(3)
    tokens, seconds, loss = run(options.steps)
    return _figures(tokens, seconds, loss)


def _figures(tokens: int, seconds: float, loss: float) -> dict[str, Any]:
    import torch  # noqa: PLC0415

    return {
        "tokens_per_second": round(tokens / seconds),
        "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 1),
        "loss": round(loss, 3),
    }


def _peer(build: Callable[..., Any]) -> Callable[[argparse.Namespace], dict[str, Any]]:
    """A trainer of somebody else's, timed between ``on_train_begin`` and ``on_train_end``."""

    def run(options: argparse.Namespace) -> dict[str, Any]:
        import torch  # noqa: PLC0415
        from peft import LoraConfig, get_peft_model  # noqa: PLC0415
        from transformers import TrainerCallback  # noqa: PLC0415

        class Watch(TrainerCallback):
            """Notes the time as the loop begins and as it ends."""

            started = ended = 0.0

            def on_train_begin(self, *_: Any, **__: Any) -> None:
                torch.cuda.synchronize()
                Watch.started = time.perf_counter()

            def on_train_end(self, *_: Any, **__: Any) -> None:
                torch.cuda.synchronize()
                Watch.ended = time.perf_counter()

        model = _model()
        model.config.use_cache = False
        adapters = LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA, target_modules=TARGETS)
        model = get_peft_model(model, adapters)
        with TemporaryDirectory() as folder:
            for steps in (3, options.steps):
                rows = [
                    {
                        "input_ids": ids,
                        "labels": [one if wanted else -100 for one, wanted in zip(ids, told, strict=True)],
                    }
                    for ids, told in _rows(steps * options.step_tokens)
                ]
                trainer = build(model, folder, rows, options)
                trainer.add_callback(Watch())
                loss = trainer.train().training_loss
        return _figures(sum(len(row["input_ids"]) for row in rows), Watch.ended - Watch.started, loss)

    return run


def _common(folder: str, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "output_dir": folder,
        "num_train_epochs": 1,
        "learning_rate": 1e-4,
        "lr_scheduler_type": "cosine",
        "bf16": True,
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "gradient_checkpointing": options.checkpointing,
    }


def _trainer_flat(model: Any, folder: str, rows: list[dict[str, Any]], options: argparse.Namespace) -> Any:
    from transformers import DataCollatorWithFlattening, Trainer, TrainingArguments  # noqa: PLC0415

    mean = sum(len(row["input_ids"]) for row in rows) / len(rows)
    together = max(1, int(options.device_tokens / mean))
    arguments = TrainingArguments(
        **_common(folder, options),
        per_device_train_batch_size=together,
        gradient_accumulation_steps=max(1, options.step_tokens // options.device_tokens),
    )
    return Trainer(model=model, args=arguments, train_dataset=rows, data_collator=DataCollatorWithFlattening())


def _trl(model: Any, folder: str, rows: list[dict[str, Any]], options: argparse.Namespace) -> Any:
    import pyarrow as pa  # noqa: PLC0415
    from datasets import Dataset  # noqa: PLC0415
    from trl import SFTConfig, SFTTrainer  # noqa: PLC0415

    from training.backends.local.tuning.rehearsal import train_tokenizer  # noqa: PLC0415

    arguments = SFTConfig(
        **_common(folder, options),
        per_device_train_batch_size=max(1, options.device_tokens // WINDOW),
        gradient_accumulation_steps=max(1, options.step_tokens // options.device_tokens),
        packing=True,
        packing_strategy="bfd",
        max_length=WINDOW,
    )
    # With a fingerprint of our own: taking one, datasets 5.2 pickles a module of pyarrow's, which cannot be.
    data = Dataset(pa.Table.from_pylist(rows), fingerprint=f"rows-{len(rows)}")
    tokenizer = train_tokenizer(["Hello there, how may I help?"], vocabulary=300, window=WINDOW)
    return SFTTrainer(model=model, args=arguments, train_dataset=data, processing_class=tokenizer)


CONTESTANTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "ours": _ours,
    "trainer_flat": _peer(_trainer_flat),
    "trl": _peer(_trl),
}

if __name__ == "__main__":
    main()
