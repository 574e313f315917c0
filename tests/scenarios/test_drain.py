"""SIGTERM on real processes: what is in flight is answered, nothing new begins, and a restart finds one effect."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from builders import Office, furnish, new_workspace, served
from sqlmodel import select

from bot.app import build, gated
from bot.sandbox.errors import NotAnswered
from curation.store.tables import Candidate, HandledRequest, Notice

GRANTED_SECONDS = 10
"""What supervisors wait between SIGTERM and SIGKILL."""

CANARY = "Kanarienvogel"
WRONG, RIGHT = "The filter lasts for ever.", "A filter lasts six months."


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """People and a database; the bot is a process of its own."""
    with new_workspace().serve() as workspace:
        opened = furnish(workspace, tmp_path / "home")
        yield opened
        opened.store.close()


@contextmanager
def running(office: Office, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """``errata`` with these arguments, once it says that it is ready; killed if the test leaves it."""
    workspace = office.workspace
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("ERRATA_", "SLACK_"))}
    given = {
        "SLACK_API_URL": workspace.api_url,
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_APP_TOKEN": workspace.app_token,
        "SLACK_SIGNING_SECRET": workspace.signing_secret,
        "ERRATA_HOME": str(office.settings.home),
    }
    process = subprocess.Popen(  # noqa: S603 (our own module, no shell)
        [sys.executable, "-m", "bot.cli", *arguments],
        env={**environ, **given},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def answering(office: Office) -> Iterator[None]:
    """The bot in this process, for what only the worker's end is about."""
    with served(gated(build(office.settings, office.store), office.settings, office.store)) as url:
        office.workspace.deliver_to(url)
        yield


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().split()[-1]


@contextmanager
def locked(office: Office) -> Iterator[None]:
    """Nobody else can write to the database meanwhile."""
    connection = sqlite3.connect(office.settings.home / "errata.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def end(process: subprocess.Popen[str], began: float) -> str:
    """Wait for its end; what it wrote on stderr."""
    _, err = process.communicate(timeout=GRANTED_SECONDS + 10)
    assert process.returncode == 0, err
    assert time.monotonic() - began < GRANTED_SECONDS
    assert "Traceback" not in err
    return err


def broken_request(url: str, words: str) -> None:
    """What gunicorn itself refuses, and would quote in its log."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"GET /{words} {words}/9.9\r\n{words}\r\n\r\n".encode())
        assert b"400" in connection.recv(1000)


def refused(url: str) -> bool:
    """Whether nobody answers there any more."""
    try:
        httpx.get(f"{url}/healthz", trust_env=False, timeout=1)
    except httpx.HTTPError:
        return True
    return False


def candidates(office: Office) -> list[Candidate]:
    with office.store.read() as session:
        return list(session.exec(select(Candidate)))


def open_form(office: Office) -> None:
    _, reply = office.ask("How long does the filter last?", WRONG)
    office.ana.message_shortcut(office.channel, reply, "correct_reply")
    office.wait_for_thread(office.ana)


def test_over_http_a_request_in_flight_is_answered_and_its_replay_after_a_restart_is_one_effect(office: Office) -> None:
    workspace = office.workspace
    with ThreadPoolExecutor(1) as pool:
        with running(office, "serve", "--no-worker", "--http", "127.0.0.1:0") as bot:
            url = address_of(bot)
            workspace.deliver_to(f"{url}/slack/events")
            broken_request(url, CANARY)
            open_form(office)
            with locked(office):
                submitted = pool.submit(office.ana.submit, {"correction": RIGHT})
                time.sleep(0.5)  # it waits for the database now
                assert not submitted.done()
                began = time.monotonic()
                bot.send_signal(signal.SIGTERM)
                workspace.wait_until(lambda: refused(url), what="the door to close")
                assert not submitted.done()
            assert submitted.result(30) == {}
            err = end(bot, began)
            assert '"logger": "gunicorn.error"' in err
            assert CANARY not in err
            assert all(json.loads(line)["event"] for line in err.splitlines())
        assert len(candidates(office)) == 1
        submission = next(one for one in reversed(workspace.deliveries) if one.kind == "interaction")
        with running(office, "serve", "--no-worker", "--http", "127.0.0.1:0") as bot:
            workspace.deliver_to(f"{address_of(bot)}/slack/events")
            again = workspace.redeliver(submission)
            assert again.answer.status == 200
    assert len(candidates(office)) == 1
    with office.store.read() as session:
        assert len(session.exec(select(Notice)).all()) == 1
        assert session.exec(select(HandledRequest)).first() is not None


def test_over_socket_mode_a_request_in_flight_is_answered_and_a_new_one_is_not_begun(office: Office) -> None:
    workspace = office.workspace
    with ThreadPoolExecutor(2) as pool, running(office, "serve", "--no-worker") as bot:
        address_of(bot)
        assert workspace.socket_connected.wait(30)
        open_form(office)
        with locked(office):
            submitted = pool.submit(office.ana.submit, {"correction": RIGHT})
            time.sleep(0.5)
            assert not submitted.done()
            began = time.monotonic()
            bot.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            late = pool.submit(office.ben.command, "/errata", "help", office.channel)
            time.sleep(0.3)
            assert not submitted.done()
        assert submitted.result(30) == {}
        assert '"reason": "draining"' in end(bot, began)
        with pytest.raises(NotAnswered):
            late.result(30)
    assert len(candidates(office)) == 1


def test_the_worker_finishes_the_notice_in_hand_and_leaves_the_next_to_its_successor(office: Office) -> None:
    with answering(office):
        open_form(office)
        # What waits is told in one message of the channel; what was posted in the thread is another.
        assert office.ana.submit({"correction": RIGHT, "post": ["thread"]}) == {}

    def notices() -> list[str]:
        with office.store.read() as session:
            return list(session.exec(select(Notice.status).order_by("id")))

    assert notices() == ["queued", "queued"]
    with running(office, "work") as worker:
        with office.workspace.state.lock:  # Slack is slow: the first notice is under way
            office.workspace.wait_until(lambda: "in_flight" in notices(), what="a notice in hand")
            began = time.monotonic()
            worker.send_signal(signal.SIGTERM)
            time.sleep(1.0)
            assert worker.poll() is None
        end(worker, began)
    assert notices() == ["delivered", "queued"]
    assert len(messages(office)) == 1
    with running(office, "work"):
        office.workspace.wait_until(lambda: len(messages(office)) == 2, what="the second notice")
        office.workspace.wait_until(lambda: notices() == ["delivered"] * 2, what="its commit")


def messages(office: Office) -> list[str]:
    mine = office.workspace.bot_id
    return [json.dumps(one) for one in office.workspace.messages(office.channel) if one.get("bot_id") == mine]


def test_a_worker_that_something_holds_up_ends_all_the_same(office: Office) -> None:
    with answering(office):
        open_form(office)
        assert office.ana.submit({"correction": RIGHT}) == {}
    with running(office, "work") as worker, office.workspace.state.lock:
        office.workspace.wait_until(lambda: in_flight(office), what="a notice in hand")
        began = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(GRANTED_SECONDS) in {0, -signal.SIGALRM}
        assert time.monotonic() - began < GRANTED_SECONDS
    assert in_flight(office)  # its successor looks whether it arrived


def in_flight(office: Office) -> bool:
    with office.store.read() as session:
        return session.exec(select(Notice).where(Notice.status == "in_flight")).first() is not None
