"""What people do with ``/errata``'s forms and on the home page, checked in rows and views."""

from __future__ import annotations

import json
import re

from chaos.game import Game
from sqlmodel import select

from bot.app import now
from bot.sandbox.people import Person
from curation.datasets import requested
from curation.store.tables import DatasetVersion, FreezeRequest
from training.store.tables import Run


class Commands:
    """The forms of freezing and training, a run's details, the home page."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.office = game.office
        self.rng = game.rng

    def freeze(self) -> None:
        """The form, sent as it is."""
        before = self.game.count(FreezeRequest)
        if self._opened("freeze"):
            self.game.expect(self.office.olga.submit() == {}, "a freeze was refused in its form")
            self.game.expect(self.game.count(FreezeRequest) == before + 1, "a freeze was not asked for")
        while requested.step(self.office.store, now()):
            pass

    def train(self) -> bool:
        """From the form to the second question, and through it."""
        return self._opened("train") and self._confirmed()

    def train_below(self) -> bool:
        """The same from the button below a dataset."""
        if not self.game.count(DatasetVersion):
            return False
        olga = self.office.olga
        olga.command("/errata", "check", self.office.channel)
        olga.click(self.office.channel, olga.ephemerals[-1]["ts"], "train_open")
        return self._confirmed()

    def look(self) -> bool:
        """The details of a run, from the list."""
        person = self.rng.choice([self.office.ben, self.office.olga])
        answer = person.command("/errata", "runs", self.office.channel)
        if "run_details" not in json.dumps(answer):
            return False
        person.click(self.office.channel, person.ephemerals[-1]["ts"], "run_details", "line_0")
        self.game.expect(person.modal is not None, "a run's details did not open")
        return True

    def at_home(self) -> None:
        """The page is published, again on request, and each of its buttons opens something."""
        person = self._somebody()
        self.game.go_home(person)
        person.click_in_home("home_refresh")
        self.game.expect(self.game.threads.settle(), "App Home is not published again")
        for button in sorted(set(re.findall("home_command_[a-z]+", json.dumps(person.home)))):
            person.click_in_home(button)
            self.game.expect(person.modal is not None, f"{button} opened nothing")
            if button == "home_command_language":
                self.game.expect(person.submit({"spoken": self.rng.choice(["de", "slack"])}) == {}, "no such language")
            while person.modal is not None:
                person.close_modal()
            self.game.speak_english()

    def _confirmed(self) -> bool:
        """Send the form that is open and answer the question; whether there was one."""
        olga, before = self.office.olga, self.game.count(Run)
        if olga.modal is None or olga.modal["callback_id"] != "train_form" or olga.submit({"model": "phi-4"}):
            return False  # such as a dataset without a validation side: the form says so
        self.game.expect(self.game.count(Run) == before, "a run was started without a second question")
        if olga.modal is None or not olga.modal["submit"]:
            return False
        for _ in range(2):  # what is asked again because something has changed is answered again
            if olga.modal is not None and olga.modal["submit"]:
                olga.submit()
        self.game.expect(self.game.count(Run) == before + 1, "a confirmed run was not started, or twice")
        with self.office.store.read() as session:
            waiting = session.exec(select(Run.id).where(Run.status == "requested")).all()
        for run_id in waiting:
            olga.command("/errata", f"cancel {run_id}", self.office.channel)
        return True

    def _opened(self, words: str) -> bool:
        self.office.olga.command("/errata", words, self.office.channel)
        return self.office.olga.modal is not None

    def _somebody(self) -> Person:
        return self.rng.choice(list(self.office.people.values())[:4])
