"""What needs azure-ai-ml or openai, done in a process of its own that ends once there is nothing to do for a while.

Owns that process: its start, one call at a time, its end. The libraries take 70 MB and 20 MB of whoever has loaded them
once, and are needed for seconds of a run's hours: the worker, which watches many runs for long, has them here
(``kept_apart``). A command, and everybody else, does the same work where it is. Refuses to lose anything with the
process: what is called must be safe to repeat, and to be killed in.
"""

from __future__ import annotations

import importlib
import os
import pickle
import select
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from operator import attrgetter
from typing import IO, Any, ParamSpec, TypeVar

from curation.errors import ErrataError, Unavailable
from curation.wording import phrase
from training.backends.errors import Unreached

IDLE_SECONDS = 30.0
"""After so long without anything to do the process ends, and its memory is free again."""

_P = ParamSpec("_P")
_Result = TypeVar("_Result")


class Room:
    """The process, whenever there is one."""

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def call(self, module: str, name: str, args: tuple[Any, ...]) -> Any:
        """What the function of this module returns there, once nobody else is waited for.

        Raises:
            ErrataError: as the function; Unreached where the process was ended.
        """
        with self._lock:
            try:
                done, answer = self._asked((module, name, args))
            except (OSError, EOFError, pickle.UnpicklingError, subprocess.TimeoutExpired):
                self._end()
                raise Unreached(phrase("The process that asks Azure has ended; it is started again.")) from None
        if not done:
            raise answer
        return answer

    def close(self) -> None:
        """End the process, whatever it does; from now on everything called is Unreached."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()

    def _asked(self, call: tuple[str, str, tuple[Any, ...]]) -> tuple[bool, Any]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = self._started()
        try:
            return _exchange(self._process, call)
        except (OSError, EOFError):
            if self._closed or self._process.wait(timeout=self._idle_seconds) != 0:
                raise
            self._end()  # it had just gone, with nothing in hand
            self._process = self._started()
            return _exchange(self._process, call)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise EOFError
        command = [sys.executable, "-m", __name__, str(self._idle_seconds)]
        return subprocess.Popen(  # noqa: S603 (our own module)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


_room: Room | None = None


@contextmanager
def kept_apart(idle_seconds: float = IDLE_SECONDS) -> Iterator[Room]:
    """For the length of the block, whatever is marked ``apart`` happens in another process."""
    global _room  # noqa: PLW0603 (it belongs to the process, like the credential)
    before, _room = _room, Room(idle_seconds)
    try:
        yield _room
    finally:
        _room.close()
        _room = before


def is_kept_apart() -> bool:
    """Whether this process has another one for that."""
    return _room is not None


def apart(function: Callable[_P, _Result]) -> Callable[_P, _Result]:
    """Mark a function of a module, or a method of a frozen class.

    What it is given and returns has to travel, and what it changes must be on disk. Called with arguments by name it is
    done here.
    """

    @wraps(function)
    def called(*args: _P.args, **kwargs: _P.kwargs) -> _Result:
        if _room is None or kwargs:
            return function(*args, **kwargs)
        result: _Result = _room.call(function.__module__, function.__qualname__, args)
        return result

    return called


def serve(source: IO[bytes], sink: IO[bytes], idle_seconds: float) -> None:
    """Do what comes until nothing has come for a while, or whoever asks is gone."""
    while select.select([source], [], [], idle_seconds)[0]:
        try:
            module, name, args = pickle.load(source)  # noqa: S301 (the pipe is our parent's)
        except EOFError:
            return
        pickle.dump(_outcome(module, name, args), sink)
        sink.flush()


def _outcome(module: str, name: str, args: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        return True, attrgetter(name)(importlib.import_module(module))(*args)
    except ErrataError as error:
        return False, error
    except Exception as error:  # noqa: BLE001 (what it says may be a customer's or a provider's: only its place is told)
        traceback.print_tb(error.__traceback__)
        return False, Unavailable(
            "An unforeseen {error} stopped what Azure was asked for; see the worker's log, then try again.",
            error=type(error).__name__,
        )


def _exchange(process: subprocess.Popen[bytes], call: tuple[str, str, tuple[Any, ...]]) -> tuple[bool, Any]:
    if process.stdin is None or process.stdout is None:
        raise EOFError
    pickle.dump(call, process.stdin)
    process.stdin.flush()
    answer: tuple[bool, Any] = pickle.load(process.stdout)  # noqa: S301 (our own child's)
    return answer


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # what a library prints must not get between the answers
        serve(sys.stdin.buffer, out, float(sys.argv[1]))
