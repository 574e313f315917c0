"""Fifty reviewers at one candidate, at the same moment, again and again: one wins, and the others hear who.

    python tests/chaos/reviewers.py --seed 1 [--rounds 20] [--reviewers 50]

Then all of them work off a queue in the review modal, each decision loading the next candidate: no candidate is in
front of two at once, each is decided once, none is left over. All of it on SQLite and on a real PostgreSQL; there they
come through two stores, as through two web processes. The seed says what each of them wants. The last lines are the
figures.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from builders import NOON, Team, new_store, new_team
from chaos.stalls import kept_on_failure
from sqlmodel import Session, col, select

from bot.desk import Desk
from bot.listeners import deciding
from bot.listeners.rounds import Round, unpacked
from bot.speech import ENGLISH_SPOKEN
from curation import audit, people
from curation.errors import AlreadyDecided, ErrataError, Unavailable
from curation.people import Actor, person_id
from curation.policies import RoleName
from curation.reviews import Verdict
from curation.store.engine import Store, open_engine
from curation.store.tables import Example, Review

EACH, SKIPPED, LOOKS_SECONDS = 3, 0.2, 0.005
VERDICTS = (Verdict.APPROVE, Verdict.REJECT)  # what is returned may still be rejected


@dataclass
class Toll:
    """What it came to. All but the first two, and the seconds, have to be 0.

    Attributes:
        unwon: rounds that not exactly one reviewer won.
        misled: losers who did not hear who won.
        stray: reviews, examples and breaks of the audit beyond what the winners did.
        shared: candidates of the queue that were in front of two reviewers at once.
        left: candidates of the queue that nobody decided, or two did.
    """

    rounds: int
    reviewers: int
    unwon: int = 0
    misled: int = 0
    stray: int = 0
    shared: int = 0
    left: int = 0
    seconds: float = 0.0

    @property
    def harm(self) -> int:
        return self.unwon + self.misled + self.stray + self.shared + self.left


def contest(team: Team, *, seed: int, rounds: int, reviewers: int) -> Toll:
    """So many rounds, each on a candidate of its own; then what stands in the database is counted."""
    toll, rng, began = Toll(rounds, reviewers), random.Random(seed), time.monotonic()
    panel = [Actor(person_id("T1", f"UREVIEWER{number}")) for number in range(reviewers)]
    with team.store.write() as session:
        for number, reviewer in enumerate(panel):
            people.meet(session, NOON, reviewer.person_id, display_name=f"Reviewer {number}")
            people.grant(session, team.olga, NOON, person=reviewer.person_id, role=RoleName.REVIEWER)
    doors = [team]
    if team.store.shared:
        url = team.store.engine.url.render_as_string(hide_password=False)
        doors.append(replace(team, store=Store(open_engine(url))))
    approvals = 0
    for turn in range(rounds):
        candidate_id = team.flag(f"Question {turn}?", f"Answer {turn}.")
        wanted = [rng.choice(VERDICTS) for _ in panel]
        answers = _at_once(doors, panel, candidate_id, wanted)
        winners = [number for number, answer in enumerate(answers) if answer is None]
        toll.unwon += len(winners) != 1
        approvals += sum(wanted[number] is Verdict.APPROVE for number in winners)
        names = [f"Reviewer {number}" for number in winners]
        for answer in answers:
            if answer is not None and not (isinstance(answer, AlreadyDecided) and names and names[0] in str(answer)):
                toll.misled += 1
                print(f"round {turn}: {answer!r}", flush=True)
    with team.store.read() as session:
        toll.stray += abs(len(session.exec(select(Review)).all()) - rounds)
        toll.stray += abs(len(session.exec(select(Example)).all()) - approvals)
    work_off(doors, panel, toll, rng)
    with team.store.read() as session:
        toll.stray += audit.verify(session).broken is not None
    for door in doors[1:]:
        door.store.close()
    toll.seconds = time.monotonic() - began
    return toll


def work_off(doors: list[Team], panel: list[Actor], toll: Toll, rng: random.Random) -> None:
    """Everybody at one queue, at the same moment, each until nothing is left for them; a last one takes the rest."""
    keys = [doors[0].flag(f"Waiting {number}?", f"Answer {number}.") for number in range(EACH * len(panel))]
    table, gate = _Table(), threading.Barrier(len(panel))
    seeds = [rng.random() for _ in panel]

    def one(number: int) -> None:
        gate.wait()
        table.sit(doors[number % len(doors)].store, panel[number], random.Random(seeds[number]))

    with ThreadPoolExecutor(len(panel)) as pool:
        list(pool.map(one, range(len(panel))))
    table.sit(doors[0].store, doors[0].bea, None)
    with doors[0].store.read() as session:
        decided = Counter(session.exec(select(Review.candidate_id).where(col(Review.candidate_id).in_(keys))))
    toll.shared, toll.misled = table.shared, toll.misled + table.refused
    toll.left = sum(decided[key] != 1 for key in keys)


class _Table:
    """Who has which candidate in front of them; what the modal's listeners do, done by many threads."""

    def __init__(self) -> None:
        self.shared = 0
        self.refused = 0
        self._lock = threading.Lock()
        self._shown: set[int] = set()

    def sit(self, store: Store, reviewer: Actor, rng: random.Random | None) -> None:
        """Decide until nothing is left, or without ``rng`` everything at once; now and then skip one."""
        desk = Desk(store, lambda: NOON, ThreadPoolExecutor(1))
        begins = partial(deciding.following, desk, actor=reviewer, say=ENGLISH_SPOKEN)
        going_on = self._see(store, lambda session: begins(session=session, going_on=Round()))
        while going_on.candidate is not None:
            candidate, skips = going_on.candidate, rng is not None and rng.random() < SKIPPED
            time.sleep(LOOKS_SECONDS)
            with self._lock:
                self._shown.discard(candidate)
            following = going_on.passing(candidate)
            decides = partial(deciding.decided, desk, actor=reviewer, say=ENGLISH_SPOKEN, going_on=going_on)
            verdict = VERDICTS[0] if rng is None else rng.choice(VERDICTS)
            words = {} if verdict is Verdict.APPROVE else {"comment": "Not yet."}
            asked = {"candidate_id": candidate, "seen": going_on.seen, "verdict": verdict, "together": {}, **words}
            try:
                going_on = self._see(
                    store,
                    (lambda session, next_=following: begins(session=session, going_on=next_))
                    if skips
                    else (lambda session, decides=decides, asked=asked: decides(session=session, **asked)),
                )
            except ErrataError as error:
                print(f"{reviewer.person_id} at {candidate}: {error!r}", flush=True)
                with self._lock:
                    self.refused += 1
                return

    def _see(self, store: Store, press: Callable[[Session], dict[str, Any]]) -> Round:
        """Press, again where another writer was in the way, and look at what is shown."""
        while True:
            try:
                with store.write() as session:
                    view = press(session)
            except Unavailable:
                continue
            going_on = unpacked(view)
            with self._lock:
                self.shared += going_on.candidate in self._shown
                if going_on.candidate is not None:
                    self._shown.add(going_on.candidate)
            return going_on


