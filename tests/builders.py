"""Builders with sensible defaults: an office with a support team, its assistant and Errata at work."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from socketserver import ThreadingMixIn
from tempfile import TemporaryDirectory
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from sqlmodel import select

from bot.app import build, gated, now
from bot.blocks.correct import is_reading
from bot.connection import slack_client
from bot.migrations import upgrade
from bot.notices import Deliverer
from bot.sandbox.people import Person
from bot.sandbox.workspace import Workspace
from bot.settings import Settings
from curation import assistants, captures, people, proposals, reviews
from curation.conversation import Conversation, Message, Role
from curation.datasets import dataset
from curation.notices import EDIT_INTERVAL, NoticeKind
from curation.people import Actor, person_id
from curation.policies import RoleName
from curation.reviews import Verdict
from curation.store.engine import Store, open_engine
from curation.store.tables import Capture, DatasetVersion, Notice
from training.planning import prices

REPLY = "The filter lasts for ever, you never change it."
PATIENT_SECONDS = 10.0
"""For an answer; Slack gives three, and a machine that runs other tests beside this one may take more."""
PROMPT = "You are Bris, the friendly assistant of Klarbris. Answer briefly and only with facts you know."


def new_store(folder: Path) -> Store:
    """An empty, migrated SQLite store: a copy of one that is made once, as migrating costs a tenth of a second."""
    return _copy(_migrated(), folder)


def _copy(database: bytes, folder: Path) -> Store:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "errata.db"
    path.write_bytes(database)
    return Store(open_engine(f"sqlite:///{path}"))


@cache
def _migrated() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "errata.db"
        engine = open_engine(f"sqlite:///{path}")
        upgrade(engine)
        engine.dispose()  # the last connection to close brings the journal into the file
        return path.read_bytes()


def _written(write: Callable[[Store], object]) -> bytes:
    """A migrated database with what is written to it, for others to be copied from."""
    with TemporaryDirectory() as folder:
        store = new_store(Path(folder))
        write(store)
        store.close()
        return (Path(folder) / "errata.db").read_bytes()


def settings_for(workspace: Workspace, home: Path, **changes: str) -> Settings:
    """The settings of a bot that is installed in this workspace."""
    environ = {
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_APP_TOKEN": workspace.app_token,
        "SLACK_SIGNING_SECRET": workspace.signing_secret,
        "SLACK_API_URL": workspace.api_url,
        "ERRATA_HOME": str(home),
    }
    return Settings.from_environment({**environ, **changes}, dotenv=home / "no.env")


@dataclass
class Ahead:
    """A clock that shows the present or, once it is moved, a later time."""

    by: timedelta = timedelta()

    def __call__(self) -> datetime:
        return now() + self.by


@dataclass
class Office:
    """A workspace with Errata: Ana is an agent, Ben and Bea review, Olga owns; Bris is the assistant."""

    workspace: Workspace
    settings: Settings
    store: Store
    deliverer: Deliverer
    ahead: Ahead
    channel: str = ""
    people: dict[str, Person] = field(default_factory=dict)

    @property
    def ana(self) -> Person:
        return self.people["ana"]

    @property
    def ben(self) -> Person:
        return self.people["ben"]

    @property
    def olga(self) -> Person:
        return self.people["olga"]

    @property
    def bris(self) -> Person:
        return self.people["bris"]

    @property
    def customer(self) -> Person:
        return self.people["customer"]

    def actor(self, name: str) -> Actor:
        return Actor(person_id(self.workspace.team_id, self.people[name].user_id))

    def ask(self, question: str, reply: str, *, aside: str | None = None) -> tuple[str, str]:
        """The customer asks, perhaps staff talk among themselves, the assistant replies: (thread, reply) ts."""
        thread = self.customer.post(self.channel, question)
        if aside is not None:
            self.people["ana"].post(self.channel, aside, thread_ts=thread)
        return thread, self.bris.post(self.channel, reply, thread_ts=thread)

    def correct(self, person: Person, ts: str, correction: str, **values: Any) -> dict[str, str]:
        """Press the shortcut, wait for the thread, fill in, save; the errors that the form shows."""
        person.message_shortcut(self.channel, ts, "correct_reply")
        self.wait_for_thread(person)
        return person.submit({"correction": correction, **values})

    def endorse(self, person: Person, ts: str) -> dict[str, str]:
        person.message_shortcut(self.channel, ts, "endorse_reply")
        self.wait_for_thread(person)
        return person.submit({})

    def wait_for_thread(self, person: Person) -> None:
        self.workspace.wait_until(
            lambda: person.modal is not None and not is_reading(person.modal),
            what="the thread in the form",
        )

    def deliver(self) -> None:
        """Send every notice that is owed; where an edit has to wait for its message to rest, time passes."""
        while self.deliverer.tick() or self.wait().deliverer.tick():
            pass

    def wait(self) -> Office:
        """Let the least time between two sendings of a message pass, for the deliverer."""
        self.ahead.by += EDIT_INTERVAL
        return self

    def cards(self) -> list[dict[str, Any]]:
        """Errata's messages in the channel, oldest first."""
        self.deliver()
        mine = self.workspace.bot_id
        return [message for message in self.workspace.messages(self.channel) if message.get("bot_id") == mine]

    def flag(self, question: str, correction: str, *, by: str = "ana", reply: str = REPLY, **said: Any) -> int:
        """A correction that waits for review in the channel, stored as the form would; its id."""
        actor, bot = self.actor(by), self.people["bris"].user_id
        with self.store.write() as session:
            assistant = assistants.speaking_as(session, self.workspace.team_id, {bot})
            assert assistant is not None
            number = len(session.exec(select(Capture.id)).all()) + 1
            source = f"{self.workspace.team_id}/{self.channel}/1700000{number:03d}.000100"
            kept = captures.keep(
                session, actor, now(), assistant_id=assistant.key, source=source, thread=source, reply=reply
            )
            asked = Conversation((Message(Role.USER, question),))
            captures.fill(session, kept.key, asked, reply=reply, staff_reply=None)
            review_in = proposals.ITS_CHANNEL
            return proposals.propose(
                session, actor, now(), capture_id=kept.key, correction=correction, review_in=review_in, **said
            )

    def decide(self, by: str, candidate_id: int, verdict: Verdict, **words: Any) -> None:
        """Somebody decides at the same moment, elsewhere."""
        with self.store.write() as session:
            reviews.decide(session, self.actor(by), now(), candidate_id=candidate_id, verdict=verdict, **words)

    def queue(self) -> dict[str, Any]:
        """The newest message in the channel that says what waits for review, brought up to date."""
        self.deliver()
        kept = self._queues()
        return [one for one in self.workspace.messages(self.channel) if one["ts"] in kept][-1]

    def review(self, person: Person, *, shortcut: bool = False) -> dict[str, Any]:
        """Press *Review* on the queue's message, or choose the global shortcut; the modal that opens."""
        if shortcut:
            person.global_shortcut("review_corrections")
        else:
            person.click(self.channel, self.queue()["ts"], "review_open")
        assert person.modal is not None
        return person.modal

    def reviewed(self, person: Person) -> int | None:
        """The id of the candidate that the review modal shows this person; None where it shows none."""
        found: int | None = (
            json.loads(person.modal["private_metadata"] or "{}").get("candidate") if person.modal else None
        )
        return found

    def approve(self, person: Person, *, edited: str | None = None) -> dict[str, str]:
        """Approve what the modal shows, with an edit or as it is; the errors that it shows."""
        if edited is None:
            return person.submit({})
        person.click_in_modal("review_edit")
        return person.submit({"edited": edited})

    def send_back(self, person: Person, comment: str) -> dict[str, str]:
        """Return what the modal shows to its author."""
        person.click_in_modal("review_return")
        return person.submit({"comment": comment})

    def reject(self, person: Person, comment: str) -> dict[str, str]:
        person.click_in_modal("review_reject")
        return person.submit({"comment": comment})

    def forge(self, person: Person, what: str, value: str) -> None:
        """Change what the modal in front carries: its ``private_metadata``, or the value of one of its buttons."""
        shown = self.workspace.views.top(person.user_id)
        assert shown is not None
        if what == "private_metadata":
            shown.record[what] = value
            return
        for block in shown.record["blocks"]:
            for element in [*block.get("elements", []), block.get("accessory", {})]:
                if element.get("action_id") == what:
                    element["value"] = value

    def old_card(self, action_id: str, value: str) -> str:
        """A card with one button, as Errata posted one for each candidate before there was the queue; its ts."""
        button = {"type": "button", "action_id": action_id, "value": value, "text": {"type": "plain_text", "text": "x"}}
        card = [{"type": "actions", "block_id": "verdict", "elements": [button]}]
        posted = slack_client(self.settings).chat_postMessage(channel=self.channel, text="A card", blocks=card)
        return str(posted["ts"])

    def _queues(self) -> set[str]:
        """The ts of the channel's queue messages, as the outbox keeps them."""
        with self.store.read() as session:
            sent = session.exec(select(Notice.message_ref).where(Notice.kind == NoticeKind.QUEUE.value)).all()
        return {reference.split("/")[1] for reference in sent if reference is not None}


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Tests read answers, not access logs."""


@contextmanager
def served(application: Callable[..., Any]) -> Iterator[str]:
    """Serve a WSGI application on a free loopback port; the address of Slack's events there."""
    server = make_server("127.0.0.1", 0, application, server_class=_Server, handler_class=_Quiet)
    # The interval is how long its shutdown takes to be noticed; half a second by default.
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/slack/events"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def new_workspace(
    seed: int = 7, *, now: Callable[[], datetime] = now, answer_seconds: float = PATIENT_SECONDS
) -> Workspace:
    workspace = Workspace(now=now, rng=random.Random(seed), answer_seconds=answer_seconds)
    workspace.subscriptions = frozenset()  # a test that wants events subscribes to them
    return workspace


