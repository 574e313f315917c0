"""The stations of a run: check → split → submit → watch → evaluate → notify; and from an end back to them.

Owns what happens at each. Every station may be repeated: it looks at the committed row, does an
idempotent piece of work outside any transaction, then commits one step with its audit and notices.
So a killed worker that starts again goes on where the rows say, and nothing is trained or told
twice. Who calls the stations, and when, is the carrier's; how a provider works is the backend's.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sqlmodel import Session

from curation.datasets import dataset
from curation.datasets.split import Side
from curation.errors import ErrataError, Overtaken, StoreUnavailable, Unavailable
from curation.findings import blocking
from curation.notices import NoticeKind
from curation.wording import Phrase, phrase
from training import consents, runs
from training.backends.base import JobStatus, Progress
from training.backends.errors import Unfit, Unreached
from training.beginnings import never_began
from training.cards import write_cards
from training.evaluation.evaluations import score
from training.evaluation.gate import decide
from training.evaluation.measured import Report
from training.evaluation.provided import with_provider_fit
from training.particulars import reasons_of, write_particulars
from training.runs import UNFINISHED, RunStatus, RunStep
from training.store.tables import Evaluation, Run
from training.workplace import Workplace

log = logging.getLogger("errata.workflow")

PATIENCE = timedelta(hours=1)
"""For how long a run waits for a provider that does not answer before anything has begun."""
NOTICE_INTERVAL = timedelta(seconds=3)
CURVE_POINTS = 400
_TENTHS = 10
_LASTING = frozenset({"job.rehearsal", "local.tools", "local.targets"})
_MENDED = frozenset({"foundry.region"})
"""Of the rules about services: what somebody may mend without another run, as by a project elsewhere."""
_ENDS = frozenset({RunStep.FAIL, RunStep.STOPPED})
_HANDED_OVER = frozenset({RunStatus.TRAINING, RunStatus.RESUMING})
_NEWS = ("step", "notes", "trained_tokens", "link")
"""Of what is kept of a progress: what people are told of once it has changed."""


def station(place: Workplace, run_id: str) -> RunStatus:
    """Do what the run's committed row asks for, commit at most one step, and return where the run stands.

    A run that has ended is left as it is. One run's surprise ends that run with a sentence; it never escapes.

    Raises:
        NotFound: no such run.
        StoreUnavailable, Overtaken: the database said no, or somebody was faster; nothing is known against the run.
    """
    with place.store.read() as session:
        run = runs.find(session, run_id)
    status = RunStatus(run.status)
    if status not in UNFINISHED:
        return status
    try:
        _STATIONS[status](place, run)
    except (StoreUnavailable, Overtaken):
        raise
    except Exception as error:  # a process edge: one run's surprise must not stop the others
        if not isinstance(error, ErrataError):
            log.exception("a run met a surprise: run=%s", run.id)
        if status is RunStatus.CANCELLING:
            log.warning("could not be stopped yet, the next visit tries again: run=%s", run.id)
        else:
            if status in _HANDED_OVER and (isinstance(error, Unreached) or not isinstance(error, ErrataError)):
                _let_go(place, run)
            unfit = isinstance(error, Unfit)
            _step(place, run, RunStep.FAIL, reason=sentence_of(error), then=partial(_mark, unfit=unfit))
    with place.store.read() as session:
        return RunStatus(runs.find(session, run_id).status)


def sentence_of(error: Exception, *, of_deployment: bool = False) -> str:
    """An error's own sentence where it was written for people; a surprise names its type only."""
    if isinstance(error, ErrataError):
        return error.sentence
    return phrase(
        "An unforeseen {error} stopped the deployment; see the worker's log, then try again."
        if of_deployment
        else "An unforeseen {error} stopped the run; see the worker's log, then try again.",
        error=type(error).__name__,
    )


def _let_go(place: Workplace, run: Run) -> None:
    """Ask for the end of a training that nobody will watch any more; where that fails, whoever deletes the run does."""
    try:
        place.backend(run).cancel(place.ended(run))
    except ErrataError as error:
        log.warning("a training may go on without its run: run=%s error=%s", run.id, type(error).__name__)
    except Exception:  # what has stopped the run may stop this as well
        log.exception("a training may go on without its run: run=%s", run.id)


