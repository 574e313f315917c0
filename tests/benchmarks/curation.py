"""What it takes to check and prepare 100,000 examples, beside the OpenAI cookbook's data preparation.

    python tests/benchmarks/curation.py [--examples 100000] [--rounds 3] [--memory-examples 1000000]

Every run is a process of its own, vocabulary and all, in turns: peer, ours, peer, ours; the fastest of each
counts. *Same work* is what the cookbook does (``cookbook.py``): its checks, counts and estimates, and the totals
must be equal. *Pipeline* validates, counts, finds exact and near duplicates and their clusters, splits and writes
both sides; privacy and cleaning are off. *Plain* is without the extra ``accelerators``. Memory is that of the
largest process of ``errata check`` itself.
The last lines are the figures, one JSON object each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import compress, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

import numpy as np
from benchmarks import cookbook, dialogues

from curation.checking.processes import available, each, ranges
from curation.checking.scan import scan_file
from curation.checking.scanned import Scan, first_of
from curation.datasets.split import GroupKeys, Side, assign
from curation.formats.exports import write_atomically
from curation.formats.jsonl import Row
from curation.formats.reading import open_range
from curation.privacy import detection
from curation.tokens.counters import TokenCounter, TokenizerFamily, counter_for
from curation.tokens.vocabularies import Vocabulary, encoding_of

MODEL = "phi-4-mini-instruct"
ACCELERATORS = ("gigatoken",)


def main(arguments: list[str]) -> None:
    """Make the files, run everything, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--memory-examples", type=int, default=1_000_000, help="the larger file; 0 leaves memory out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--one", choices=sorted(RUNS), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one is not None:
        print(json.dumps(timed(RUNS[options.one], options.file)))
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "dialogues.jsonl"
        dialogues.write(path, options.examples, options.seed)
        print(f"{options.examples:,} examples, {path.stat().st_size / 1e6:.0f} MB, {available()} processes")
        figures = [*speed(path, options.rounds)]
        if options.memory_examples:
            large = Path(folder) / "large.jsonl"
            dialogues.write(large, options.memory_examples, options.seed)
            figures.append(memory(path, options.examples, large, options.memory_examples))
    for figure in figures:
        print(json.dumps(figure))


def speed(path: Path, rounds: int) -> Iterator[dict[str, Any]]:
    """Seconds of everything that can be run here, and how many times the peer's each takes."""
    best: dict[str, dict[str, Any]] = {}
    for number in range(rounds):
        for name in RUNS:
            result = in_a_process(name, path)
            print(f"round {number + 1}: {name} {result['seconds']:.2f} s")
            if name not in best or result["seconds"] < best[name]["seconds"]:
                best[name] = result
    peer = best.pop("peer")
    for name in ("same_work", "same_work_plain"):
        ours, theirs = (result["figures"] for result in (best[name], peer))
        if ours != (expected := comparable(theirs)):
            raise SystemExit(f"{name} and the cookbook differ: {ours} and {expected}")
    for name, result in best.items():
        ratio = peer["seconds"] / result["seconds"]
        yield {
            "name": f"curation.{name}",
            "ours": round(result["seconds"], 3),
            "peer": round(peer["seconds"], 3),
            "ratio": round(ratio, 2),
            "unit": "s",
        }


def in_a_process(name: str, path: Path) -> dict[str, Any]:
    """One run, from the start of its interpreter's work to the end; what it prints."""
    command = [sys.executable, __file__, "--one", name, "--file", str(path)]
    environ = {**os.environ, "PYTHONHASHSEED": "0"}  # rows are grouped by hashes: each process has the same groups
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environ)  # noqa: S603 (ourselves)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def timed(run: Callable[[Path], dict[str, Any]], path: Path) -> dict[str, Any]:
    """The figures of a run with its seconds, vocabulary included."""
    begin = time.perf_counter()
    figures = run(path)
    return {"seconds": time.perf_counter() - begin, "figures": figures}


def peer(path: Path) -> dict[str, Any]:
    """The cookbook's own work."""
    return cookbook.prepare(path, encoding_of(Vocabulary.O200K).encode)


def comparable(figures: dict[str, Any]) -> dict[str, Any]:
    """What both count in the same way: the cookbook has 4 tokens around a turn (its role is text) and 3 at the end."""
    turns = figures["messages"]["sum"]
    return {
        "examples": figures["examples"],
        "errors": sum(figures["errors"].values()),
        "missing_system": figures["missing_system"],
        "messages": turns,
        "words": figures["tokens"]["sum"] - 4 * turns - 3 * figures["examples"],
        "assistant_words": figures["assistant_tokens"]["sum"],
        "too_long": figures["too_long"],
        "epochs": figures["epochs"],
    }


