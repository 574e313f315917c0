"""Where a run is carried: the database, the backends, the home folder, the clock.

Owns what every station needs to know before it does anything: a run's folder, its job, what it starts
from and what it is evaluated against. Refuses a run of a backend that is not set up here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from curation.conversation import Conversation
from curation.datasets import dataset
from curation.errors import Unavailable
from curation.store.engine import Store
from training import orders, runs, slots
from training.backends.base import Backend, Base, Endpoint, EvaluationRequest, Job, Rival
from training.backends.foundry.place import NOWHERE, AzurePlace
from training.backends.names import SERVICES, BackendName
from training.evaluation import questions
from training.evaluation.cases import probe_question, write_cases
from training.particulars import reasons_of
from training.store.tables import Run


@dataclass(frozen=True)
class Workplace:
    """What the stations of runs and deployments work with.

    Attributes:
        home: where runs keep their files, one folder a run.
        clock: gives the current time, aware.
        azure: what the settings say of Azure.
    """

    store: Store
    backends: Mapping[BackendName, Backend]
    home: Path
    clock: Callable[[], datetime]
    azure: AzurePlace = NOWHERE

    def backend(self, run: Run) -> Backend:
        """The backend of the run.

        Raises:
            Unavailable: it is not set up here.
        """
        backend = self.backends.get(BackendName(run.backend))
        if backend is None:
            raise Unavailable(
                "This worker has no backend {backend}; start one that has, or cancel the run.", backend=run.backend
            )
        return backend

    def folder(self, run: Run) -> Path:
        """Everything the run keeps on disk."""
        return self.home / "runs" / run.id

    def data(self, run: Run) -> Path:
        """The folder of the run's training and validation files."""
        return self.folder(run) / "data"

    def endpoint(self, run: Run) -> Path:
        """The folder of the run's endpoint, by which the backend knows it."""
        return self.folder(run) / "endpoint"

    def job(self, run: Run) -> Job:
        """The backend's job for a run; its base is the live model's checkpoint where the run tunes production."""
        return replace(self.ended(run), base=self._base(run))

    def ended(self, run: Run) -> Job:
        """The same for a run that has ended: what it started from is not looked for, which may be deleted by now."""
        return Job(
            run_id=run.id,
            base=Base("rehearsal"),
            recipe=runs.recipe_of(run),
            train=self.data(run) / "train.jsonl",
            validation=self.data(run) / "validation.jsonl",
            directory=self.folder(run) / "job",
            particulars=self.data(run) / "particulars.jsonl",
        )

    def evaluation(self, run: Run) -> EvaluationRequest:
        """What to evaluate: against the model in production, where one is known, and always against its base."""
        folder, job = self.folder(run), self.job(run)
        artefact = self.backend(run).fetch(job)
        cases, golden = folder / "cases.jsonl", self.home / questions.GOLDEN
        if not cases.exists():
            with self.store.read() as session:
                rows = dataset.items(session, runs.dataset_of(session, run))
                write_cases(rows, reasons_of(session, rows), cases)
        return EvaluationRequest(
            run_id=run.id,
            directory=folder / "evaluation",
            candidate=artefact.model,
            baseline=self._production(run) or (artefact.base_model if run.model == orders.PRODUCTION else None),
            base=artefact.base_model,
            registered=artefact.registered,
            service=artefact.service,
            rival=self._rival(run),
            train=job.train,
            validation=job.validation,
            cases=cases,
            objective=job.recipe.objective,
            golden=golden if golden.exists() else None,
            safety=questions.SAFETY,
            general=questions.GENERAL,
        )

    def test_question(self, run: Run) -> Conversation:
        """What the run's endpoint is asked before it goes live."""
        with self.store.read() as session:
            return probe_question(dataset.items(session, runs.dataset_of(session, run)))

    def _base(self, run: Run) -> Base:
        if run.base_run_id is not None:
            with self.store.read() as session:
                parent = runs.find(session, run.base_run_id)
            made = self.backend(parent).fetch(self.job(parent))
            if run.backend in SERVICES and made.registered is not None and parent.backend == run.backend:
                return Base("service", name=made.registered)
            return Base("checkpoint", made.weights)
        if run.backend in SERVICES:
            return Base("service", name=run.model)
        return Base("rehearsal") if run.base is None else Base("checkpoint", Path(run.base))

    def _rival(self, run: Run) -> Rival | None:
        """Where the model that is live can be asked; None where nothing is."""
        with self.store.read() as session:
            live = slots.live(session).get(slots.REPLIES)
        if live is None or live.run.id == run.id or live.deployment.url is None:
            return None
        # Its folder knows what its provider calls it; the row only where it answers.
        deployed = live.deployment
        return Rival(BackendName(live.run.backend), Endpoint(str(deployed.url), deployed.pid, live.run.id))

    def _production(self, run: Run) -> Path | None:
        """The model that is live, which the run has to beat; None where nothing is, or its provider keeps it."""
        with self.store.read() as session:
            live = runs.production(session)
        if live is None or live.id == run.id:
            return None
        return self.backend(live).fetch(self.job(live)).model
