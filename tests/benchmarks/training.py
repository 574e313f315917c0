"""Training side by side: our core, transformers' Trainer over flattened rows, and TRL's best packing, in one run.

Each contestant trains the same adapters on the same random model with the same conversations and masks, in a process of
its own with one thread, taking turns; what counts is tokens that are no padding per second of processor time, after a
warm-up, without reading and tokenising. ``make bench-training`` prints JSON lines.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

SIZES = {"tiny": (256, 4, 4), "small": (768, 6, 12)}
"""Width, layers and heads."""
GOALS = {
    "tiny": {"vs_trainer_flat": 1.4, "vs_trl_best": 2.0},
    "small": {"vs_trainer_flat": 1.1, "vs_trl_best": 1.4},
}
PEERS = ("trainer_flat", "trl_best")
VOCABULARY, WINDOW, STEP_TOKENS = 8000, 4096, 5000
PIECE_TOKENS = {"tiny": 1250, "small": 256}
"""What we work on at a time: more is a little faster and takes more memory."""
TRL_LENGTHS, TRL_DTYPES = (512, 1024), ("bfloat16", "float32")
"""What TRL's best is looked for among: packed rows of so many tokens, frozen weights of so many bits."""
RANK, ALPHA = 16, 32
TARGETS = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]


def main() -> None:
    """Let the contestants take turns and print what they did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--conversations", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, help="chat JSONL; generated dialogues without it")
    parser.add_argument("--contestant", choices=("ours", *PEERS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--length", type=int, default=TRL_LENGTHS[0], help=argparse.SUPPRESS)
    parser.add_argument("--dtype", default=TRL_DTYPES[0], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        print(json.dumps(CONTESTANTS[options.contestant](options.folder, options.length, options.dtype)))
        return
    for size in options.sizes:
        for figure in measure(size, conversations=options.conversations, rounds=options.rounds, data=options.data):
            print(json.dumps(figure), flush=True)


def measure(size: str, *, conversations: int, rounds: int, data: Path | None = None) -> list[dict[str, Any]]:
    """The best of each contestant's rounds at this size, and our ratio to each peer."""
    with TemporaryDirectory() as folder:
        prepare(Path(folder), size, conversations, data)
        done: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTESTANTS}
        best_of_trl = _best_of_trl(Path(folder), size)
        for turn in range(rounds):
            for name in CONTESTANTS:
                done[name].append(_in_a_process(name, Path(folder), *(best_of_trl if name == "trl_best" else ())))
                print(f"{size}, round {turn + 1} of {rounds}: {name} {done[name][-1]}", file=sys.stderr)
    best = {name: max(figures, key=lambda one: one["tokens_per_cpu_second"]) for name, figures in done.items()}
    figures: list[dict[str, Any]] = [{"name": f"train.{size}.{name}", **figure} for name, figure in best.items()]
    for peer in PEERS:
        ratio = best["ours"]["tokens_per_cpu_second"] / best[peer]["tokens_per_cpu_second"]
        goal = GOALS[size][f"vs_{peer}"]
        figures.append(
            {"name": f"train.{size}.vs_{peer}", "value": round(ratio, 2), "goal": goal, "met": ratio >= goal}
        )
    least = min(best[peer]["peak_mb"] for peer in PEERS)
    peak = best["ours"]["peak_mb"]
    figures.append({"name": f"train.{size}.peak_mb", "value": peak, "goal": least, "met": peak <= least})
    return figures


