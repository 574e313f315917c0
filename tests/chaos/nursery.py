"""Processes that begin with everything loaded: forked from one that has loaded it, and otherwise as if started anew.

Owns that process. Whoever is born here has its own process id and session, environment and open files; a kill of it is
a kill. Starting Python and loading Azure's libraries takes longer than everything that a worker does between two kills.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

_LONGEST = 1 << 18
_WHERE = "NURSERY"
_PATIENCE_SECONDS = 60.0


@dataclass
class Born:
    """A process of the nursery, as ``subprocess.Popen`` shows one."""

    pid: int
    _line: socket.socket
    stdin: IO[bytes] | None = None
    stdout: IO[bytes] | None = None
    returncode: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def poll(self) -> int | None:
        return self._heard(0.0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._heard(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code

    def kill(self) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _heard(self, timeout: float | None) -> int | None:
        with self._lock:
            if self.returncode is None:
                self._line.settimeout(timeout)
                with suppress(BlockingIOError, TimeoutError):
                    said = self._line.recv(_LONGEST)
                    self.returncode = json.loads(said)["status"] if said else -signal.SIGKILL
                    self._line.close()
            return self.returncode


@dataclass(frozen=True)
class Nursery:
    """The way to it; ``address`` names its socket, and children find it in their environment."""

    address: str

    @classmethod
    def here(cls) -> Nursery:
        """The one that this process was born in."""
        return cls(os.environ[_WHERE])

    def born(
        self,
        role: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        files: Sequence[int] = (),
        kept: Sequence[int] = (),
        cwd: Path | None = None,
    ) -> Born:
        """A process that runs ``MODULE ARGUMENT …`` as ``python -m`` would; ``MODULE:FUNCTION`` is called.

        Args:
            role: by which it is killed.
            env: its environment; else this process's.
            files: its standard input, output and error.
            kept: what it inherits open beside them, such as a lock.
        """
        asked = {
            "role": role,
            "argv": [str(one) for one in argv],
            "env": {**(os.environ if env is None else env), _WHERE: self.address},
            "cwd": str(cwd or Path.cwd()),
        }
        line = self._line()
        socket.send_fds(line, [json.dumps(asked).encode()], [*files, *kept])
        return Born(int(json.loads(line.recv(_LONGEST))["pid"]), line)

    def kill(self, *roles: str) -> None:
        """Kill whoever lives of these roles; they are gone when this returns."""
        with self._line() as line:
            line.send(json.dumps({"kill": roles}).encode())
            line.recv(_LONGEST)

    def living(self, *roles: str) -> list[int]:
        """The ids of those."""
        with self._line() as line:
            line.send(json.dumps({"living": roles}).encode())
            return list(json.loads(line.recv(_LONGEST)))

    def _line(self) -> socket.socket:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        line.settimeout(_PATIENCE_SECONDS)
        line.connect(_abstract(self.address))
        return line

    def as_popen(self, role_of: Callable[[Sequence[str]], str | None]) -> Callable[..., Any]:
        """``subprocess.Popen`` for this process, whose ``python -m …`` of a known role are born in the nursery."""
        popen = subprocess.Popen

        def started(command: Sequence[Any], **options: Any) -> Any:
            words = [str(one) for one in command]
            role = role_of(words[2:]) if words[:2] == [sys.executable, "-m"] else None
            if role is None:
                return popen(command, **options)
            files, theirs, pipes = _opened(options)
            born = self.born(role, words[2:], env=options.get("env"), files=files, kept=options.get("pass_fds", ()))
            for one in theirs:
                os.close(one)
            born.stdin, born.stdout = pipes.get("stdin"), pipes.get("stdout")
            return born

        return started


def _opened(options: Mapping[str, Any]) -> tuple[list[int], list[int], dict[str, IO[bytes]]]:
    """Descriptors for a child's standard files, those of them that are to be closed here, and our ends of its pipes."""
    files: list[int] = []
    theirs: list[int] = []
    pipes: dict[str, IO[bytes]] = {}
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        wish = options.get(name)
        if wish == subprocess.PIPE:
            reads, writes = os.pipe()
            one, mine = (reads, writes) if name == "stdin" else (writes, reads)
            pipes[name] = os.fdopen(mine, "wb" if name == "stdin" else "rb")
            theirs.append(one)
        elif wish == subprocess.DEVNULL:
            one = os.open(os.devnull, os.O_RDWR)
            theirs.append(one)
        elif wish == subprocess.STDOUT:
            one = files[1]
        elif wish is None:
            one = number
        else:
            one = wish if isinstance(wish, int) else wish.fileno()
        files.append(one)
    return files, theirs, pipes


