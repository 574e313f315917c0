"""People who correct in a game: the form in all its ways, the list of flags, the weekly sample."""

from __future__ import annotations

import json
from datetime import timedelta

from builders import now
from chaos.game import Game
from sqlmodel import col, select

from bot.connection import slack_client
from bot.sandbox.people import Person
from bot.variables import FLAG_REACTION
from curation import flagged, samples, weeks
from curation.store.tables import Candidate, ChatTask, Correction, FlagDismissal, Reply, SampledReply

A_PAGE = 10
LONG = "Clean the filter twice a year and dry it well. "


class Correcting:
    """What agents do."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.office = game.office
        self.rng = game.rng
        self._weeks_ago = 0

    def correct(self) -> None:
        """A correction: a candidate, its first version, and a word in the thread where it was asked for."""
        person = self._somebody()
        thread, reply = self.office.ask(self.game.words("Q"), self.game.words("R"))
        values = {"reason": self.rng.choice(["wrong_fact", "tone", "unsafe"]), "topic": self.game.words("T")[:100]}
        posts = {"post": ["thread"]} if self.rng.random() < 0.4 else {}
        person.message_shortcut(self.office.channel, reply, "correct_reply")
        self.office.wait_for_thread(person)
        self._save(person, **(values if self.rng.random() < 0.6 else {}), **posts)
        told = [one for one in self._in_thread(thread) if one.get("bot_id") == self.office.workspace.bot_id]
        self.game.expect(len(told) == len(posts), f"{len(told)} words in the thread, for {posts}")

    def correct_long(self) -> None:
        """A long reply, in several fields: what nobody touched stays."""
        text = LONG * 120
        _, reply = self.office.ask(self.game.words("Q"), text)
        person = self._somebody()
        person.message_shortcut(self.office.channel, reply, "correct_reply")
        self.office.wait_for_thread(person)
        self.game.expect("correction:2" in json.dumps(person.modal), "a long reply has one field")
        self._save(person, end=LONG.strip())

    def correct_at_length(self) -> None:
        """A correction that outgrows its field: another one is added, and both are one text."""
        person = self._somebody()
        _, reply = self.office.ask(self.game.words("Q"), self.game.words("R"))
        person.message_shortcut(self.office.channel, reply, "correct_reply")
        self.office.wait_for_thread(person)
        person.click_in_modal("add_part")
        self.game.expect("correction:2" in json.dumps(person.modal), "no part was added")
        self._save(person, end=LONG.strip(), **{"correction:2": LONG})

    def correct_linked(self) -> None:
        """The same form, from a message's address."""
        person = self._somebody()
        _, reply = self.office.ask(self.game.words("Q"), self.game.words("R"))
        client = slack_client(self.office.settings)
        link = client.chat_getPermalink(channel=self.office.channel, message_ts=reply)["permalink"]
        person.command("/errata", f"correct {link}", self.office.channel)
        self.office.wait_for_thread(person)
        self._save(person)

    def correct_other(self) -> None:
        """Another reply of the thread was the wrong one."""
        person, office = self._somebody(), self.office
        thread, first = office.ask(self.game.words("Q"), self.game.words("R"))
        office.customer.post(office.channel, self.game.words("Q"), thread_ts=thread)
        second = office.bris.post(office.channel, self.game.words("R"), thread_ts=thread)
        person.message_shortcut(office.channel, second, "correct_reply")
        office.wait_for_thread(person)
        before = (person.modal or {}).get("hash")
        person.click_in_modal("correct_turn", None, self._source(first))
        office.workspace.wait_until(lambda: (person.modal or {}).get("hash") != before, what="the other reply")
        self._save(person)
        with office.store.read() as session:
            newest = session.exec(select(Candidate).order_by(col(Candidate.id).desc())).first()
        self.game.expect(newest is not None and newest.source == self._source(first), "the other reply is not meant")

    def endorse(self) -> None:
        """An endorsement: a candidate that waits for a second person."""
        before = self.game.count(Candidate)
        _, reply = self.office.ask(self.game.words("Q"), self.game.words("R"))
        errors = self.office.endorse(self.office.ana, reply)
        self.game.expect(errors == {} and self.game.count(Candidate) == before + 1, f"no endorsement: {errors}")
        self.game.deliver()

    # What others minded, or nobody did.

    def work_off_flags(self) -> None:
        """The list: its pages, a reply that is not wrong, one that is corrected from it."""
        while self._waiting() <= A_PAGE:
            self._flagged()
        ana = self.office.ana
        self.game.go_home(ana)
        if "flags_open" in json.dumps(ana.home) and self.rng.random() < 0.5:
            ana.click_in_home("flags_open")
        else:
            ana.command("/errata", "flags", self.office.channel)
        self._listed(ana)
        self._press(ana, "flags_more", None)
        self.game.expect("flag_not_wrong" in json.dumps(ana.modal), "the second page is empty")
        waiting, dismissed = self._waiting(), self.game.count(FlagDismissal)
        self._press(ana, "flag_not_wrong", "flag:1")
        self.game.expect(self.game.count(FlagDismissal) == dismissed + 1, "a dismissal was not kept")
        self.game.expect(self._waiting() == waiting - 1, "what is not wrong still waits")
        ana.click_in_modal("flag_correct", "flag:1")
        self.office.workspace.wait_until(lambda: self._is_form(ana), what="the form on the list")
        self._save(ana)

    def open_flags(self) -> None:
        """The list of flags, from App Home."""
        if not self._waiting():
            self._flagged()
        ana = self.office.ana
        self.game.go_home(ana)
        self.game.expect("flags_open" in json.dumps(ana.home), "App Home does not tell of flags")
        ana.click_in_home("flags_open")
        self._listed(ana)
        ana.close_modal()

    def judge_sample(self) -> None:
        """The weekly question about replies that nobody minded: one is good, one is corrected."""
        office, self._weeks_ago = self.office, self._weeks_ago + 1
        sources = [self._source(office.ask(self.game.words("Q"), self.game.words("R"))[1]) for _ in range(3)]
        office.workspace.wait_until_delivered()
        day = now() - timedelta(weeks=self._weeks_ago - 1)
        with office.store.write() as session:
            for source in sources:  # said weeks ago, each time in a week of their own
                session.get_one(Reply, source).hour = weeks.to_tell(day).begins + timedelta(hours=1)
            session.flush()
            drawn = samples.draw(session, day, self.rng, size=3)
        self.game.expect(drawn == 1, f"{drawn} samples were drawn")
        self.game.deliver()
        with office.store.read() as session:
            asked = set(session.exec(select(SampledReply.source).where(col(SampledReply.source).in_(sources))))
        self.game.expect(asked == set(sources), "other replies were drawn")
        (message,) = [one for one in office.workspace.messages(office.channel) if sources[0] in json.dumps(one)]
        tasks = self.game.count(ChatTask)
        office.ben.click(office.channel, message["ts"], "sample_endorse", "sample:1")
        self.game.expect(self.game.count(ChatTask) == tasks + 1, "an endorsement from the sample is not owed")
        office.ana.click(office.channel, message["ts"], "sample_correct", "sample:2")
        office.workspace.wait_until(lambda: self._is_form(office.ana), what="the form from the sample")
        self._save(office.ana)

    # How.

    def _save(self, person: Person, end: str = "", **values: object) -> None:
        """Fill in the form that is open and save it: one candidate more, with this text."""
        before, better = self.game.count(Candidate), self.game.words("A")[:3000]
        errors = person.submit({"correction": better, **values})
        self.game.expect(errors == {}, f"a good correction was refused: {errors}")
        self.game.expect(self.game.count(Candidate) == before + 1, "a correction made no candidate")
        with self.office.store.read() as session:
            newest = session.exec(select(Correction).order_by(col(Correction.id).desc())).first()
        said = newest.text if newest is not None else ""
        whole = said.startswith(better.strip()) and said.endswith(end) if end else said == better.strip()
        self.game.expect(whole, "the correction's text is not kept")
        while person.modal is not None:
            person.close_modal()
        self.game.deliver()

    def _flagged(self) -> None:
        _, reply = self.office.ask(self.game.words("Q"), self.game.words("R"))
        self.office.ben.react(self.office.channel, reply, FLAG_REACTION)
        self.office.workspace.wait_until_delivered()

    def _waiting(self) -> int:
        with self.office.store.read() as session:
            return flagged.count(session, team=self.office.workspace.team_id)

    def _listed(self, person: Person) -> None:
        def ready() -> bool:
            return person.modal is not None and "Reading the message" not in json.dumps(person.modal)

        self.office.workspace.wait_until(ready, what="the list with the messages")

    def _press(self, person: Person, button: str, block: str | None) -> None:
        """Press a button of the list, and wait for the list that follows."""
        before = (person.modal or {}).get("hash")
        person.click_in_modal(button, block)
        self.office.workspace.wait_until(lambda: (person.modal or {}).get("hash") != before, what=button)
        self._listed(person)

    def _is_form(self, person: Person) -> bool:
        return person.modal is not None and person.modal["callback_id"] == "correct_submit"

    def _in_thread(self, thread: str) -> list[dict[str, object]]:
        return self.office.workspace.messages(self.office.channel, thread)

    def _somebody(self) -> Person:
        return self.rng.choice([self.office.ana, self.office.people["bea"]])

    def _source(self, ts: str) -> str:
        return f"{self.office.workspace.team_id}/{self.office.channel}/{ts}"
