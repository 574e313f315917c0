"""Errata as the assistant, with a worker of its own that is killed in the middle of an answer, or told to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from builders import Office, open_office
from chat_endpoint import MODEL, VERSION, ChatEndpoint, Saying, serving
from sqlmodel import select

from curation import assistants, replies
from curation.store.tables import ChatTask

QUESTION = "How long does the filter last?"
WORDS = [f"word{number} " for number in range(8)]


@contextmanager
def worker(office: Office) -> Iterator[subprocess.Popen[str]]:
    """``errata work`` beside the office's bot, once it runs."""
    settings, workspace = office.settings, office.workspace
    given = {
        "SLACK_API_URL": workspace.api_url,
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "ERRATA_HOME": str(settings.home),
        "ERRATA_ASSISTANT": "on",
        "ERRATA_ASSISTANT_URL": str(settings.assistant_url),
        "ERRATA_ASSISTANT_MODEL": settings.assistant_model,
    }
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("ERRATA_", "SLACK_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "bot.cli", "work"],
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


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told to end"])
def test_an_answer_that_was_begun_is_completed_by_the_next_worker_in_the_same_message(
    tmp_path: Path, way: signal.Signals
) -> None:
    model, gone = ChatEndpoint(), threading.Event()

    def stall(number: int) -> None:
        if number == 4:
            gone.wait(30)

    model.then(Saying(WORDS, between=stall), Saying([*WORDS, "end"]))
    about = {"ERRATA_ASSISTANT": "on", "ERRATA_ASSISTANT_MODEL": MODEL}
    with serving(model) as url, open_office(tmp_path, **about, ERRATA_ASSISTANT_URL=url) as office:
        workspace, ana = office.workspace, office.ana
        workspace.subscriptions = frozenset({"message"})
        with worker(office) as first:
            asked = ana.post(ana.dm_channel, QUESTION)
            workspace.wait_until(lambda: workspace.state.streams, 30, "the stream")
            first.send_signal(way)
            first.wait(60)
        gone.set()
        with worker(office):
            workspace.wait_until(lambda: task(office).status == "done", 30, "the answer")
        (answer,) = (one for one in workspace.messages(ana.dm_channel, asked) if one["ts"] != asked)
        assert answer["text"] == "".join(WORDS) + "end"
        assert workspace.state.streams == {}
        assert len(model.asked) == 2
        with office.store.read() as session:
            itself = assistants.find(session, assistants.ITSELF)
            assert [(one.model_version, one.replies) for one in replies.per_version(session, itself.key)] == [
                (VERSION, 1)
            ]


def task(office: Office) -> Any:
    with office.store.read() as session:
        return session.exec(select(ChatTask)).one()
