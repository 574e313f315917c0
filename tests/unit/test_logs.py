from __future__ import annotations

import ast
import io
import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from builders import Office, open_office
from fakes import FakeBackend
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError
from sqlmodel import select

from bot import logs
from bot.app import now
from bot.connection import slack_client
from bot.logs import KEYS, LogFormat
from bot.notices import Deliverer
from curation.datasets import requested
from curation.store.tables import AuditEntry, HandledRequest, Notice
from training.backends.names import BackendName
from training.worker import InlineCarrier, Worker
from training.workplace import Workplace

ROOT = Path(__file__).parents[2]
SIGNING_SECRET = "0123456789abcdef0123456789abcdef"
TOKENS = [
    "xoxb-1234567890-abcdefGHIJ",
    "xoxe.xoxp-1-abcdef",
    "xapp-1-A0123-456-abcdef",
    "Bearer abc.def-ghi",
    "maria.silva+shop@example.co.uk",
    SIGNING_SECRET,
]


@contextmanager
def logged_to(stream: io.StringIO, log_format: LogFormat | None = None, *, debug: bool = True) -> Iterator[None]:
    """The process's log configured as ``errata serve`` does it, and put back."""
    root, ours = logging.getLogger(), logging.getLogger("errata")
    before, levels, hook = list(root.handlers), (root.level, ours.level), threading.excepthook
    for handler in before:  # force=True would close pytest's own
        root.removeHandler(handler)
    logs.configure(log_format, debug=debug, secrets=[SIGNING_SECRET], stream=stream)
    try:
        yield
    finally:
        root.handlers[:] = before
        root.setLevel(levels[0])
        ours.setLevel(levels[1])
        threading.excepthook = hook


def line_of(log: Callable[[], None], log_format: LogFormat = LogFormat.JSON) -> str:
    stream = io.StringIO()
    with logged_to(stream, log_format):
        log()
    (line,) = stream.getvalue().splitlines()
    return line


def fields_of(log: Callable[[], None]) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(line_of(log))
    return line


def test_a_line_has_its_event_and_its_named_fields() -> None:
    fields = fields_of(
        lambda: logging.getLogger("errata.gate").warning("refused: reason=%s status=%d", "signature", 401)
    )
    assert fields.pop("at").endswith("+00:00")
    assert fields == {
        "level": "warning",
        "logger": "errata.gate",
        "event": "refused",
        "reason": "signature",
        "status": 401,
    }


def test_text_says_the_same_for_a_person() -> None:
    line = line_of(lambda: logging.getLogger("errata.gate").warning("refused: reason=%s", "signature"), LogFormat.TEXT)
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING errata.gate: refused: reason=signature", line)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "is_json"), [(Screen(), False), (io.StringIO(), True)])
def test_a_terminal_reads_text_and_a_pipe_json(stream: io.StringIO, is_json: bool) -> None:
    with logged_to(stream):
        logging.getLogger("errata.x").warning("something")
    assert stream.getvalue().startswith("{") is is_json


def test_a_key_that_is_not_listed_and_a_value_without_a_key_are_withheld() -> None:
    # Not written as a call, which the check of our own calls below would find.
    record = logging.LogRecord(
        "errata.x", logging.INFO, __file__, 1, "said %s: text=%s run=%s", ("canary", "canary", "run-1"), None
    )
    line = logs.LineFormatter(LogFormat.JSON).format(record)
    assert "canary" not in line
    assert json.loads(line)["run"] == "run-1"


@given(st.text(min_size=1))
def test_a_value_is_a_code_or_withheld(words: str) -> None:
    record = logging.LogRecord("errata.x", logging.INFO, __file__, 1, "failed: reason=%s", (words,), None)
    told = json.loads(logs.LineFormatter(LogFormat.JSON).format(record))["reason"]
    assert told == logs.WITHHELD or re.fullmatch(r"[\w.:/\[\]-]{1,100}", told, re.ASCII)


@pytest.mark.parametrize("token", TOKENS)
def test_no_token_secret_or_address_passes_under_any_key(token: str) -> None:
    for key in sorted(KEYS):
        record = logging.LogRecord("errata.x", logging.INFO, __file__, 1, f"failed: {key}=%s", (token,), None)
        for log_format in LogFormat:
            assert token not in logs.LineFormatter(log_format, secrets=[SIGNING_SECRET]).format(record)
    assert token not in logs.redact(f"said {token}, then", [SIGNING_SECRET])


def test_a_password_in_an_address_is_redacted() -> None:
    assert "hunter22" not in logs.redact("postgresql://errata:hunter22@db/errata")


def test_an_error_is_its_types_and_places_and_never_its_words() -> None:
    def ask() -> None:
        raise OperationalError("INSERT canary", {"text": "canary"}, Exception("canary"))

    def fail() -> None:
        try:
            try:
                ask()
            except OperationalError as error:
                raise ValueError("canary") from error
        except ValueError:
            logging.getLogger("errata.x").exception("failed")

    line = line_of(fail)
    assert "canary" not in line
    fields = json.loads(line)
    assert fields["error"].startswith("ValueError < OperationalError")
    assert re.search(r"unit/test_logs\.py:\d+:fail", fields["trace"])


def test_a_library_is_named_and_its_words_are_not_repeated() -> None:
    for name in ("slack_sdk.web.base_client", "errata.bolt.App", "sqlalchemy.engine"):
        line = line_of(lambda name=name: logging.getLogger(name).error("canary %s", "canary"))  # type: ignore[misc]
        assert "canary" not in line
        assert name in line
        assert "unit/test_logs.py" in line


