"""When nothing moves any more: that all is done, or what stands still, said at once and kept.

A folder that a siege worked in is deleted after a siege that went well and kept after any other. What waits for
what is asked of the database and of every worker while they still stand: afterwards nobody can tell.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from sqlalchemy import text

from curation.store.engine import Store

STACKS_SECONDS = 1.0
"""What the workers have to write down where their threads are, on SIGUSR1."""

_ASKED = {
    "leases": "SELECT *, clock_timestamp() AT TIME ZONE 'UTC' AS now FROM worker_leases",
    "workflows": "SELECT workflow_uuid, status, executor_id, queue_name, recovery_attempts, "
    "to_timestamp(updated_at / 1000.0) AS updated FROM dbos.workflow_status ORDER BY updated_at DESC LIMIT 40",
    "activity": "SELECT pid, state, wait_event_type, wait_event, pg_blocking_pids(pid) AS blocked_by, "
    "now() - xact_start AS transaction, now() - state_change AS since, left(query, 200) AS query "
    "FROM pg_stat_activity WHERE datname = current_database()",
    "locks": "SELECT pid, locktype, relation::regclass, objid, mode, granted FROM pg_locks WHERE NOT granted "
    "OR locktype = 'advisory'",
}


class Quiet:
    """Tells when nothing has been to do for a while: the worker may owe a card's next state after its last one."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def lasts(self, quiet: bool) -> bool:
        """Whether it was quiet at every look for so many seconds, this one included."""
        if not quiet:
            self._since = None
        elif self._since is None:
            self._since = time.monotonic()
        return self._since is not None and time.monotonic() - self._since > self._seconds


@contextmanager
def kept_on_failure(name: str) -> Iterator[Path]:
    """A new folder, deleted after the block unless it raises; then its path is said."""
    folder = Path(mkdtemp(prefix=f"errata-{name}-"))
    try:
        yield folder
    except BaseException:
        print(f"what it worked in is kept: {folder}", flush=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def report(home: Path, store: Store, workers: Iterable[int], standing: Callable[[], list[str]]) -> str:
    """What stands still, as text; the same, with the workers' stacks, in ``stall.txt`` in this folder.

    Args:
        workers: process ids of those that should be at work.
        standing: says what is not at its end.
    """
    alive = [pid for pid in workers if _wakes(pid)]
    time.sleep(STACKS_SECONDS)
    lines = [f"workers that answer: {alive}", "not at its end:", *(f"  {one}" for one in _said(standing))]
    if store.shared:
        for name, query in _ASKED.items():
            lines += [f"{name}:", *(f"  {one}" for one in _said(lambda query=query: _rows(store, query)))]
    for name in ("worker.log", "trace.jsonl"):
        if (home / name).exists():
            lines += [f"end of {name}:", (home / name).read_text(errors="replace")[-20_000:]]
    told = "\n".join(lines)
    (home / "stall.txt").write_text(told)
    return told


def _wakes(pid: int) -> bool:
    """Whether the process is there to write its stacks into its log."""
    try:
        os.kill(pid, signal.SIGUSR1)
    except ProcessLookupError:
        return False
    return True


def _said(ask: Callable[[], list[str]]) -> list[str]:
    try:
        return ask() or ["nothing"]
    except Exception as error:  # noqa: BLE001 (a table that is not there yet must not hide the others)
        return [f"{type(error).__name__}: {str(error)[:200]}"]


def _rows(store: Store, query: str) -> list[str]:
    with store.aside() as connection:
        return [str(dict(row._mapping)) for row in connection.execute(text(query))]
