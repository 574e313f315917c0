"""Everything Slack can send, much of it wrong, through the gate into the real app; nothing may fall over.

    python tests/chaos/fuzz.py --payloads 10000 --seed 1

People of a sandbox workspace work as usual: what they do has to appear in rows and on cards that the
workspace accepts. Between their steps, payloads that they sent are sent again with accidents: changed
types, missing parts, huge and strange texts, forged people, foreign ids, wrong signatures, replays.
Prints what was sent and every failure; ends with 1 if there was one. The same seed makes the same choices;
ids of messages and runs differ, so a game does not repeat itself to the letter.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import hmac
import io
import json
import logging
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from builders import Office, furnish, new_workspace, now, served
from slack_bolt import App
from sqlalchemy import func
from sqlmodel import col, select

from bot.app import build, gated
from bot.gate import Gate
from bot.sandbox.errors import NotAnswered
from curation.notices import NoticeKind, owe
from curation.store import tables
from curation.store.tables import Candidate, Correction, Example, HandledRequest, Notice, Review
from training.store.tables import Deployment, Evaluation, Run

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
VALID_SHARE = 0.4
EVENTS = frozenset({"message", "app_home_opened", "reaction_added"})

WORDS = (
    "A filter lasts six months.",
    "Der Filter hält sechs Monate; die App erinnert dich.",
    "フィルターは六か月もちます。",
    "<!channel> *bold* `code` <https://evil.test|click> &amp;",
    "\u202ereversed and \u200binvisible 👩‍👩‍👧‍👦 e\u0301",
    "x" * 2900,
    "line\nline\r\nline\ttab",
    "'; DROP TABLE candidates; --",
    "=HYPERLINK(1)",
    "@here " + "ä" * 1500,
)
STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, 1.5, 1e308),
    *(
        "",
        " ",
        "0",
        "-1",
        "1",
        "1:1",
        "999999:1",
        "1:999999",
        "1:1:1",
        "９",
        "½",
        "9" * 30,
        "9" * 5000,
        "null",
        "\ufeff",
    ),
    *(
        "x" * 50_000,
        "\U0001f600" * 3000,
        "a\nb",
        "[1]",
        "{}",
        '{"candidate": 1}',
        "T1/U1",
        "../../etc/passwd",
        "file:///",
    ),
    *('{"candidate": [], "seen": {}, "verdict": "approve"}', '{"candidate": "1", "seen": "1", "verdict": "destroy"}'),
    *("[" * 400, "%00", "<!everyone>", "approve", "run-", "%", "_", "http://127.0.0.1:1/"),
    *([], [1], [[]], [{}], {}, {"a": 1}, {"id": 7}, {"id": "U1"}, {"value": 7}, {"value": None}, {"type": "button"}),
)
COMMANDS = (
    *("", "help", "queue", "runs", "freeze", "freeze first", "freeze x 200%", "freeze x nan", "train", "train first"),
    *(
        "train first rehearsal",
        "train nothing",
        "train first ../../x",
        "train first rehearsal nosuch",
        "cancel",
        "cancel run-",
    ),
    *(
        "cancel %",
        "deploy",
        "deploy run-",
        "undeploy run-",
        "undeploy",
        '"',
        "help " * 900,
        "unknown <!channel>",
        "\\",
        "'a b' c",
    ),
)


@dataclass
class Failures:
    """What must not have happened."""

    found: list[str] = field(default_factory=list)
    context: str = ""

    def add(self, what: str) -> None:
        """Note a failure with what was going on."""
        self.found.append(f"{what} [{self.context}]")


class _Log(logging.Handler):
    """Every line from an error on is a failure: Bolt and the gate report exceptions there."""

    def __init__(self, failures: Failures) -> None:
        super().__init__(logging.ERROR)
        self._failures = failures

    def emit(self, record: logging.LogRecord) -> None:
        trace = logging.Formatter().formatException(record.exc_info)[-900:] if record.exc_info else ""
        self._failures.add(f"log {record.name}: {record.getMessage()[:300]} {trace}")


@contextmanager
def watched(failures: Failures) -> Iterator[None]:
    """Collect errors from the log and from threads while the block runs."""
    handler, before = _Log(failures), threading.excepthook
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in ("errata.bolt", "errata.gate", "errata.app"))]
    silent = {logger: logger.propagate for logger in loggers[1:]}
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    threading.excepthook = lambda args: failures.add(f"thread: {args.exc_type.__name__}: {args.exc_value}")
    try:
        yield
    finally:
        threading.excepthook = before
        for logger in loggers:
            logger.removeHandler(handler)
        for logger, propagates in silent.items():
            logger.propagate = propagates


def listeners_of(app: App) -> dict[str, Any]:
    """Every registered listener by a name: its function, with what it was bound to."""
    named: dict[str, Any] = {}
    for listener in app._listeners:
        function = listener.ack_function
        bound = function.args[1:] if isinstance(function, partial) else ()
        name = (function.func if isinstance(function, partial) else function).__qualname__
        module = (function.func if isinstance(function, partial) else function).__module__.rpartition(".")[2]
        told = [getattr(one, "__qualname__", None) or str(one) for one in bound]
        named[f"{module}.{name}({', '.join(told)})"] = listener
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


class Game:
    """One office, its people at work and its payloads gone wrong."""

    def __init__(self, office: Office, gate: Gate, rng: random.Random, failures: Failures) -> None:
        self.office = office
        self.gate = gate
        self.rng = rng
        self.failures = failures
        self.sent: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self._asked = 0
        self._corpus: list[tuple[str, dict[str, Any]]] = []
        self._seen_deliveries = 0
        self._runs_pressed = 0

    # People at work.

    def work(self) -> None:
        """One thing that somebody does, checked in rows and cards."""
        steps = (
            (self.correct, 6),
            (self.endorse, 3),
            (self.decide, 8),
            (self.amend, 3),
            (self.command, 4),
            (self.press_run, 4),
            (self.other, 2),
        )
        step = self.rng.choices([one for one, _ in steps], [weight for _, weight in steps])[0]
        self.failures.context = f"work {step.__name__}"
        try:
            step()
        except NotAnswered as error:
            self.failures.add(f"not answered: {error}")
        self.office.workspace.wait_until_delivered()  # events come on their own; what follows counts rows
        self._collect()

    def correct(self) -> None:
        """A correction: a candidate, its first version, a card that the workspace takes."""
        before = self._count(Candidate)
        question, better = self._words("Q"), self._words("A")
        _, reply = self.office.ask(question, self._words("R"))
        person = self.rng.choice([self.office.ana, self.office.people["bea"]])
        values = {"reason": self.rng.choice(["wrong_fact", "tone", "unsafe"]), "topic": self._words("T")[:100]}
        errors = self.office.correct(person, reply, better[:3000], **(values if self.rng.random() < 0.6 else {}))
        self._expect(errors == {}, f"a good correction was refused: {errors}")
        self._expect(self._count(Candidate) == before + 1, "a correction made no candidate")
        with self.office.store.read() as session:
            newest = session.exec(select(Correction).order_by(col(Correction.id).desc())).first()
        self._expect(newest is not None and newest.text == better[:3000].strip(), "the correction's text is not kept")
        self._deliver()

    def endorse(self) -> None:
        """An endorsement: a candidate that waits for a second person."""
        before = self._count(Candidate)
        _, reply = self.office.ask(self._words("Q"), self._words("R"))
        errors = self.office.endorse(self.office.ana, reply)
        self._expect(errors == {} and self._count(Candidate) == before + 1, f"no endorsement: {errors}")
        self._deliver()

    def decide(self) -> None:
        """A verdict on a pending card: exactly one review, and an example where it is approved."""
        pending = self._pending()
        if not pending:
            return
        card, button = self.rng.choice(pending), self.rng.choice(["approve", "edit", "return", "reject"])
        authors = self._authors(card["number"])
        able = [one for one in ("ben", "bea", "olga") if self.office.actor(one).person_id not in authors]
        reviewer = self.office.people[self.rng.choice(able)]
        reviews, examples = self._count(Review), self._count(Example)
        reviewer.click(self.office.channel, card["ts"], f"review_{button}")
        if button != "approve":
            field_name = "edited" if button == "edit" else "comment"
            errors = reviewer.submit({field_name: self._words("V")[:3000]})
            self._expect(errors == {}, f"a verdict was refused: {errors}")
        self._expect(self._count(Review) == reviews + 1, f"{button} made no review")
        made = self._count(Example) - examples
        self._expect(made == (button in {"approve", "edit"}), f"{button} made {made} examples")
        self._deliver()

    def amend(self) -> None:
        """An author reworks what came back, from the direct message."""
        for name in ("ana", "bea"):
            person = self.office.people[name]
            waiting = [one for one in person.dms if "review_amend" in json.dumps(one.get("blocks", []))]
            if not waiting:
                continue
            before = self._count(Correction)
            number = self._button(waiting[-1], "review_amend")
            with self.office.store.read() as session:
                candidate = session.get_one(Candidate, int(number))
            person.click(person.dm_channel, waiting[-1]["ts"], "review_amend")
            errors = person.submit({"correction": self._words("B")[:3000]})
            if candidate.status == "returned":
                self._expect(errors == {} and self._count(Correction) == before + 1, f"not amended: {errors}")
            self._deliver()
            return

    def command(self) -> None:
        """A sub-command, sensible or not: an answer in words that the workspace takes."""
        person = self.rng.choice(list(self.office.people.values())[:5])
        known = [*COMMANDS, *(f"cancel {run}" for run in self._runs()), *(f"deploy {run}" for run in self._runs())]
        answer = person.command("/errata", self.rng.choice(known), self.office.channel)
        self._expect(bool(answer.get("text")), "a command was answered with nothing")
        self._deliver()

    def press_run(self) -> None:
        """Start a run, then cancel it by its button, or let it complete and deploy it."""
        olga = self.office.olga
        if self._count(Example) < 4:
            return
        olga.command("/errata", f"freeze set-{self._asked}", self.office.channel)
        with self.office.store.read() as session:
            names = list(session.exec(select(tables.DatasetVersion.name)))
        if not names:
            return
        before = self._count(Run)
        answer = olga.command("/errata", f"train {names[-1]} rehearsal", self.office.channel)
        if self._count(Run) == before:
            self._expect("validation" in answer["text"], f"no run: {answer}")
            return
        run_id = self._runs()[0]
        self._deliver()
        self._runs_pressed += 1
        if self._runs_pressed % 2:
            olga.click(self.office.channel, self._message_with("run_cancel", run_id), "run_cancel")
            with self.office.store.read() as session:
                self._expect(session.get_one(Run, run_id).status == "cancelled", "the run was not cancelled")
        else:
            with self.office.store.write() as session:
                run = session.get_one(Run, run_id)
                run.status = "completed"
                report = {"sentence": "It is better."}
                session.add(Evaluation(run_id=run_id, verdict="better", report=report, evaluated_at=now()))
                run_place = f"{self.office.workspace.team_id}/{self.office.channel}"
                owe(session, now(), NoticeKind.RUN_EVALUATED, subject=f"run:{run_id}", destination=run_place)
            self._deliver()
            deployments = self._count(Deployment)
            olga.click(self.office.channel, self._message_with("run_deploy", run_id), "run_deploy")
            self._expect(self._count(Deployment) == deployments + 1, "the run was not deployed")
        self._deliver()

    def other(self) -> None:
        """What Slack sends and Errata has no use for."""
        if self.rng.random() < 0.5:
            self.office.customer.open_home(self.rng.choice(["home", "messages"]))
        else:
            ts = self.office.customer.post(self.office.channel, self._words("M"))
            self.office.customer.react(self.office.channel, ts, "eyes")
        self.office.workspace.wait_until_delivered()

    # Accidents.

    def accident(self) -> None:
        """One payload that people sent, sent again with something wrong."""
        if not self._corpus:
            return
        kind, payload = self.rng.choice(self._corpus)
        payload = copy.deepcopy(payload)
        ways = (
            [self.mutate] * 6
            + [self.tamper] * 3
            + [self.forge, self.foreign, self.unsigned, self.stale, self.replay, self.garble]
        )
        self.rng.choice(ways)(kind, payload)

    def mutate(self, kind: str, payload: dict[str, Any]) -> None:
        """Values of other types, missing parts, nesting and strange texts anywhere."""
        for _ in range(self.rng.randint(1, 4)):
            self._change(payload)
        self._send("mutated", kind, payload)

    def tamper(self, kind: str, payload: dict[str, Any]) -> None:
        """What Errata itself put into a form or button, or reads first: other ids and garbage, all else intact."""
        places: list[tuple[dict[str, Any], str]] = []
        for holder in (payload.get("view"), payload.get("message"), *(payload.get("actions") or [])):
            if isinstance(holder, dict):
                read = [
                    key for key in ("private_metadata", "value", "text", "ts", "thread_ts", "user") if key in holder
                ]
                places += [(holder, key) for key in read]
        entered = ((payload.get("view") or {}).get("state") or {}).get("values") or {}
        places += [(element, "value") for elements in entered.values() for element in elements.values()]
        if kind == "command":
            places = [(payload, "text")]
        if places:
            holder, key = self.rng.choice(places)
            other = self._other_id(holder.get(key))
            holder[key] = self.rng.choice([other, copy.deepcopy(self.rng.choice(STRANGE))])
        self._send("mutated", kind, payload)

    def forge(self, kind: str, payload: dict[str, Any]) -> None:
        """The same action by somebody without a role: nothing but the acquaintance may be stored."""
        forger = self.rng.choice(["UNOBODY", self.office.customer.user_id, "W" * 40])
        for holder, key in ((payload.get("user"), "id"), (payload, "user_id")):
            if isinstance(holder, dict) and key in holder:
                holder[key] = forger
        if isinstance(payload.get("user"), dict):
            payload["user"]["team_id"] = self.rng.choice([payload["user"].get("team_id"), "TOTHER"])
        self._send("forged", kind, payload, may_store={"people", "handled_requests"})

    def foreign(self, kind: str, payload: dict[str, Any]) -> None:
        """From a workspace that has not installed Errata."""
        for holder, key in ((payload.get("team"), "id"), (payload, "team_id"), (payload.get("user"), "team_id")):
            if isinstance(holder, dict) and key in holder:
                holder[key] = "TFOREIGN"
        self._send("foreign", kind, payload, may_store={"people", "handled_requests"})

    def unsigned(self, kind: str, payload: dict[str, Any]) -> None:
        """Signed by somebody else, or not at all."""
        secret = self.rng.choice([None, "guess", ""])
        status, _ = self._send("unsigned", kind, payload, secret=secret, may_store=set())
        self._expect(status == 401, f"an unsigned request was answered {status}")

    def stale(self, kind: str, payload: dict[str, Any]) -> None:
        """Signed, and too old or from the future."""
        offset = self.rng.choice([-330, -90_000, 330, 10**9])
        status, _ = self._send("stale", kind, payload, offset=offset, may_store=set())
        self._expect(status == 401, f"a stale request was answered {status}")

    def replay(self, _kind: str, _payload: dict[str, Any]) -> None:
        """The very bytes of something that was done: told the same, done once."""
        done = [one for one in self.office.workspace.deliveries[-60:] if one.acknowledged]
        if not done:
            return
        first = self.rng.choice(done)
        headers = {name.lower(): value for name, value in first.headers.items()}
        before = self._rows()
        status, body = self._ask(
            first.body, headers["content-type"], headers["x-slack-request-timestamp"], headers["x-slack-signature"]
        )
        self.sent["replayed"] += 1
        self.failures.context = f"replayed {first.kind}"
        answered = first.answer.body if first.answer is not None else None
        self._expect((status, body.decode()) == (200, answered), f"a replay was told {status} {body[:80]!r}")
        self._expect(self._rows() == before, "a replay changed rows")

    def garble(self, kind: str, payload: dict[str, Any]) -> None:
        """Bytes that are no payload any more."""
        body, content_type = self._written(kind, payload)
        way = self.rng.randrange(5)
        if way == 0:
            body = body[: self.rng.randrange(len(body))]
        elif way == 1:
            spot = self.rng.randrange(len(body))
            body = body[:spot] + self.rng.randbytes(3) + body[spot:]
        elif way == 2:
            content_type = self.rng.choice([JSON, FORM, "text/plain", "", "multipart/form-data"])
        elif way == 3:
            body = self.rng.choice(
                [b"", b"[1]", b"null", b"{", b'{"team":7}', b"[" * 9000, b"payload=%5B1%5D", b"a;b&c"]
            )
        else:
            body = body + b"x" * self.rng.choice([1, 1_000_001])
        before = self._rows()
        self.failures.context = f"garbled {kind}"
        status, _ = self._ask(body, content_type, *self._stamped(body))
        self.sent["garbled"] += 1
        self._judge(status, before, None)

    # Sending.

    def _send(
        self,
        how: str,
        kind: str,
        payload: dict[str, Any],
        *,
        secret: str | None = "",
        offset: int = 0,
        may_store: set[str] | None = None,
    ) -> tuple[int, bytes]:
        try:
            body, content_type = self._written(kind, payload)
        except (UnicodeEncodeError, ValueError):
            return 0, b""
        stamp, signature = self._stamped(body, secret=secret, offset=offset, honest=how != "unsigned")
        self.failures.context = (
            f"{how} {kind} {payload.get('type')} {json.dumps(payload)[:6000] if how == 'mutated' else ''}"
        )
        before = self._rows()
        status, answer = self._ask(body, content_type, stamp, signature)
        self.sent[how] += 1
        self._judge(status, before, may_store)
        return status, answer

    def _judge(self, status: int, before: dict[str, int], may_store: set[str] | None) -> None:
        self.statuses[status] += 1
        self._expect(status < 500, f"answered {status}")
        after = self._rows()
        changed = {name for name, number in after.items() if number != before[name]}
        if status >= 400:
            self._expect(not changed, f"answered {status}, and {sorted(changed)} changed")
        elif may_store is not None:
            self._expect(changed <= may_store, f"{sorted(changed - may_store)} changed")

    def _ask(self, body: bytes, content_type: str, stamp: str, signature: str | None) -> tuple[int, bytes]:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "PATH_INFO": "/slack/events",
            "QUERY_STRING": "",
            "CONTENT_TYPE": content_type,
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_X_SLACK_REQUEST_TIMESTAMP": stamp,
            "wsgi.input": io.BytesIO(body),
        }
        if signature is not None:
            environ["HTTP_X_SLACK_SIGNATURE"] = signature
        statuses: list[str] = []
        chunks = self.gate(environ, lambda status, _headers, _error=None: statuses.append(status) or bytes)  # type: ignore[arg-type,func-returns-value]
        return int(statuses[0][:3]), b"".join(chunks)

    def _written(self, kind: str, payload: dict[str, Any]) -> tuple[bytes, str]:
        if kind == "event":
            return json.dumps(payload).encode(), JSON
        fields = payload if kind == "command" else {"payload": json.dumps(payload)}
        return urlencode(fields).encode(), FORM

    def _stamped(
        self, body: bytes, *, secret: str | None = "", offset: int = 0, honest: bool = True
    ) -> tuple[str, str | None]:
        stamp = str(int(now().timestamp()) + offset)
        if secret is None:
            return stamp, None
        key = self.office.workspace.signing_secret if honest else secret
        digest = hmac.new(key.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
        return stamp, f"v0={digest}"

    def _change(self, payload: dict[str, Any]) -> None:
        """One accident somewhere in the payload; rather near what listeners read."""
        near = [
            payload,
            *(
                payload[key]
                for key in ("view", "message", "user", "event", "team")
                if isinstance(payload.get(key), dict)
            ),
        ]
        actions = payload.get("actions")
        near += [one for one in actions if isinstance(one, dict)] if isinstance(actions, list) else []
        holder = self.rng.choice(near if self.rng.random() < 0.5 else list(_places(payload)))
        if not holder:
            return
        key = self.rng.choice(list(holder)) if isinstance(holder, dict) else self.rng.randrange(len(holder))
        if isinstance(holder, dict) and self.rng.random() < 0.25:
            likely = [
                one
                for one in ("private_metadata", "value", "text", "name", "ts", "thread_ts", "values")
                if one in holder
            ]
            key = self.rng.choice(likely) if likely else key
        way = self.rng.random()
        if way < 0.2:
            del holder[key]
        elif way < 0.3 and isinstance(holder[key], str | int):
            other = str(holder[key]) if isinstance(holder[key], int) else 7
            holder[key] = other
        elif way < 0.4:
            nested: Any = holder[key]
            for _ in range(self.rng.choice([1, 5, 40])):
                nested = self.rng.choice([[nested], {"a": nested}])
            holder[key] = nested
        elif way < 0.5:
            holder[key] = self._other_id(holder[key])
        else:
            holder[key] = copy.deepcopy(self.rng.choice(STRANGE))

    def _other_id(self, value: Any) -> Any:
        """An id of another object of the same kind, as far as the corpus has one."""
        text = str(value)
        if text.isdecimal():
            return str(self.rng.randint(0, 200))
        if ":" in text:
            return f"{self.rng.randint(0, 60)}:{self.rng.randint(0, 90)}"
        if text.startswith("{"):
            held = {"candidate": self.rng.randint(0, 60), "seen": self.rng.randint(0, 90)}
            return json.dumps({**held, "verdict": self.rng.choice(["approve", "edit_and_approve", "return", "reject"])})
        return self.rng.choice([self.office.customer.user_id, self.office.channel, self.office.workspace.team_id])

    # Looking.

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.failures.add(otherwise)

    def _collect(self) -> None:
        """Take what people just sent into the corpus, and look at how it was answered."""
        deliveries = self.office.workspace.deliveries
        for delivery in deliveries[self._seen_deliveries :]:
            self.sent["valid"] += 1
            status = delivery.answer.status if delivery.answer is not None else None
            self.statuses[status or 0] += 1
            self._expect(status == 200, f"a valid {delivery.kind} was answered {status}")
            self._corpus.append((delivery.kind, delivery.payload))
        self._seen_deliveries = len(deliveries)
        del self._corpus[:-400]

    def _deliver(self) -> None:
        """Send what is owed; whatever the workspace refuses for its limits is a failure."""
        self.office.deliver()
        with self.office.store.read() as session:
            failed = list(session.exec(select(Notice).where(col(Notice.status) == "failed")))
            # A signed command may name a channel that is none; what is owed there can only be given up.
            places = (f"{self.office.workspace.team_id}/{self.office.channel}", "person:")
            trouble = [(one.id, one.kind, one.trouble) for one in failed if one.destination.startswith(places)]
        self._expect(not trouble, f"notices failed: {trouble[:3]}")

    def _rows(self) -> dict[str, int]:
        models = (tables.Person, tables.RoleGrant, tables.Capture, Candidate, Correction, Review, Example)
        models = (*models, tables.DatasetVersion, tables.AuditEntry, Notice, HandledRequest, Run, Deployment)
        with self.office.store.read() as session:
            return {
                model.__tablename__: session.exec(select(func.count()).select_from(model)).one() for model in models
            }

    def _count(self, model: Any) -> int:
        with self.office.store.read() as session:
            return session.exec(select(func.count()).select_from(model)).one()

    def _runs(self) -> list[str]:
        with self.office.store.read() as session:
            return list(session.exec(select(Run.id).order_by(col(Run.requested_at).desc())))[:5]

    def _authors(self, candidate_id: int) -> set[str]:
        with self.office.store.read() as session:
            return set(session.exec(select(Correction.author).where(Correction.candidate_id == candidate_id)))

    def _pending(self) -> list[dict[str, Any]]:
        return [
            {"ts": message["ts"], "number": int(value.partition(":")[0])}
            for message in self.office.workspace.messages(self.office.channel)
            if (value := self._button(message, "review_approve")) is not None
        ]

    def _button(self, message: dict[str, Any], action_id: str) -> str | None:
        for block in message.get("blocks", []):
            for element in block.get("elements", []):
                if element.get("action_id") == action_id:
                    return str(element["value"])
        return None

    def _message_with(self, action_id: str, value: str) -> str:
        messages = self.office.workspace.messages(self.office.channel)
        return next(str(one["ts"]) for one in messages if self._button(one, action_id) == value)

    def _words(self, mark: str) -> str:
        """Words of the lists above that nobody has said yet."""
        self._asked += 1
        return f"{mark}{self._asked} {self.rng.choice(WORDS)}"


def _places(value: Any) -> Iterator[Any]:
    """Every object and list inside a payload, itself included."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _places(inner)


