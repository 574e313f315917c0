"""Every process of Errata's under kill -9 while its runs are in Azure: one job, one endpoint, everything told once.

    python tests/chaos/cloud_kills.py --seed 1 [--backend foundry|openai|azureml …] [--rounds N]

One run's story at each backend, unkilled: asked for, trained, evaluated, put up, taken down, a customer in it erased,
deleted. Every effect is noted: of the worker, of the process that asks Azure for it, of the evaluation, of the person's
own commands, here (commits, files, calls to Slack) and at Azure. Then more such runs, until right after each effect
whoever has had it was killed at least once, several in one story; what happens at Azure, before its answer has come,
and there also the worker alone while another process has something in hand, and the whole machine. A person repeats a
command that was killed. With ``--rounds``, so many kills, drawn by the seed. After each story people look at Azure, at
the rows and at Slack.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from chaos.cloud_places import OTHERS
from chaos.cloud_siege import Death, Toll, siege
from chaos.effects import APART, ENDPOINT, EVALUATOR, PERSON, WORKER
from chaos.stalls import kept_on_failure

from training.backends.names import BackendName

BACKENDS = (BackendName.FOUNDRY, BackendName.OPENAI, BackendName.AZUREML)
AT_ONCE = 8
"""Deaths laid for one story, beside those of its evaluation and of a person's commands."""
EVALUATORS = 2
"""An evaluation that is killed more often is given up."""
ATTEMPTS = 4
"""So often a death is laid behind an effect that does not come every time."""


def wanted(trace: Sequence[str]) -> dict[str, Sequence[str]]:
    """Whom to kill right after each effect of a story, by the deaths' keys."""
    found: dict[str, Sequence[str]] = {}
    for number, key in enumerate(dict.fromkeys(one for one in trace if not one.startswith("killed"))):
        who = key.partition(":")[0].removesuffix(" at Azure")
        if who == ENDPOINT:
            continue  # a model on this machine: started again, as with every local run
        if who == WORKER:
            found[key] = (WORKER, APART) if number % 2 else (WORKER,)
            continue
        found[key] = (who,)
        if "at Azure" in key and who != PERSON:
            found |= {f"{key} [{name}]": victims for name, victims in OTHERS.items()}
    return found


def drawn(left: dict[str, Sequence[str]], rng: random.Random) -> list[Death]:
    """Deaths for one story: some of the worker's, spread over it; an evaluation's; all of a person's."""
    of_evaluation = [key for key, victims in left.items() if EVALUATOR in victims]
    of_person = [key for key, victims in left.items() if PERSON in victims]
    others = [key for key in left if key not in {*of_evaluation, *of_person}]
    stride = max(1, -(-len(others) // AT_ONCE))
    first = rng.randrange(stride)
    chosen = [*rng.sample(of_evaluation, min(EVALUATORS, len(of_evaluation))), *of_person, *others[first::stride]]
    return [(key, left[key]) for key in chosen]


def whole(home: Path, backend: BackendName, *, seed: int, rounds: int | None) -> Toll:
    """Every effect of the stories at this backend, or so many of them."""
    began = time.monotonic()
    with siege(home, backend, seed=seed) as begun:

        def say(what: str) -> None:
            print(f"{begun.toll.runs} runs, {time.monotonic() - began:.0f} s: {what}", flush=True)

        begun.story()  # what the first run alone has to do, such as to tell all the authors, is no part of the others
        begun.story()
        once = begun.effects
        begun.story()
        plain = wanted([one for one in once if one in begun.effects])  # what only comes at times is waited for in vain
        begun.story(returning=True)
        returning = {key: who for key, who in wanted(begun.effects).items() if key not in plain}
        say(f"{len(plain) + len(returning)} kills to make: {_owners([*plain, *returning])}")
        if rounds is not None:
            some = set(begun.rng.sample(sorted([*plain, *returning]), min(rounds, len(plain) + len(returning))))
            plain, returning = ({key: one[key] for key in one if key in some} for one in (plain, returning))
        attempts, hit = Counter[str](), set[str]()
        for keys, comes_back in ((plain, False), (returning, True)):
            while left := {key: who for key, who in keys.items() if key not in hit and attempts[key] < ATTEMPTS}:
                laid = drawn(left, begun.rng)
                attempts.update(key for key, _ in laid)
                hit |= begun.story(laid, returning=comes_back)
                say(f"{len(hit)} of {len(plain) + len(returning)} met, {begun.toll.kills} kills")
        never = sorted({*plain, *returning} - hit)
        say(f"never met: {never or 'none'}")
        begun.toll.never_met = len(never)
        toll = begun.found()
    toll.seconds = time.monotonic() - began
    return toll


def _owners(keys: Sequence[str]) -> dict[str, int]:
    return dict(Counter(one.partition(":")[0] for one in keys))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--backend", nargs="+", choices=[one.value for one in BACKENDS], help="else all of Azure's")
    parser.add_argument("--rounds", type=int, help="kills at each backend; else one after every effect")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    tolls = {}
    for backend in BACKENDS:
        if backend.value in (asked.backend or [backend.value]):
            with kept_on_failure(f"cloud-{backend.value}") as home:
                tolls[backend] = whole(home, backend, seed=asked.seed, rounds=asked.rounds)
            print(f"{backend.value}: {tolls[backend]}", flush=True)
    for backend, toll in tolls.items():
        for name, count in toll.harm.items():
            figures = {"ours": count, "peer": None, "ratio": None}
            print(json.dumps({"name": f"cloud-{backend.value}-{name}", **figures, "unit": f"of {toll.kills} kills"}))
    return int(any(any(toll.harm.values()) for toll in tolls.values()))


if __name__ == "__main__":
    sys.exit(main())
