"""People at work in a game: what they do, and the rows and cards that have to come of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from builders import now
from chaos.commands import Commands
from chaos.door import written
from chaos.game import Game
from chaos.words import COMMANDS
from sqlmodel import col, select

from bot.blocks.chat import BAD, FEEDBACK, GOOD, foot
from bot.connection import slack_client
from bot.sandbox import payloads
from bot.sandbox.errors import NotAnswered
from bot.settings import FLAG_REACTION
from bot.speech import ENGLISH_SPOKEN
from curation import assistants
from curation.datasets import requested
from curation.notices import NoticeKind, owe
from curation.store import tables
from curation.store.tables import Candidate, ChatTask, Correction, Example, Reply, ReplyFlag, Review, Revocation
from training.store.tables import Deployment, Evaluation, Run

UNASKED = ("shortcut", "view_closed", "block_suggestion", "block_actions")
"""What Slack sends to apps that ask for it. Of whatever Errata has no listener for it has to make nothing."""


class Work:
    """What people do."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.office = game.office
        self.rng = game.rng
        self.commands = Commands(game)
        self._runs_pressed = 0

    def do_something(self) -> None:
        """One thing that somebody does, checked in rows and cards."""
        steps: tuple[tuple[Callable[[], None], int], ...] = (
            (self.correct, 6),
            (self.endorse, 3),
            (self.decide, 8),
            (self.amend, 3),
            (self.command, 4),
            (self.commands.do_something, 4),
            (self.press_run, 4),
            (self.flag, 4),
            (self.rework, 2),
            (self.verify_url, 1),
            (self.lose_app, 1),
            (self.ask_errata, 4),
            (self.rate, 4),
            (self.converse, 2),
            (self.unasked, 3),
            (self.other, 2),
        )
        step = self.rng.choices([one for one, _ in steps], [weight for _, weight in steps])[0]
        self.game.failures.context = f"work {step.__name__}"
        try:
            step()
        except NotAnswered as error:
            self.game.failures.add(f"not answered: {error}")
        self.game.collect()

    # Corrections and verdicts.

    def correct(self) -> None:
        """A correction: a candidate, its first version, a card that the workspace takes."""
        before = self.game.count(Candidate)
        question, better = self.game.words("Q"), self.game.words("A")
        _, reply = self.office.ask(question, self.game.words("R"))
        person = self.rng.choice([self.office.ana, self.office.people["bea"]])
        values = {"reason": self.rng.choice(["wrong_fact", "tone", "unsafe"]), "topic": self.game.words("T")[:100]}
        errors = self.office.correct(person, reply, better[:3000], **(values if self.rng.random() < 0.6 else {}))
        self.game.expect(errors == {}, f"a good correction was refused: {errors}")
        self.game.expect(self.game.count(Candidate) == before + 1, "a correction made no candidate")
        with self.office.store.read() as session:
            newest = session.exec(select(Correction).order_by(col(Correction.id).desc())).first()
        self.game.expect(
            newest is not None and newest.text == better[:3000].strip(), "the correction's text is not kept"
        )
        self.game.deliver()

    def endorse(self) -> None:
        """An endorsement: a candidate that waits for a second person."""
        before = self.game.count(Candidate)
        _, reply = self.office.ask(self.game.words("Q"), self.game.words("R"))
        errors = self.office.endorse(self.office.ana, reply)
        self.game.expect(errors == {} and self.game.count(Candidate) == before + 1, f"no endorsement: {errors}")
        self.game.deliver()

    def decide(self) -> None:
        """A verdict on a pending card: exactly one review, and an example where it is approved."""
        pending = self._pending()
        if not pending:
            return
        card, button = self.rng.choice(pending), self.rng.choice(["approve", "edit", "return", "reject"])
        authors = self._authors(card["number"])
        able = [one for one in ("ben", "bea", "olga") if self.office.actor(one).person_id not in authors]
        reviewer = self.office.people[self.rng.choice(able)]
        reviews, examples = self.game.count(Review), self.game.count(Example)
        reviewer.click(self.office.channel, card["ts"], f"review_{button}")
        if button != "approve":
            field_name = "edited" if button == "edit" else "comment"
            errors = reviewer.submit({field_name: self.game.words("V")[:3000]})
            self.game.expect(errors == {}, f"a verdict was refused: {errors}")
        self.game.expect(self.game.count(Review) == reviews + 1, f"{button} made no review")
        made = self.game.count(Example) - examples
        self.game.expect(made == (button in {"approve", "edit"}), f"{button} made {made} examples")
        self.game.deliver()

    def amend(self) -> None:
        """An author reworks what came back, from the direct message."""
        for name in ("ana", "bea"):
            person = self.office.people[name]
            waiting = [one for one in person.dms if "review_amend" in json.dumps(one.get("blocks", []))]
            if not waiting:
                continue
            before = self.game.count(Correction)
            number = self._button(waiting[-1], "review_amend")
            with self.office.store.read() as session:
                candidate = session.get_one(Candidate, int(number))
            person.click(person.dm_channel, waiting[-1]["ts"], "review_amend")
            errors = person.submit({"correction": self.game.words("B")[:3000]})
            if candidate.status == "returned":
                self.game.expect(errors == {} and self.game.count(Correction) == before + 1, f"not amended: {errors}")
            self.game.deliver()
            return

    def command(self) -> None:
        """A sub-command, sensible or not: an answer in words, or a modal, that the workspace takes."""
        person = self.rng.choice(list(self.office.people.values())[:5])
        known = [*COMMANDS, *(f"cancel {run}" for run in self._runs()), *(f"deploy {run}" for run in self._runs())]
        answer = person.command("/errata", self.rng.choice(known), self.office.channel)
        self.game.expect(bool(answer.get("text")) or person.modal is not None, "a command was answered with nothing")
        if person.modal is not None:
            person.close_modal()
        self.game.deliver()

    def press_run(self) -> None:
        """Start a run, then cancel it by its button, or let it complete and deploy it."""
        olga = self.office.olga
        if self.game.count(Example) < 4:
            return
        olga.command("/errata", f"freeze set-{self.game.total}", self.office.channel)
        while requested.step(self.office.store, now()):
            pass
        with self.office.store.read() as session:
            names = list(session.exec(select(tables.DatasetVersion.name)))
        if not names:
            return
        before = self.game.count(Run)
        answer = olga.command("/errata", f"train {names[-1]} rehearsal", self.office.channel)
        if self.game.count(Run) == before:
            self.game.expect("validation" in answer["text"], f"no run: {answer}")
            return
        run_id = self._runs()[0]
        self.game.deliver()
        self._runs_pressed += 1
        if self._runs_pressed % 2:
            olga.click(self.office.channel, self._message_with("run_cancel", run_id), "run_cancel")
            with self.office.store.read() as session:
                self.game.expect(session.get_one(Run, run_id).status == "cancelled", "the run was not cancelled")
        else:
            with self.office.store.write() as session:
                run = session.get_one(Run, run_id)
                run.status = "completed"
                report = {"sentence": "It is better."}
                session.add(Evaluation(run_id=run_id, verdict="better", report=report, evaluated_at=now()))
                run_place = f"{self.office.workspace.team_id}/{self.office.channel}"
                owe(session, now(), NoticeKind.RUN_EVALUATED, subject=f"run:{run_id}", destination=run_place)
            self.game.deliver()
            deployments = self.game.count(Deployment)
            olga.click(self.office.channel, self._message_with("run_deploy", run_id), "run_deploy")
            self.game.expect(self.game.count(Deployment) == deployments + 1, "the run was not deployed")
        self.game.deliver()

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
        """The app is uninstalled, or a token revoked: kept, unless it was a person's token."""
        tokens = self.rng.choice([{"bot": ["UBOT"]}, {"oauth": ["U1"]}])
        kind = self.rng.choice(["app_uninstalled", "tokens_revoked"])
        self.office.workspace.state.on_event({"type": kind, **({"tokens": tokens} if kind == "tokens_revoked" else {})})
        self.office.workspace.wait_until_delivered()
        if kind == "app_uninstalled" or "bot" in tokens:
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
        view = {"id": "V1", "type": "modal", "callback_id": "unheard_of", "private_metadata": "", "hash": "1.a"}
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
        if self.rng.random() < 0.5:
            self.office.customer.open_home(self.rng.choice(["home", "messages"]))
        else:
            ts = self.office.customer.post(self.office.channel, self.game.words("M"))
            self.office.customer.react(self.office.channel, ts, "eyes")

    # What is there.

    def _source(self, ts: str) -> str:
        return f"{self.office.workspace.team_id}/{self.office.channel}/{ts}"

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