def test_of_gunicorn_the_signal_stays() -> None:
    line = line_of(lambda: logging.getLogger("gunicorn.error").error("Worker (pid:%s) was sent %s!", 7, "SIGKILL"))
    assert "Worker (pid:7) was sent SIGKILL!" in line


def test_a_thread_that_ends_badly_is_logged_without_its_words() -> None:
    def fail() -> None:
        raise ValueError("canary")

    def in_a_thread() -> None:
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()

    line = line_of(in_a_thread)
    assert "canary" not in line
    assert json.loads(line)["error"] == "ValueError"


def our_log_calls() -> Iterator[tuple[str, ast.Call]]:
    for package in ("bot", "training", "curation"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr in {"debug", "info", "warning", "error", "exception", "critical", "log"}
                    and ast.unparse(node.func.value) in {"log", "self._log", "_log", "logger", "logging"}
                ):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_every_value_that_we_log_has_a_listed_name() -> None:
    calls = list(our_log_calls())
    assert len(calls) > 10
    wrong = []
    for place, call in calls:
        template = call.args[0]
        if not (isinstance(template, ast.Constant) and isinstance(template.value, str)):
            wrong.append(f"{place}: the template is not a constant")
            continue
        named = re.findall(r"\b([a-z_]+)=%[sd]", template.value)
        if len(named) != template.value.count("%") or not KEYS.issuperset(named):
            wrong.append(f"{place}: {template.value}; write key=%s with a key of bot.logs.KEYS")
    assert wrong == []


# -- the canary: words of customers and tokens through every way in, then a look at all that is kept beside the rows


CANARY = "Kanarienvogel"
CANARIES = [
    f"{CANARY} <!channel> *bold*",
    f"{CANARY}\n\u202e\u0000" + "ä" * 300,
    f"maria.{CANARY}@example.com",
    f"xoxb-{CANARY}-1",
    f"'; DROP TABLE notices; -- {CANARY}",
]


def kept_beside_the_rows(office: Office) -> str:
    """Audit, outbox and refused requests, as text."""
    with office.store.read() as session:
        rows: list[Any] = [*session.exec(select(AuditEntry)), *session.exec(select(Notice))]
        rows += [row for row in session.exec(select(HandledRequest)) if row.status >= 400]
    return json.dumps([row.model_dump() for row in rows], default=str, ensure_ascii=False)


def play(office: Office, home: Path, log: io.StringIO) -> None:
    """Corrections, refusals, a broken database, a failing run and a failing Slack, with canaries everywhere."""
    for words in CANARIES:
        clean = words.replace("\u0000", "")
        _, reply = office.ask(clean, clean, aside=clean)
        office.correct(office.ana, reply, clean, note=clean)
    office.workspace.fail_next("views.open", "trigger_expired")
    office.ana.message_shortcut(office.channel, reply, "correct_reply")
    office.workspace.fail_next("views.update", 500)
    office.workspace.fail_next("conversations.replies", "ratelimited", retry_after=0, times=3)
    _, reply = office.ask(CANARY, CANARY)
    office.ana.message_shortcut(office.channel, reply, "correct_reply")
    office.workspace.wait_until(lambda: "could not be updated" in log.getvalue(), 20, "the form that failed")
    office.ana.command("/errata", f"queue {CANARY}", office.channel)
    office.ana.command("/errata", f"train {CANARY} {CANARY}", office.channel)

    office.review(office.ben)
    while office.reviewed(office.ben) is not None:
        office.approve(office.ben)
    office.ben.close_modal()
    office.olga.command("/errata", "freeze first", office.channel)
    assert requested.step(office.store, now())
    office.olga.command("/errata", "train first rehearsal", office.channel)
    backend = FakeBackend(refusals={"submit": [ValueError(CANARY)]})
    place = Workplace(office.store, {BackendName.LOCAL: backend}, home, now)
    worker = Worker(place, InlineCarrier(place))
    while worker.tick():
        pass
    for error in (500, "drop_answer", "fatal_error", "channel_not_found"):
        office.workspace.fail_next("chat.postMessage", error)
        office.workspace.fail_next("chat.update", error)
        _, reply = office.ask(CANARY, CANARY)
        office.correct(office.ana, reply, CANARY)
        office.deliver()


def test_no_words_of_customers_and_no_token_reach_the_log_the_audit_or_the_outbox(tmp_path: Path) -> None:
    stream = io.StringIO()
    with open_office(tmp_path) as office, logged_to(stream):
        hours = count()  # every look comes an hour after the last: nothing waits to be tried again
        later = Deliverer(office.store, slack_client(office.settings), lambda: now() + timedelta(hours=next(hours)))
        office.deliverer = later
        play(office, tmp_path, stream)
        beside = kept_beside_the_rows(office)
        secrets = (office.settings.bot_token, office.settings.app_token, *office.settings.signing_secrets)
    written = stream.getvalue()
    sys.stderr.write(written)
    # Everything that was meant to go wrong did.
    for trouble in ('"trouble": "channel_not_found"', '"error": "ValueError"', '"code": "trigger_expired"'):
        assert trouble in written
    assert "run.failed" in beside or "run.fail" in beside
    for kept in (written, beside):
        assert CANARY not in kept
        assert not any(secret in kept for secret in secrets)
