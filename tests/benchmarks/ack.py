"""How many requests a second Errata acknowledges, its rows written durably, beside Bolt that only acknowledges.

    python tests/benchmarks/ack.py [--requests 1000] [--rounds 3] [--connections 32] [--worker]

Both run in processes of their own under gunicorn with the same settings (gthread, 1 worker, 8 threads);
the load comes from this one over loopback, in turns: ours, bare, ours, bare. Ours is ``errata serve
--http`` itself; with ``--worker`` one that screens all that arrives runs beside it. Afterwards the database
file is opened anew and every row that was promised is counted. The last lines are the figures, one JSON
object each, with their goal where there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from benchmarks.load import Load, offer, signed
from builders import Office, furnish, new_workspace, now

from bot.blocks import chat, correct, review
from bot.blocks.correct import Form
from bot.listeners.rounds import Round
from bot.sandbox import payloads
from bot.serving import THREADS
from bot.speech import ENGLISH_SPOKEN
from curation import candidates, captures, proposals
from curation.conversation import Conversation, Message, Role
from curation.summaries import of_candidate

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
WARM_UP = 64
SOMETIME = 1_700_000_000
"""In Slack's seconds."""
QUESTION = "How long is the filter good for, and who tells me when it has to be changed?"
REPLY = "The filter lasts for ever; nobody has to tell you anything about it."
CORRECTION = "A filter lasts six months. The app tells you two weeks before, and the lamp turns yellow."


RATIO, P99_MS, P50_MS = 0.3, 100, 5
"""The goals: a rate beside bare Bolt's, and how long 99 of 100 presses, or half of them on one connection, take."""
REVIEW_P99_MS = 300
"""Of a decision in the review window, which answers with the next candidate and does ten times the work of a press."""


@dataclass
class Kind:
    """One kind of request. ``prepare`` writes what so many of them need and gives their contents and bodies.

    Attributes:
        tables: where each of them leaves a row, besides its outcome.
        ratio, p99_ms: the goals; None: there is none.
    """

    name: str
    prepare: Callable[[int], list[tuple[str, bytes]]]
    tables: tuple[str, ...] = ()
    ratio: float | None = RATIO
    p99_ms: float = P99_MS
    sent: int = 0
    ours: list[Load] = field(default_factory=list)
    bare: list[Load] = field(default_factory=list)