def _start(place: Workplace, run: Run) -> None:
    try:
        _prepare(place, run)
    except Unreached:
        if place.clock() - run.requested_at > PATIENCE:
            raise
        log.warning("its provider does not answer, the next visit asks again: run=%s", run.id)
        return
    # Submitted by the next visit, once *training* is committed: a cancel in between then finds a run to stop,
    # where a job that was submitted first would train on without anybody's run.
    _step(place, run, RunStep.START)


def _resume(place: Workplace, run: Run) -> None:
    """Let the training go on; where it is the evaluation that failed, forget that one, so that there is another."""
    backend, job = place.backend(run), place.job(run)
    if backend.poll(job).status is JobStatus.COMPLETED:
        request = place.evaluation(run)
        evaluated = backend.poll_evaluation(request)
        if evaluated.done and evaluated.report is None:
            backend.forget_evaluation(request)
    else:
        _prepare(place, run)
        backend.resume(job)  # before *training* is committed, as from there its old end would be seen
    _step(place, run, RunStep.START)


def _prepare(place: Workplace, run: Run) -> None:
    """Write what the job reads, and see whether anything stands in its way."""
    job = place.job(run)
    with place.store.read() as session:
        version = runs.dataset_of(session, run)
        dataset.write_files(session, version, place.data(run))
        rows = dataset.items(session, version)
        if job.particulars is not None:
            write_particulars(rows, reasons_of(session, rows), job.particulars)
    backend = place.backend(run)
    destination = backend.destination(job)
    with place.store.read() as session:
        consents.require_consent(session, place.azure, destination)
    stopping = blocking(backend.preflight(job))
    if stopping:
        sentences = [finding.sentence() for finding in stopping]
        if any(_lasts(finding.rule) for finding in stopping):
            raise Unfit("{findings:sentences}", findings=sentences)
        raise Unavailable("{findings:sentences}", findings=sentences)


def _lasts(rule: str) -> bool:
    """Whether what a rule has found stays as it is: a run keeps its dataset, its model and its recipe."""
    return rule in _LASTING or (rule.startswith(("foundry.", "openai.")) and rule not in _MENDED)


def _watch_training(place: Workplace, run: Run) -> None:
    backend, job = place.backend(run), place.job(run)
    progress = backend.poll(job)
    if progress.status is JobStatus.QUEUED:
        backend.submit(job)  # now, or again where its folder was lost; the same id trains once
        if progress.notes or progress.link:  # a provider may have it wait for hours, and says so
            _note(place, run, progress)
    elif progress.status is JobStatus.COMPLETED:
        backend.evaluate(place.evaluation(run))
        _step(place, run, RunStep.TRAINED, progress=progress, then=_tell_curve)
    elif progress.status is JobStatus.FAILED:
        _step(place, run, RunStep.FAIL, progress=progress, reason=progress.reason)
    elif progress.status is JobStatus.CANCELLED:
        # Nobody asked Errata to stop it, or the run would be cancelling.
        reason = phrase("{reason} Resume the run to go on from where it was.", reason=progress.reason or "")
        _step(place, run, RunStep.STOPPED, progress=progress, reason=reason)
    else:
        _note(place, run, progress)


def _watch_evaluation(place: Workplace, run: Run) -> None:
    request = place.evaluation(run)
    progress = place.backend(run).poll_evaluation(request)
    if not progress.done:
        place.backend(run).evaluate(request)
        return
    if progress.report is None:
        _step(place, run, RunStep.FAIL, reason=progress.reason)
        return
    measured = json.loads(progress.report.read_text(encoding="utf-8"))
    measured = with_provider_fit(measured, run.progress.get("curve", ()))
    found = Report.from_json(measured)
    cases, decision = found.cases, decide(found)
    held_out = score(case for case in cases if case.side == Side.VALIDATION.value)
    report = {
        **measured,
        "scores": score(cases).as_json(),
        "held_out": held_out.as_json(),
        "sentence": decision.sentence,
        "wording": decision.sentence.packed(),
        "decision": decision.as_json() | {"wordings": [reason.packed() for reason in decision.reasons]},
    }

    def keep(session: Session, now: datetime, current: Run) -> None:
        session.add(Evaluation(run_id=current.id, verdict=decision.verdict.value, report=report, evaluated_at=now))
        runs.tell(session, now, current, NoticeKind.RUN_EVALUATED)
        if cases or found.labels is not None:
            runs.tell(session, now, current, NoticeKind.RUN_SCORES)

    _step(place, run, RunStep.EVALUATED, then=keep)
    write_cards(place, run.id)