@dataclass
class Result:
    """How a game went."""

    seed: int
    sent: Counter[str]
    statuses: Counter[int]
    reached: Counter[str]
    listeners: set[str]
    failures: list[str]

    @property
    def total(self) -> int:
        """Payloads that reached the gate."""
        return sum(self.sent.values())


def play(payloads: int, seed: int, folder: Path) -> Result:
    """Send at least so many payloads and say what happened."""
    rng, failures, reached = random.Random(seed), Failures(), Counter[str]()
    with new_workspace(seed).serve() as workspace, watched(failures):
        workspace.subscriptions = EVENTS
        office = furnish(workspace, folder)
        app = build(office.settings, office.store)
        record_reached(app, reached)
        gate = gated(app, office.settings, office.store)
        with served(gate) as url:
            workspace.deliver_to(url)
            game = Game(office, gate, rng, failures)
            while sum(game.sent.values()) < payloads or set(listeners_of(app)) - set(reached):
                if sum(game.sent.values()) > max(3 * payloads, 2_000):
                    break
                if game.sent["valid"] <= VALID_SHARE * sum(game.sent.values()):
                    game.work()
                else:
                    game.accident()
        app._listener_runner.listener_executor.shutdown(wait=True)
        office.store.close()
    return Result(seed, game.sent, game.statuses, reached, set(listeners_of(app)), failures.found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payloads", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with TemporaryDirectory() as folder:
        result = play(options.payloads, options.seed, Path(folder))
    print(f"{result.total} payloads: {dict(result.sent)}; statuses {dict(sorted(result.statuses.items()))}")
    missed = result.listeners - set(result.reached)
    print(f"{len(result.reached)} of {len(result.listeners)} listeners reached; not: {sorted(missed) or 'none'}")
    for failure, times in Counter(one[:3000] for one in result.failures).most_common(20):
        print(f"FAILED {times} times: {failure}")
    print(f"{len(result.failures)} failures")
    sys.exit(1 if result.failures or missed else 0)


if __name__ == "__main__":
    main()
