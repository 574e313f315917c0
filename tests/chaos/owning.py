"""Owners in a game: who may what, what a channel hears every week, and the buttons on a run's messages."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from builders import now
from chaos.game import Game
from sqlmodel import Session, col, select

from curation import digests, memberships
from curation.datasets import requested
from curation.notices import NoticeKind, owe
from curation.policies import RoleName, Standing
from curation.store.tables import DatasetVersion, DigestOrder, Example, GroupRole, Person, RoleGrant, WeeklyDigest
from training import deployments, runs
from training.deployments import DeploymentStatus, DeploymentStep
from training.runs import RunStep
from training.store.tables import Deployment, Evaluation, Run

ENOUGH = 4
"""Examples that a dataset needs to have two sides."""


class Owning:
    """What owners do, and what is told of people in the workspace."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.office = game.office
        self.rng = game.rng

    # People.

    def grant(self) -> None:
        """A role is granted in the form, and taken back in it."""
        olga, bea = self.office.olga, self.office.people["bea"]
        olga.command("/errata", "roles", self.office.channel)
        for deed, held in (("grant", True), ("revoke", False)):
            olga.click_in_modal("roles_person", "person", bea.user_id)
            self.game.expect(self.game.threads.settle(), "a question about somebody does not end")
            errors = olga.submit({"person": bea.user_id, "role": "agent", "deed": deed})
            self.game.expect(errors == {}, f"a role was refused: {errors}")
            with self.office.store.read() as session:
                found = session.get(RoleGrant, (self._person("bea"), RoleName.AGENT.value))
            self.game.expect((found is not None) is held, f"{deed} of a role left {found}")
        while olga.modal is not None:
            olga.close_modal()

    def change_standing(self) -> None:
        """Somebody becomes a guest, and is a member again: nobody but members may do anything."""
        ben = self.office.ben
        for guest, wanted in ((True, Standing.GUEST), (False, Standing.MEMBER)):
            self.office.workspace.change(ben, guest=guest)
            self.office.workspace.wait_until_delivered()
            with self.office.store.read() as session:
                known = memberships.standing_of(session, self._person("ben"))
            self.game.expect(known is wanted, f"{wanted} was told, {known} is known")
            answer = ben.command("/errata", "queue", self.office.channel)
            self.game.expect(bool(answer.get("text")), "a guest was told nothing")

    def change_group(self) -> None:
        """Somebody comes into a user group that carries a role, and leaves it."""
        workspace, ben = self.office.workspace, self.office.ben
        group = self.office.settings.groups[0][0].rpartition("/")[2]
        for members in ([ben], []):
            workspace.change_group(group, members)
            workspace.wait_until_delivered()
            self.game.expect(self.game.threads.settle(), "reading a group does not end")
            with self.office.store.read() as session:
                held = set(session.exec(select(GroupRole.person_id).where(GroupRole.group_id == group)))
            wanted = {self._person("ben")} if members else set()
            self.game.expect(held == wanted, f"the group's role is held by {held}")

    def choose_language(self) -> None:
        """Errata speaks to somebody in another language, by a word and by the form, and in English again."""
        person = self.office.ana
        person.command("/errata", "language deutsch", self.office.channel)
        self.game.expect(self._language("ana") == "de", "a language was not kept")
        person.command("/errata", "language", self.office.channel)
        errors = person.submit({"spoken": "slack", "read": self.rng.choice([[], ["de", "en"]])})
        self.game.expect(errors == {} and self._language("ana") is None, f"no language was not kept: {errors}")
        while person.modal is not None:
            person.close_modal()

    # The week.

    def order_digest(self) -> None:
        """A channel orders the weekly figures, is owed them once, and cancels."""
        olga, place = self.office.olga, self._place
        olga.command("/errata", "digest on", self.office.channel)
        with self.office.store.write() as session:
            session.get_one(DigestOrder, place).ordered_at -= timedelta(days=14)
        for _ in range(2):
            with self.office.store.write() as session:
                digests.owe_due(session, now())
        told = self.game.count(WeeklyDigest)
        self.game.expect(told >= 1, "no weekly figures are owed")
        self.game.deliver()
        olga.command("/errata", "digest off", self.office.channel)
        with self.office.store.read() as session:
            self.game.expect(session.get(DigestOrder, place) is None, "the weekly figures were not cancelled")

    # Runs.

    def press_run(self) -> bool:
        """A run is cancelled and resumed by its buttons; another completes, is deployed, rolled back, taken down."""
        self._take_down()
        stopped = self._requested()
        if stopped is None:
            return False
        self.office.olga.click(self.office.channel, self._message_with("run_cancel", stopped), "run_cancel")
        with self.office.store.read() as session:
            self.game.expect(session.get_one(Run, stopped).status == "cancelled", "the run was not cancelled")
        self.game.deliver()
        self.office.olga.click(self.office.channel, self._message_with("run_resume", stopped), "run_resume")
        with self.office.store.write() as session:
            run = session.get_one(Run, stopped)
            self.game.expect(run.status == "resuming", "the run was not resumed")
            runs.advance(session, now(), run, RunStep.FAIL, reason="The disk is full.")
        self.game.deliver()
        run_id = self._requested()
        if run_id is None:
            return False
        self._complete(run_id)
        self._press(run_id, "run_deploy")
        self._work()
        with self.office.store.read() as session:
            former = deployments.former_live(session)
        if former is not None:
            self._press(run_id, "run_rollback")
            self._work()
            self._expect_live(former.run_id)
            self._press(former.run_id, "run_undeploy", adds=0)
        else:
            self._press(run_id, "run_undeploy", adds=0)
        self._work()
        self._expect_live(None)
        return former is not None

    def _requested(self) -> str | None:
        """A run of a dataset that was just frozen; None while there is too little."""
        if self.game.count(Example) < ENOUGH:
            return None
        olga, before = self.office.olga, self.game.count(Run)
        olga.command("/errata", f"freeze set-{self.game.total}", self.office.channel)
        while requested.step(self.office.store, now()):
            pass
        with self.office.store.read() as session:
            names = list(session.exec(select(DatasetVersion.name).order_by(col(DatasetVersion.id))))
        if not names:
            return None
        answer = olga.command("/errata", f"train {names[-1]} rehearsal", self.office.channel)
        if self.game.count(Run) == before:
            self.game.expect("validation" in answer["text"], f"no run: {answer}")
            return None
        self.game.deliver()
        with self.office.store.read() as session:
            return session.exec(select(Run.id).order_by(col(Run.requested_at).desc())).first()

    def _complete(self, run_id: str) -> None:
        """As a worker would leave it."""
        with self.office.store.write() as session:
            session.get_one(Run, run_id).status = "completed"
            report = {"sentence": "It is better."}
            session.add(Evaluation(run_id=run_id, verdict="better", report=report, evaluated_at=now()))
            owe(session, now(), NoticeKind.RUN_EVALUATED, subject=f"run:{run_id}", destination=self._place)
        self.game.deliver()

    def _press(self, run_id: str, button: str, *, adds: int = 1) -> None:
        before = self.game.count(Deployment)
        self.office.olga.click(self.office.channel, self._message_with(button, run_id), button)
        made = self.game.count(Deployment) - before
        self.game.expect(made == adds, f"{button} made {made} deployments")
        self.game.deliver()

    def _work(self) -> None:
        """Switch as a worker would: whoever was live retires, whoever was asked for goes live."""
        with self.office.store.write() as session:
            coming = deployments.with_status(session, DeploymentStatus.REQUESTED)
            for live in deployments.with_status(session, DeploymentStatus.LIVE) if coming else []:
                self._advance(session, live, DeploymentStep.RETIRE)
            for one in coming:
                one.url, one.test_question, one.test_reply = "http://127.0.0.1/v1", "How long?", "Six months."
                self._advance(session, one, DeploymentStep.ANSWERED)
            for left in deployments.with_status(session, DeploymentStatus.RETIRING):
                self._advance(session, left, DeploymentStep.STOPPED)
        self.game.deliver()

    def _take_down(self) -> None:
        """End what stray commands have begun."""
        ends = (
            (DeploymentStatus.REQUESTED, DeploymentStep.FAIL),
            (DeploymentStatus.LIVE, DeploymentStep.RETIRE),
            (DeploymentStatus.RETIRING, DeploymentStep.STOPPED),
        )
        with self.office.store.write() as session:
            for status, step in ends:
                for one in deployments.with_status(session, status):
                    self._advance(session, one, step)
        self.game.deliver()

    def _advance(self, session: Session, deployment: Deployment, step: DeploymentStep) -> None:
        deployments.advance(session, now(), deployment, step)
        session.flush()
        deployments.tell(session, now(), deployment)

    def _expect_live(self, run_id: str | None) -> None:
        with self.office.store.read() as session:
            live = [one.run_id for one in deployments.with_status(session, DeploymentStatus.LIVE)]
        self.game.expect(live == ([run_id] if run_id else []), f"{live} is live, not {run_id}")

    # What is there.

    @property
    def _place(self) -> str:
        return f"{self.office.workspace.team_id}/{self.office.channel}"

    def _person(self, name: str) -> Any:
        return self.office.actor(name).person_id

    def _language(self, name: str) -> str | None:
        with self.office.store.read() as session:
            return session.get_one(Person, self._person(name)).language

    def _message_with(self, action_id: str, value: str) -> str:
        """The newest message with this button."""
        messages = self.office.workspace.messages(self.office.channel)
        found = [str(one["ts"]) for one in messages if self.game.button(one, action_id) == value]
        if not found:
            self.game.failures.add(f"no {action_id} of {value}: {json.dumps(messages[-1])[:500]}")
        return found[-1]