class Desk:
    """Makes requests that each write something, against an office of its own.

    Attributes:
        responses: the port that takes what is sent to a response_url.
    """

    def __init__(self, office: Office) -> None:
        self._office = office
        self._identity = office.workspace.state.identity
        self._numbers = count(1)
        self._channel = {"id": office.channel, "name": "support"}
        self.responses = 9

    def slash(self, number: int) -> list[tuple[str, bytes]]:
        """``/errata language`` by somebody new: Errata remembers the person, and what they chose."""
        made = []
        for _ in range(number):
            account = payloads.Account(f"U{self._next():09d}", "New Person", self._identity.team_id)
            fields = payloads.command(
                self._identity,
                account,
                name="/errata",
                text="language nb",
                channel=self._channel,
                trigger_id=f"{self._next()}.1",
                response_url="http://127.0.0.1:9/",
            )
            made.append((FORM, urlencode(fields).encode()))
        return made

    def button(self, number: int) -> list[tuple[str, bytes]]:
        """A thumb up below Errata's own answer: an endorsement is owed, and whoever pressed hears a thank-you."""
        made = []
        for _ in range(number):
            answer = self._next()
            ts, posted = f"{SOMETIME + answer}.000100", chat.foot(ENGLISH_SPOKEN, answer, "Answered by phi-3-mini")
            pressed = {**posted[1]["elements"][0], "block_id": "foot", "value": f"{chat.GOOD}:{answer}"}
            payload = payloads.message_actions(
                payloads.interaction(self._identity, "block_actions", self._office.ana._account),
                action={"action_ts": ts, **pressed},
                state={},
                trigger_id=f"{answer}.1",
                response_url=f"http://127.0.0.1:{self.responses}/",
                channel=self._channel,
                message={
                    "type": "message",
                    "ts": ts,
                    "thread_ts": f"{SOMETIME}.000100",
                    "text": REPLY,
                    "blocks": posted,
                },
            )
            made.append(payload)
        return [_interaction(payload) for payload in made]

    def review(self, number: int) -> list[tuple[str, bytes]]:
        """Approve in the review window: a review, an example, an audit entry, and the next candidate claimed."""
        made = []
        with self._office.store.write() as session:
            for capture_id in self._captures(session, number):
                kept = proposals.propose(
                    session,
                    self._office.actor("ana"),
                    now(),
                    capture_id=capture_id,
                    correction=CORRECTION,
                    review_in=f"{self._identity.team_id}/{self._office.channel}",
                )
                summary = of_candidate(session, candidates.find(session, kept))
                view = {
                    "type": "modal",
                    "callback_id": review.REVIEW,
                    "private_metadata": Round(candidate=summary.id, seen=summary.seen).packed(),
                    "blocks": [],
                    "id": f"V{self._next()}",
                    "hash": "1.a",
                    "state": {"values": {}},
                }
                base = payloads.interaction(self._identity, "view_submission", self._office.ben._account)
                made.append(payloads.view_submission(base, trigger_id=f"{self._next()}.1", view=view))
        return [_interaction(payload) for payload in made]

    def view(self, number: int) -> list[tuple[str, bytes]]:
        """A correction form: a candidate, a correction, an audit entry and a card that is owed."""
        with self._office.store.write() as session:
            capture_ids = self._captures(session, number)
        made = []
        for capture_id in capture_ids:
            form = correct.correct_view(ENGLISH_SPOKEN, Form(capture_id, REPLY, [("user", QUESTION)]))
            entered = {"correction": CORRECTION, "topic": "filters", "note": None}
            values: dict[str, Any] = {
                block: {"value": {"type": "plain_text_input", "value": text}} for block, text in entered.items()
            }
            values["reason"] = {"value": {"type": "static_select", "selected_option": {"value": "wrong_fact"}}}
            # Slack names every block that Errata does not.
            blocks = [{"block_id": f"B{number}", **block} for number, block in enumerate(form["blocks"])]
            view = {**form, "blocks": blocks, "id": f"V{self._next()}", "hash": "1.a", "state": {"values": values}}
            base = payloads.interaction(self._identity, "view_submission", self._office.ana._account)
            made.append(payloads.view_submission(base, trigger_id=f"{self._next()}.1", view=view))
        return [_interaction(payload) for payload in made]

    def event(self, number: int) -> list[tuple[str, bytes]]:
        """A message in a channel: of no interest, and acknowledged."""
        made = []
        for _ in range(number):
            event = {"type": "message", "channel": self._channel["id"], "user": self._office.customer.user_id}
            event |= {"text": QUESTION, "ts": f"{self._next()}.000100", "channel_type": "channel"}
            envelope = payloads.event_callback(self._identity, event, event_id=f"Ev{self._next()}", event_time=1)
            made.append((JSON, json.dumps(envelope).encode()))
        return made

    def _captures(self, session: Any, number: int) -> list[int]:
        made = []
        asked = Conversation((Message(Role.USER, QUESTION),))
        for _ in range(number):
            source = f"{self._identity.team_id}/{self._office.channel}/{self._next()}.000100"
            kept = captures.keep(
                session, self._office.actor("ana"), now(), assistant_id=1, source=source, thread=source, reply=REPLY
            )
            captures.fill(session, kept.key, asked, reply=REPLY, staff_reply=None)
            made.append(kept.key)
        return made

    def _next(self) -> int:
        return next(self._numbers)


def _interaction(payload: dict[str, Any]) -> tuple[str, bytes]:
    return FORM, urlencode({"payload": json.dumps(payload)}).encode()


