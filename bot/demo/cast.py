"""The demo's stage: a sandbox workspace filled with the sample, and Errata installed in it.

Owns setting the stage and taking it down. Errata itself runs as anybody would run it: as
``errata serve`` in processes of its own, reached over signed HTTP.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.app import now
from bot.migrations import upgrade
from bot.sandbox.people import Person
from bot.sandbox.sample_workspace import SampleConversation, SampleSpeaker, SampleWorkspace
from bot.sandbox.workspace import Workspace
from curation import assistants, people, tongues
from curation.errors import Unavailable
from curation.people import Actor, PersonId, person_id
from curation.policies import RoleName
from curation.store.engine import Store, open_engine

START_SECONDS = 30
STOP_SECONDS = 15
SEED = 20
ANSWER_SECONDS = 10  # Slack gives three; here a model trains beside it, perhaps on a machine that has much else to do


@dataclass
class Cast:
    """Everybody on stage.

    Attributes:
        threads: conversation id → ts of its first message.
        replies: conversation id → ts of the assistant's reply to be judged.
        folder: where the demo keeps its files; ``home`` below it is Errata's.
    """

    workspace: Workspace
    sample: SampleWorkspace
    store: Store
    folder: Path
    channel: str
    staff: dict[str, Person]
    threads: dict[str, str] = field(default_factory=dict)
    replies: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """Errata's own folder."""
        return self.folder / "home"

    def staff_with(self, role: RoleName, language: str | None = None) -> Person:
        """Somebody with this role, reading this language where one is given."""
        for person in self.sample.people:
            if person.role is role and (language is None or language in person.languages):
                return self.staff[person.name]
        return self.staff[next(person.name for person in self.sample.people if person.role is role)]

    def staff_in(self, role: RoleName) -> list[Person]:
        """Everybody with this role."""
        return [self.staff[person.name] for person in self.sample.people if person.role is role]

    def actor(self, person: Person) -> Actor:
        """The acting person behind somebody on stage."""
        return Actor(self.id_of(person))

    def id_of(self, person: Person) -> PersonId:
        """Errata's id of somebody on stage."""
        return person_id(self.workspace.team_id, person.user_id)

    def message_with(self, text: str) -> dict[str, Any] | None:
        """Errata's newest message in the channel whose blocks or text contain these words."""
        for message in reversed(self.workspace.messages(self.channel)):
            if message.get("bot_id") == self.workspace.bot_id and (
                text in message.get("text", "") or text in str(message.get("blocks", ""))
            ):
                return message
        return None


@contextmanager
def staged(
    sample: SampleWorkspace, folder: Path, *, events: bool = False, environ: Mapping[str, str] | None = None
) -> Iterator[Cast]:
    """A served workspace with the sample posted, Errata set up and running.

    Args:
        events: whether Errata hears of everything that happens in it; the story needs none.
        environ: what Errata is told beside; without it, where the toy in production lies.
    """
    with Workspace(now=now, rng=random.Random(SEED), answer_seconds=ANSWER_SECONDS).serve() as workspace:
        workspace.subscriptions = None if events else frozenset()
        engine = open_engine(f"sqlite:///{folder / 'home' / 'errata.db'}")
        upgrade(engine)
        store = Store(engine)
        staff = {
            person.name: workspace.add_person(person.name, person.user_id, person.locale) for person in sample.people
        }
        bot = workspace.add_bot(sample.assistant_name)
        customers = {
            conversation.customer: workspace.add_person(conversation.customer) for conversation in sample.conversations
        }
        channel = workspace.add_channel(sample.channel, [*staff.values(), bot, *customers.values()])
        cast = Cast(workspace, sample, store, folder, channel, staff)
        try:
            _post(cast, bot, customers)
            _set_up(cast, bot)
            with _errata(cast, environ or {"ERRATA_PRODUCTION_MODEL": str(production_checkpoint(folder))}):
                yield cast
        finally:
            store.close()


def _post(cast: Cast, bot: Person, customers: dict[str, Person]) -> None:
    """Let every sample conversation happen, a thread each; the opening one last, where people look."""
    for conversation in sorted(cast.sample.conversations, key=lambda conversation: conversation.first):
        thread: str | None = None
        for turn in conversation.turns:
            speaker = _speaker(cast, conversation, turn.speaker, turn.name, bot, customers)
            ts = speaker.post(cast.channel, turn.text, thread_ts=thread)
            thread = thread or ts
        cast.threads[conversation.id], cast.replies[conversation.id] = thread or ts, ts


def _speaker(
    cast: Cast,
    conversation: SampleConversation,
    speaker: SampleSpeaker,
    name: str | None,
    bot: Person,
    customers: dict[str, Person],
) -> Person:
    if speaker is SampleSpeaker.ASSISTANT:
        return bot
    return customers[conversation.customer] if name is None else cast.staff[name]


def _set_up(cast: Cast, bot: Person) -> None:
    """What the operator does once: the owner, the roles, the assistant and its prompt."""
    owner = cast.actor(cast.staff_with(RoleName.OWNER))
    with cast.store.write() as session:
        for person in cast.sample.people:
            people.meet(session, now(), cast.id_of(cast.staff[person.name]), display_name=person.name)
        people.grant(session, None, now(), person=owner.person_id, role=RoleName.OWNER)
        for person in cast.sample.people:
            actor = cast.actor(cast.staff[person.name])
            people.grant(session, owner, now(), person=actor.person_id, role=person.role)
            if person.role is RoleName.REVIEWER:
                tongues.choose_reads(session, actor, now(), person.languages)
        assistants.add(
            session,
            owner,
            now(),
            name=cast.sample.assistant_name,
            team_id=cast.workspace.team_id,
            speaks_as={bot.user_id, str(bot.bot_id)},
        )
        assistants.set_prompt(session, owner, now(), name=cast.sample.assistant_name, text=cast.sample.system_prompt)


@contextmanager
def _errata(cast: Cast, environ: Mapping[str, str]) -> Iterator[None]:
    """``errata serve --http`` with its worker, until the block ends."""
    address = f"127.0.0.1:{_free_port()}"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SLACK_", "ERRATA_"))},
        "SLACK_BOT_TOKEN": cast.workspace.bot_token,
        "SLACK_SIGNING_SECRET": cast.workspace.signing_secret,
        "SLACK_API_URL": cast.workspace.api_url,
        "ERRATA_HOME": str(cast.home),
        **environ,
    }
    with (cast.folder / "errata.log").open("wb") as log:
        command = [sys.executable, "-m", "bot.cli", "serve", "--http", address, "--with-parent"]
        process = subprocess.Popen(  # noqa: S603 (our own program)
            command, env=environment, cwd=cast.folder, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait_for(address, process, cast.folder / "errata.log")
            cast.workspace.deliver_to(f"http://{address}/slack/events")
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def production_checkpoint(folder: Path) -> Path:
    """Where the demo's stand-in for a production model lies."""
    return folder / "production" / "model"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    host, port = address.split(":")
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.1)
    raise Unavailable(f"errata serve did not start; the reason is in {log}.")
