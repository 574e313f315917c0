"""The three ways into Azure as a siege sees them: what is asked for there, what is counted, and what must be gone.

Owns an Azure that says what is changed there and who has changed it, and kills on its own account before anybody hears
the answer. A rented machine trains nothing here: what it leaves is a copy of one real training, made once.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from chaos import effects
from chaos.effects import AGENT, EVALUATOR, HOME, PERSON, Dooms
from chaos.nursery import Nursery
from chaos.provider import append

from training import orders
from training.backends.base import Base, Job
from training.backends.foundry.rented.node.start import save
from training.backends.local import folder
from training.backends.names import BackendName
from training.hyperparameters import RehearsalModel
from training.recipe import load_recipe
from training.sandbox.azure import AzureSandbox
from training.sandbox.command_runs import CommandRun
from training.sandbox.jobs import Jobs
from training.sandbox.openai_jobs import TuningJobs
from training.sandbox.openai_service import Account
from training.sandbox.proxy import Arrival
from training.sandbox.wire import Response

MODELS = {
    BackendName.FOUNDRY: "phi-4-mini-instruct",
    BackendName.OPENAI: "gpt-4.1-mini",
    BackendName.AZUREML: orders.REHEARSAL,
}
PLAIN = (
    *("bot.cli", "bot.entry", "training.durable", "matplotlib.pyplot", "openai", "azure.identity", "chaos.effects"),
    *("training.backends.foundry.evaluating.evaluator", "training.backends.foundry.access.sdks:azure_ml"),
    *("training.removal", "training.uploads", "training.forgetting", "curation.privacy.erasure"),
    *("training.backends.foundry.managed.backend", "training.backends.foundry.account.backend"),
)
WITH_TORCH = ("training.backends.local.evaluating.evaluator", "training.backends.local.serving.endpoint")
"""What whoever is born in the siege needs to have loaded."""

_CHANGING = ("PUT", "POST", "DELETE", "PATCH")
_ASKING = (
    *("/token", "/text:analyze", "/listkeys", "/chat/completions", "/liststoragekeys", "/listsecrets"),
    "/startpendingupload",
)
"""POSTs that change nothing."""
ANYBODY = "at Azure"
"""Whoever changes something there but a person: ``at Azure#3`` is the third change of a story."""
_TOY = RehearsalModel(hidden=32, layers=1, heads=2, vocabulary=300)


class Deadly(AzureSandbox):
    """A sandbox that notes what is changed there and by whom, and kills whom a death is laid for.

    Attributes:
        acting: who sends what says nothing of its sender: the libraries of one service take no word along.
        template: what a rented machine leaves; None where there is none.
    """

    def __init__(self, home: Path, nursery: Nursery) -> None:
        super().__init__(home / "azure", trains=False)
        self.toys.seconds = 0.3
        self.acting = effects.WORKER
        self.template: Path | None = None
        self._home, self._nursery, self._dooms = home, nursery, Dooms(home / "dooms")
        self._numbers: Counter[str] = Counter()
        self._noting = threading.Lock()

    def _answer(self, arrival: Arrival) -> Response | None:
        answer = super()._answer(arrival)
        path = arrival.target.partition("?")[0]
        if arrival.method in _CHANGING and not path.lower().endswith(_ASKING):
            if self.template is not None and arrival.method == "PUT" and "/jobs/" in path:
                self._work_done(path.rpartition("/")[2], self.template)
            self._note(arrival, path)
        return answer

    def _note(self, arrival: Arrival, path: str) -> None:
        agent = arrival.headers.get("user-agent", "").partition(AGENT)[2].split(" ")[0]
        who = agent or self.acting
        kind = "/".join(part for part in path.split("/") if part.strip("/"))
        key = f"{who} at Azure: {arrival.method} {effects.plain('/'.join(kind.split('/')[-2:]))}"
        with self._noting:
            for one in (ANYBODY, key):
                self._numbers[one] += who != PERSON or one == key
            key += f" ({self._numbers[key]})"
            append(self._home / "trace.jsonl", key, "")
            laid = (key, *(f"{key} [{others}]" for others in OTHERS), f"{ANYBODY}#{self._numbers[ANYBODY]}")
            met, victims = next(((one, found) for one in laid if (found := self._dooms.take(one))), ("", []))
            if victims:
                append(self._home / "trace.jsonl", f"killed {','.join(victims)}", met)
        if victims:
            self._nursery.kill(*victims)

    def _work_done(self, name: str, template: Path) -> None:
        with self.cloud.lock:
            submitted = self.cloud.part(Jobs).named(name)
        if submitted is not None and isinstance(submitted.work, CommandRun):
            shutil.copytree(template, submitted.work.home / "outputs" / "kept", dirs_exist_ok=True)

    def begin_story(self) -> None:
        """Another run: what is asked for next is the first of its kind."""
        with self._noting:
            self.acting, self._numbers = effects.WORKER, Counter()

    def jobs_of(self, run_id: str) -> int:
        """How many trainings were begun there for the run."""
        with self.cloud.lock:
            asked = [one.asked.get("suffix") for one in self.cloud.part(TuningJobs).by_id.values()]
            return [*self.cloud.part(Jobs).started, *asked].count(run_id)

    def hosted(self) -> list[str]:
        """Whatever costs money by the hour."""
        with self.cloud.lock:
            return [key for key in self.cloud.resources if "/serverlessendpoints/" in key or "/deployments/" in key]

    def left(self) -> list[str]:
        """What is there of deleted runs: rows, models, what a job kept."""
        with self.cloud.lock:
            account = self.cloud.part(Account)
            assets = [key for key in self.cloud.resources if "/data/" in key and "/versions/" in key]
            models = [
                key
                for key, row in self.cloud.resources.items()
                if "/models/" in key and "/versions/" in key and not row["properties"].get("isArchived")
            ]
            files = [one.name for one in account.files.values()]
            blobs = [str(one) for one in self.cloud.blobs.rglob("*") if one.is_file() and "/errata/" in str(one)]
            return [*assets, *models, *files, *account.tuned, *blobs]


OTHERS = {"the worker alone": (effects.WORKER,), "the machine": (effects.WORKER, effects.APART, EVALUATOR)}
"""Who else than its sender may be killed while a request is answered."""


def trained(home: Path, nursery: Nursery, train: Path, validation: Path) -> Path:
    """What one real training of a toy leaves where a rented machine keeps it."""
    recipe = replace(load_recipe("rehearsal"), epochs=1, rehearsal=_TOY)
    directory = home / "template" / "job"
    directory.mkdir(parents=True)
    job = Job("run-template", Base("rehearsal"), recipe, train, validation, directory)
    folder.write_json(directory / folder.REQUEST, job.as_json())
    with (home / "template.log").open("wb") as log:
        words = ("training.backends.local.begin", "training.backends.local.tuning.trainer", str(directory))
        born = nursery.born("trainer", words, files=[log.fileno()] * 3, env=_environ(home))
        assert born.wait(120) == 0, (home / "template.log").read_text()
    save(directory, home / "template" / "kept")
    return home / "template" / "kept"


def _environ(home: Path) -> dict[str, str]:
    return {HOME: str(home), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"}


def told(path: Path) -> list[dict[str, Any]]:
    """The trace so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
