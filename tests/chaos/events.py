"""Events at least once, in no order: each has its effect once.

    python tests/chaos/events.py --seed 1 [--events 10000] [--copies 5]

People and an assistant talk for some simulated hours while models are switched: replies, edits, deletions, flags and
their taking back, somebody who becomes a guest and a member again, and what is none of Errata's business. Every event
is delivered so often, all of them shuffled, each with a signature of its own, by several threads through the gate into
the real app on SQLite. Then the database is opened anew and compared with the story as it was told. The last lines are
the figures.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from builders import NOON, Office, furnish, new_workspace, now
from chaos.door import Door, written
from chaos.stalls import kept_on_failure
from sqlmodel import Session, select

from bot.app import build, gated
from bot.sandbox.payloads import Account, Json, authored, event_callback, user
from bot.variables import FLAG_REACTION
from curation import audit, memberships, replies
from curation.policies import Standing
from curation.store.engine import Store, open_engine
from curation.store.tables import DatasetVersion, Reply, ReplyFlag
from training.store.tables import Deployment, Run

EVENTS, COPIES, THREADS = 10_000, 5, 8
TRIES = 3
STEP = timedelta(seconds=3)
VERSIONS = ("run-first", "run-second")
REPORT_EVERY = 5_000


@dataclass
class Toll:
    """What it came to. Everything from ``refused`` to ``figures`` has to be 0."""

    events: int
    deliveries: int
    replies: int = 0
    flags: int = 0
    refused: int = 0
    lost: int = 0
    double: int = 0
    wrong: int = 0
    figures: int = 0
    seconds: float = 0.0

    @property
    def harm(self) -> int:
        return self.refused + self.lost + self.double + self.wrong + self.figures


@dataclass
class Story:
    """What happened, and what has to stand in the end."""

    office: Office
    rng: random.Random
    envelopes: list[Json] = field(default_factory=list)
    versions: dict[str, str | None] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    flags: dict[tuple[str, str], bool] = field(default_factory=dict)
    touches: Counter[tuple[str, str]] = field(default_factory=Counter)
    said: list[Json] = field(default_factory=list)
    switches: tuple[datetime, ...] = ()
    guest: bool = False

    def tell(self, events: int) -> None:
        """Let so many things happen, one after the other."""
        self.switches = tuple(NOON + STEP * (events * share // 4) for share in (1, 2, 3))
        kinds = (
            (self.reply, 50),
            (self.chat, 14),
            (self.flag, 14),
            (self.take_back, 6),
            (self.edit, 6),
            (self.delete, 5),
            (self.change_standing, 3),
            (self.of_no_interest, 5),
        )
        for _ in range(events):
            happens = self.rng.choices([one for one, _ in kinds], [weight for _, weight in kinds])[0]
            (happens if self.said else self.reply)()

    @property
    def moment(self) -> datetime:
        return NOON + STEP * len(self.envelopes)

    def source(self, message: Json) -> str:
        return f"{self.office.workspace.team_id}/{message['channel']}/{message['ts']}"

    # What happens.

    def reply(self) -> None:
        """The assistant answers: as its user, as a bot without one, in the channel as well."""
        message = self._message(self.office.bris._account, f"Six months, {len(self.said)}.")
        way = self.rng.random()
        if way < 0.15:
            del message["user"]
            message["subtype"] = "bot_message"
        elif way < 0.3:
            message |= {"subtype": "thread_broadcast", "thread_ts": "1700000000.000100"}
        self.said.append(message)
        first, second, third = self.switches
        versions = (None, VERSIONS[0], VERSIONS[1], None)
        self.versions[self.source(message)] = versions[sum(self.moment >= one for one in (first, second, third))]
        self._say(message)

    def chat(self) -> None:
        person = self.office.people[self.rng.choice(["ana", "ben", "customer"])]
        self._say(self._message(person._account, "How long does the filter last?"))

    def flag(self) -> None:
        """Somebody flags a reply; a customer's flag is none."""
        message, name = self.rng.choice(self.said), self.rng.choice(["ana", "ben", "bea", "customer"])
        self._react("reaction_added", name, message)
        if name != "customer":
            self._touch(message, name, standing=True)

    def take_back(self) -> None:
        """Somebody takes back a flag, one that was set or none."""
        standing = [pair for pair, stands in self.flags.items() if stands]
        if not standing:
            self.flag()
            return
        source, person = self.rng.choice(standing)
        name = next(one for one in ("ana", "ben", "bea") if self.office.actor(one).person_id == person)
        message = next(one for one in self.said if self.source(one) == source)
        self._react("reaction_removed", name, message)
        self._touch(message, name, standing=False)

    def edit(self) -> None:
        before = self.rng.choice(self.said)
        changed = {"type": "message", "subtype": "message_changed", "hidden": True, "channel": before["channel"]}
        self._say({**changed, "message": {**before, "text": "Better."}, "previous_message": before, "ts": self._ts()})

    def delete(self) -> None:
        before = self.rng.choice(self.said)
        gone = {"type": "message", "subtype": "message_deleted", "hidden": True, "channel": before["channel"]}
        self._say({**gone, "deleted_ts": before["ts"], "previous_message": before, "ts": self._ts()})
        self.deleted.add(self.source(before))

    def change_standing(self) -> None:
        """Somebody becomes a guest, or a member again: in the end what they are in Slack counts."""
        olga, state = self.office.olga, self.office.workspace.state
        self.guest = not self.guest
        self.office.workspace.change(olga, guest=self.guest)
        about = user(olga._account, home_team_id=state.identity.team_id, include_locale=True)
        self._say({"type": "user_change", "user": about, "cache_ts": int(self.moment.timestamp())})

    def of_no_interest(self) -> None:
        if self.rng.random() < 0.5:
            self._react("reaction_added", "ana", self.rng.choice(self.said), sign="eyes")
        else:
            self._say({"type": "app_home_opened", "user": self.office.ana.user_id, "tab": "home", "channel": "D1"})

    # How it is told.

    def _message(self, account: Account, text: str) -> Json:
        message = authored(self.office.workspace.state.identity, account, text)
        return {"type": "message", **message, "channel": self.office.channel, "ts": self._ts()}

    def _react(self, kind: str, name: str, message: Json, *, sign: str = FLAG_REACTION) -> None:
        item = {"type": "message", "channel": message["channel"], "ts": message["ts"]}
        self._say({"type": kind, "user": self.office.people[name].user_id, "reaction": sign, "item": item})

    def _touch(self, message: Json, name: str, *, standing: bool) -> None:
        pair = (self.source(message), str(self.office.actor(name).person_id))
        self.flags[pair] = standing
        self.touches[pair] += 1

    def _ts(self) -> str:
        return f"{int(self.moment.timestamp())}.{self.rng.randrange(10**6):06d}"

    def _say(self, event: Json) -> None:
        number, identity = len(self.envelopes), self.office.workspace.state.identity
        event = {**event, "event_ts": f"{int(self.moment.timestamp())}.000000"}
        at = int(self.moment.timestamp())
        self.envelopes.append(event_callback(identity, event, event_id=f"Ev{number:08d}", event_time=at))