@contextmanager
def open_office(home: Path, **changes: str) -> Iterator[Office]:
    """An office whose bot is reached over HTTP, behind its gate."""
    with new_workspace().serve() as workspace:
        office = furnish(workspace, home, **changes)
        app = build(office.settings, office.store)
        with served(gated(app, office.settings, office.store)) as url:
            workspace.deliver_to(url)
            yield office
        office.store.close()


def furnish(workspace: Workspace, home: Path, store: Store | None = None, **changes: str) -> Office:
    """People, channel, assistant and roles in a served workspace, before any bot is connected."""
    settings = settings_for(workspace, home, **changes)
    somebody = {name: workspace.add_person(name.title()) for name in ("ana", "ben", "bea", "olga", "customer")}
    somebody["bris"] = workspace.add_bot("Bris")
    ids = tuple((name, person.user_id) for name, person in somebody.items())
    bot_id = str(somebody["bris"].bot_id)
    if store is None:
        store = _copy(_peopled(workspace.team_id, ids, bot_id), home)
    else:
        _enter(store, workspace.team_id, ids, bot_id)
    ahead = Ahead()
    told = partial(prices.shown, settings.home)
    deliverer = Deliverer(store, slack_client(settings), ahead, language=settings.language, prices=told)
    channel = workspace.add_channel("support", list(somebody.values()))
    return Office(workspace, settings, store, deliverer, ahead, channel, somebody)


