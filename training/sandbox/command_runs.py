"""Command jobs, really run: the code, its inputs and one process per rank on this machine.

Owns the files of a run, the environment that Azure ML gives PyTorch, and that what a run writes into its outputs
becomes blobs, while it runs and at its end. A rank that fails ends the others. No image is built: ``python`` is this
interpreter.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from training.sandbox.blobs import Storage
from training.sandbox.cloud import Cloud
from training.sandbox.inputs import locate, stored
from training.sandbox.toys import SIMULATED, Fate, Stage, Toys
from training.sandbox.wire import Refusal
from training.sandbox.workspaces import DATASTORE

RAN = "run on this machine in its place"
_STOP_SECONDS = 10
_MOST_PROCESSES = 16
_BINDING = re.compile(r"\$\{\{\s*(?P<side>inputs|outputs)\.(?P<name>\w+)\s*\}\}")
# Whoever runs the sandbox has secrets in the environment that no machine in Azure would see.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "HF_HUB_OFFLINE")


@dataclass(slots=True)
class CommandRun:
    """One command job.

    Attributes:
        home: its folder: ``code``, ``inputs``, ``outputs/NAME`` and ``logs``.
        blobs: where each output goes, by its name.
        logs_path: where its logs go in the default datastore.
        ranks: starts its processes.
        due: when they are to be started; None once they were, and where none ever is.
        stage: where it stood when somebody last looked.
        reason: why it failed.
    """

    home: Path
    blobs: Mapping[str, Path]
    logs: Path
    logs_path: str
    ranks: Callable[[], list[subprocess.Popen[bytes]]] = list
    due: datetime | None = None
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    fate: Fate | None = None
    simulated_until: datetime | None = None
    stage: Stage = Stage.NOT_STARTED
    reason: str | None = None
    cancelled: bool = False

    @property
    def label(self) -> str:
        """What became of it, for the property ``errata.sandbox``."""
        return RAN if self.processes else SIMULATED

    def look(self, cloud: Cloud) -> Stage:
        """Where it stands now; everything that it has written so far is among the blobs afterwards."""
        if not self.stage.final:
            self.stage = self._next(cloud)
            if self.stage is not Stage.QUEUED:
                self._upload(cloud)
        return self.stage

    def cancel(self) -> None:
        """End its processes; nothing happens to one that has ended."""
        if not self.stage.final:
            self.cancelled = True
            self.end()

    def end(self) -> None:
        """Ask every process to end, make it after a while, and wait until it is gone."""
        for number, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
            living = [one for one in self.processes if one.poll() is None]
            for one in living:
                with suppress(ProcessLookupError):
                    os.killpg(one.pid, number)
            for one in living:
                with suppress(subprocess.TimeoutExpired):
                    one.wait(seconds)

    def _next(self, cloud: Cloud) -> Stage:
        if self.cancelled:
            return Stage.CANCELLED
        early = self.due is not None and cloud.clock() < self.due
        if self.stage < Stage.RUNNING:
            waits = early and self.fate is not None and self.fate.becomes == "Slow"
            return min(Stage(self.stage + 1), Stage.QUEUED if waits else Stage.RUNNING)
        if self.fate is not None and not self.fate.late:
            self.reason = self.fate.message if self.fate.becomes == "Failed" else None
            return {"Failed": Stage.FAILED, "Canceled": Stage.CANCELLED}.get(self.fate.becomes, Stage.SILENT)
        if early:
            return Stage.RUNNING
        if self.due is not None:
            self.processes, self.due = self.ranks(), None
        if not self.processes:
            due = self.simulated_until is not None and cloud.clock() >= self.simulated_until
            return Stage.COMPLETED if due else Stage.RUNNING
        return self._real()

    def _real(self) -> Stage:
        codes = [one.poll() for one in self.processes]
        failed = [(rank, code) for rank, code in enumerate(codes) if code]
        if failed:
            self.end()
            self.reason = f"Execution failed. Process {failed[0][0]} exited with status code {failed[0][1]}."
            return Stage.FAILED
        if None in codes:
            return Stage.RUNNING
        return Stage.COMPLETED if self.stage is Stage.FINALIZING else Stage.FINALIZING

    def _upload(self, cloud: Cloud) -> None:
        for name, target in self.blobs.items():
            _mirror(cloud, self.home / "outputs" / name, target)
        _mirror(cloud, self.home / "logs", self.logs)


def start(cloud: Cloud, workspace: dict[str, Any], name: str, asked: Mapping[str, Any]) -> CommandRun:
    """Fetch what the command needs and start its processes.

    Raises:
        Refusal: 400, an input that is not there, or more processes than this machine should bear.
    """
    home, logs_path = cloud.folder / "runs" / name, f"ExperimentRun/dcid.{name}"
    toys = cloud.part(Toys)
    outputs = asked.get("outputs") or {}
    usual = {one: stored(workspace, DATASTORE, f"azureml/{name}/{one}") for one in outputs}
    blobs = {one: locate(cloud, workspace, (about or {}).get("uri") or usual[one]) for one, about in outputs.items()}
    values = _values(cloud, workspace, asked, home)
    code = _code(cloud, workspace, asked, home)
    for one in (*(home / "outputs" / output for output in outputs), home / "logs" / "user_logs"):
        one.mkdir(parents=True)
    logs = locate(cloud, workspace, stored(workspace, DATASTORE, logs_path))
    run = CommandRun(home, blobs, logs, logs_path, fate=toys.fates.pop(0) if toys.fates else None)
    if not toys.trains or (run.fate is not None and not run.fate.late):
        run.simulated_until = cloud.clock() + timedelta(seconds=toys.seconds)
        return run
    command = _BINDING.sub(lambda found: values[found["side"], found["name"]], str(asked["command"]))
    environments = _environments(asked, name)
    run.ranks = lambda: [_rank(command, code, one, home / "logs" / "user_logs") for one in environments]
    if run.fate is not None:
        run.due = cloud.clock() + timedelta(seconds=run.fate.seconds)
    else:
        run.processes = run.ranks()
    cloud.closing.append(run.end)
    return run


def _rank(command: str, code: Path, environment: Mapping[str, str], logs: Path) -> subprocess.Popen[bytes]:
    with (logs / f"std_log_process_{environment['RANK']}.txt").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 (a job's command is a shell's line, as on Azure; the folder is its own)
            ["/bin/sh", "-c", command],
            cwd=code,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _code(cloud: Cloud, workspace: dict[str, Any], asked: Mapping[str, Any], home: Path) -> Path:
    target = home / "code"
    if asked.get("codeId"):
        _copy(locate(cloud, workspace, asked["codeId"]), target, asked["codeId"])
    target.mkdir(parents=True, exist_ok=True)
    return target


def _values(
    cloud: Cloud, workspace: dict[str, Any], asked: Mapping[str, Any], home: Path
) -> dict[tuple[str, str], str]:
    """What takes the place of each ``${{inputs.x}}`` and ``${{outputs.y}}``; inputs lie in the run's folder then."""
    values = {("outputs", one): str(home / "outputs" / one) for one in asked.get("outputs") or {}}
    for one, about in (asked.get("inputs") or {}).items():
        if about.get("jobInputType") == "literal":
            values["inputs", one] = str(about["value"])
            continue
        source = locate(cloud, workspace, about["uri"])
        target = home / "inputs" / one
        if about["jobInputType"] == "uri_file":
            target = target / source.name
        _copy(source, target, about["uri"])
        values["inputs", one] = str(target)
    used = {(found["side"], found["name"]) for found in _BINDING.finditer(str(asked.get("command", "")))}
    if missing := sorted(used - values.keys()):
        raise Refusal(400, "UserError", f"The command binds {missing[0][0]}.{missing[0][1]}, which the job has not.")
    return values