def _at_once(doors: list[Team], panel: list[Actor], candidate_id: int, wanted: list[Verdict]) -> list[Exception | None]:
    """Let everybody go at the same moment; None for who decided, what they heard for the others."""
    gate = threading.Barrier(len(panel))

    def one(number: int) -> Exception | None:
        gate.wait()
        words = {} if wanted[number] is Verdict.APPROVE else {"comment": "Not yet."}
        try:
            doors[number % len(doors)].decide(candidate_id, wanted[number], by=panel[number], **words)
        except Exception as error:  # noqa: BLE001 (it is counted and printed)
            return error
        return None

    with ThreadPoolExecutor(len(panel)) as pool:
        return list(pool.map(one, range(len(panel))))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--reviewers", type=int, default=50)
    asked = parser.parse_args()
    from postgres import running  # noqa: PLC0415 (it takes a moment to load)

    print(f"seed {asked.seed}", flush=True)
    tolls: dict[str, Toll] = {}
    with kept_on_failure("reviewers") as home, ExitStack() as stack:
        stores = {"sqlite": new_store(home), "postgres": stack.enter_context(running()).new_store()}
        for name, store in stores.items():
            team = new_team(home, store)
            tolls[name] = contest(team, seed=asked.seed, rounds=asked.rounds, reviewers=asked.reviewers)
            store.close()
            print(f"{name}: {tolls[name]}", flush=True)
    unit = f"of {asked.rounds} rounds x {asked.reviewers} reviewers"
    for name, toll in tolls.items():
        for figure in ("unwon", "misled", "stray", "shared", "left"):
            values = {"ours": getattr(toll, figure), "peer": None, "ratio": None, "unit": unit}
            print(json.dumps({"name": f"reviewers-{name}-{figure}", **values}))
    return int(any(toll.harm for toll in tolls.values()))


if __name__ == "__main__":
    sys.exit(main())
