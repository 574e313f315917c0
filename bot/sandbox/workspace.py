"""The workspace as a test or the demo holds it: setup, reading, lifecycle.

Owns how the parts are put together and taken apart. What people do is in ``people``, what the bot
may call in ``web_api``, how things travel in ``delivery`` and ``sockets``, what goes wrong in ``trouble``, who
leaves and what is archived in ``administration``.
"""

from __future__ import annotations

import copy
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Literal, Self

from starlette.routing import BaseRoute

from bot.sandbox.administration import Administration
from bot.sandbox.delivery import Deliverer, Delivery, HttpLine
from bot.sandbox.errors import NotAnswered, SandboxRefusal, WaitedInVain
from bot.sandbox.installing import App, new_identity
from bot.sandbox.payloads import Account, Json, event_callback
from bot.sandbox.people import Person
from bot.sandbox.records import Channel, UploadedFile
from bot.sandbox.server import Server
from bot.sandbox.sockets import SocketLine
from bot.sandbox.state import State
from bot.sandbox.trouble import Trouble
from bot.sandbox.views import Views
from bot.sandbox.web_api import WebApi

ANSWER_SECONDS = 3.0
POLL_SECONDS = 0.02
PATIENCE_SECONDS = 30.0
"""Of a wait that nobody has put a limit to: a machine may be busy, and what works is not waited for any longer."""


