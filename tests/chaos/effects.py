"""What the processes of a siege in Azure do, one line each, and the death that may be laid right behind one of them.

Owns by what an effect is known: who has it, and what it changes, without the names that differ from run to run. A
commit is known by the rows that it changes, a file by what it says is there, a call by its method. Runs in whoever is
born in the siege's nursery (``prelude``), whose waits for others are shorter here than a person would want them.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chaos import kills
from chaos.nursery import Nursery
from chaos.provider import append
from slack_sdk import WebClient
from sqlalchemy import event
from sqlmodel import Session

from bot import membership, working
from bot.settings import Settings
from curation import notices
from curation.store.engine import Store, open_engine
from training import durable, runs, uploads
from training.backends import opening
from training.backends.base import JobStatus
from training.backends.foundry.evaluating import endpoint as evaluation_endpoint
from training.backends.foundry.looks import Looks
from training.backends.local import folder

WORKER, APART, EVALUATOR, ENDPOINT, PERSON = "worker", "apart", "evaluator", "endpoint", "person"
AGENT = "errata-siege-"
"""In what a process's requests say of who sends them, before its role."""

HOME = "SIEGE_HOME"
_ROLES = {
    "training.backends.foundry.access.apart": APART,
    "training.backends.foundry.evaluating.evaluator": EVALUATOR,
    "training.backends.local.evaluating.evaluator": EVALUATOR,
    "training.backends.local.serving.endpoint": ENDPOINT,
}
_NAMES = (
    (re.compile(r"run-[0-9a-f]{8}"), "RUN"),
    (re.compile(r"errata-[0-9a-f]{32}"), "ASSET"),
    (re.compile(r"(ftjob|file)-[0-9a-f]{16,}"), r"\1"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{12,}"), "ID"),
    (re.compile(r"\.\d+\.partial|-[0-9a-f]{6}$"), ""),
)
_TOLD = frozenset({"remote.json", "seen.json", "filter.json", "started.json", "result.json"})
_ENDS = frozenset(one.value for one in JobStatus if one.final)
_WRITES = ("chat.", "files.", "conversations.open")
_MESSAGE = re.compile(r"""["']message["']\s*:\s*["']([a-z_-]+)""")


@dataclass
class Dooms:
    """Deaths laid behind effects, a file each: whoever meets one first takes it, and nobody else dies of it."""

    home: Path

    def lay(self, key: str, victims: Sequence[str]) -> None:
        self.home.mkdir(exist_ok=True)
        (self.home / _digest(key)).write_text(json.dumps(victims))

    def take(self, key: str) -> list[str]:
        """Who dies right after this effect; nobody where none is laid, or somebody has taken it."""
        path = self.home / _digest(key)
        try:
            victims: list[str] = json.loads(path.read_text())
            _unlink(path)
        except FileNotFoundError:
            return []
        return victims


@dataclass
class Steps:
    """The effects of this process."""

    role: str
    home: Path
    dooms: Dooms
    nursery: Nursery
    count: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def step(self, what: str, on: str = "") -> None:
        """Something has just been done; whoever is to die of it does, this process the first of all."""
        with self._lock:  # an effect is one's last where it is: no other thread goes on meanwhile
            self.count += 1
            key = f"{self.role}: {plain(what)}"
            victims = self.dooms.take(key) or self.dooms.take(f"{self.role}#{self.count}")
            append(self.home / "trace.jsonl", key, on)
            if not victims:
                return
            append(self.home / "trace.jsonl", f"killed {','.join(victims)}", key)
            if set(victims) - {self.role}:
                self.nursery.kill(*victims)
            os.kill(os.getpid(), signal.SIGKILL)


def plain(text: str) -> str:
    """The text without what has another name in each run."""
    for shape, name in _NAMES:
        text = shape.sub(name, text)
    return text


def prelude(role: str) -> None:
    """Let this process say what it does, and wait less: for what nobody here needs minutes for."""
    home = Path(os.environ[HOME])
    os.environ["AZURE_HTTP_USER_AGENT"] = f"{AGENT}{role}"
    steps = Steps(role, home, Dooms(home / "dooms"), Nursery.here())
    subprocess.Popen = steps.nursery.as_popen(_role_of)  # type: ignore[assignment,misc]  # a process that ends with it
    Looks.due = lambda _self, _key: True  # type: ignore[method-assign]  # as above
    evaluation_endpoint.LOOK_SECONDS = 0.05
    working.BUSY_SECONDS = working.IDLE_SECONDS = 0.1
    durable.LOCAL_PACE = durable.SERVICE_PACE = kills.PACE
    durable._QUEUE_SECONDS = 0.1
    membership._POLL_SECONDS = 0.5
    # What was in flight when its worker was killed is looked for after so long: nothing here takes as long to arrive.
    notices.EDIT_INTERVAL = timedelta(seconds=0.4)
    _trace_commits(steps)
    _trace_slack(steps)
    _trace_files(steps)


def be_a_worker() -> None:
    """The process that is killed: the worker as ``errata work`` runs it."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # for the report of a stall
    settings = Settings.from_environment(dict(os.environ), dotenv=Path(os.environ[HOME]) / "no.env")
    store = Store(open_engine(settings.database_url))
    backends = opening.backends(settings.azure)
    working.work(settings, store, lambda: datetime.now(UTC), ready=print, backends=backends)


def _role_of(words: Sequence[str]) -> str | None:
    named = words[1] if words[0] == "training.backends.local.begin" else words[0]
    return _ROLES.get(named)


def _trace_commits(steps: Steps) -> None:
    write = Store.write

    @contextmanager
    def traced(self: Store) -> Iterator[Session]:
        seen: set[str] = set()
        with write(self) as session:
            event.listen(session, "after_flush", lambda one, _: seen.update(_changed(one)))
            event.listen(session, "do_orm_execute", lambda one: seen.update(_executed(one)))
            yield session
        if seen:
            steps.step(f"commit {', '.join(sorted(seen))}")

    Store.write = traced  # type: ignore[method-assign]  # as above


def _changed(session: Session) -> Iterator[str]:
    changed = [one for one in session.dirty if session.is_modified(one)]
    for one in (*session.new, *changed, *session.deleted):
        details = [getattr(one, name, None) for name in ("kind", "status")]
        marks = {runs.DELETED, uploads.UNLOADED, uploads.CLEARED} & (getattr(one, "progress", None) or {}).keys()
        yield " ".join([type(one).__name__, *(str(detail) for detail in details if detail), *sorted(marks)])


def _executed(state: Any) -> Iterator[str]:
    if not state.is_select and getattr(state.statement, "table", None) is not None:
        yield f"{state.statement.table.name} by statement"


def _trace_slack(steps: Steps) -> None:
    call = WebClient.api_call

    def api_call(self: WebClient, api_method: str, **rest: Any) -> Any:
        answer = call(self, api_method, **rest)
        if api_method.startswith(_WRITES):
            about = _MESSAGE.search(str((rest.get("json") or rest.get("params") or {}).get("metadata")))
            steps.step(f"slack {api_method} {about[1] if about else ''}".strip())
        return answer

    WebClient.api_call = api_call  # type: ignore[method-assign]  # as above


_unlink: Callable[..., None] = os.unlink


def _trace_files(steps: Steps) -> None:
    """Of the files of runs alone: what is renamed to its name, and what goes."""
    replace, append_progress, theirs = os.replace, folder.append_progress, str(steps.home / "runs")

    def traced_replace(source: Any, target: Any, **rest: Any) -> None:
        replace(source, target, **rest)
        if str(target).startswith(theirs):
            steps.step(f"file {_place(target)}{_said(Path(target))}")

    def traced_unlink(path: Any, **rest: Any) -> None:
        beneath = "" if rest.get("dir_fd") is None else Path(f"/proc/self/fd/{rest['dir_fd']}").readlink()
        _unlink(path, **rest)
        if str(Path(beneath, path)).startswith(theirs):
            steps.step(f"no more {_place(Path(beneath, path))}")

    def traced_append(directory: Path, row: Any) -> None:
        append_progress(directory, row)
        if "share" in row:
            steps.step(f"reply, {int(4 * row['share'])} quarters")

    os.replace, os.unlink = traced_replace, traced_unlink  # type: ignore[assignment]  # as above
    folder.append_progress = traced_append


def _place(path: Any) -> str:
    return "/".join(Path(str(path)).parts[-2:])


def _said(path: Path) -> str:
    """What a small file by which a process knows what is there says: names of what is set, and how many of it."""
    if path.name not in _TOLD:
        return ""
    told = json.loads(path.read_text(encoding="utf-8"))
    status = str(told.get("status") or (told.get("progress") or {}).get("status")).lower()
    told |= {"status": status if status in _ENDS else "under way"}
    words = [
        f"{name}={value}"
        if name == "status"
        else f"{name}{len(value)}"
        if isinstance(value, dict | list) and name in {"files", "data", "uploads"}
        else name
        for name, value in told.items()
        if value and name not in {"progress", "curve", "step", "steps", "eta_seconds", "link"}
    ]
    return f": {' '.join(words)}"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:24]
