"""Presses every button and types every command that leads to Azure, in a process that only acknowledges; prints JSON.

What the bot wants to do after an ack is kept back until everything is acknowledged: so whatever Azure was asked by
then, and whatever of its libraries is loaded, was on somebody's three seconds.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from builders import Office, Team, furnish, new_workspace, now, served
from sqlmodel import select

from bot.app import build, gated
from bot.blocks import runs as run_blocks
from bot.blocks import training as training_blocks
from training import orders
from training.backends.foundry.place import AzurePlace
from training.backends.names import BackendName
from training.deployments import DeploymentStatus
from training.runs import RunStatus
from training.sandbox.azure import AzureSandbox
from training.store.tables import Deployment, Run

FORBIDDEN = ("azure", "openai", "msal", "torch", "dbos")


class Kept:
    """What the bot's threads were asked to do."""

    def __init__(self) -> None:
        self.works: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.works.append((future, lambda: function(*args, **kwargs)))
        return future

    def do(self) -> None:
        while self.works:
            future, work = self.works.pop(0)
            future.set_result(work())


def stocked(office: Office, place: AzurePlace) -> Team:
    """A dataset, and a run in Azure of each kind that has a button; the team that made them."""
    actors = {name: office.actor(name) for name in ("ana", "ben", "bea", "olga")}
    team = Team(office.store, 1, f"{office.workspace.team_id}/{office.channel}", **actors)
    for number in range(12):
        team.approve(f"How long does filter {number} last?", f"Six months, {number}.")
    team.freeze("v1")
    asked = {"dataset_name": "v1", "model": "phi-4-mini-instruct", "backend": BackendName.FOUNDRY, "place": place}
    with office.store.write() as session:
        for status in (RunStatus.COMPLETED, RunStatus.COMPLETED, RunStatus.TRAINING, RunStatus.FAILED):
            orders.request(session, team.olga, now(), **asked).status = status.value
        live = next(iter(session.exec(select(Run).where(Run.status == RunStatus.COMPLETED.value))))
        session.add(
            Deployment(
                run_id=live.id,
                status=DeploymentStatus.LIVE.value,
                requested_by=team.olga.person_id,
                requested_at=now(),
                live_at=now(),
                url="https://made-up.eastus2.models.ai.azure.com?api-version=2024-05-01-preview",
            )
        )
    return team


def press_everything(office: Office) -> list[str]:
    """What was acknowledged: every way from Slack to Azure, once."""
    olga, done = office.olga, []

    def typed(words: str) -> None:
        olga.command("/errata", words, office.channel)
        done.append(words)

    with office.store.read() as session:
        by_status = {run.status: run.id for run in session.exec(select(Run).order_by(Run.id))}
        live = session.exec(select(Deployment.run_id)).one()
        completed = [run.id for run in session.exec(select(Run)) if run.status == RunStatus.COMPLETED.value]
    (idle,) = set(completed) - {live}
    for backend in ("foundry", "openai", "azureml"):
        typed(f"train v1 phi-4-mini-instruct {backend}")
        if olga.modal is not None:
            done.append(f"{olga.modal['callback_id']} {backend}")
            olga.submit({})
            if olga.modal is not None:
                olga.close_modal()
    for words in ("doctor foundry", "doctor foundry phi-4-mini-instruct", "models", "models phi-4", "costs", "runs"):
        typed(words)
    typed(f"run {live}")
    olga.close_modal()
    for action, run_id in (
        (training_blocks.DETAILS, live),
        (run_blocks.DEPLOY, idle),
        (run_blocks.UNDEPLOY, live),
        (run_blocks.RESUME, by_status[RunStatus.FAILED.value]),
        (run_blocks.CANCEL, by_status[RunStatus.TRAINING.value]),
    ):
        olga.click(office.channel, office.old_card(action, run_id), action)
        done.append(action)
    olga.open_home()
    done.append("home")
    return done


def main() -> None:
    """Print what was acknowledged, what Azure was asked before and after, and what was loaded meanwhile."""
    folder = Path(sys.argv[1])
    with AzureSandbox(folder / "azure", trains=False) as azure, new_workspace().serve() as workspace:
        os.environ.update(azure.environ())
        office = furnish(workspace, folder / "home", **azure.environ())
        place = AzurePlace.read(azure.environ())
        stocked(office, place)
        app = build(office.settings, office.store)
        kept = Kept()
        app.listener_runner.listener_executor.submit = kept.submit  # type: ignore[method-assign]  # it ends with us
        with served(gated(app, office.settings, office.store)) as url:
            workspace.deliver_to(url)
            done = press_everything(office)
            workspace.wait_until_delivered()
            statuses = [one.answer.status if one.answer else None for one in workspace.deliveries]
            before = [str(one) for one in azure.requests]
            loaded = sorted({name.partition(".")[0] for name in sys.modules} & set(FORBIDDEN))
            kept.do()
        with office.store.read() as session:
            states = sorted(run.status for run in session.exec(select(Run)))
            deployed = sorted(one.status for one in session.exec(select(Deployment)))
        office.store.close()
        after = len(azure.requests)
    told = {"done": done, "statuses": statuses, "before": before, "loaded": loaded, "after": after}
    sys.stdout.write(json.dumps(told | {"runs": states, "deployments": deployed}) + "\n")


if __name__ == "__main__":
    main()
