"""Notices under fire: a Slack that fails, a worker that is killed, and what people then find in their channels.

    python tests/chaos/notices.py --seed 1 [--notices 400] [--kills 20] [--down MINUTES] [--compare]

People say corrections in threads and decide: so there are messages that are posted once, edited often, begun anew,
in channels, in threads and in direct messages. The worker is a process of its own with its own deliverer, killed with
SIGKILL at moments drawn from the seed and started again. Slack answers 5 % of the calls with 429, 5 % with 500 (half
of those took effect) and loses 5 % of the answers; it takes one message a second in each channel. The clock of all of
them runs ``SPEED`` times as fast as the wall's.
With ``--down`` it fails every call for so many minutes of that clock, once a third of the messages are there. With
``--compare`` there is a second siege in which nobody looks before sending again: it shows that the count of duplicates
can be anything but 0. The last lines are the figures, one JSON object each.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from builders import NOON, Team, furnish, new_workspace
from chaos import finding
from chaos.stalls import Quiet, kept_on_failure
from sqlmodel import col, func, select

from bot.notices import Deliverer
from bot.sandbox.people import Person
from bot.sandbox.workspace import Workspace
from bot.settings import Settings
from bot.working import work
from curation.notices import OPEN, NoticeStatus
from curation.reviews import Verdict
from curation.store.engine import Store, open_engine
from curation.store.tables import Candidate, Notice
from curation.verdicts import APPROVING

SPEED = 10.0
SHARE = 0.05
CHANNELS = 4
NEWS_SHARE = 0.25
PATIENCE_SECONDS = 600.0
STRIKE_SECONDS = 0.04
QUIET_SECONDS = 6.0  # longer than the worker takes to screen a batch


@dataclass(frozen=True)
class FastClock:
    """Noon at ``epoch``, a moment of the wall's clock in seconds, and ``SPEED`` times as fast from there."""

    epoch: float

    def __call__(self) -> datetime:
        return NOON + timedelta(seconds=(time.time() - self.epoch) * SPEED)


@dataclass
class Toll:
    """What it came to.

    Attributes:
        notices: corrections that people say in a thread, each a message of its own.
        messages: all that is owed, these and those about queues and to authors.
        missing: messages that nobody finds where they are owed.
        duplicates: messages beyond the first of those that are one.
        swapped: neighbours in a channel or thread that stand in the wrong order.
        stale: messages that do not show the newest state.
        unsettled: rows of the outbox that were not delivered.
        kills: workers killed; of them ``in_flight`` between the mark in the outbox and the answer.
        faults: calls that Slack failed.
    """

    notices: int
    messages: int = 0
    missing: int = 0
    duplicates: int = 0
    swapped: int = 0
    stale: int = 0
    unsettled: int = 0
    kills: int = 0
    in_flight: int = 0
    faults: int = 0
    seconds: float = 0.0


