"""Following a run or a deployment from a terminal until it has ended.

Owns the progress line on stderr. The work itself goes on in detached processes: leaving the
terminal leaves them running.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from curation.conversation import Conversation
from curation.datasets import dataset
from curation.errors import Conflict
from curation.people import require
from curation.policies import Permission
from curation.terminal import Terminal
from training import deployments, runs, switching
from training.backends import opening
from training.backends.foundry.place import AzurePlace
from training.commands.reports import duration, effort
from training.evaluation.cases import probe_question
from training.foreground import follow, look_once
from training.planning import prices
from training.runs import RESUMABLE, UNFINISHED, RunStatus
from training.summaries import RunSummary, of_run
from training.workplace import Workplace

_STAGES = {
    RunStatus.REQUESTED: "Prepare",
    RunStatus.TRAINING: "Train",
    RunStatus.EVALUATING: "Evaluate",
    RunStatus.RESUMING: "Resume",
    RunStatus.CANCELLING: "Stop",
}
_TENTHS = 10


def workplace_of(terminal: Terminal) -> Workplace:
    """This terminal's database and home folder with the backends of its environment."""
    place = AzurePlace.read(terminal.services)
    return Workplace(terminal.store, opening.backends(place), terminal.home, terminal.clock, place)


def summary_of(terminal: Terminal, run_id: str) -> RunSummary:
    """The run as it stands now."""
    with terminal.store.read() as session:
        return of_run(session, runs.find(session, run_id), prices.shown(terminal.home))


def probe_question_of(terminal: Terminal, run_id: str) -> Conversation:
    """What the run's endpoint is asked before it goes live, rebuilt from its dataset, which never changes."""
    with terminal.store.read() as session:
        return probe_question(dataset.items(session, runs.dataset_of(session, runs.find(session, run_id))))


def go_on(terminal: Terminal, name: str, *, agreed: Callable[[RunSummary], None]) -> RunSummary:
    """Resume a run. One that is said to be under way is looked at first: its worker may have died with its training.

    Args:
        agreed: raises where somebody does not want what the run costs once more.

    Raises:
        NotAllowed, NotFound, Conflict: may not; no such run; it is completed. One that is under way indeed is given
            back as it is.
    """

    def ask() -> RunSummary:
        place, table = AzurePlace.read(terminal.services), prices.read(terminal.home)
        with terminal.store.read() as session:
            require(session, terminal.actor(session), Permission.TRAIN)
        before = summary_of(terminal, name)
        if RunStatus(before.status) in RESUMABLE:
            agreed(before)
        with terminal.store.write() as session:
            actor = terminal.actor(session)
            resumed = runs.resume(session, actor, terminal.clock(), run_id=name, place=place, table=table)
            return of_run(session, resumed, table)

    try:
        return ask()
    except Conflict:
        if RunStatus(summary_of(terminal, name).status) not in UNFINISHED:
            raise
        look_once(workplace_of(terminal))
        seen = summary_of(terminal, name)
        return ask() if RunStatus(seen.status) in RESUMABLE else seen


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
            return not deployments.with_status(session, *switching.WAITING)

    with terminal.waiting("Waiting for the endpoint …"):
        follow(workplace_of(terminal), settled)


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
            # Without a total the bar only moves; update() takes None for "as it was".
            self._progress.tasks[0].total = 1.0 if not trains or summary.measured else None
            return
        reached = (state.value, int(share * _TENTHS))
        if reached != self._said:
            self._said = reached
            shown = [f"{share:.0%}" if summary.measured else "", _details(summary)] if trains else []
            self._terminal.note(" ".join(filter(None, (_STAGES[state], *shown))))


def _details(summary: RunSummary) -> str:
    parts = [f"loss {summary.curve[-1].loss:.3f}"] if summary.curve else []
    if summary.validation_loss is not None:
        parts.append(f"validation {summary.validation_loss:.3f}")
    parts += effort(summary)
    if summary.eta_seconds is not None:
        parts.append(f"about {duration(summary.eta_seconds)} left")
    return ", ".join(parts)


@contextmanager
def _progress_line(terminal: Terminal) -> Iterator[_Line]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Line(terminal, None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TextColumn("{task.fields[details]}"), console=console, transient=True) as progress:
        yield _Line(terminal, progress)