def _copy(source: Path, target: Path, uri: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        shutil.copyfile(source, target)
    else:
        raise Refusal(400, "UserError", f"The input {uri} could not be found or is not accessible.")


def _environments(asked: Mapping[str, Any], name: str) -> list[dict[str, str]]:
    """One environment per process, ranks counted over the nodes."""
    nodes = int((asked.get("resources") or {}).get("instanceCount") or 1)
    distribution = asked.get("distribution") or {}
    each = int(distribution.get("processCountPerInstance") or 1)
    if nodes * each > _MOST_PROCESSES:
        raise Refusal(400, "UserError", f"The sandbox runs at most {_MOST_PROCESSES} processes.")
    plain = {key: os.environ[key] for key in _INHERITED if key in os.environ}
    plain["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{plain.get('PATH', os.defpath)}"
    plain |= {"AZUREML_RUN_ID": name, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1"}
    plain |= {key: str(value) for key, value in (asked.get("environmentVariables") or {}).items()}
    if not distribution:
        return [plain | {"RANK": str(node)} for node in range(nodes)]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(nodes * each)}
    return [
        plain
        | shared
        | {
            "RANK": str(node * each + local),
            "LOCAL_RANK": str(local),
            "NODE_RANK": str(node),
            "LOCAL_WORLD_SIZE": str(each),
        }
        for node in range(nodes)
        for local in range(each)
    ]


def _free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


def _mirror(cloud: Cloud, source: Path, target: Path) -> None:
    """Copy what is new or has changed since the last time."""
    for path in sorted(source.rglob("*")):
        if not path.is_file():
            continue
        copy = target / path.relative_to(source)
        with suppress(FileNotFoundError):  # a file that was renamed between
            about = path.stat()
            known = copy.stat() if copy.is_file() else None
            if known is None or (known.st_size, known.st_mtime_ns) != (about.st_size, about.st_mtime_ns):
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, copy)
                cloud.part(Storage).blobs.pop(copy, None)  # its etag was that of the former bytes
