"""Every siege, one after the other, and one table in the end: make chaos.

    python tests/chaos/siege.py --seed 1 [--small] [--only PART …]

Each part is a program of its own in this folder, run with the same seed; what it says is passed on with its name
in front. A part that fails does not keep the others from running. Ends with 1 if anything was lost, done twice or
left. ``--small`` is a trial with small numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Part:
    """One siege: its program, what it is asked for, and what for a trial."""

    name: str
    program: str
    whole: tuple[str, ...]
    small: tuple[str, ...]


PARTS = (
    Part("points", "kills.py", ("--part", "points"), ("--part", "points", "--rounds", "3")),
    Part("sqlite", "kills.py", ("--part", "sqlite", "--rounds", "200"), ("--part", "sqlite", "--rounds", "3")),
    Part("postgres", "kills.py", ("--part", "postgres", "--rounds", "50"), ("--part", "postgres", "--rounds", "2")),
    Part("notices", "notices.py", ("--notices", "400", "--kills", "20"), ("--notices", "40", "--kills", "2")),
    Part(
        "outage",
        "notices.py",
        ("--notices", "100", "--kills", "4", "--down", "10"),
        ("--notices", "20", "--kills", "1", "--down", "1"),
    ),
    Part("reviewers", "reviewers.py", ("--rounds", "20"), ("--rounds", "2")),
    Part("events", "events.py", ("--events", "10000", "--copies", "5"), ("--events", "200", "--copies", "5")),
    Part("foundry", "cloud_kills.py", ("--backend", "foundry"), ("--backend", "foundry", "--rounds", "4")),
    Part("openai", "cloud_kills.py", ("--backend", "openai"), ("--backend", "openai", "--rounds", "4")),
    Part("azureml", "cloud_kills.py", ("--backend", "azureml"), ("--backend", "azureml", "--rounds", "4")),
    Part("day", "day.py", ("--hours", "24"), ("--hours", "2")),
)


@dataclass
class Outcome:
    """How a part ended: its exit code, its seconds, and the figures it printed."""

    part: str
    code: int = 0
    seconds: float = 0.0
    figures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether it came to its end and every figure is 0."""
        return self.code == 0 and bool(self.figures) and not self.harm

    @property
    def harm(self) -> list[str]:
        """The figures that are not 0."""
        return [f"{one['name']} {one['ours']}" for one in self.figures if one["ours"]]


def run(part: Part, seed: int, *, small: bool) -> Outcome:
    """Run one part and pass on what it says."""
    outcome, began = Outcome(part.name), time.monotonic()
    command = [sys.executable, str(HERE / part.program), "--seed", str(seed), *(part.small if small else part.whole)]
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(  # noqa: S603 (our own program, no shell)
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            print(f"[{part.name}] {line}", end="", flush=True)
            if line.startswith('{"name": '):
                outcome.figures.append(json.loads(line))
    outcome.code = process.returncode
    outcome.seconds = time.monotonic() - began
    return outcome


def summary(outcomes: list[Outcome]) -> str:
    """One line a part."""
    lines = [f"{'part':<12}{'of':<44}{'seconds':>8}  lost, doubled or left"]
    for one in outcomes:
        units = dict.fromkeys(str(figure["unit"]).removeprefix("of ") for figure in one.figures)
        ended = "; ".join(one.harm) or ("0" if one.clean else f"did not come to its end (exit {one.code})")
        lines.append(f"{one.part:<12}{', '.join(units):<44}{one.seconds:>8.0f}  {ended}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--small", action="store_true", help="a trial of a few minutes")
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], help="these parts alone")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    outcomes = []
    for part in PARTS:
        if part.name in (asked.only or [part.name]):
            print(f"--- {part.name} ---", flush=True)
            outcomes.append(run(part, asked.seed, small=asked.small))
    clean = all(one.clean for one in outcomes)
    print(f"\nseed {asked.seed}, {sum(one.seconds for one in outcomes) / 60:.1f} minutes")
    print(summary(outcomes))
    print("Nothing was lost, done twice or left." if clean else "NOT CLEAN: see above.")
    return int(not clean)


if __name__ == "__main__":
    sys.exit(main())
