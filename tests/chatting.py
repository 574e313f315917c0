"""An office whose Errata is the assistant itself and answers with the model of a small server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from builders import Office, open_office
from chat_endpoint import MODEL, ChatEndpoint, serving
from sqlmodel import col, select

from bot.assistant.answerer import Answerer
from bot.assistant.bench import Bench
from bot.assistant.tasks import HELD
from bot.connection import slack_client
from bot.sandbox.people import Person
from curation import assistants, replies
from curation.store.tables import ChatTask

EVENTS = frozenset({"message", "app_mention", "app_home_opened", "assistant_thread_started", "app_context_changed"})

QUESTION = "How long does the filter last?"

KEY = "sk-canary-7f3a"


@dataclass
class Chat:
    """An office whose Errata answers with the model of a small server."""

    office: Office
    model: ChatEndpoint
    bench: Bench

    def __post_init__(self) -> None:
        self.answerer = Answerer(self.bench)

    @property
    def errata(self) -> str:
        return self.office.workspace.bot_user_id

    def mention(self, person: Person, text: str, thread_ts: str | None = None) -> str:
        return person.post(self.office.channel, f"<@{self.errata}> {text}", thread_ts, raw=True)

    def settle(self) -> None:
        """Let the worker do everything that is due."""
        self.office.workspace.wait_until_delivered()
        while self.answerer.settle_next():
            pass

    def answers(self, thread_ts: str, channel: str | None = None) -> list[dict[str, Any]]:
        """Errata's messages in a thread."""
        said = self.office.workspace.messages(channel or self.office.channel, thread_ts)
        return [one for one in said if one.get("user") == self.errata and one["ts"] != thread_ts]

    def tasks(self) -> list[ChatTask]:
        with self.office.store.read() as session:
            return list(session.exec(select(ChatTask).order_by(col(ChatTask.id))))

    def figures(self) -> list[tuple[str | None, int, int]]:
        """Version, replies and flagged of the assistant that Errata is itself."""
        with self.office.store.read() as session:
            itself = assistants.find(session, assistants.ITSELF)
            return [(one.model_version, one.replies, one.flagged) for one in replies.per_version(session, itself.key)]

    def again(self) -> None:
        """Another worker comes after this one was killed: what it had in hand is free."""
        self.office.ahead.by += HELD


@contextmanager
def opened(tmp_path: Path, **changes: str) -> Iterator[Chat]:
    model = ChatEndpoint()
    with serving(model) as url:
        about = {"ERRATA_ASSISTANT_URL": url, "ERRATA_ASSISTANT_MODEL": MODEL, "ERRATA_ASSISTANT_KEY": KEY}
        with open_office(tmp_path, **{"ERRATA_ASSISTANT": "on", **about, **changes}) as office:
            office.workspace.subscriptions = EVENTS
            yield Chat(office, model, bench_for(office))


def bench_for(office: Office, *, leads: Callable[[], bool] = lambda: True) -> Bench:
    """A worker's bench whose time passes with every look at it."""
    client, seconds = slack_client(office.settings), count(0, 0.4)
    return Bench(office.store, client, office.ahead, office.settings, leads=leads, monotonic=seconds.__next__)


def small_print(message: dict[str, Any]) -> str:
    return "".join(one["elements"][0]["text"] for one in message["blocks"] if one["type"] == "context")


def feedback(answer: dict[str, Any], side: str) -> str:
    (row,) = (block for block in answer["blocks"] if block["type"] == "context_actions")
    return str(row["elements"][0][f"{side}_button"]["value"])
