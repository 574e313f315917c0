"""An office with a frozen dataset and a worker that looks when it is told to, with a backend that trains nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from builders import Office, Team
from fakes import FakeBackend
from sqlmodel import select

from bot.app import now
from bot.sandbox.people import Person
from training.backends.base import JobStatus
from training.backends.names import BackendName
from training.store.tables import Deployment, Run
from training.worker import InlineCarrier, Worker
from training.workplace import Workplace

QUESTION = "How long does the filter last?"


@dataclass
class Shop:
    """An office with a frozen dataset, and a worker that looks when it is told to."""

    office: Office
    team: Team
    home: Path
    backend: FakeBackend = field(default_factory=FakeBackend)

    def __post_init__(self) -> None:
        place = Workplace(self.office.store, {BackendName.LOCAL: self.backend}, self.home, now)
        self.worker = Worker(place, InlineCarrier(place))

    def say(self, words: str, person: Person | None = None) -> str:
        """What ``/errata`` answers."""
        answer = (person or self.office.olga).command("/errata", words, self.office.channel)
        return str(answer.get("text", ""))

    def work(self) -> None:
        """Let the worker and the world outside go on until nothing moves, then send what is owed."""
        while self.worker.tick():
            for run_id, progress in list(self.backend.jobs.items()):
                if progress.status is JobStatus.RUNNING:
                    self.backend.complete(run_id)
            for run_id in set(self.backend.evaluations) - set(self.backend.reports):
                self.backend.report(run_id)
        self.office.deliver()

    def run(self) -> Run:
        with self.office.store.read() as session:
            return session.exec(select(Run)).one()

    def message(self, action_id: str) -> str:
        """The ts of the one message of Errata's with this button."""
        (message,) = [card for card in self.office.cards() if f'"{action_id}"' in json.dumps(card)]
        return str(message["ts"])

    def texts(self) -> str:
        return json.dumps(self.office.cards(), ensure_ascii=False)

    def deployments(self) -> list[Deployment]:
        with self.office.store.read() as session:
            return list(session.exec(select(Deployment)))


def opened(office: Office, home: Path, *, more: int = 0) -> Shop:
    """The shop of this office: its dataset v1 holds two corrections of Ana's that Ben approved, and so many ``more``.

    A service takes ten rows or more to train on.
    """
    actors = {name: office.actor(name) for name in ("ana", "ben", "bea", "olga")}
    team = Team(office.store, 1, f"{office.workspace.team_id}/{office.channel}", **actors)
    team.approve(QUESTION, "Six months.")
    team.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    for number in range(more):
        team.approve(f"What does part {number} cost?", f"It costs {number} euros.")
    team.freeze("v1")
    return Shop(office, team, home)