@contextmanager
def nursery(folder: Path, modules: Sequence[str], *, prelude: str = "") -> Any:
    """One that has loaded these modules and listens; everybody who lives there ends with the block.

    Args:
        prelude: ``MODULE:FUNCTION``, called with the role in each child before anything else.
    """
    address = f"@errata-nursery-{folder.name}-{os.getpid()}"
    command = [sys.executable, str(Path(__file__)), "--prelude", prelude, address, *modules]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:  # noqa: S603 (ourselves)
        try:
            if process.stdout is None or process.stdout.readline().strip() != "ready":
                raise AssertionError("the nursery did not begin")
            yield Nursery(address)
        finally:
            process.kill() if process.stdin is None else process.stdin.close()
            process.wait(_PATIENCE_SECONDS)


@dataclass
class _Keeper:
    """The process itself: one thread, as whoever forks should have."""

    listener: socket.socket
    prelude: str
    children: dict[int, tuple[str, socket.socket]] = field(default_factory=dict)

    def serve(self) -> None:
        wake_r, wake_w = os.pipe()
        os.set_blocking(wake_r, False)
        os.set_blocking(wake_w, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_w)
        with selectors.DefaultSelector() as watch:
            for one in (self.listener.fileno(), wake_r, 0):
                watch.register(one, selectors.EVENT_READ)
            while True:
                for key, _ in watch.select():
                    if key.fd == wake_r:
                        os.read(wake_r, _LONGEST)
                        self._bury()
                    elif key.fd == 0:
                        self._kill({role for role, _ in self.children.values()})
                        return
                    else:
                        self._asked(self.listener.accept()[0])

    def _asked(self, line: socket.socket) -> None:
        said, files = b"", list[int]()
        with suppress(OSError):  # whoever asked may have been killed since
            said, files, _, _ = socket.recv_fds(line, _LONGEST, 16)
        asked: dict[str, Any] = json.loads(said) if said else {"kill": []}
        pid = os.fork() if "argv" in asked else None
        if pid == 0:
            _be_born(self, asked, files)
        for one in files:
            os.close(one)
        if pid is not None:
            self.children[pid] = asked["role"], line
            _answer(line, {"pid": pid})
            return
        if "kill" in asked:
            self._kill(set(asked["kill"]))
        roles = asked.get("living", ())
        _answer(line, [pid for pid, (role, _) in self.children.items() if role in roles])
        line.close()

    def _kill(self, roles: set[str]) -> None:
        theirs = [pid for pid, (role, _) in self.children.items() if role in roles]
        for pid in theirs:
            os.kill(pid, signal.SIGKILL)
        for pid in theirs:
            self._gone(pid, os.waitpid(pid, 0)[1])

    def _bury(self) -> None:
        for pid in list(self.children):
            gone, status = os.waitpid(pid, os.WNOHANG)
            if gone:
                self._gone(pid, status)

    def _gone(self, pid: int, status: int) -> None:
        _, line = self.children.pop(pid)
        _answer(line, {"status": os.waitstatus_to_exitcode(status)})
        line.close()


def _answer(line: socket.socket, what: Any) -> None:
    with suppress(OSError):  # nobody may listen any more
        line.send(json.dumps(what).encode())


def _be_born(keeper: _Keeper, asked: dict[str, Any], files: list[int]) -> NoReturn:
    """In the child: everything of the keeper's is closed, then the module runs."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        keeper.listener.close()
        for _, line in keeper.children.values():
            line.close()
        for number, one in enumerate(files[:3]):
            os.dup2(one, number)
        os.environ.clear()
        os.environ.update(asked["env"])
        os.chdir(asked["cwd"])
        gc.enable()
        code = _run(keeper.prelude, asked["role"], asked["argv"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 (the process edge)
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _run(prelude: str, role: str, argv: list[str]) -> int:
    sys.argv = list(argv)
    if prelude:
        _named(prelude)(role)
    if ":" in argv[0]:
        return int(_named(argv[0])() or 0)
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
    return 0


def _abstract(address: str) -> str:
    """A name in no folder, whose path might be too long for a socket."""
    return address.replace("@", "\0", 1)


def _named(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prelude", default="")
    parser.add_argument("address")
    parser.add_argument("modules", nargs="*")
    asked = parser.parse_args()
    gc.disable()
    for module in asked.modules:
        if ":" in module:
            _named(module)()
        else:
            importlib.import_module(module)
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(_abstract(asked.address))
    listener.listen(64)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    _Keeper(listener, asked.prelude).serve()


if __name__ == "__main__":
    main()