def _stop(place: Workplace, run: Run) -> None:
    job = place.job(run)
    place.backend(run).cancel(job)
    status = place.backend(run).poll(job).status
    if status is JobStatus.COMPLETED:  # it was being evaluated, perhaps at an endpoint that costs money while it is up
        place.backend(run).forget_evaluation(place.evaluation(run))
    if status.final or status is JobStatus.QUEUED:
        _step(place, run, RunStep.STOPPED)


_STATIONS: dict[RunStatus, Callable[[Workplace, Run], None]] = {
    RunStatus.REQUESTED: _start,
    RunStatus.TRAINING: _watch_training,
    RunStatus.EVALUATING: _watch_evaluation,
    RunStatus.RESUMING: _resume,
    RunStatus.CANCELLING: _stop,
}


def _note(place: Workplace, run: Run, progress: Progress) -> None:
    """Keep the progress; owe the channel an edit where something moved and the last one is old enough."""
    noted = _progress_json(progress)
    if all(noted[name] == run.progress.get(name) for name in _NEWS):
        return
    _log(run, progress)
    with place.store.write() as session:
        current = runs.find(session, run.id)
        if current.version != run.version:
            return
        now = place.clock()
        told_at = current.progress.get("told_at")
        # Told in the future: the clock was set back since.
        tell = told_at is None or not timedelta() <= now - datetime.fromisoformat(told_at) < NOTICE_INTERVAL
        current.progress = {**noted, "told_at": now.isoformat() if tell else told_at}
        if tell:
            runs.owe_status(session, now, current)


def _log(run: Run, progress: Progress) -> None:
    """One line for each tenth of a training."""
    before = run.progress.get("step", 0)
    if not progress.curve or not progress.steps:  # a provider may not say how many there will be
        return
    if progress.step * _TENTHS // progress.steps == before * _TENTHS // progress.steps:
        return
    last = progress.curve[-1]
    log.info(
        "training: run=%s step=%s steps=%s loss=%s tokens_per_second=%s memory_mb=%s eta_seconds=%s",
        run.id,
        progress.step,
        progress.steps,
        round(last.loss, 3),
        round(last.tokens_per_second),
        round((last.memory_bytes or 0) / 1e6),
        round(progress.eta_seconds or 0),
    )


def _step(
    place: Workplace,
    run: Run,
    step: RunStep,
    *,
    reason: str | None = None,
    progress: Progress | None = None,
    then: Callable[[Session, datetime, Run], None] | None = None,
) -> None:
    """Commit one step with its notices; a run that moved in between is left for the next visit."""
    asked = step in _ENDS and run.status != RunStatus.REQUESTED.value  # before that nothing was sent to anybody
    began = not (asked and never_began(place, run))
    with place.store.write() as session:
        current = runs.find(session, run.id)
        if current.version != run.version:
            return
        now = place.clock()
        if progress is not None:
            current.progress = _progress_json(progress)  # before the step, which counts what it cost
        runs.advance(session, now, current, step, reason=reason, began=began)
        if then is not None:
            then(session, now, current)


def _mark(_session: Session, _now: datetime, run: Run, *, unfit: bool) -> None:
    """Keep whether resuming the run could help."""
    run.progress = {**run.progress, runs.UNFIT: unfit}


def _tell_curve(session: Session, now: datetime, run: Run) -> None:
    """Once: a run that was resumed for its evaluation has shown its curve. A provider may not have told any."""
    if run.progress.get("curve") and not runs.was_told(session, run, NoticeKind.RUN_CURVE):
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
        "notes": [note.packed() if isinstance(note, Phrase) else note for note in progress.notes],
        "trained_tokens": progress.trained_tokens,
        "link": progress.link,
        "curve": [point.row for point in kept],
    }
