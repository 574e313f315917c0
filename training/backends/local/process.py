"""The edge of a detached process: whatever happens inside ends as one result file.

Owns the way from an exception or a signal to a sentence. The work itself is passed in; what loads torch does so before
it comes here, and what only asks a service loads none.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from curation.errors import ErrataError
from curation.wording import Phrase, phrase
from training.backends.base import JobStatus
from training.backends.local import folder


class Stopped(BaseException):
    """Somebody asked this process to end. Like KeyboardInterrupt, no library should swallow it."""


def carry_out(directory: Path, work: Callable[[Path], dict[str, Any]]) -> int:
    """Do the work and write how it ended into ``result.json``; the return value is an exit code.

    ``work`` gets the directory and returns what the result says beside its status.
    """
    signal.signal(signal.SIGTERM, _stop)
    _wake_the_collector()
    rank, size = (int(os.environ.get(name, alone)) for name, alone in (("RANK", "0"), ("WORLD_SIZE", "1")))
    _settle_torch(size)
    status, details = JobStatus.FAILED, {}
    try:
        stop_if_cancelled(directory)
        details = work(directory)
        status = JobStatus.COMPLETED
    except Stopped:
        status, details = JobStatus.CANCELLED, {"reason": folder.STOPPED.packed()}
    except ErrataError as error:
        details = {"reason": error.sentence.packed()}
    except Exception as error:  # noqa: BLE001 - the process edge: a person reads a sentence, the log keeps the rest
        with suppress(OSError):  # the disk may be full
            traceback.print_exc()
        details = {"reason": _sentence(error).packed()}
    # Of several processes the first one speaks for all, unless another one has said already why it failed: what the
    # first one meets then is only that the other is gone.
    told = size > 1 and status is not JobStatus.COMPLETED and (directory / folder.RESULT).exists()
    if not told and (rank == 0 or status is JobStatus.FAILED):
        folder.write_json(directory / folder.RESULT, {"status": status.value, **details})
    return 0 if status is JobStatus.COMPLETED else 1


def finish_steps() -> Callable[[], bool]:
    """From now on a request to end interrupts nothing: the returned function says whether there was one.

    For work that ends at a moment of its own choice, with everything at rest, and then raises ``Stopped`` itself.
    """
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: asked.set())
    return asked.is_set


def stop_if_cancelled(directory: Path) -> None:
    """Raise Stopped where somebody asked before this process could hear a signal."""
    if (directory / folder.CANCEL).exists():
        raise Stopped


def directory_argument() -> Path:
    """The directory named on this process's command line."""
    return Path(sys.argv[1])


def _settle_torch(size: int) -> None:
    torch, logging = (sys.modules.get(name) for name in ("torch", "transformers.utils.logging"))
    if logging is not None:
        # One bar per loaded shard would bury the one line of the log that matters.
        logging.disable_progress_bar()
    # Sharing the cores with the bot is the operating system's business; torch alone would take half of them. Who says
    # otherwise is obeyed; of several processes torchrun says it for them, and gives each one thread.
    if torch is not None and (size > 1 or "OMP_NUM_THREADS" not in os.environ):
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // size))


def _out_of_memory(error: Exception) -> bool:
    torch = sys.modules.get("torch")
    return isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError))


def _wake_the_collector() -> None:
    """From here on garbage is collected again, but not looked for in what was loaded (see ``begin``)."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _stop(_number: int, _frame: FrameType | None) -> None:
    # A second request must not interrupt the writing of the result.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


def _sentence(error: Exception) -> Phrase:
    if _out_of_memory(error):
        return phrase("The machine ran out of memory; lower batch_tokens in the recipe or choose a smaller model.")
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return phrase(
        "{error}: {cause}; {log} has the details.",
        error=type(error).__name__,
        cause=first[:300].rstrip("."),
        log=folder.LOG,
    )