def deploy(store: Store, story: Story) -> None:
    """The switches of the story, as a worker would have left them: production, one model, the next, production."""
    first, second, third = story.switches
    with store.write() as session:
        version = DatasetVersion(name="v1", digest="d", manifest={}, frozen_by="T/U", frozen_at=NOON)
        session.add(version)
        session.flush()
        for run_id in VERSIONS:
            asked = {"backend": "local", "model": "rehearsal", "recipe_name": "rehearsal", "recipe": {}}
            asked |= {"status": "completed", "progress": {}, "destinations": []}
            session.add(Run(id=run_id, dataset_id=version.key, requested_by="T/U", requested_at=NOON, **asked))
        session.flush()
        # The one that is taken over from ends a little later.
        for run_id, live_at, retired_at in (
            (VERSIONS[0], first, second + STEP),
            (VERSIONS[1], second, third),
        ):
            told: dict[str, Any] = {"status": "retired", "requested_by": "T/U", "requested_at": NOON}
            session.add(Deployment(run_id=run_id, live_at=live_at, retired_at=retired_at, **told))


def bombard(door: Door, story: Story, *, copies: int, threads: int) -> int:
    """Deliver every event so often, shuffled; how many were not taken even when they were brought again."""
    deliveries = [(envelope, copy) for envelope in story.envelopes for copy in range(copies)]
    story.rng.shuffle(deliveries)
    began, done = time.monotonic(), 0

    def deliver(one: tuple[Json, int]) -> bool:
        nonlocal done
        envelope, copy = one
        body, content_type = written("event", envelope)
        headers = {"x-slack-retry-num": str(copy), "x-slack-retry-reason": "http_timeout"} if copy else {}
        for again in range(TRIES):
            # Each try has a second, and so a signature, of its own: the gate takes none of them for a replay.
            second = int(now().timestamp())
            offset = -((second - copy - copies * again) % (copies * TRIES))
            status, _ = door.ask(body, content_type, *door.stamped(body, at=second + offset), headers)
            if status == 200:
                break
        done += 1
        if done % REPORT_EVERY == 0:
            print(f"{done:,} of {len(deliveries):,} after {time.monotonic() - began:.0f} s", flush=True)
        return status == 200

    with ThreadPoolExecutor(threads) as pool:
        return sum(not taken for taken in pool.map(deliver, deliveries))


