"""Following a run or a deployment from a terminal until it has ended.

Owns the progress line on stderr. The work itself goes on in detached processes: leaving the
terminal leaves them running.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from curation.conversation import Conversation
from curation.datasets import dataset
from curation.terminal import Terminal
from training import deployments, runs
from training.backends.local.backend import LocalBackend
from training.backends.names import BackendName
from training.cases import probe_question
from training.deployments import DeploymentStatus
from training.foreground import follow
from training.reports import duration
from training.runs import UNFINISHED, RunStatus
from training.summaries import RunSummary, of_run
from training.workplace import Workplace

_STAGES = {
    RunStatus.REQUESTED: "Prepare",
    RunStatus.TRAINING: "Train",
    RunStatus.EVALUATING: "Evaluate",
    RunStatus.CANCELLING: "Stop",
}
_TENTHS = 10


def workplace_of(terminal: Terminal) -> Workplace:
    """This terminal's database and home folder with the backends of this machine."""
    return Workplace(terminal.store, {BackendName.LOCAL: LocalBackend()}, terminal.home, terminal.clock)


def summary_of(terminal: Terminal, run_id: str) -> RunSummary:
    """The run as it stands now."""
    with terminal.store.read() as session:
        return of_run(session, runs.find(session, run_id))


def probe_question_of(terminal: Terminal, run_id: str) -> Conversation:
    """What the run's endpoint is asked before it goes live, rebuilt from its dataset, which never changes."""
    with terminal.store.read() as session:
        return probe_question(dataset.items(session, runs.dataset_of(session, runs.find(session, run_id))))


def until_ended(terminal: Terminal, run_id: str) -> RunSummary:
    """Show the run's progress until it has ended, doing the worker's part where no worker runs."""
    with _progress_line(terminal) as line:

        def ended() -> bool:
            summary = summary_of(terminal, run_id)
            line.show(summary)
            return RunStatus(summary.status) not in UNFINISHED

        follow(workplace_of(terminal), ended)
    return summary_of(terminal, run_id)


def until_switched(terminal: Terminal) -> None:
    """Wait until no deployment waits to start or to stop."""

    def settled() -> bool:
        with terminal.store.read() as session:
            return not deployments.with_status(session, DeploymentStatus.REQUESTED, DeploymentStatus.RETIRING)

    with terminal.waiting("Waiting for the endpoint …"):
        follow(workplace_of(terminal), settled)


@contextmanager
def serve_beside(terminal: Terminal, run_id: str, *, port: int = 0) -> Iterator[str]:
    """Serve a completed run's model for the length of the block, beside what is live; the block gets the URL.

    Args:
        port: on the loopback interface; 0 lets the system choose a free one.

    Raises:
        NotFound, Conflict: no such run; it has no model.
        Unavailable: it does not start; the port is taken.
    """
    with terminal.store.read() as session:
        run = runs.find(session, run_id)
    place = workplace_of(terminal)
    directory = terminal.home / "runs" / run.id / "foreground"
    backend = LocalBackend()
    try:
        with terminal.waiting("Loading the model …"):
            served = backend.deploy(backend.fetch(place.job(run)), directory, run.id, port=port)
        yield served.url
    finally:
        backend.undeploy(directory)


class _Line:
    """Stage, bar, loss and time left: redrawn on a screen, a line per stage and tenth anywhere else."""

    def __init__(self, terminal: Terminal, progress: Progress | None) -> None:
        self._terminal = terminal
        self._progress = progress
        self._task = progress.add_task("", total=1.0, details="") if progress is not None else None
        self._said: tuple[str, int] | None = None

    def show(self, summary: RunSummary) -> None:
        """Show where the run stands."""
        state = RunStatus(summary.status)
        if state not in _STAGES:
            return
        trains = state is RunStatus.TRAINING
        share = summary.share if trains else float(state is RunStatus.EVALUATING)
        if self._progress is not None and self._task is not None:
            details = _details(summary) if trains else ""
            self._progress.update(self._task, description=_STAGES[state], completed=share, details=details)
            return
        reached = (state.value, int(share * _TENTHS))
        if reached != self._said:
            self._said = reached
            self._terminal.note(f"{_STAGES[state]}" + (f" {share:.0%} {_details(summary)}".rstrip() if trains else ""))


def _details(summary: RunSummary) -> str:
    parts = [f"loss {summary.curve[-1].loss:.3f}"] if summary.curve else []
    if summary.eta_seconds is not None:
        parts.append(f"about {duration(summary.eta_seconds)} left")
    return ", ".join(parts)


@contextmanager
def _progress_line(terminal: Terminal) -> Iterator[_Line]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Line(terminal, None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TextColumn("{task.fields[details]}"), console=console, transient=True) as progress:
        yield _Line(terminal, progress)
