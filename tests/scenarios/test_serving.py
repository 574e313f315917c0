"""``errata serve``: what it refuses before it starts, and how it ends."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from shell import Shell

from bot.sandbox.workspace import Workspace
from training.foreground import sole_worker


@pytest.mark.parametrize("arguments", [["serve"], ["serve", "--http", "127.0.0.1:0"]])
def test_serving_without_a_token_says_which_one_is_missing(errata: Shell, arguments: list[str]) -> None:
    code, _, err = errata(*arguments)
    assert code == 2
    assert "SLACK_BOT_TOKEN is missing" in err


def test_an_address_needs_a_port(errata: Shell) -> None:
    code, _, err = errata("serve", "--http", "localhost")
    assert code == 2
    assert "HOST:PORT" in err


def test_a_taken_port_is_said_before_anything_starts(errata: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    monkeypatch.setenv("SLACK_SIGNING_SECRET", "secret")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, err = errata("serve", "--http", address)
    assert code == 1
    assert address in err


@pytest.fixture
def workspace(shell: Shell) -> Iterator[Workspace]:  # noqa: ARG001 (its settings are those that a server starts with)
    made = Workspace(now=lambda: datetime.now(UTC), rng=random.Random(7))
    with made.serve() as served:
        yield served


def given_by(workspace: Workspace) -> dict[str, str]:
    """The settings of a bot that is installed there."""
    return {
        "SLACK_API_URL": workspace.api_url,
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_APP_TOKEN": workspace.app_token,
        "SLACK_SIGNING_SECRET": workspace.signing_secret,
    }


def start(workspace: Workspace, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    """The command in a process of its own, with the workspace's tokens."""
    return subprocess.Popen(  # noqa: S603 (our own module, no shell)
        [sys.executable, "-m", "bot.cli", *arguments],
        env={**os.environ, **given_by(workspace), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("over_http", [True, False], ids=["http", "socket"])
def test_the_bot_serves_with_a_worker_beside_it_and_ends_cleanly(
    workspace: Workspace, tmp_path: Path, over_http: bool
) -> None:
    ana = workspace.add_person("Ana Silva")
    channel = workspace.add_channel("support", [ana])
    bot = start(workspace, "serve", *(["--http", "127.0.0.1:0"] if over_http else []))
    try:
        assert bot.stdout is not None
        ready = bot.stdout.readline()
        if over_http:
            url = ready.split()[-1]
            assert httpx.get(f"{url}/healthz", trust_env=False, timeout=30).status_code == 200
            assert httpx.post(f"{url}/slack/events", trust_env=False, timeout=30).status_code in {400, 401, 411}
            workspace.deliver_to(f"{url}/slack/events")
        else:
            assert workspace.socket_connected.wait(30)
            # What Slack would never send is acknowledged and dropped.
            assert workspace.hand_over("interaction", {"type": "block_actions", "team": 7}) == {}
        assert "queue" in ana.command("/errata", "help", channel)["text"]
        lock = tmp_path / "home" / "worker.lock"
        workspace.wait_until(lock.exists, what="the worker's lock")
    finally:
        bot.send_signal(signal.SIGTERM)
        _, err = bot.communicate(timeout=60)
    assert bot.returncode == 0
    assert "Traceback" not in err
    assert ('"reason": "payload"' in err) is not over_http
    with sole_worker(tmp_path / "home"):  # the worker went as well
        pass


REFUSED = {"SLACK_BOT_TOKEN": "xoxb-somebody-else"}


def test_a_refused_token_is_one_sentence_and_the_providers_exit_code_over_http(workspace: Workspace) -> None:
    bot = start(workspace, "serve", "--no-worker", "--http", "127.0.0.1:0", **REFUSED)
    _, err = bot.communicate(timeout=60)
    assert bot.returncode == 3
    assert "Slack refuses SLACK_BOT_TOKEN" in err
    assert "Traceback" not in err


def test_a_refused_token_is_one_sentence_and_the_providers_exit_code_in_socket_mode(
    workspace: Workspace, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**given_by(workspace), **REFUSED}.items():
        monkeypatch.setenv(name, value)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    code, _, err = shell("serve", "--no-worker")
    for number, handler in before.items():  # a process that ends need not put its own back; this one goes on
        signal.signal(number, handler)
    assert code == 3
    assert "Slack refuses SLACK_BOT_TOKEN" in err
    assert "Traceback" not in err


def test_a_worker_whose_server_was_killed_ends_by_itself(workspace: Workspace, tmp_path: Path) -> None:
    bot = start(workspace, "serve")
    assert bot.stdout is not None
    bot.stdout.readline()
    workspace.wait_until((tmp_path / "home" / "worker.lock").exists, what="the worker's lock")
    bot.kill()
    bot.communicate(timeout=60)  # returns once the worker, too, has closed stderr
    with sole_worker(tmp_path / "home"):
        pass
