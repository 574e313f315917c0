"""The table that a game is played at: the office, its front door, what was sent, and what must not have happened.

Owns the looking: rows before and after, the log, which listeners were reached. What people do is in ``work``,
what goes wrong with their payloads in ``accidents``.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from builders import Office, now
from chaos.door import Door
from chaos.words import WORDS
from slack_bolt import App
from sqlalchemy import func, text
from sqlmodel import SQLModel, col, delete, select, update

import training.store.tables  # noqa: F401 (its tables are counted, too)
from bot.sandbox.viewers import Viewer
from curation.policies import Standing
from curation.store.tables import GroupRole, Notice, Person, Reply, RoleGrant

KEPT = tuple(sorted(SQLModel.metadata.tables))
"""Every table: its rows are counted before and after every request."""

LEARNED = "people learned of"
"""Counted by itself: that Slack was asked about somebody and its answer was news, and that somebody chose a language
for themselves. Every request may lead to the one; whoever is in the workspace may do the other.
"""
_OF_THEMSELVES = ("person.standing", "person.language", "person.reads")

_COUNTED = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in KEPT)  # noqa: S608 (our own names)
_COUNTED += f" UNION ALL SELECT '{LEARNED}', count(*) FROM audit_entries WHERE action IN {_OF_THEMSELVES}"  # noqa: S608
_RIGHTS = frozenset({LEARNED, "role_grants", "group_roles"})

CORPUS = 400
SETTLED_SECONDS = 30.0
NEWS = frozenset({"errata.events", "slack_sdk.webhook.client"})
"""Loggers whose errors are news, not failures: the app was taken away; nobody answers at a response_url."""


@dataclass
class Failures:
    """What must not have happened."""

    found: list[str] = field(default_factory=list)
    context: str = ""

    def add(self, what: str) -> None:
        """Note a failure with what was going on."""
        self.found.append(f"{what} [{self.context}]")


class _Log(logging.Handler):
    """Every line from an error on is a failure, and so is every exception that is told for debugging only."""

    def __init__(self, failures: Failures) -> None:
        super().__init__(logging.DEBUG)
        self._failures = failures

    def emit(self, record: logging.LogRecord) -> None:
        if record.name in NEWS or (record.levelno < logging.ERROR and not record.exc_info):
            return
        trace = logging.Formatter().formatException(record.exc_info)[-900:] if record.exc_info else ""
        self._failures.add(f"log {record.name}: {record.getMessage()[:300]} {trace}")


@contextmanager
def watched(failures: Failures) -> Iterator[None]:
    """Collect errors from the log and from threads while the block runs."""
    handler, before = _Log(failures), threading.excepthook
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in ("errata.bolt", "errata.gate", "errata.app"))]
    silent = {logger: logger.propagate for logger in loggers[1:]}
    app, level = loggers[-1], loggers[-1].level
    app.setLevel(logging.DEBUG)  # there it tells with which exception a listener failed
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    threading.excepthook = lambda args: failures.add(f"thread: {args.exc_type.__name__}: {args.exc_value}")
    try:
        yield
    finally:
        threading.excepthook = before
        app.setLevel(level)
        for logger in loggers:
            logger.removeHandler(handler)
        for logger, propagates in silent.items():
            logger.propagate = propagates


class Threads:
    """What the bot's threads still have to do: its rows belong to the request that began it."""

    def __init__(self, executor: Executor) -> None:
        self._open: set[Future[Any]] = set()
        submit = executor.submit

        def noted(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            future = submit(function, *args, **kwargs)
            self._open.add(future)
            future.add_done_callback(self._open.discard)
            return future

        executor.submit = noted  # type: ignore[method-assign]  # the game's own bot, which ends with it

    def settle(self) -> bool:
        """Wait until they have nothing to do any more; whether that was soon."""
        while left := self._open.copy():
            if wait(left, SETTLED_SECONDS).not_done:
                return False
        return True


def listeners_of(app: App) -> dict[str, Any]:
    """Every registered listener by its function, with what that was bound to; several of one name are numbered."""
    named: dict[str, Any] = {}
    for listener in app._listeners:
        function = listener.ack_function
        bound = function.args[1:] if isinstance(function, partial) else ()
        name = (function.func if isinstance(function, partial) else function).__qualname__
        module = (function.func if isinstance(function, partial) else function).__module__.rpartition(".")[2]
        told = [getattr(one, "__qualname__", None) or str(one) for one in bound]
        known = f"{module}.{name}({', '.join(told)})"
        alike = sum(one.partition(" #")[0] == known for one in named)
        named[f"{known} #{alike + 1}" if alike else known] = listener
    return named


def record_reached(app: App, reached: Counter[str]) -> None:
    """Count each listener's calls."""

    def counting(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def counted(**arguments: Any) -> Any:
            reached[name] += 1
            return run(**arguments)

        return counted

    for name, listener in listeners_of(app).items():
        listener.run_ack_function = counting(name, listener.run_ack_function)


@dataclass
class Game:
    """One office, its front door, and everything that was sent through it so far.

    Attributes:
        sent: how many payloads of each sort; ``valid`` are those that have to have an effect.
        corpus: the newest payloads that people sent, with their kinds, for accidents to spoil.
    """

    office: Office
    door: Door
    rng: random.Random
    failures: Failures
    threads: Threads
    sent: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    corpus: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    _asked: int = 0
    _seen_deliveries: int = 0
    _granted: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        with self.office.store.read() as session:
            self._granted = {(one.person_id, one.role) for one in session.exec(select(RoleGrant))}

    @property
    def total(self) -> int:
        """Payloads that reached the gate."""
        return sum(self.sent.values())

    def expect(self, holds: bool, otherwise: str) -> None:
        """Note a failure unless this holds."""
        if not holds:
            self.failures.add(otherwise)

    def remember(self, kind: str, payload: dict[str, Any]) -> None:
        """Keep a payload for accidents."""
        self.corpus.append((kind, payload))
        del self.corpus[:-CORPUS]

    def collect(self) -> None:
        """Look at how what people just sent was answered, and whether the assistant's replies were counted."""
        self.office.workspace.wait_until_delivered()
        deliveries = self.office.workspace.deliveries
        said = set()
        for delivery in deliveries[self._seen_deliveries :]:
            source = self._reply_in(delivery.payload)
            said |= {source} if source else set()
            effect = delivery.kind != "event" or source or delivery.payload["event"]["type"].startswith("reaction")
            self.sent["valid" if effect else "heard"] += 1
            status = delivery.answer.status if delivery.answer is not None else None
            self.statuses[status or 0] += 1
            self.expect(status == 200, f"a valid {delivery.kind} was answered {status}")
            self.remember(delivery.kind, delivery.payload)
        self._seen_deliveries = len(deliveries)
        if said:
            with self.office.store.read() as session:
                counted = set(session.exec(select(Reply.source).where(col(Reply.source).in_(said))))
            self.expect(counted == said, f"{len(said - counted)} replies were not counted")

    def _reply_in(self, payload: dict[str, Any]) -> str | None:
        """Where the assistant's reply stands that this payload tells of, if it tells of one."""
        event = payload.get("event") or {}
        new = event.get("type") == "message" and event.get("subtype") in {None, "thread_broadcast"}
        if not new or event.get("bot_id") != self.office.bris.bot_id:
            return None
        return f"{self.office.workspace.team_id}/{event['channel']}/{event['ts']}"

    def judge(self, status: int, before: dict[str, int], may_store: set[str] | None) -> None:
        """What any answer has to be: no 5xx; refused means nothing stored; and at most what this may store."""
        self.statuses[status] += 1
        self.expect(status < 500, f"answered {status}")
        after = self.rows()
        changed = {name for name, number in after.items() if number != before[name]}
        if status >= 400:
            self.expect(not changed, f"answered {status}, and {sorted(changed)} changed")
        elif may_store is not None:
            self.expect(changed <= may_store, f"{sorted(changed - may_store)} changed")
        if changed & _RIGHTS:
            self.restore_rights()

    def speak_english(self) -> None:
        """Let nobody have chosen a language: what people look for in forms is English."""
        with self.office.store.write() as session:
            session.exec(update(Person).values(language=None, locale=None, reads=None))

    def restore_rights(self) -> None:
        """Let everybody hold the roles they began with: an owner's form with another name in it grants for good."""
        with self.office.store.write() as session:
            session.exec(delete(GroupRole))
            held = {(one.person_id, one.role): one for one in session.exec(select(RoleGrant))}
            for key in held.keys() - self._granted:
                session.delete(held[key])
            for holder, role in self._granted - held.keys():
                session.add(RoleGrant(person_id=holder, role=role, granted_by=holder, granted_at=now()))
            for name in self.office.people:
                person = session.get_one(Person, self.office.actor(name).person_id)
                person.standing, person.standing_at = Standing.MEMBER.value, now()

    def deliver(self) -> None:
        """Send what is owed; whatever the workspace refuses for its limits is a failure."""
        self.office.deliver()
        with self.office.store.read() as session:
            failed = list(session.exec(select(Notice).where(col(Notice.status) == "failed")))
            # A signed command may name a channel that is none; what is owed there can only be given up.
            places = (f"{self.office.workspace.team_id}/{self.office.channel}", "person:")
            trouble = [(one.id, one.kind, one.trouble) for one in failed if one.destination.startswith(places)]
        self.expect(not trouble, f"notices failed: {trouble[:3]}")

    def rows(self) -> dict[str, int]:
        """How many rows each table has, once nothing of what was asked before is under way any more."""
        self.office.workspace.wait_until_delivered()
        self.expect(self.threads.settle(), "a thread of the bot's does not come to an end")
        self.office.workspace.wait_until_delivered()  # what these threads have said
        with self.office.store.read() as session:
            counted = {str(name): int(number) for name, number in session.execute(text(_COUNTED))}
        counted["audit_entries"] -= counted[LEARNED]
        return counted

    def count(self, model: Any) -> int:
        """How many rows one table has."""
        with self.office.store.read() as session:
            return session.exec(select(func.count()).select_from(model)).one()

    def button(self, message: dict[str, Any], action_id: str) -> str | None:
        """What a message's button carries; None where it has no such button."""
        for block in message.get("blocks", []):
            for element in [*block.get("elements", []), block.get("accessory", {})]:
                if element.get("action_id") == action_id:
                    return str(element["value"])
        return None

    def go_home(self, person: Viewer) -> None:
        """Open App Home, and wait for the page as it is now."""
        person.open_home()
        self.office.workspace.wait_until_delivered()
        self.expect(self.threads.settle() and person.home is not None, "App Home is not published")

    def words(self, mark: str) -> str:
        """Words of the lists that nobody has said yet."""
        self._asked += 1
        return f"{mark}{self._asked} {self.rng.choice(WORDS)}"