def prepare(folder: Path, size: str, conversations: int, data: Path | None) -> None:
    """A random model's checkpoint, and the encoded conversations as ``{"input_ids", "labels"}`` lines."""
    import torch  # noqa: PLC0415 (the parent only counts)
    from transformers import Phi3Config, Phi3ForCausalLM  # noqa: PLC0415

    from curation.conversation import Conversation  # noqa: PLC0415
    from training.backends.local.chat import ChatFormat  # noqa: PLC0415
    from training.backends.local.tuning.rehearsal import train_tokenizer  # noqa: PLC0415

    rows = _read(data, conversations) if data else _generated(conversations)
    tokenizer = train_tokenizer((m["content"] for row in rows for m in row), vocabulary=VOCABULARY, window=WINDOW)
    chat = ChatFormat(tokenizer)
    with (folder / "rows.jsonl").open("w") as file:
        for row in rows:
            encoded = chat.encode(Conversation.from_json(row, {}))
            labels = [one if wanted else -100 for one, wanted in zip(encoded.ids, encoded.supervised, strict=True)]
            file.write(json.dumps({"input_ids": encoded.ids, "labels": labels}) + "\n")
    (folder / "size").write_text(size)
    hidden, layers, heads = SIZES[size]
    torch.manual_seed(0)
    model = Phi3ForCausalLM(
        Phi3Config(
            vocab_size=VOCABULARY,
            hidden_size=hidden,
            intermediate_size=8 * round(hidden / 3),
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=WINDOW,
            original_max_position_embeddings=WINDOW,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=0,
        )
    )
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")


def _read(data: Path, conversations: int) -> list[list[dict[str, Any]]]:
    lines = data.read_text(encoding="utf-8").splitlines()[:conversations]
    return [json.loads(line)["messages"] for line in lines]


def _generated(conversations: int) -> list[list[dict[str, Any]]]:
    from tests.benchmarks.dialogues import dialogues  # noqa: PLC0415

    return [row["messages"] for row in dialogues(conversations, seed=1)]


def _best_of_trl(folder: Path, size: str) -> tuple[str, ...]:
    """The configuration of TRL that trains fastest here, tried once each."""
    tried = {}
    for length, dtype in itertools.product(TRL_LENGTHS, TRL_DTYPES):
        arguments = ("--length", str(length), "--dtype", dtype)
        tried[arguments] = _in_a_process("trl_best", folder, *arguments)
        print(f"{size}, TRL with rows of {length} and {dtype}: {tried[arguments]}", file=sys.stderr)
    return max(tried, key=lambda one: tried[one]["tokens_per_cpu_second"])