def measure(
    *, requests: int, rounds: int, connections: int, only: str = "", worker: bool = False
) -> list[dict[str, Any]]:
    """The figures; printed on the way, with what was found in the file afterwards."""
    with TemporaryDirectory() as folder, new_workspace().serve() as workspace:
        home = Path(folder)
        office = furnish(workspace, home)
        desk = Desk(office)
        kinds = [
            Kind("slash", desk.slash, ("people",)),
            Kind("button", desk.button, ("chat_tasks",)),
            Kind("view", desk.view, ("candidates", "corrections")),
            Kind("event", desk.event),
            Kind(
                "review",
                desk.review,
                ("candidates", "corrections", "reviews", "examples"),
                None,
                REVIEW_P99_MS,
            ),
        ]
        kinds = [kind for kind in kinds if only in {"", kind.name}]
        with _ours(office, home, worker=worker) as ours, _bare(workspace.signing_secret) as bare:
            desk.responses = bare
            before = _rows(home, kinds)

            def turn(kind: Kind, number: int, connections: int) -> tuple[Load, Load]:
                contents = kind.prepare(number)
                stamp = int(time.time())
                ready = [signed(workspace.signing_secret, stamp, *content) for content in contents]
                kind.sent += number
                return offer(ours, ready, connections=connections), offer(bare, ready, connections=connections)

            for kind in kinds:
                turn(kind, WARM_UP, connections)
            for _ in range(rounds):
                for kind in kinds:
                    one, other = turn(kind, requests, connections)
                    kind.ours.append(one)
                    kind.bare.append(other)
                    print(
                        f"{kind.name}: {one.rate:,.0f} req/s, p99 {one.percentile(0.99):.1f} ms; "
                        f"bare {other.rate:,.0f}, {other.percentile(0.99):.1f} ms",
                        flush=True,
                    )
            single = turn(kinds[0], min(requests, 300), 1)
            office.store.close()
        _check_rows(before, _rows(home, kinds), kinds)
    alone = _figure(f"ack.{kinds[0].name}.p50_ms", *_at(single, 0.5), "ms", {"p50_ms": P50_MS})
    return [*(line for kind in kinds for line in _figures(kind)), alone]


def _rows(home: Path, kinds: Sequence[Kind]) -> dict[str, int]:
    """How many rows the file holds, read over a connection of its own."""
    tables = {"handled_requests", *(table for kind in kinds for table in kind.tables)}
    with closing(sqlite3.connect(home / "errata.db")) as file:
        # A table's name cannot be a parameter.
        return {table: file.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in sorted(tables)}  # noqa: S608


def _check_rows(before: dict[str, int], after: dict[str, int], kinds: Sequence[Kind]) -> None:
    expected = {table: sum(kind.sent for kind in kinds if table in kind.tables) for table in after}
    expected["handled_requests"] = sum(kind.sent for kind in kinds)
    found = {table: after[table] - before[table] for table in expected}
    print(f"rows in the reopened file: {found}")
    if found != expected:
        sys.exit(f"expected {expected}: an acknowledged request left no row")


def _figures(kind: Kind) -> Iterator[dict[str, Any]]:
    rates = [statistics.median(load.rate for load in loads) for loads in (kind.ours, kind.bare)]
    yield _figure(f"ack.{kind.name}.rps", rates[0], rates[1], "req/s", {"ratio": kind.ratio})
    both = [Load(1, [one for load in loads for one in load.milliseconds]) for loads in (kind.ours, kind.bare)]
    yield _figure(f"ack.{kind.name}.p99_ms", *_at((both[0], both[1]), 0.99), "ms", {"p99_ms": kind.p99_ms})


def _at(loads: tuple[Load, Load], share: float) -> tuple[float, float]:
    return loads[0].percentile(share), loads[1].percentile(share)


def _figure(name: str, ours: float, peer: float, unit: str, goal: dict[str, float | None]) -> dict[str, Any]:
    figure = {"name": name, "ours": round(ours, 2), "peer": round(peer, 2), "ratio": round(ours / peer, 3)}
    return {**figure, "unit": unit, "goal": {what: limit for what, limit in goal.items() if limit is not None}}