class Workspace(Trouble, Administration):
    """One workspace with Errata installed.

    ``now`` gives the time for messages, triggers and signatures; ``rng`` gives ids and tokens.
    ``retry_delays_seconds`` are the waits before Slack's three further tries of an event. With ``beside``, the same
    app is installed in a second workspace: it keeps its secrets, and either's ``api_url`` answers both's tokens.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        rng: random.Random,
        answer_seconds: float = ANSWER_SECONDS,
        retry_delays_seconds: Sequence[float] = (0.0, 0.0, 0.0),
        beside: Workspace | None = None,
    ) -> None:
        def token(kind: str) -> str:
            return f"{kind}-{rng.getrandbits(40)}-{rng.getrandbits(96):024x}"

        self.bot_token, app_token, secret = token("xoxb"), token("xapp-1"), f"{rng.getrandbits(128):032x}"
        # The app's further ids come from a source of their own, so that they do not shift those of the workspace.
        self.app: App = App(app_token, secret, random.Random(secret)) if beside is None else beside.app
        self.app_token, self.signing_secret = self.app.app_token, self.app.signing_secret
        identity = new_identity(rng, like=beside.state.identity if beside else None)
        self.state = State(identity, now=now, rng=rng)
        self.team_id, self.bot_user_id, self.bot_id = identity.team_id, identity.bot_user_id, identity.bot_id
        self.app_id = identity.app_id
        self.views = Views(self.state, trigger_seconds=answer_seconds)  # Slack gives as long for both
        self.subscriptions: frozenset[str] | None = None  # event types, as the app's manifest names them; None: all
        self._answer_seconds = answer_seconds
        self._deliverer = Deliverer(retry_delays_seconds=retry_delays_seconds)
        self._sockets = SocketLine(
            app_id=identity.app_id,
            rng=random.Random(rng.getrandbits(64)),  # its own, so that envelopes do not shift the ids of messages
            timeout_seconds=answer_seconds,
            on_connect=self._use_sockets,
        )
        self._web_api = WebApi(self.state, self.views, self._sockets, bot_token=self.bot_token, app=self.app)
        self._server = Server(self.state, self._web_api, self._sockets)
        self.state.on_event = self._say
        errata = Account(self.bot_user_id, "Errata", self.team_id, bot_id=self.bot_id, app_id=self.app_id)
        self.state.accounts[self.bot_user_id] = errata

    @contextmanager
    def serve(self) -> Iterator[Self]:
        """Serve on a free loopback port until the block ends; threads and sockets end with it."""
        self.state.origin = self._server.start()
        self._deliverer.start()
        try:
            yield self
        finally:
            self._deliverer.close()
            self._server.stop()

    # Setting up.

    @property
    def api_url(self) -> str:
        """The ``base_url`` for WebClient: ``http://127.0.0.1:PORT/api/``."""
        return f"{self.state.origin}/api/"

    @property
    def scopes(self) -> set[str] | None:
        """The bot token's scopes; None (the default) grants everything."""
        return self._web_api.scopes

    @scopes.setter
    def scopes(self, scopes: Iterable[str] | None) -> None:
        self._web_api.scopes = None if scopes is None else set(scopes)

    def add_person(
        self,
        name: str,
        user_id: str | None = None,
        locale: str = "en-US",
        *,
        is_admin: bool = False,
        guest: bool | Literal["single_channel"] = False,
        stranger: bool = False,
        team_id: str | None = None,
        deactivated: bool = False,
    ) -> Person:
        """Somebody new. A ``stranger`` is of another workspace, that with ``team_id`` if it is given."""
        with self.state.lock:
            user_id = user_id or self.state.new_id("U")
            account = Account(
                user_id=user_id,
                name=name,
                team_id=team_id or (f"T{user_id[1:]}" if stranger else self.team_id),
                locale=locale,
                is_admin=is_admin,
                is_restricted=bool(guest),
                is_ultra_restricted=guest == "single_channel",
                deleted=deactivated,
            )
            self.state.accounts[account.user_id] = account
        return Person(account, self)

    def add_bot(self, name: str) -> Person:
        """A foreign assistant: a bot user of another app, which posts with its ``bot_id``."""
        with self.state.lock:
            new_id = self.state.new_id
            account = Account(new_id("U"), name, self.team_id, bot_id=new_id("B"), app_id=new_id("A"))
            self.state.accounts[account.user_id] = account
        return Person(account, self)

    def add_channel(
        self, name: str, members: Iterable[Person], *, with_errata: bool = True, is_private: bool = False
    ) -> str:
        """A channel with these members, and Errata unless told otherwise; returns its id."""
        with self.state.lock:
            ids = [member.user_id for member in members] + ([self.bot_user_id] if with_errata else [])
            channel = Channel(self.state.new_id("C"), name, ids, is_private=is_private)
            self.state.channels[channel.channel_id] = channel
        return channel.channel_id

    def add_route(self, route: BaseRoute) -> None:
        """Serve something more beside the Web API, such as the page."""
        self._server.add(route)

    def deliver_to(self, request_url: str) -> None:
        """HTTP mode: send everything people do, signed, to this URL."""
        line = HttpLine(
            request_url,
            secret=self.signing_secret,
            now_seconds=lambda: self.state.now().timestamp(),
            timeout_seconds=self._answer_seconds,
        )
        self._deliverer.use(line)

    @property
    def socket_connected(self) -> threading.Event:
        """Set while an app is connected over Socket Mode."""
        return self._sockets.connected

    # Reading.

    def messages(self, channel: str, thread_ts: str | None = None) -> list[Json]:
        """Messages of a channel, oldest first; with ``thread_ts``, one thread, parent included."""
        with self.state.lock:
            shown = self.state.channel(channel).messages
            if thread_ts is not None:
                shown = [message for message in shown if thread_ts in {message["ts"], message.get("thread_ts")}]
            return copy.deepcopy(shown)

    def message(self, channel: str, ts: str) -> Json:
        """One message as it stands now."""
        with self.state.lock:
            return copy.deepcopy(self.state.message(channel, ts))

    @property
    def files(self) -> list[UploadedFile]:
        """Uploaded files, oldest first."""
        with self.state.lock:
            return [file for file in self.state.files.values() if file.content is not None]

    @property
    def deliveries(self) -> list[Delivery]:
        """Every attempt to bring something to the bot, with its answer, oldest first."""
        return list(self._deliverer.log)

    def redeliver(self, delivery: Delivery) -> Delivery:
        """Send the same bytes and headers once more; the new attempt, with its answer."""
        return self._deliverer.resend(delivery)

    def wait_until(
        self, predicate: Callable[[], object], timeout_seconds: float = PATIENCE_SECONDS, what: str = "it"
    ) -> None:
        """Wait until the predicate holds; WaitedInVain with the last deliveries where it never does."""
        deadline = time.monotonic() + timeout_seconds
        while not predicate():
            if time.monotonic() > deadline:
                last = [_summary(delivery) for delivery in self.deliveries[-5:]]
                raise WaitedInVain(f"Waited {timeout_seconds} s for {what}, in vain. Last deliveries: {last}.")
            with self.state.changed:
                self.state.changed.wait(POLL_SECONDS)

    def wait_until_delivered(self, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until every event was taken or given up; for tests that nothing more happens."""
        if not self._deliverer.wait_until_idle(timeout_seconds):
            raise WaitedInVain(f"Events were still waiting for the bot after {timeout_seconds} s.")

    # How people reach the bot; called by Person.

    def hand_over(self, kind: str, payload: Json) -> Json:
        """Bring an interaction or a command to the bot and return its answer as an object.

        Raises NotAnswered for an error or three seconds of silence; Slack shows a warning and does not retry.
        """
        if self._deliverer.line is None:
            raise SandboxRefusal("No bot is listening: call deliver_to(url) or connect one over Socket Mode.")
        answer = self._deliverer.hand_over(kind, payload).answer
        if answer is None or not answer.ok:
            said = answer and (answer.status or answer.trouble)
            raise NotAnswered(
                f"The bot did not take the {payload.get('type', kind)}: {said}. "
                "Slack shows the person a warning and does not send it again."
            )
        return answer.as_json()

    def _say(self, event: Json) -> None:
        if self.subscriptions is not None and event["type"] not in self.subscriptions:
            return
        event_id = self.state.new_id("Ev")
        event_time = int(self.state.now().timestamp())
        envelope = event_callback(self.state.identity, event, event_id=event_id, event_time=event_time)
        envelope["is_ext_shared_channel"] = self.state.is_shared(event.get("channel"))
        self._deliverer.say(copy.deepcopy(envelope))

    def _use_sockets(self) -> None:
        if not isinstance(self._deliverer.line, HttpLine):
            self._deliverer.use(self._sockets)


def _summary(delivery: Delivery) -> str:
    answer = delivery.answer
    said = "nothing" if answer is None else answer.status or answer.trouble
    event = delivery.payload.get("event", {})
    return f"{delivery.kind} {event.get('type') or delivery.payload.get('type', '')} → {said}"
