"""The durable run: check → split → submit → watch → evaluate → notify, and what it deploys.

Owns what happens at each station of a run and of a deployment. Every station may be repeated: it
looks at the committed row, does an idempotent piece of work outside any transaction, then commits
the step with its notices. So a killed worker that starts again goes on where the rows say, and
nothing is trained or told twice. Knows no provider: that is the backend's.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlmodel import Session

from curation import dataset, notices
from curation.conversation import Conversation
from curation.errors import ErrataError, StoreUnavailable, Unavailable
from curation.findings import blocking
from curation.notices import NoticeKind
from curation.split import Side
from curation.store.engine import Store
from training import deployments, runs
from training.backends.base import Backend, Base, EvaluationRequest, Job, JobStatus, Progress
from training.backends.names import BackendName
from training.cases import probe_question, write_cases
from training.deployments import DeploymentStatus, DeploymentStep
from training.evaluations import Report, claim, score
from training.runs import RunStatus, RunStep
from training.store.tables import Deployment, Evaluation, Run

log = logging.getLogger("errata.workflow")

NOTICE_INTERVAL = timedelta(seconds=3)
CURVE_POINTS = 400


@dataclass(frozen=True)
class Worker:
    """Advances every unfinished run and deployment by one step per ``tick``.

    Attributes:
        home: where runs keep their files, one folder a run.
        clock: gives the current time, aware.
    """

    store: Store
    backends: Mapping[BackendName, Backend]
    home: Path
    clock: Callable[[], datetime]

    def tick(self) -> bool:
        """Look at everything unfinished once; true where something is still under way."""
        with self.store.read() as session:
            waiting = [run.id for run in runs.unfinished(session)]
            switching = [
                deployment.key
                for deployment in deployments.with_status(
                    session, DeploymentStatus.REQUESTED, DeploymentStatus.RETIRING
                )
            ]
        for run_id in waiting:
            self._advance_run(run_id)
        for key in switching:
            self._advance_deployment(key)
        return bool(waiting or switching)

    def _advance_run(self, run_id: str) -> None:
        with self.store.read() as session:
            run = runs.find(session, run_id)
        status = RunStatus(run.status)
        try:
            {
                RunStatus.REQUESTED: self._start,
                RunStatus.TRAINING: self._watch_training,
                RunStatus.EVALUATING: self._watch_evaluation,
                RunStatus.CANCELLING: self._stop,
            }[status](run)
        except StoreUnavailable:
            raise  # nothing is known against the run: the next tick tries again
        except Exception as error:  # a process edge: one run's surprise must not stop the others
            if not isinstance(error, ErrataError):
                log.exception("run %s", run.id)
            if status is RunStatus.CANCELLING:
                log.warning("run %s could not be stopped yet; the next tick tries again", run.id)
                return
            self._step(run, RunStep.FAIL, reason=_sentence(error, "run"))

    def _start(self, run: Run) -> None:
        job = self.job(run)
        with self.store.read() as session:
            version = runs.dataset_of(session, run)
            dataset.write_files(session, version, self._folder(run) / "data")
        stopping = blocking(self._backend(run).preflight(job))
        if stopping:
            raise Unavailable(" ".join(finding.sentence() for finding in stopping))
        # Submitted by the next tick, once *training* is committed: a cancel in between then finds a run to stop,
        # where a job that was submitted first would train on without anybody's run.
        self._step(run, RunStep.START)

    def _watch_training(self, run: Run) -> None:
        progress = self._backend(run).poll(self.job(run))
        if progress.status is JobStatus.QUEUED:
            self._backend(run).submit(self.job(run))  # now, or again where its folder was lost; the same id trains once
        elif progress.status is JobStatus.COMPLETED:
            self._backend(run).evaluate(self._evaluation(run))
            self._step(run, RunStep.TRAINED, progress=progress, then=_tell_curve)
        elif progress.status is JobStatus.FAILED:
            self._step(run, RunStep.FAIL, progress=progress, reason=progress.reason)
        elif progress.status is JobStatus.CANCELLED:
            self._step(run, RunStep.STOPPED, progress=progress, reason=progress.reason)
        else:
            self._note(run, progress)

    def _watch_evaluation(self, run: Run) -> None:
        request = self._evaluation(run)
        progress = self._backend(run).poll_evaluation(request)
        if not progress.done:
            self._backend(run).evaluate(request)
            return
        if progress.report is None:
            self._step(run, RunStep.FAIL, reason=progress.reason)
            return
        measured = json.loads(progress.report.read_text(encoding="utf-8"))
        cases = Report.from_json(measured).cases
        scores, claimed = score(cases), claim(score(cases))
        held_out = score(case for case in cases if case.side == Side.VALIDATION.value)
        report = {
            **measured,
            "scores": scores.as_json(),
            "held_out": held_out.as_json(),
            "sentence": claimed.sentence,
        }

        def keep(session: Session, now: datetime, current: Run) -> None:
            session.add(Evaluation(run_id=current.id, verdict=claimed.verdict.value, report=report, evaluated_at=now))
            runs.tell(session, now, current, NoticeKind.RUN_EVALUATED)

        self._step(run, RunStep.EVALUATED, then=keep)

    def _stop(self, run: Run) -> None:
        job = self.job(run)
        self._backend(run).cancel(job)
        status = self._backend(run).poll(job).status
        if status.final or status is JobStatus.QUEUED:
            self._step(run, RunStep.STOPPED)

    def _advance_deployment(self, key: int) -> None:
        with self.store.read() as session:
            deployment = session.get_one(Deployment, key)
            run = runs.find(session, deployment.run_id)
        retires = DeploymentStatus(deployment.status) is DeploymentStatus.RETIRING
        try:
            self._take_down(run, key) if retires else self._put_up(run, key)
        except StoreUnavailable:
            raise
        except Exception as error:  # a process edge, as for runs
            if not isinstance(error, ErrataError):
                log.exception("deployment of %s", run.id)
            if retires:
                log.warning("the endpoint of %s could not be stopped yet; the next tick tries again", run.id)
                return
            self._switch(key, DeploymentStep.FAIL, reason=_sentence(error, "deployment"))

    def _take_down(self, run: Run, key: int) -> None:
        self._backend(run).undeploy(self._folder(run) / "endpoint")
        self._switch(key, DeploymentStep.STOPPED)

    def _put_up(self, run: Run, key: int) -> None:
        """Serve the run's model and ask it a question; only what answers goes live."""
        backend, directory = self._backend(run), self._folder(run) / "endpoint"
        question = self._test_question(run)
        try:
            endpoint = backend.deploy(backend.fetch(self.job(run)), directory, run.id)
            reply = backend.probe(endpoint, question)
        except Exception:
            backend.undeploy(directory)
            raise
        self._switch(
            key,
            DeploymentStep.ANSWERED,
            url=endpoint.url,
            pid=endpoint.pid,
            test_question=question.messages[-1].content,
            test_reply=reply,
        )

    def _switch(self, key: int, step: DeploymentStep, **changes: str | int | None) -> None:
        """Commit a deployment's step; a new live one retires the one before it."""
        with self.store.write() as session:
            now = self.clock()
            deployment = session.get_one(Deployment, key)
            deployments.take(deployment, step, now)
            for name, value in changes.items():
                setattr(deployment, name, value)
            if step is DeploymentStep.ANSWERED:
                for older in deployments.with_status(session, DeploymentStatus.LIVE):
                    if older.key != key:
                        deployments.take(older, DeploymentStep.RETIRE, now)
                        notices.owe_again(session, now, f"deployment:{older.key}")
            deployments.tell(session, now, deployment)

    def _note(self, run: Run, progress: Progress) -> None:
        """Keep the progress; owe the channel an edit where something moved and the last one is old enough."""
        noted = _progress_json(progress)
        if noted["step"] == run.progress.get("step"):
            return
        with self.store.write() as session:
            current = runs.find(session, run.id)
            now = self.clock()
            told_at = current.progress.get("told_at")
            tell = told_at is None or now - datetime.fromisoformat(told_at) >= NOTICE_INTERVAL
            current.progress = {**noted, "told_at": now.isoformat() if tell else told_at}
            if tell:
                runs.owe_status(session, now, current)

    def _step(
        self,
        run: Run,
        step: RunStep,
        *,
        reason: str | None = None,
        progress: Progress | None = None,
        then: Callable[[Session, datetime, Run], None] | None = None,
    ) -> None:
        """Commit one step with its notices; a run that moved in between is left for the next tick."""
        with self.store.write() as session:
            current = runs.find(session, run.id)
            if current.version != run.version:
                return
            now = self.clock()
            runs.take(current, step, now, reason=reason)
            if progress is not None:
                current.progress = _progress_json(progress)
            runs.owe_status(session, now, current)
            if then is not None:
                then(session, now, current)

    def _backend(self, run: Run) -> Backend:
        backend = self.backends.get(BackendName(run.backend))
        if backend is None:
            raise Unavailable(f"This worker has no backend {run.backend}; start one that has, or cancel the run.")
        return backend

    def _folder(self, run: Run) -> Path:
        return self.home / "runs" / run.id

    def job(self, run: Run) -> Job:
        """The backend's job for a run; its base is the live model's checkpoint where the run tunes production."""
        folder = self._folder(run)
        return Job(
            run_id=run.id,
            base=self._base(run),
            recipe=runs.recipe_of(run),
            train=folder / "data" / "train.jsonl",
            validation=folder / "data" / "validation.jsonl",
            directory=folder / "job",
        )

    def _base(self, run: Run) -> Base:
        if run.base_run_id is not None:
            with self.store.read() as session:
                parent = runs.find(session, run.base_run_id)
            return Base("checkpoint", self._backend(parent).fetch(self.job(parent)).model)
        return Base("rehearsal") if run.base is None else Base("checkpoint", Path(run.base))

    def _evaluation(self, run: Run) -> EvaluationRequest:
        """What to evaluate: against the model in production, where one is known, and always against its base."""
        folder, job = self._folder(run), self.job(run)
        artefact = self._backend(run).fetch(job)
        cases = folder / "cases.jsonl"
        if not cases.exists():
            with self.store.read() as session:
                write_cases(dataset.items(session, runs.dataset_of(session, run)), cases)
        return EvaluationRequest(
            run_id=run.id,
            directory=folder / "evaluation",
            candidate=artefact.model,
            baseline=self._production(run) or (artefact.base_model if run.model == runs.PRODUCTION else None),
            base=artefact.base_model,
            train=job.train,
            validation=job.validation,
            cases=cases,
        )

    def _production(self, run: Run) -> Path | None:
        """The model that is live, which the run has to beat; None where nothing is."""
        with self.store.read() as session:
            live = runs.production(session)
        if live is None or live.id == run.id:
            return None
        return self._backend(live).fetch(self.job(live)).model

    def _test_question(self, run: Run) -> Conversation:
        with self.store.read() as session:
            return probe_question(dataset.items(session, runs.dataset_of(session, run)))


def _sentence(error: Exception, what: str) -> str:
    """An error's own sentence where it was written for people; a surprise names its type only."""
    if isinstance(error, ErrataError):
        return str(error)
    return f"An unforeseen {type(error).__name__} stopped the {what}; see the worker's log, then try again."


def _tell_curve(session: Session, now: datetime, run: Run) -> None:
    runs.tell(session, now, run, NoticeKind.RUN_CURVE)


def _progress_json(progress: Progress) -> dict[str, object]:
    """What the row keeps of a progress: the newest figures and a curve of at most ``CURVE_POINTS`` points."""
    stride = max(1, -(-len(progress.curve) // CURVE_POINTS))
    kept = [*progress.curve[::stride]]
    if progress.curve and kept[-1] is not progress.curve[-1]:
        kept.append(progress.curve[-1])
    return {
        "step": progress.step,
        "steps": progress.steps,
        "eta_seconds": progress.eta_seconds,
        "notes": list(progress.notes),
        "curve": [[point.step, point.loss, point.validation_loss, point.tokens_per_second] for point in kept],
    }