@dataclass
class Siege:
    """One run: the workspace, the outbox, and the worker that is killed and started again."""

    workspace: Workspace
    store: Store
    team: Team
    channels: list[str]
    command: list[str]
    environ: dict[str, str]
    log: Path
    rng: random.Random
    toll: Toll
    seed: int
    down: timedelta = timedelta()
    up_at: datetime | None = None
    people: list[Person] = field(default_factory=list)
    threads: dict[str, str] = field(default_factory=dict)
    worker: subprocess.Popen[bytes] | None = None

    def run(self, kills: int) -> Toll:
        """Owe, deliver and kill until everything is settled, then count."""
        started = time.monotonic()
        strikes = sorted(self.rng.sample(range(1, max(kills + 1, self.toll.notices * 9 // 10)), kills))
        owed, quiet = 0, Quiet(QUIET_SECONDS)
        self.start()
        try:
            while not quiet.lasts(owed == self.toll.notices and not self.open()):
                if time.monotonic() - started > PATIENCE_SECONDS:
                    break
                if owed < self.toll.notices:
                    owed = self.owe(owed + 1)
                else:
                    time.sleep(0.01)
                self.weather()
                if strikes and self.posted() >= strikes[0]:
                    del strikes[0]
                    time.sleep(self.rng.random() * STRIKE_SECONDS)
                    self.kill()
                    self.start()
        finally:
            self.stop()
        self.toll.seconds = time.monotonic() - started
        self.toll.faults = self.workspace.faults_met
        self.count()
        return self.toll

    def weather(self) -> None:
        """Slack goes down once a third of the messages are there, and comes up again when its time is over."""
        now = self.workspace.state.now()
        if self.down and self.up_at is None and self.posted() * 3 >= self.toll.notices:
            self.up_at = now + self.down
            self.workspace.chaos(self.seed, share_500=1.0)
            print(f"Slack is down, with {self.posted()} messages there", flush=True)
        elif self.down and self.up_at is not None and now >= self.up_at:
            self.down = timedelta()
            self.sometimes_fail()
            print(f"Slack is up again, with {self.posted()} messages there", flush=True)

    def sometimes_fail(self) -> None:
        """Let a share of the calls fail."""
        self.workspace.chaos(self.seed, share_429=SHARE, share_500=SHARE, share_lost=SHARE)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.worker = subprocess.Popen(  # noqa: S603 (our own module, no shell)
                self.command, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self) -> None:
        assert self.worker is not None
        assert self.worker.poll() is None, self.log.read_text()
        self.worker.kill()
        self.worker.wait()
        self.toll.kills += 1
        with self.store.read() as session:
            flying = select(func.count()).where(Notice.status == NoticeStatus.IN_FLIGHT.value)
            self.toll.in_flight += bool(session.exec(flying).one())

    def stop(self) -> None:
        assert self.worker is not None
        self.worker.send_signal(signal.SIGTERM)
        self.worker.wait(30)

    def owe(self, number: int) -> int:
        """Somebody corrects in a thread, and now and then all that waits in the channel is decided."""
        channel = self.channels[number % len(self.channels)]
        self.team.place = place = f"{self.workspace.team_id}/{channel}"
        thread = f"{place}/{self.threads[channel]}"
        candidate = self.team.flag(f"Question {number}?", f"Answer {number}.", thread=thread, in_thread=True)
        assert candidate == number
        if self.rng.random() < NEWS_SHARE:
            for waiting in self._waiting(place):
                verdict = self.rng.choice(list(Verdict))
                words = {"edited": f"Answer {waiting}, edited."} if verdict is Verdict.EDIT_AND_APPROVE else {}
                words |= {} if verdict in APPROVING else {"comment": "Why?"}
                self.team.decide(waiting, verdict, **words)
        return number

    def _waiting(self, place: str) -> list[int]:
        with self.store.read() as session:
            waits = select(Candidate.id).where(Candidate.status == "pending", Candidate.place == place)
            return [int(key) for key in session.exec(waits) if key is not None]

    def open(self) -> int:
        with self.store.read() as session:
            return session.exec(select(func.count()).where(col(Notice.status).in_(OPEN))).one()

    def posted(self) -> int:
        with self.workspace.state.lock:
            places = [self.workspace.state.channels[channel].messages for channel in self.channels]
            return sum(message.get("bot_id") == self.workspace.bot_id for place in places for message in place)

    def count(self) -> None:
        """What people find."""
        shown, wanted = finding.shown(self.workspace), finding.owed(self.store, self.people)
        with self.store.read() as session:
            unsettled = select(func.count()).where(Notice.status != NoticeStatus.DELIVERED.value)
            self.toll.unsettled = session.exec(unsettled).one()
        self.toll.messages = len(wanted)
        self.toll.missing = len(wanted.keys() - shown.keys())
        self.toll.duplicates = sum(len(found) - 1 for found in shown.values()) + len(shown.keys() - wanted.keys())
        self.toll.stale = len(finding.stale(shown, wanted))
        self.toll.swapped = sum(before > after for order in self._orders(shown) for before, after in pairwise(order))

    def _orders(self, shown: Mapping[finding.Known, list[dict[str, Any]]]) -> Iterator[list[int]]:
        """The numbers of each channel's messages about its queue and of each thread's corrections, as they stand."""
        for channel in self.channels:
            for kind in ("queue", "thread"):
                found = [
                    (float(message["ts"]), int(key.rpartition(":")[2]))
                    for (where, key), messages in shown.items()
                    for message in messages
                    if where == channel and key.startswith(f"{kind}:")
                ]
                yield [number for _, number in sorted(found)]


@contextmanager
def siege(
    home: Path, *, seed: int, notices: int, naive: bool = False, down: timedelta = timedelta()
) -> Iterator[Siege]:
    """A furnished workspace with its faults, before the first worker."""
    epoch = time.time()
    with new_workspace(seed, now=FastClock(epoch)).serve() as workspace:
        office = furnish(workspace, home)
        everybody = list(office.people.values())
        channels = [workspace.add_channel(f"support-{number}", everybody) for number in range(CHANNELS)]
        actors = {name: office.actor(name) for name in ("ana", "ben", "bea", "olga")}
        workspace.rate_limits = True
        settings = office.settings
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("ERRATA_", "SLACK_"))},
            "SLACK_BOT_TOKEN": settings.bot_token,
            "SLACK_API_URL": str(settings.api_url),
            "ERRATA_HOME": str(settings.home),
        }
        command = [sys.executable, __file__, "--work", str(epoch), *(["--naive"] if naive else [])]
        begun = Siege(
            workspace,
            office.store,
            Team(office.store, 1, "", **actors),
            channels,
            command,
            environ,
            home / "worker.log",
            random.Random(seed),
            Toll(notices),
            seed,
            down,
        )
        begun.people = everybody
        begun.threads = {channel: office.customer.post(channel, "How long does it last?") for channel in channels}
        begun.sometimes_fail()
        yield begun
        office.store.close()


def be_the_worker(epoch: float, *, naive: bool) -> None:
    """The killed process: the worker as ``errata work`` runs it, on the fast clock."""
    if naive:
        Deliverer._found = lambda *_: None  # type: ignore[method-assign]  # what it is measured against
    settings = Settings.from_environment(os.environ, dotenv=Path(os.environ["ERRATA_HOME"]) / "no.env")
    store = Store(open_engine(settings.database_url))
    work(settings, store, FastClock(epoch), ready=print)
    store.close()


def besiege(asked: argparse.Namespace, *, naive: bool) -> Toll:
    """One whole siege in a folder of its own."""
    with (
        kept_on_failure("notices") as home,
        siege(home, seed=asked.seed, notices=asked.notices, naive=naive, down=timedelta(minutes=asked.down)) as begun,
    ):
        return begun.run(asked.kills)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--notices", type=int, default=400)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--down", type=float, default=0.0, metavar="MINUTES", help="of the fast clock")
    parser.add_argument("--compare", action="store_true", help="then once more with nobody looking")
    parser.add_argument("--work", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--naive", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work is not None:
        be_the_worker(asked.work, naive=asked.naive)
        return 0
    print(f"seed {asked.seed}")
    toll = besiege(asked, naive=False)
    print(toll)
    peer = besiege(asked, naive=True) if asked.compare else None
    if peer is not None:
        print(f"Without looking: {peer}")
    for name in ("missing", "duplicates", "swapped", "stale", "unsettled"):
        figures = {"ours": getattr(toll, name), "peer": getattr(peer, name, None), "ratio": None}
        print(json.dumps({"name": f"notices-{name}", **figures, "unit": f"of {toll.messages} messages"}))
    return int(toll.missing + toll.duplicates + toll.swapped + toll.stale + toll.unsettled > 0)


if __name__ == "__main__":
    sys.exit(main())
