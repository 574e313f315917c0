"""Work on one large file shared among processes, each of which reads its own range of bytes.

Owns the ranges, the fork and its end. Nothing is shared while they work but how far they are; what comes
back is small. Only for a process without other threads, as the command line is: a fork copies the locks
that other threads hold. Elsewhere, and where the system has no fork, the ranges are worked off in turn.
"""

from __future__ import annotations

import mmap
import os
import pickle
import selectors
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Generic, NoReturn, TypeVar

from curation.errors import ErrataError, Unavailable
from curation.formats.lines import opened

Progress = Callable[[int], None]
"""Told how much is done; of a file, in bytes."""
T = TypeVar("T")

_LEAST_BYTES = 4_000_000  # below this a process costs more than it saves
_MOST_PROCESSES = 8
_LOOK_SECONDS = 0.1
_WORD = 8


def available() -> int:
    """How many processes may work at once: 1 where forking is not possible or not safe."""
    # macOS has no sched_getaffinity, and there a forked process may not use Apple's libraries, as NumPy does.
    if not hasattr(os, "fork") or not hasattr(os, "sched_getaffinity") or threading.active_count() > 1:
        return 1
    return min(_MOST_PROCESSES, len(os.sched_getaffinity(0)))


def ranges(path: Path, parts: int, *, least_bytes: int = _LEAST_BYTES) -> list[tuple[int, int]]:
    """Up to ``parts`` ranges of bytes that cover the file, each from the start of a line to the start of the next's.

    A file of less than twice ``least_bytes`` is one range.

    Raises:
        Invalid: the file cannot be opened.
    """
    size = path.stat().st_size
    parts = max(1, min(parts, size // least_bytes))
    begins = [0]
    with opened(path) as handle:
        for number in range(1, parts):
            handle.seek(size * number // parts)
            handle.readline()
            begin = min(handle.tell(), size)
            if begins[-1] < begin < size:
                begins.append(begin)
    return list(zip(begins, [*begins[1:], size], strict=True))


def each(works: Sequence[Callable[[Progress], T]], progress: Progress) -> list[T]:
    """Do every piece of work, each in a process of its own, and return their results in order.

    Args:
        works: what they return must survive ``pickle``. Where there is only one, or no fork, they are done here.
        progress: told now and then the sum of what the works told theirs.

    Raises:
        ErrataError: one of the works raised it.
        Unavailable: a process died.
    """
    if len(works) < 2 or available() < 2:  # noqa: PLR2004 (one process is this one)
        return _in_turn(works, progress)
    done = mmap.mmap(-1, _WORD * len(works))
    children: list[_Child[T]] = []
    try:
        for number, work in enumerate(works):
            child: _Child[T] = _Child()
            children.append(child)
            child.start(work, _Counter(done, number))
        results = _results(
            children, lambda: progress(sum(_Counter(done, number).value for number in range(len(works))))
        )
        return [results[child] for child in children]
    finally:
        for child in children:
            child.end()
        done.close()


def _in_turn(works: Sequence[Callable[[Progress], T]], progress: Progress) -> list[T]:
    results = []
    before = 0
    for work in works:
        last = 0

        def told(value: int, before: int = before) -> None:
            nonlocal last
            last = value
            progress(before + value)

        results.append(work(told))
        before += last
    return results


class _Counter:
    """A number that one process writes and another reads."""

    def __init__(self, shared: mmap.mmap, number: int) -> None:
        self._shared = shared
        self._place = slice(number * _WORD, (number + 1) * _WORD)

    def __call__(self, value: int) -> None:
        self._shared[self._place] = value.to_bytes(_WORD, "little")

    @property
    def value(self) -> int:
        return int.from_bytes(self._shared[self._place], "little")


class _Child(Generic[T]):
    """A forked process with one piece of work, and the pipe through which its result comes."""

    def __init__(self) -> None:
        self.pipe, self._sending = os.pipe()
        self._pid = 0
        self._ended = False
        self._received = bytearray()

    def start(self, work: Callable[[Progress], T], progress: Progress) -> None:
        """Fork; the other process works, this one goes on."""
        sys.stdout.flush()
        sys.stderr.flush()
        # What a Ctrl-C raises while a process forks is swallowed, so it has to wait until the child is known.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._pid = os.fork()
            if self._pid == 0:
                _work(work, progress, self._sending)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        self._close_sending()

    def receive(self) -> bool:
        """Take what has come; False once there will be no more."""
        piece = os.read(self.pipe, 1 << 20)
        self._received += piece
        return bool(piece)

    def result(self) -> T:
        """What the work returned; raises what it raised."""
        _, status = os.waitpid(self._pid, 0)
        self._ended = True
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            raise Unavailable(
                "A process that shared the work was ended by {signal}, as it happens where memory runs out; free "
                "some and run it again.",
                signal=signal.Signals(-code).name,
            )
        try:
            outcome, value = pickle.loads(bytes(self._received))  # noqa: S301 (from our own child)
        except (EOFError, pickle.UnpicklingError) as error:
            raise Unavailable(
                "A process that shared the work ended with the code {code} before it was done; run it again.", code=code
            ) from error
        if outcome == "raised":
            raise value
        if outcome == "failed":
            raise RuntimeError(f"a process that shared the work failed:\n{value}")
        result: T = value
        return result

    def end(self) -> None:
        """Leave nothing behind, whatever happened."""
        os.close(self.pipe)
        self._close_sending()
        if self._pid and not self._ended:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    def _close_sending(self) -> None:
        if self._sending >= 0:
            os.close(self._sending)
            self._sending = -1


def _work(work: Callable[[Progress], T], progress: Progress, sending: int) -> NoReturn:
    """In the child: work, send what came of it, and leave without this process's farewells, which are the parent's."""
    code = 1
    try:
        # Ctrl-C reaches every process of the terminal: the parent speaks, the children just end.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        try:
            outcome: tuple[str, object] = ("returned", work(progress))
        except ErrataError as error:
            outcome = ("raised", error)
        except Exception:  # noqa: BLE001 (the process edge: the parent raises it again, traceback included)
            outcome = ("failed", traceback.format_exc())
        left = memoryview(pickle.dumps(outcome))
        while left:
            left = left[os.write(sending, left) :]
        code = 0
    finally:
        os._exit(code)


def _results(children: Sequence[_Child[T]], look: Callable[[], None]) -> dict[_Child[T], T]:
    """What every child sends; the first that fails ends the waiting."""
    results: dict[_Child[T], T] = {}
    with selectors.DefaultSelector() as selector:
        for child in children:
            selector.register(child.pipe, selectors.EVENT_READ, child)
        while selector.get_map():
            for key, _ in selector.select(_LOOK_SECONDS):
                if not key.data.receive():
                    selector.unregister(key.fileobj)
                    results[key.data] = key.data.result()
            look()
    return results
