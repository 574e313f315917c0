"""What people do with ``/errata``'s forms and on the home page, checked in rows and views."""

from __future__ import annotations

import json
from collections.abc import Callable

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

    def do_something(self) -> None:
        """One of these."""
        steps: tuple[Callable[[], None], ...] = (self._freeze, self._train, self._look, self._at_home)
        self.rng.choice(steps)()
        for person in list(self.office.people.values())[:5]:
            while person.modal is not None:
                person.close_modal()
        self.game.deliver()

    def _freeze(self) -> None:
        """The form, sent as it is."""
        before = self.game.count(FreezeRequest)
        if self._opened("freeze"):
            self.game.expect(self.office.olga.submit() == {}, "a freeze was refused in its form")
            self.game.expect(self.game.count(FreezeRequest) == before + 1, "a freeze was not asked for")
        while requested.step(self.office.store, now()):
            pass

    def _train(self) -> None:
        """From the form, or from the button below a dataset, to the second question, and through it."""
        olga, before = self.office.olga, self.game.count(Run)
        if self.game.count(DatasetVersion) and self.rng.random() < 0.5:
            olga.command("/errata", "check", self.office.channel)
            olga.click(self.office.channel, olga.ephemerals[-1]["ts"], "train_open")
        elif not self._opened("train"):
            return
        if olga.modal is None or olga.modal["callback_id"] != "train_form" or olga.submit({"model": "phi-4"}):
            return  # such as a dataset without a validation side: the form says so
        self.game.expect(self.game.count(Run) == before, "a run was started without a second question")
        if olga.modal is not None and olga.modal["submit"]:
            olga.submit()
            self.game.expect(self.game.count(Run) == before + 1, "a confirmed run was not started")
            with self.office.store.read() as session:
                waiting = session.exec(select(Run.id).where(Run.status == "requested")).all()
            for run_id in waiting:
                olga.command("/errata", f"cancel {run_id}", self.office.channel)

    def _look(self) -> None:
        """The details of a run, from the list."""
        person = self._somebody()
        answer = person.command("/errata", "runs", self.office.channel)
        if "run_details" in json.dumps(answer):
            person.click(self.office.channel, person.ephemerals[-1]["ts"], "run_details", "line_0")
            self.game.expect(person.modal is not None, "a run's details did not open")

    def _at_home(self) -> None:
        """The page is published, again on request, and its buttons open something."""
        person = self._somebody()
        person.open_home()
        self.office.workspace.wait_until(lambda: person.home is not None, what="App Home")
        person.click_in_home("home_refresh")
        if "home_command_language" in json.dumps(person.home):
            person.click_in_home("home_command_language")
            self.game.expect(person.modal is not None, "the languages did not open")
            if person.modal is not None:
                person.submit({"spoken": self.rng.choice(["de", "slack"])})

    def _opened(self, words: str) -> bool:
        self.office.olga.command("/errata", words, self.office.channel)
        return self.office.olga.modal is not None

    def _somebody(self) -> Person:
        return self.rng.choice(list(self.office.people.values())[:4])