@cache
def _peopled(team_id: str, ids: tuple[tuple[str, str], ...], bot_id: str) -> bytes:
    """An office's database before anything happens in it: written once, as most workspaces give the same ids."""
    return _written(lambda store: _enter(store, team_id, ids, bot_id))


def _enter(store: Store, team_id: str, ids: tuple[tuple[str, str], ...], bot_id: str) -> None:
    actors = {name: Actor(person_id(team_id, user_id)) for name, user_id in ids}
    owner = actors["olga"]
    with store.write() as session:
        for name, actor in actors.items():
            people.meet(session, now(), actor.person_id, display_name=name.title())
        people.grant(session, None, now(), person=owner.person_id, role=RoleName.OWNER)
        for name, role in (("ana", RoleName.AGENT), ("ben", RoleName.REVIEWER), ("bea", RoleName.REVIEWER)):
            people.grant(session, owner, now(), person=actors[name].person_id, role=role)
        speaks_as = {dict(ids)["bris"], bot_id}
        assistants.add(session, owner, now(), name="Bris", team_id=team_id, speaks_as=speaks_as)
        assistants.set_prompt(session, owner, now(), name="Bris", text=PROMPT)


NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ANA, BEN, BEA, OLGA = (Actor(person_id("T1", user_id)) for user_id in ("UANA", "UBEN", "UBEA", "UOLGA"))