@contextmanager
def _ours(office: Office, home: Path, *, worker: bool) -> Iterator[int]:
    workspace = office.workspace
    environ = {
        **os.environ,
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_SIGNING_SECRET": workspace.signing_secret,
        "SLACK_API_URL": workspace.api_url,
        "ERRATA_HOME": str(home),
    }
    command = ["-m", "bot.cli", "serve", "--http", "127.0.0.1:{port}", *([] if worker else ["--no-worker"])]
    with _process(command, environ, cwd=home) as port:
        yield port


@contextmanager
def _bare(secret: str) -> Iterator[int]:
    with _process([__file__, "--bare", "{port}"], {**os.environ, "SLACK_SIGNING_SECRET": secret}, cwd=None) as port:
        yield port


@contextmanager
def _process(arguments: Sequence[str], environ: dict[str, str], cwd: Path | None) -> Iterator[int]:
    """A server on a free port, until the block ends."""
    port = _free_port()
    command = [sys.executable, *(argument.format(port=port) for argument in arguments)]
    path = os.pathsep.join(sys.path[:2])
    process = subprocess.Popen(  # noqa: S603 (our own module, no shell)
        command, env={**environ, "PYTHONPATH": path}, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        line = process.stdout.readline() if process.stdout else b""
        if b"http" not in line:
            sys.exit(f"no server: {line!r}")
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        if process.stdout:
            process.stdout.close()


def _free_port() -> int:
    import socket  # noqa: PLC0415

    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def serve_bare(port: int) -> None:
    """Bolt with its own signature check and listeners that only acknowledge."""
    import logging  # noqa: PLC0415

    from gunicorn.app.base import BaseApplication  # noqa: PLC0415
    from slack_bolt import Ack, App  # noqa: PLC0415
    from slack_bolt.adapter.wsgi import SlackRequestHandler  # noqa: PLC0415
    from slack_bolt.authorization import AuthorizeResult  # noqa: PLC0415

    def acknowledge(ack: Ack) -> None:
        ack()

    class Bare(BaseApplication):
        def load_config(self) -> None:
            chosen = {"bind": [f"127.0.0.1:{port}"], "worker_class": "gthread", "workers": 1, "threads": THREADS}
            chosen |= {"keepalive": 75, "loglevel": "warning", "control_socket_disable": True}
            for name, value in chosen.items():
                self.cfg.set(name, value)
            self.cfg.set("post_worker_init", lambda _worker: print(f"http://127.0.0.1:{port}", flush=True))

        def load(self) -> SlackRequestHandler:
            logger = logging.getLogger("bare")
            logger.setLevel(logging.ERROR)
            home = AuthorizeResult(enterprise_id=None, team_id="T1", bot_token="xoxb-1", bot_user_id="UBOT")
            app = App(
                logger=logger,
                signing_secret=os.environ["SLACK_SIGNING_SECRET"],
                authorize=lambda: home,
                process_before_response=True,
                token_verification_enabled=False,
            )
            app.command("/errata")(acknowledge)
            app.action(chat.FEEDBACK)(acknowledge)
            app.view(review.REVIEW)(acknowledge)
            app.view(correct.CORRECT)(acknowledge)
            app.event("message")(acknowledge)
            return SlackRequestHandler(app)

    Bare().run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000, help="of each kind and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--only", default="", help="one kind: slash, button, view, event or review")
    parser.add_argument("--worker", action="store_true", help="run a worker beside ours")
    parser.add_argument("--bare", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare is not None:
        serve_bare(options.bare)
        return
    print(f"load average at the start {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores")
    given = {name: getattr(options, name) for name in ("requests", "rounds", "connections", "only", "worker")}
    figures = measure(**given)
    print(f"load average at the end {os.getloadavg()[0]:.2f}")
    for figure in figures:
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
