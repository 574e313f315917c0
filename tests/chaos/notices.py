"""Notices under fire: a Slack that fails, a worker that is killed, and what people then find in their channels.

    python tests/chaos/notices.py --seed 1 [--notices 400] [--kills 20] [--down MINUTES] [--compare]

The worker is a process of its own with its own deliverer, killed with SIGKILL at moments drawn from the
seed and started again. Slack answers 5 % of the calls with 429, 5 % with 500 (half of those took effect)
and loses 5 % of the answers; it takes one message a second in each channel. The clock of all of them runs
``SPEED`` times as fast as the wall's. With ``--down`` it fails every call for so many minutes of that clock, once a
third of the messages are there. With ``--compare`` there is a second siege in which nobody looks
before sending again: it shows that the count of duplicates can be anything but 0. The last lines are the
figures, one JSON object each.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from builders import NOON, Team, furnish, new_workspace
from chaos.stalls import Quiet, kept_on_failure
from sqlmodel import col, func, select

from bot.notices import Deliverer
from bot.sandbox.workspace import Workspace
from bot.settings import Settings
from bot.working import work
from curation.notices import OPEN, NoticeStatus
from curation.reviews import Verdict
from curation.store.engine import Store, open_engine
from curation.store.tables import Notice

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
        missing: notices whose message is in no channel.
        duplicates: messages beyond the first of a notice.
        swapped: neighbours in a channel that stand in the wrong order.
        stale: messages that do not show the verdict they should.
        unsettled: rows of the outbox that were not delivered.
        kills: workers killed; of them ``in_flight`` between the mark in the outbox and the answer.
        faults: calls that Slack failed.
    """

    notices: int
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
    approved: set[int] = field(default_factory=set)
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
        """Owe the next card and, now and then, news of an earlier one."""
        self.team.place = f"{self.workspace.team_id}/{self.channels[number % len(self.channels)]}"
        candidate = self.team.flag(f"Question {number}?", f"Answer {number}.")
        assert candidate == number
        if self.rng.random() < NEWS_SHARE:
            older = self.rng.randrange(1, number + 1)
            if older not in self.approved:
                self.approved.add(older)
                self.team.decide(older, Verdict.APPROVE)
        return number

    def open(self) -> int:
        with self.store.read() as session:
            return session.exec(select(func.count()).where(col(Notice.status).in_(OPEN))).one()

    def posted(self) -> int:
        with self.workspace.state.lock:
            return sum(len(self.workspace.state.channels[channel].messages) for channel in self.channels)

    def count(self) -> None:
        """What people find."""
        shown: Counter[int] = Counter()
        for channel in self.channels:
            numbers = []
            for message in self.workspace.messages(channel):
                found = re.search(r"#(\d+)", message["text"])
                assert found is not None, message["text"]
                numbers.append(int(found[1]))
                if numbers[-1] in self.approved and "Approved by" not in json.dumps(message):
                    self.toll.stale += 1
            shown.update(numbers)
            self.toll.swapped += sum(before > after for before, after in pairwise(numbers))
        self.toll.missing = sum(not shown[number] for number in range(1, self.toll.notices + 1))
        self.toll.duplicates = sum(times - 1 for times in shown.values())
        with self.store.read() as session:
            unsettled = select(func.count()).where(Notice.status != NoticeStatus.DELIVERED.value)
            self.toll.unsettled = session.exec(unsettled).one()


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
        print(json.dumps({"name": f"notices-{name}", **figures, "unit": f"of {toll.notices}"}))
    return int(toll.missing + toll.duplicates + toll.swapped + toll.stale + toll.unsettled > 0)


if __name__ == "__main__":
    sys.exit(main())
