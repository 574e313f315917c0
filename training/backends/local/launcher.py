"""Start, find and stop the detached processes that train, evaluate and serve.

Owns the proof of life: the process holds a lock on its directory from before its first instruction
until the kernel takes it back, so neither a crash nor a reused process id can mislead anybody.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from training.backends.local import folder

# Long enough to outlast somebody who is only looking whether the lock is held.
_LOCK_ATTEMPTS = 5
_BURIAL_SECONDS = 30
"""A killed process gives its memory back first, which takes a while on a machine that has much to do."""
_LOCK_PAUSE_SECONDS = 0.02
_BEGIN = "training.backends.local.begin"
# On one machine: the port by which the processes find each other is whichever is free.
_TORCHRUN = ("torch.distributed.run", "--standalone", "--nnodes", "1")
# Torchrun would kill them 30 seconds after it asked them to end, in the middle of a long step or a large snapshot.
_SHUTDOWN_SECONDS = "600"


def launch(module: str, directory: Path, *, niceness: int = 0, processes: int = 1) -> bool:
    """Run ``python -m MODULE DIRECTORY`` detached from this process; False where one lives already.

    Its output goes to ``log.txt``. It survives the bot: it has its own session and its own lock.

    Args:
        module: whose process it is; ``begin`` runs it.
        directory: what it is about.
        niceness: how readily it leaves the cores to others, 0 to 19.
        processes: how many of them work together; several are started by torchrun.
    """
    together = [] if processes == 1 else [*_TORCHRUN, "--nproc-per-node", str(processes), "-m"]
    lock = os.open(directory / folder.LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _acquire(lock):
            return False
        with (directory / folder.LOG).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own module, no shell
                [sys.executable, "-m", *together, _BEGIN, module, str(directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # The child inherits the lock itself: there is no moment at which nobody holds it.
                pass_fds=(lock,),
                # Idle threads that spin for work would burn, on a shared machine, more time than the work takes.
                env={
                    "OMP_WAIT_POLICY": "PASSIVE",
                    "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": _SHUTDOWN_SECONDS,
                    **os.environ,
                    "PYTHONUNBUFFERED": "1",
                },
            )
        with suppress(ProcessLookupError):  # it may have ended already
            os.setpriority(os.PRIO_PROCESS, process.pid, niceness)
        folder.write_json(directory / folder.PROCESS, {"pid": process.pid})
    finally:
        os.close(lock)
    # Somebody must collect the exit status, or the process stays behind as a zombie while the bot lives.
    threading.Thread(target=process.wait, name=f"reap-{process.pid}", daemon=True).start()
    return True


def lives(directory: Path) -> bool:
    """Whether a process started for this directory still runs."""
    try:
        lock = os.open(directory / folder.LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def stop(directory: Path, *, wait_seconds: float = 0) -> None:
    """Ask the directory's process and its children to end; after ``wait_seconds`` > 0, make them."""
    if not lives(directory) or (row := folder.read_json(directory / folder.PROCESS)) is None:
        return
    _signal(row["pid"], signal.SIGTERM)
    if not wait_seconds or _is_gone(directory, wait_seconds):
        return
    _signal(row["pid"], signal.SIGKILL)
    _is_gone(directory, _BURIAL_SECONDS)


def _is_gone(directory: Path, within_seconds: float) -> bool:
    """Whether the directory's process has ended, or does so in time."""
    deadline = time.monotonic() + within_seconds
    while lives(directory):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def last_words(directory: Path) -> str:
    """The last line of the log that says something; a fixed phrase where there is none."""
    try:
        lines = (directory / folder.LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    spoken = [line.strip() for line in lines if any(character.isalnum() for character in line)]
    return spoken[-1][:300] if spoken else "it printed nothing"


def _acquire(lock: int) -> bool:
    for _ in range(_LOCK_ATTEMPTS):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE_SECONDS)
        else:
            return True
    return False


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        # start_new_session made the process the leader of a group with its own id.
        os.killpg(pid, number)
    except ProcessLookupError:
        return  # it ended in between, which is what was wanted