def _in_a_process(name: str, folder: Path, *more: str) -> dict[str, Any]:
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-W", "ignore", __file__, "--contestant", name, "--folder", str(folder), *more]
    ran = subprocess.run(command, env={**os.environ, **one_thread}, capture_output=True, text=True, check=False)  # noqa: S603 (this file)
    if ran.returncode:
        raise SystemExit(f"{name} failed: {ran.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return figures


def _encoded(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def _figures(tokens: int, seconds: float, loss: float) -> dict[str, Any]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"tokens_per_cpu_second": round(tokens / seconds), "peak_mb": peak, "loss": round(loss, 3)}


def _ours(folder: Path, *_: Any) -> dict[str, Any]:
    """Our core as the trainer runs it: adapters, packed rows, half precision where the processor has it."""
    import torch  # noqa: PLC0415

    from training.backends.local import checkpoint  # noqa: PLC0415
    from training.backends.local.chat import Encoded  # noqa: PLC0415
    from training.backends.local.tuning.adapters import with_adapters  # noqa: PLC0415
    from training.backends.local.tuning.loop import Hooks, Loop  # noqa: PLC0415
    from training.backends.local.tuning.loss import SupervisedLoss  # noqa: PLC0415
    from training.recipe import parse_recipe  # noqa: PLC0415

    lora = {"rank": RANK, "alpha": ALPHA, "dropout": 0.0, "targets": TARGETS, "modules_to_save": []}
    recipe = parse_recipe(
        {
            "method": "lora",
            "precision": "bf16",
            "learning_rate": 1e-3,
            "epochs": 1,
            "batch_tokens": STEP_TOKENS,
            "device_tokens": PIECE_TOKENS[(folder / "size").read_text()],
            "warmup_share": 0.0,
            "weight_decay": 0.0,
            "max_grad_norm": 1.0,
            "seed": 1,
            "max_length": WINDOW,
            "lora": lora,
        },
        name="benchmark",
    )
    rows = [Encoded(row["input_ids"], [one != -100 for one in row["labels"]]) for row in _encoded(folder)]
    loaded = checkpoint.load(folder / "model", dtype=torch.bfloat16)
    torch.manual_seed(1)
    module = SupervisedLoss(with_adapters(loaded.model, recipe, folder))

    def run(part: list[Encoded]) -> Loop:
        loop = Loop(module, recipe, rows=part, validation=[], hooks=Hooks(report=lambda _point, _eta: None))
        loop.run()
        return loop

    run(rows[:32])
    started = time.process_time()
    loss = run(rows).loss
    return _figures(sum(len(row.ids) for row in rows), time.process_time() - started, loss)


def _peer(build: Callable[..., Any]) -> Callable[[Path, int, str], dict[str, Any]]:
    """A trainer of somebody else's: its own loop between ``on_train_begin`` and ``on_train_end``."""

    def run(folder: Path, length: int, dtype: str) -> dict[str, Any]:
        import torch  # noqa: PLC0415
        from peft import LoraConfig, get_peft_model  # noqa: PLC0415
        from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback  # noqa: PLC0415

        class Watch(TrainerCallback):
            """Notes processor time as the loop begins and as it ends."""

            started = ended = 0.0

            def on_train_begin(self, *_: Any, **__: Any) -> None:
                Watch.started = time.process_time()

            def on_train_end(self, *_: Any, **__: Any) -> None:
                Watch.ended = time.process_time()

        rows = _encoded(folder)
        model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=getattr(torch, dtype))
        model.config.use_cache = False
        torch.manual_seed(1)
        adapters = LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA, target_modules=TARGETS)
        model = get_peft_model(model, adapters)
        tokenizer = AutoTokenizer.from_pretrained(folder / "model")
        for part in (rows[:32], rows):
            trainer = build(model, tokenizer, folder, part, length)
            trainer.add_callback(Watch())
            loss = trainer.train().training_loss
        return _figures(sum(len(row["input_ids"]) for row in rows), Watch.ended - Watch.started, loss)

    return run


def _common(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder / "out"),
        "num_train_epochs": 1,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "cosine",
        "bf16": True,
        "use_cpu": True,
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_num_workers": 0,
        "gradient_checkpointing": False,
    }


def _trainer_flat(model: Any, _tokenizer: Any, folder: Path, rows: list[dict[str, Any]], _length: int) -> Any:
    from transformers import DataCollatorWithFlattening, Trainer, TrainingArguments  # noqa: PLC0415

    arguments = TrainingArguments(**_common(folder), per_device_train_batch_size=2, gradient_accumulation_steps=8)
    return Trainer(model=model, args=arguments, train_dataset=rows, data_collator=DataCollatorWithFlattening())


def _trl_best(model: Any, tokenizer: Any, folder: Path, rows: list[dict[str, Any]], length: int) -> Any:
    import pyarrow as pa  # noqa: PLC0415
    from datasets import Dataset  # noqa: PLC0415
    from trl import SFTConfig, SFTTrainer  # noqa: PLC0415

    arguments = SFTConfig(
        **_common(folder),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=8,
        packing=True,
        packing_strategy="bfd",
        max_length=length,
    )
    random.Random(1).shuffle(rows)
    # With a fingerprint of our own: taking one, datasets 5.2 pickles a module of pyarrow's, which cannot be.
    data = Dataset(pa.Table.from_pylist(rows), fingerprint=f"rows-{len(rows)}")
    return SFTTrainer(model=model, args=arguments, train_dataset=data, processing_class=tokenizer)


CONTESTANTS: dict[str, Callable[[Path, int, str], dict[str, Any]]] = {
    "ours": _ours,
    "trainer_flat": _peer(_trainer_flat),
    "trl_best": _peer(_trl_best),
}

if __name__ == "__main__":
    main()
