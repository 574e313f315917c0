"""People at work in a game: what they do, and the rows, views and messages that have to come of it.

Owns the order of things, commands, and what is told in events. Corrections are in ``correcting``, verdicts in
``reviewing``, people and runs in ``owning``, forms of commands in ``commands``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from builders import now
from chaos.commands import Commands
from chaos.correcting import Correcting
from chaos.door import written
from chaos.game import Game
from chaos.owning import Owning
from chaos.reviewing import Reviewing
from chaos.words import COMMANDS
from sqlmodel import col, select

from bot.blocks.chat import BAD, FEEDBACK, GOOD, foot
from bot.connection import slack_client
from bot.sandbox import payloads
from bot.sandbox.errors import NotAnswered, SandboxRefusal, WaitedInVain
from bot.speech import ENGLISH_SPOKEN
from bot.variables import FLAG_REACTION
from curation import assistants
from curation.store.tables import ChatTask, Reply, ReplyFlag, Revocation
from curation.verdicts import Verdict
from training.store.tables import Run

Step = Callable[[], bool | None]
"""Something that somebody does; False: what it needs was not there."""

UNASKED = ("shortcut", "view_closed", "block_suggestion", "block_actions")
"""What Slack sends to apps that ask for it. Of whatever Errata has no listener for it has to make nothing."""


class Work:
    """What people do."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.office = game.office
        self.rng = game.rng
        self.commands = Commands(game)
        self.correcting = Correcting(game)
        self.owning = Owning(game)
        self.reviewing = Reviewing(game)
        self._todo: list[Step] | None = None

    def do_something(self) -> None:
        """One thing that somebody does, checked in rows, views and messages: each of them once before any twice."""
        self.game.speak_english()
        steps: tuple[tuple[Step, int], ...] = (
            *((self.correcting.correct, 6), (self.correcting.endorse, 2), (self.correcting.correct_other, 2)),
            *(
                (self.correcting.correct_long, 1),
                (self.correcting.correct_at_length, 1),
                (self.correcting.correct_linked, 2),
            ),
            *((self.correcting.work_off_flags, 1), (self.correcting.open_flags, 1), (self.correcting.judge_sample, 1)),
            *((self.reviewing.decide, 10), (self.reviewing.look_around, 2), (self.reviewing.press_card, 2)),
            *((self.reviewing.amend, 3), (self.owning.press_run, 3)),
            *((self.commands.freeze, 1), (self.commands.train, 1), (self.commands.train_below, 1)),
            *((self.commands.look, 1), (self.commands.at_home, 2)),
            *((self.owning.grant, 1), (self.owning.change_standing, 1), (self.owning.change_group, 1)),
            *((self.owning.choose_language, 1), (self.owning.order_digest, 1)),
            *((self.command, 5), (self.flag, 4), (self.rework, 2), (self.verify_url, 1), (self.lose_app, 1)),
            *((self.ask_errata, 4), (self.rate, 4), (self.converse, 2), (self.unasked, 3), (self.other, 2)),
        )
        if self._todo is None:
            self._todo = self.rng.sample([one for one, _ in steps], len(steps))
        step = self._todo.pop(0) if self._todo else self.rng.choices(*zip(*steps, strict=True))[0]
        self.game.failures.context = f"work {step.__name__}"
        try:
            if step() is False:  # what it needs is not there yet
                self._todo.append(step)
                self.correcting.correct()
                self.reviewing.decide(Verdict.APPROVE)
        except (NotAnswered, SandboxRefusal, WaitedInVain) as error:
            self.game.failures.add(f"{type(error).__name__}: {error}")
        for person in list(self.office.people.values())[:5]:
            while person.modal is not None:
                person.close_modal()
        self.game.deliver()
        self.game.collect()

    @property
    def todo(self) -> list[str]:
        """What was not done once so far."""
        return ["everything"] if self._todo is None else [step.__name__ for step in self._todo]

    def command(self) -> None:
        """A sub-command, sensible or not: an answer in words, or a modal, that the workspace takes."""
        person = self.rng.choice(list(self.office.people.values())[:5])
        known = [
            *COMMANDS,
            *(f"{what} {run}" for run in self._runs() for what in ("run", "cancel", "resume", "deploy")),
        ]
        answer = person.command("/errata", self.rng.choice(known), self.office.channel)
        self.game.expect(bool(answer.get("text")) or person.modal is not None, "a command was answered with nothing")

    # Events.

    def flag(self) -> None:
        """Somebody flags a reply, perhaps takes it back; of a customer's flag nothing stays."""
        _, reply = self.office.ask(self.game.words("Q"), self.game.words("R"))
        name = self.rng.choice(["ana", "ben", "bea", "olga", "customer"])
        person, back = self.office.people[name], self.rng.random() < 0.4
        person.react(self.office.channel, reply, FLAG_REACTION)
        if back:
            person.react(self.office.channel, reply, FLAG_REACTION, added=False)
        self.office.workspace.wait_until_delivered()
        key = (self._source(reply), str(self.office.actor(name).person_id))
        with self.office.store.read() as session:
            stored = session.get(ReplyFlag, key)
        standing = stored.standing if stored is not None else None
        self.game.expect(standing is (None if name == "customer" else not back), f"{name}'s flag stands as {standing}")

    def rework(self) -> None:
        """The assistant rewrites its reply, or deletes it: one reply, perhaps withdrawn."""
        before = self.game.count(Reply)
        _, reply = self.office.ask(self.game.words("Q"), self.game.words("R"))
        gone = self.rng.random() < 0.5
        self.office.bris.edit(self.office.channel, reply, "Better.")
        if gone:
            self.office.bris.delete(self.office.channel, reply)
        self.office.workspace.wait_until_delivered()
        with self.office.store.read() as session:
            stored = session.get(Reply, self._source(reply))
        self.game.expect(self.game.count(Reply) == before + 1, "a reworked reply is not one reply")
        self.game.expect(stored is not None and stored.withdrawn is gone, "a deletion was not noted")

    # Errata as the assistant itself.

    def ask_errata(self) -> None:
        """A mention in a channel or a direct message: one answer is owed, whatever else is told of it."""
        before, person = self.game.count(ChatTask), self.rng.choice([self.office.customer, self.office.ana])
        if self.rng.random() < 0.5:
            mention = f"<@{self.office.workspace.bot_user_id}>"
            person.post(self.office.channel, f"{mention} {self.game.words('Q')}", raw=True)
        else:
            person.post(person.dm_channel, self.game.words("Q"))
        self.office.workspace.wait_until_delivered()
        self.game.expect(self.game.count(ChatTask) == before + 1, "a question to Errata is not owed an answer")

    def rate(self) -> None:
        """The buttons below an answer: an endorsement is owed, or a flag stands and the form is open."""
        with self.office.store.write() as session:
            ids = frozenset({self.office.workspace.bot_user_id, self.office.workspace.bot_id})
            assistants.itself(session, now(), team_id=self.office.workspace.team_id, speaks_as=ids)
        asked = self.office.customer.post(self.office.channel, self.game.words("Q"))
        answer = {"text": self.game.words("R"), "blocks": foot(ENGLISH_SPOKEN, 1, "Answered by a model")}
        posted = slack_client(self.office.settings).chat_postMessage(
            channel=self.office.channel, thread_ts=asked, **answer
        )
        good, person = self.rng.random() < 0.5, self.rng.choice([self.office.ana, self.office.ben])
        model = ChatTask if good else ReplyFlag
        before = self.game.count(model)
        person.click(self.office.channel, posted["ts"], FEEDBACK, value=f"{GOOD if good else BAD}:1")
        self.game.expect(self.game.count(model) == before + 1, "what was thought of an answer was not kept")
        if not good:
            self.office.wait_for_thread(person)
            person.close_modal()

    def converse(self) -> None:
        """Somebody opens the conversation with Errata, in an app with the agent view or from before it."""
        ana, state = self.office.ana, self.office.workspace.state
        ana.open_home("messages")
        thread = {"user_id": ana.user_id, "context": {}, "channel_id": ana.dm_channel, "thread_ts": "1700000000.000100"}
        state.on_event({"type": "assistant_thread_started", "assistant_thread": thread})
        state.on_event({"type": "app_context_changed", "context": {}})

    def verify_url(self) -> None:
        """Slack asks whether anybody is there, and gets its own word back."""
        challenge = f"{self.rng.getrandbits(120):030x}"
        asked = {"token": "t", "type": "url_verification", "challenge": challenge}
        status, answer = self._knock("event", asked)
        self.game.sent["valid"] += 1
        self.game.expect(status == 200 and challenge in answer.decode(), f"no challenge back: {status} {answer[:80]!r}")

    def lose_app(self) -> None:
        """A token is revoked, a person's or the app's own, and the app is uninstalled: that is kept."""
        for tokens in ({"oauth": ["U1"]}, {"bot": ["UBOT"]}):
            self.office.workspace.state.on_event({"type": "tokens_revoked", "tokens": tokens})
        self.office.workspace.state.on_event({"type": "app_uninstalled"})
        self.office.workspace.wait_until_delivered()
        self.game.expect(self.game.count(Revocation) > 0, "the loss of the app was not kept")

    def unasked(self) -> None:
        """Well-formed and meant for nobody here: nothing is stored of it."""
        kind = self.rng.choice(UNASKED)
        before = self.game.rows()
        status, _ = self._knock("interaction", self._unasked(kind))
        self.game.sent["unasked"] += 1
        self.game.expect(status in {200, 404}, f"an unasked {kind} was answered {status}")
        self.game.judge(status, before, {"handled_requests"})

    def _unasked(self, kind: str) -> dict[str, Any]:
        workspace = self.office.workspace
        base = payloads.interaction(workspace.state.identity, kind, self.office.ana._account)
        view: dict[str, Any] = {"id": "V1", "hash": "1.a", "type": "modal", "callback_id": "unheard_of"}
        view |= {"private_metadata": "", "blocks": [], "state": {"values": {}}}
        match kind:
            case "shortcut":
                return payloads.shortcut(base, callback_id="unheard_of", trigger_id="1.2.a", action_ts="1.2")
            case "view_closed":
                return payloads.view_closed(base, view=view, is_cleared=self.rng.random() < 0.5)
            case "block_suggestion":
                asked = {"action_id": "unheard_of", "block_id": "b", "value": self.game.words("S")[:75]}
                return {**base, **asked, "container": {"type": "view", "view_id": "V1"}, "view": view}
            case _:
                action = {"type": "button", "action_id": "unheard_of", "block_id": "b", "value": "1"}
                return payloads.view_actions(base, action=action, trigger_id="1.2.a", view=view)

    def _knock(self, kind: str, payload: dict[str, Any]) -> tuple[int, bytes]:
        """Send a payload that no person sends, and keep it for accidents."""
        body, content_type = written(kind, payload)
        self.game.remember(kind, payload)
        return self.game.door.ask(body, content_type, *self.game.door.stamped(body))

    def other(self) -> None:
        """What Slack tells and Errata has no use for."""
        customer, channel = self.office.customer, self.office.channel
        customer.open_home(self.rng.choice(["home", "messages"]))
        customer.react(channel, customer.post(channel, self.game.words("M")), "eyes")
        told = {"channel": channel, "channel_type": "C", "user": customer.user_id}
        self.office.workspace.state.on_event({"type": "member_left_channel", **told})

    # What is there.

    def _source(self, ts: str) -> str:
        return f"{self.office.workspace.team_id}/{self.office.channel}/{ts}"

    def _runs(self) -> list[str]:
        with self.office.store.read() as session:
            return list(session.exec(select(Run.id).order_by(col(Run.requested_at).desc())))[:5]
