"""From a path to lines of bytes: files, pipes and standard input, in constant memory.

Owns what can be opened, how long a line may be and how long a pipe is waited for. Refuses to know what a
line means; that is ``curation.formats.jsonl``'s.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from curation.errors import Invalid, Unavailable

MAX_LINE_BYTES = 10_000_000
STANDARD_INPUT = Path("-")
PIPE_PATIENCE_SECONDS = 10.0
"""How long a pipe may have nobody who writes to it: opening one waits for ever otherwise, and says nothing."""


@contextmanager
def opened(path: Path, *, patience_seconds: float = PIPE_PATIENCE_SECONDS) -> Iterator[BinaryIO]:
    """The bytes of the file or pipe at ``path``; of standard input where it is ``-``.

    Raises:
        Invalid: there is no such file, it is a directory, it may not be read, or nobody writes to the pipe.
    """
    if path == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    try:
        handle = _open_pipe(path, patience_seconds) if _is_pipe(path) else path.open("rb")
    except FileNotFoundError as error:
        raise Invalid("{path}: there is no such file; check the path.", path=path) from error
    except IsADirectoryError as error:
        raise Invalid("{path} is a directory; name one JSONL file in it.", path=path) from error
    except OSError as error:
        raise Invalid(
            "{path} cannot be opened ({cause}); check who may read it.", path=path, cause=error.strerror
        ) from error
    with handle:
        yield handle


def bounded_lines(handle: BinaryIO, *, name: str, size: int | None = None) -> Iterator[bytes]:
    """Lines of at most ``MAX_LINE_BYTES`` + 1 bytes: a file without newlines must not fill the memory.

    The rest of a longer line is passed over.

    Args:
        handle: where to read from, at the start of a line.
        name: of the file, for the sentence.
        size: read the lines that begin within so many bytes; without it, all.

    Raises:
        Unavailable: the disk refuses.
    """
    done = 0
    try:
        while (size is None or done < size) and (line := handle.readline(MAX_LINE_BYTES + 1)):
            done += len(line)
            yield line
            while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
                line = handle.readline(MAX_LINE_BYTES + 1)
                done += len(line)
    except OSError as error:
        raise Unavailable(
            "{name} could not be read to its end ({cause}); check the disk.", name=name, cause=error.strerror
        ) from error


def _is_pipe(path: Path) -> bool:
    return stat.S_ISFIFO(path.stat().st_mode)


def _open_pipe(path: Path, patience_seconds: float) -> BinaryIO:
    """Open a named pipe once somebody writes to it."""
    with ThreadPoolExecutor(max_workers=1) as beside:
        opening = beside.submit(path.open, "rb")
        try:
            return opening.result(timeout=patience_seconds)
        except TimeoutError as error:
            raise Invalid(
                "{path} is a pipe, and for {seconds:g} seconds nobody has written to it; start the program that "
                "writes, or name a file.",
                path=path,
                seconds=patience_seconds,
            ) from error
        finally:
            if not opening.done():
                # A writer, for a moment, is what the thread waits for: without it the thread would never end.
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                opening.result().close()
