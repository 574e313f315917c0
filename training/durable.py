"""Runs carried durably: a DBOS workflow per run, on whichever worker is alive.

Owns everything about DBOS; no other module imports it, so that it could be replaced. It decides *who*
carries a run and *when* a station is visited again. Where a run stands is only ever in its row: a
workflow that is lost, with its database or without, costs nothing but a new workflow.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Collection
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dbos import DBOS, DBOSConfig, SetWorkflowID
from sqlalchemy.exc import SQLAlchemyError

from curation.errors import NotFound, Overtaken, StoreUnavailable, Unavailable
from training import workflow
from training.backends.names import BackendName
from training.runs import UNFINISHED, find
from training.worker import LONE_WORKER
from training.workplace import Workplace

log = logging.getLogger("errata.durable")

SYSTEM_FILE = "dbos.sqlite"
SYSTEM_SCHEMA = "dbos"

# One for all releases: a run may outlast an update. A change of what ``_carry_run`` records goes through DBOS.patch.
APPLICATION_VERSION = "1"
QUEUE = "runs"
VISITS = 1_000  # of one workflow: recovery reads every recorded visit again

_GROWTH = 1.25  # a pause is then a fifth of the time that the run has waited at its station
_DRAIN_SECONDS = 5.0
_QUEUE_SECONDS = 0.6
_LEFT_SECONDS = 5.0
"""The same where there is one worker: it starts its runs itself, and in the queue is what an earlier release left."""
_LOST_SECONDS = 5.0
_STARTED = frozenset({"ENQUEUED", "PENDING", "DELAYED"})
_AGAIN = "again"
_GONE = "gone"


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two visits of one station: the first pause and the longest."""

    first: float
    longest: float


LOCAL_PACE = Pace(0.3, 5.0)
SERVICE_PACE = Pace(5.0, 60.0)
"""For backends that are somebody's service: they count requests."""
SERVICE_VISITS = 8
"""So many runs at one service are looked at in one moment at most: all at once would hold a hundred answers in memory.
A service that is silent keeps no other's runs waiting."""


class _Stopping(BaseException):
    """Ends a workflow's thread without an outcome: DBOS takes any ``Exception`` for the workflow's own."""