@dataclass
class Team:
    """The same people without Slack: a store, Ana, Ben, Bea and Olga with their roles, and the assistant Bris."""

    store: Store
    assistant_id: int = 0
    place: str = "T1/C1"
    ana: Actor = ANA
    ben: Actor = BEN
    bea: Actor = BEA
    olga: Actor = OLGA

    def flag(
        self,
        question: str,
        correction: str | None,
        *,
        by: Actor | None = None,
        thread: str | None = None,
        at: datetime = NOON,
        **said: Any,
    ) -> int:
        """A candidate with this correction, or an endorsement without one; its id."""
        by, said = by or self.ana, {"review_in": self.place, **said}
        with self.store.write() as session:
            number = len(session.exec(select(Capture.id)).all()) + 1
            source = f"{self.place}/1700000{number:03d}.000100"
            kept = captures.keep(
                session,
                by,
                NOON,
                assistant_id=self.assistant_id,
                source=source,
                thread=thread or source,
                reply="It lasts for ever.",
            )
            asked = Conversation((Message(Role.USER, question),))
            captures.fill(session, kept.key, asked, reply=kept.reply, staff_reply=None)
            if correction is None:
                return proposals.endorse(session, by, at, capture_id=kept.key, **said)
            return proposals.propose(session, by, at, capture_id=kept.key, correction=correction, **said)

    def decide(self, candidate_id: int, verdict: Verdict, *, by: Actor | None = None, **words: Any) -> None:
        with self.store.write() as session:
            reviews.decide(session, by or self.ben, NOON, candidate_id=candidate_id, verdict=verdict, **words)

    def approve(self, question: str, correction: str | None, *, thread: str | None = None) -> int:
        """An approved example; the id of its candidate."""
        candidate_id = self.flag(question, correction, thread=thread)
        self.decide(candidate_id, Verdict.APPROVE)
        return candidate_id

    def freeze(self, name: str | None = None) -> DatasetVersion:
        return dataset.freeze(self.store, self.olga, NOON, name=name)[0]


def new_team(folder: Path, store: Store | None = None) -> Team:
    """A team whose assistant's system prompt is known; in a store of its own, unless an empty one is given."""
    if store is None:
        return Team(_copy(_teamed(), folder), assistant_id=1)
    return _enter_team(Team(store))


@cache
def _teamed() -> bytes:
    return _written(lambda store: _enter_team(Team(store)))


def _enter_team(team: Team) -> Team:
    with team.store.write() as session:
        for name, actor in (("Ana", team.ana), ("Ben", team.ben), ("Bea", team.bea), ("Olga", team.olga)):
            people.meet(session, NOON, actor.person_id, display_name=name)
        people.grant(session, None, NOON, person=team.olga.person_id, role=RoleName.OWNER)
        for actor, role in ((team.ana, RoleName.AGENT), (team.ben, RoleName.REVIEWER), (team.bea, RoleName.REVIEWER)):
            people.grant(session, team.olga, NOON, person=actor.person_id, role=role)
        bris = assistants.add(session, team.olga, NOON, name="Bris", team_id="T1", speaks_as={"UBRIS"})
        assistants.set_prompt(session, team.olga, NOON, name="Bris", text=PROMPT)
        team.assistant_id = bris.key
    return team
