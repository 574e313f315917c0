"""Does a rehearsal learn what replies answer? On real dialogues, beside counting tokens and beside shuffled replies.

``python tests/benchmarks/shuffled.py DIALOGUES.jsonl`` trains one rehearsal on the dialogues and one on the same with
their replies shuffled, and scores both on the same held-out dialogues: perplexity beside an add-one unigram and an
interpolated bigram, and by how much shuffling costs, in nats per token with a paired 95 % interval. JSON lines.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from training.backends.base import Base, EvaluationRequest, Job
from training.backends.local.backend import LocalBackend
from training.evaluation.intervals import paired_bootstrap
from training.recipe import load_recipe

HELD_OUT = 10  # every tenth dialogue


def main() -> None:
    """Train twice, evaluate once, print what came of it; exit 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dialogues", type=Path, help="chat JSONL")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        figures = measured(Path(folder), options.dialogues, options.rows, options.epochs)
    for figure in figures:
        print(json.dumps(figure))
    sys.exit(0 if all(figure["met"] for figure in figures) else 1)


def measured(folder: Path, dialogues: Path, most: int, epochs: int | None) -> list[dict[str, Any]]:
    """The figures, each with whether its goal is met."""
    rows = [json.loads(line) for line in dialogues.read_text(encoding="utf-8").splitlines()[:most]]
    _write(folder / "validation.jsonl", rows[::HELD_OUT])
    learned = [row for number, row in enumerate(rows) if number % HELD_OUT]
    _write(folder / "true.jsonl", learned)
    _write(folder / "shuffled.jsonl", _shuffled(learned))
    backend = LocalBackend()
    models = {}
    for name in ("true", "shuffled"):
        recipe = load_recipe("rehearsal")
        recipe = recipe if epochs is None else replace(recipe, epochs=epochs)
        paths = (folder / f"{name}.jsonl", folder / "validation.jsonl", folder / name)
        job = Job(f"run-{name}", Base("rehearsal"), recipe, *paths)
        backend.submit(job)
        _wait(lambda job=job: backend.poll(job).status.final, f"training on {name} replies")
        models[name] = backend.fetch(job)
    (folder / "cases.jsonl").touch()
    request = EvaluationRequest(
        run_id="run-true",
        directory=folder / "evaluation",
        candidate=models["true"].model,
        baseline=models["shuffled"].model,
        base=models["true"].base_model,
        train=folder / "true.jsonl",
        validation=folder / "validation.jsonl",
        cases=folder / "cases.jsonl",
    )
    backend.evaluate(request)
    _wait(lambda: backend.poll_evaluation(request).done, "evaluation")
    done = backend.poll_evaluation(request)
    if done.report is None:
        raise SystemExit(f"The evaluation failed: {done.reason}")
    return _figures(json.loads(done.report.read_text(encoding="utf-8")))


def _figures(report: dict[str, Any]) -> list[dict[str, Any]]:
    fits, losses = report["validation"], report["losses"]
    perplexity = fits["candidate"]["perplexity"]
    cost = paired_bootstrap(losses["baseline"], losses["candidate"], weights=losses["tokens"])
    return [
        {"name": "replies.perplexity", "value": round(perplexity, 2), "met": True},
        *(
            {
                "name": f"replies.{name}",
                "value": round(report[f"{name}_perplexity"], 2),
                "met": perplexity < report[key],
            }
            for name, key in (("unigram", "unigram_perplexity"), ("bigram", "bigram_perplexity"))
        ),
        {
            "name": "replies.shuffled",
            "value": round(fits["baseline"]["perplexity"], 2),
            "worse_by_nats": round(cost.estimate, 4),
            "interval": [round(cost.low, 4), round(cost.high, 4)],
            "met": cost.low > 0,
        },
    ]


def _shuffled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same turns, every assistant's turn in the place of another."""
    replies = [turn["content"] for row in rows for turn in row["messages"] if turn["role"] == "assistant"]
    random.Random(1).shuffle(replies)
    others = iter(replies)
    return [
        {
            **row,
            "messages": [
                {**turn, "content": next(others)} if turn["role"] == "assistant" else turn for turn in row["messages"]
            ],
        }
        for row in rows
    ]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _wait(done: Any, what: str) -> None:
    started = time.monotonic()
    while not done():
        time.sleep(0.5)
    print(f"{what}: {time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