class DurableCarrier:
    """Carries runs by DBOS workflows between ``__enter__`` and ``__exit__``; one to a process.

    A pause is no ``DBOS.sleep``: that would keep the process from ending for as long as it lasts, and after
    a restart nobody wants to wait out the rest of it.
    """

    def __init__(self, place: Workplace, *, executor_id: str = LONE_WORKER) -> None:
        self._place = place
        self._executor_id = executor_id
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._carried: dict[str, str] = {}  # workflows that have a thread here, and their runs
        self._turns: dict[BackendName, threading.BoundedSemaphore] = {
            name: threading.BoundedSemaphore(SERVICE_VISITS) for name in BackendName if name is not BackendName.LOCAL
        }
        self._missed: dict[str, float] = {}  # ours by DBOS's account, but without a thread: since when

    def __enter__(self) -> Self:
        """Launch DBOS, which recovers what this executor left.

        Raises:
            Unavailable: DBOS's database cannot be opened.
        """
        quiet = logging.getLogger("dbos")
        if not quiet.handlers:  # without any, DBOS would write to the console in its own format
            quiet.addHandler(logging.NullHandler())
        try:
            DBOS(config=self._config())
            self._workflow: Callable[[str], str] = DBOS.workflow(name="carry_run", max_recovery_attempts=None)(
                self._carry_run()
            )
            DBOS.launch()
            seconds = _QUEUE_SECONDS if self._place.store.shared else _LEFT_SECONDS
            DBOS.register_queue(QUEUE, polling_interval_sec=seconds, on_conflict="always_update")
        except (SQLAlchemyError, sqlite3.Error) as error:
            DBOS.destroy(destroy_registry=True)
            raise Unavailable(
                "The worker's own records cannot be opened ({error}). Where runs stand is not kept there: stop the "
                "worker, move {file} away, and start it again.",
                error=type(error).__name__,
                file=self._place.home / SYSTEM_FILE,
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        """End every pause, wait a while for the stations in hand, and leave the rest to the next worker."""
        self._stopping.set()
        end = time.monotonic() + _DRAIN_SECONDS
        while self._carried and time.monotonic() < end:
            time.sleep(0.01)
        DBOS.destroy(destroy_registry=True)

    def carry(self, run_id: str) -> None:
        """Start the run's workflow, unless one carries it already.

        A workflow that ended before its run did (a restored database, a long run) is followed by the next,
        ``run-…#2``.
        """
        with self._lock:
            if run_id in self._carried.values():
                return
        known = DBOS.list_workflows(workflow_id_prefix=run_id, load_input=False, load_output=False)
        newest = max(known, key=lambda one: _number_of(one.workflow_id), default=None)
        if newest is None:
            self._start(run_id, 1)
        elif newest.status not in _STARTED:
            self._start(run_id, _number_of(newest.workflow_id) + 1)

    def take_up_lost(self) -> None:
        """Put every workflow that is this executor's and has had no thread for a while back into the queue.

        A full disk under DBOS's database ends a workflow's thread and not the workflow.
        """
        mine = DBOS.list_workflows(status="PENDING", executor_id=self._executor_id, load_input=False, load_output=False)
        with self._lock:
            missed = {one.workflow_id for one in mine} - self._carried.keys()
        self._missed = {one: self._missed.get(one, time.monotonic()) for one in missed}
        for workflow_id, since in self._missed.items():
            if time.monotonic() - since > _LOST_SECONDS:
                log.warning("carried by nobody, taken up again: run=%s", workflow_id)
                DBOS.resume_workflow(workflow_id)  # by DBOS's own queue, which is looked into every second

    def take_over(self, alive: Collection[str]) -> list[str]:
        """Put every workflow of an executor that is none of these back into the queue; the ids of those executors.

        The update asks again whose the workflow is: taking over twice, or from somebody who came back, is harmless.
        """
        pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        dead = sorted({one.executor_id for one in pending if one.executor_id} - {*alive, self._executor_id})
        if dead:
            log.warning("taking over from dead workers: count=%s", len(dead))
            DBOS._recover_pending_workflows(dead)  # the only call that recovers for others; a contract test holds it
        return dead

    def _start(self, run_id: str, number: int) -> None:
        with SetWorkflowID(run_id if number == 1 else f"{run_id}#{number}"):
            if self._place.store.shared:
                DBOS.enqueue_workflow(QUEUE, self._workflow, run_id)  # whichever worker is quickest carries it
            else:
                DBOS.start_workflow(self._workflow, run_id)

    def _carry_run(self) -> Callable[[str], str]:
        """The workflow: a function, as DBOS registers no bound methods."""

        def carry_run(run_id: str) -> str:
            workflow_id = str(DBOS.workflow_id)
            with self._lock:
                self._carried[workflow_id] = run_id
            try:
                return self._visits(run_id)
            finally:
                with self._lock:
                    self._carried.pop(workflow_id, None)

        return carry_run

    def _visits(self, run_id: str) -> str:
        """Visit stations until the run has ended; any other status than a final one leaves it to the next workflow."""
        visits: list[str] = []

        def visit() -> str:
            with turns:
                visits.append(self._visit(run_id))
            return visits[-1]

        backend = self._backend(run_id)
        turns = self._turns.get(backend) or nullcontext()
        pace = LOCAL_PACE if backend is BackendName.LOCAL else SERVICE_PACE
        status, pause = "", pace.first
        for _ in range(VISITS):
            before, made = status, len(visits)
            status = DBOS.run_step({"name": "station"}, visit)
            if status not in {*UNFINISHED, _AGAIN}:
                break
            pause = min(pause * _GROWTH, pace.longest) if status == before else pace.first
            if len(visits) > made and self._stopping.wait(pause):  # what was recorded before a restart needs no pause
                raise _Stopping
        return status

    def _visit(self, run_id: str) -> str:
        if self._stopping.is_set():
            raise _Stopping
        try:
            return workflow.station(self._place, run_id).value
        except NotFound:
            return _GONE
        except (StoreUnavailable, Overtaken) as error:
            log.warning("a run waits: run=%s error=%s", run_id, type(error).__name__)
        except Exception:  # the workflow's edge: what ends it would leave the run standing until the next one
            log.exception("a run met a surprise, its station is visited again: run=%s", run_id)
        return _AGAIN

    def _backend(self, run_id: str) -> BackendName:
        try:
            with self._place.store.read() as session:
                return BackendName(find(session, run_id).backend)
        except (NotFound, StoreUnavailable):
            return BackendName.LOCAL

    def _config(self) -> DBOSConfig:
        config = DBOSConfig(
            name="errata",
            application_version=APPLICATION_VERSION,
            executor_id=self._executor_id,
            log_level="WARNING",
            use_listen_notify=False,  # nothing here waits for an event
        )
        if self._place.store.shared:
            url = self._place.store.engine.url
            config["system_database_url"] = url.render_as_string(hide_password=False)
            config["dbos_system_schema"] = SYSTEM_SCHEMA
            config["sys_db_pool_size"] = 5
        else:
            config["system_database_url"] = f"sqlite:///{_prepared(self._place.home / SYSTEM_FILE)}"
        return config


def _prepared(path: Path) -> Path:
    """The file with a write-ahead log, which DBOS does not ask for: without one a commit takes ten times as long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    return path


def _number_of(workflow_id: str) -> int:
    return int(workflow_id.partition("#")[2] or 1)