def same_work(path: Path) -> dict[str, Any]:
    """The same checks, counts and estimates, by the code of ``errata check``."""
    with scan_file(path, counter(), repeats=False, noise=False) as scan:
        tokens, learned, turns, system = (scan.column(name) for name in ("upper", "learned", "turns", "system"))
        messages = turns.astype("i8") + system
        for values in (messages, tokens, learned):
            cookbook.distribution(values)
        billed = tokens.clip(max=cookbook.MAX_TOKENS_PER_EXAMPLE).sum()
        epochs = max(1, min(cookbook.TARGET_EPOCHS, cookbook.MAX_TARGET_EXAMPLES // scan.rows))
        assert billed * epochs > 0
        return {
            "examples": scan.rows,
            "errors": len(scan.findings),
            "missing_system": int((system == 0).sum()),
            "messages": int(messages.sum()),
            "words": int(tokens.sum(dtype="i8") - 2 * messages.sum() - scan.rows),
            "assistant_words": int(learned.sum(dtype="i8")),
            "too_long": int((tokens > cookbook.MAX_TOKENS_PER_EXAMPLE).sum()),
            "epochs": epochs,
        }


def pipeline(path: Path, *, seen: Callable[[Path], int] | None = None) -> dict[str, Any]:
    """From a file to the files of both sides."""
    with scan_file(path, counter(), noise=False) as scan, TemporaryDirectory(dir=path.parent) as folder:
        repeats = int((first_of(scan.column("dialogue")) != np.arange(scan.rows)).sum())
        clusters = scan.clusters()
        sides = split(scan, clusters)
        personal = seen(path) if seen is not None else 0
        for side in (Side.TRAIN, Side.VALIDATION):
            chosen = np.fromiter((one is side for one in sides), bool, len(sides))
            write_atomically(Path(folder) / f"{side.value}.jsonl", lines(path, scan.column("line")[chosen]))
        return {
            "rows": scan.rows,
            "tokens": int(scan.column("upper").sum(dtype="i8")),
            "repeats": repeats,
            "near": int((clusters != np.arange(scan.rows)).sum()),
            "validation": sum(side is Side.VALIDATION for side in sides),
            "personal": personal,
        }


def split(scan: Scan, clusters: Any) -> list[Side]:
    """Sides by cluster, and by thread and customer where more than one row has them; even over topics and languages."""
    groups = [[f"text:{cluster}"] for cluster in clusters.tolist()]
    for name in ("thread", "customer"):
        keys = scan.column(name)
        first = first_of(keys)
        shared = np.bincount(first)[first] > 1
        for row in (shared & (keys != 0)).nonzero()[0].tolist():
            groups[row].append(f"{name}:{keys[row]}")
    topics, languages = (["", *scan.labels[name]] for name in ("topic", "language"))
    names = [[f"{topic}/{language}" for language in languages] for topic in topics]
    labels = zip(scan.column("topic").tolist(), scan.column("language").tolist(), strict=True)
    strata = [names[topic][language] for topic, language in labels]
    return assign([GroupKeys(tuple(keys)) for keys in groups], {}, salt="errata", strata=strata)[0]


def lines(path: Path, numbers: Any) -> Iterator[bytes]:
    """The lines of these numbers, from 1, many at a time."""
    wanted = np.zeros(int(numbers.max(initial=0)), np.uint8)
    wanted[numbers - 1] = 1
    with path.open("rb") as file:
        kept = compress(file, wanted.tobytes())
        while chunk := b"".join(islice(kept, 1_000)):
            yield chunk


def counter() -> TokenCounter:
    """The counter that ``errata check`` takes for a large file."""
    return counter_for(TokenizerFamily.O200K, bulk=True)


def plain(run: Callable[[Path], dict[str, Any]]) -> Callable[[Path], dict[str, Any]]:
    """The same as if the extra ``accelerators`` were not installed."""

    def without(path: Path) -> dict[str, Any]:
        sys.modules.update(dict.fromkeys(ACCELERATORS))  # type: ignore[arg-type]  # None: not to be imported
        return run(path)

    return without


def pipeline_privacy(path: Path) -> dict[str, Any]:
    """The pipeline, and every turn scanned for personal data."""

    def personal(path: Path) -> int:
        works = [partial(_personal, path, *bounds) for bounds in ranges(path, available())]
        return sum(each(works, lambda _: None))

    return pipeline(path, seen=personal)


def _personal(path: Path, begin: int, end: int, progress: Callable[[int], None]) -> int:
    rows = (row for row in open_range(path, begin, end, 2) if isinstance(row, Row))
    spans = sum(len(detection.scan(turn.content)) for row in rows for turn in row.conversation.messages)
    progress(end - begin)
    return spans


RUNS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "peer": peer,
    "same_work": same_work,
    "same_work_plain": plain(same_work),
    "pipeline": pipeline,
    "pipeline_plain": plain(pipeline),
    "pipeline_privacy": pipeline_privacy,
}


def memory(small: Path, few: int, large: Path, many: int) -> dict[str, Any]:
    """The largest process of ``errata check`` on either file, in MB."""
    peaks = []
    for path in (small, large):
        with TemporaryDirectory() as home:
            peaks.append(peak_of(path, Path(home)))
    return {
        "name": "curation.check_memory",
        "ours": round(peaks[1], 1),
        "peer": round(peaks[0], 1),
        "ratio": round(peaks[1] / peaks[0], 3),
        "unit": f"MB with {many:,} examples, and with {few:,}",
    }


def peak_of(path: Path, home: Path) -> float:
    """Peak resident memory of the largest process of a check, in MB."""
    program = "import sys; from bot.cli import run; sys.exit(run(sys.argv[1:]))"
    child = subprocess.Popen(  # noqa: S603 (ourselves)
        [sys.executable, "-c", program, "check", str(path), "--model", MODEL, "--json"],
        env={**os.environ, "ERRATA_HOME": str(home), "PYTHONPATH": str(ROOT)},
        cwd=home,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"errata check ended with the code {child.returncode}")
    return usage.ru_maxrss / 1024


if __name__ == "__main__":
    main(sys.argv[1:])