def count(store: Store, story: Story, toll: Toll) -> Toll:
    """Compare what stands in the database with the story."""
    with store.read() as session:
        counted = {row.source: row for row in session.exec(select(Reply))}
        flags = {(row.source, row.person_id): row.standing for row in session.exec(select(ReplyFlag))}
        entries = Counter((entry.subject.removeprefix("reply:"), entry.actor) for entry in audit.search(session))
        standing = memberships.standing_of(session, story.office.actor("olga").person_id)
        toll.figures = _figures_differ(session, story)
        toll.figures += audit.verify(session).broken is not None
    toll.replies, toll.flags = len(counted), len(flags)
    toll.lost = len(story.versions.keys() - counted.keys()) + len(story.flags.keys() - flags.keys())
    toll.double = len(counted.keys() - story.versions.keys()) + len(flags.keys() - story.flags.keys())
    toll.double += sum(max(0, entries[pair] - times) for pair, times in story.touches.items())
    for source, row in counted.items():
        expected = (story.versions.get(source), source in story.deleted)
        toll.wrong += (row.model_version, row.withdrawn) != expected
    toll.wrong += sum(story.flags.get(pair) is not standing for pair, standing in flags.items())
    toll.wrong += sum(not entries[pair] for pair in story.flags)
    toll.wrong += standing not in {None, Standing.GUEST if story.guest else Standing.MEMBER}
    return toll


def _figures_differ(session: Session, story: Story) -> int:
    """How many figures differ from what the story comes to."""
    flagged = {source for (source, _), stands in story.flags.items() if stands}
    stands = {source: version for source, version in story.versions.items() if source not in story.deleted - flagged}
    wanted = Counter(stands.values()), Counter(stands[source] for source in flagged)
    told = replies.per_version(session, 1)
    found = {one.model_version: one.replies for one in told}, {one.model_version: one.flagged for one in told}
    return sum(want != +Counter(have) for want, have in zip(wanted, found, strict=True))


def besiege(
    home: Path, *, seed: int, events: int, copies: int = COPIES, threads: int = THREADS, store: Store | None = None
) -> Toll:
    """Tell a story, deliver it, open the database anew and count."""
    toll = Toll(events, events * copies)
    with new_workspace(seed).serve() as workspace:
        office = furnish(workspace, home, store)
        story = Story(office, random.Random(seed))
        story.tell(events)
        deploy(office.store, story)
        app = build(office.settings, office.store)
        door = Door(gated(app, office.settings, office.store), workspace.signing_secret)
        began = time.monotonic()
        toll.refused = bombard(door, story, copies=copies, threads=threads)
        toll.seconds = time.monotonic() - began
        url = office.store.engine.url
        app._listener_runner.listener_executor.shutdown(wait=True)
        office.store.close()
        opened = Store(open_engine(url.render_as_string(hide_password=False)))
        count(opened, story, toll)
        opened.close()
    return toll


def figures(toll: Toll) -> list[Json]:
    """The figures, one JSON object each."""
    names: Sequence[str] = ("refused", "lost", "double", "wrong", "figures")
    unit = f"of {toll.events} events x {toll.deliveries // toll.events}"
    return [
        {"name": f"events-{name}", "ours": getattr(toll, name), "peer": None, "ratio": None, "unit": unit}
        for name in names
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--copies", type=int, default=COPIES)
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    with kept_on_failure("events") as home:
        toll = besiege(home, seed=asked.seed, events=asked.events, copies=asked.copies)
    print(toll)
    for line in figures(toll):
        print(json.dumps(line))
    return int(toll.harm > 0)


if __name__ == "__main__":
    sys.exit(main())
