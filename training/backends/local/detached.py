"""The life of a directory's detached process, seen from outside: started once, and how it stands by its files.

Owns what ``folder``'s files mean together, for whatever process they belong to. How it is launched is ``launcher``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from curation.wording import unpacked
from training.backends.base import JobStatus
from training.backends.local import folder, launcher

# The bot beside it has three seconds to answer Slack; a training has hours.
_NICENESS = 10


def start(module: str, directory: Path, request: Mapping[str, Any], *, processes: int = 1) -> None:
    """Launch once in the life of a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    if any((directory / name).exists() for name in (folder.PROCESS, folder.RESULT, folder.CANCEL)):
        return
    folder.write_json(directory / folder.REQUEST, request)
    launcher.launch(module, directory, niceness=_NICENESS, processes=processes)


def outcome(directory: Path, *, alive: bool, lost: Callable[[str], str]) -> tuple[JobStatus, str | None]:
    """Where the directory's process stands, and why if it did not go well.

    Args:
        alive: whether it lived before the files were looked at: one that ends in between has written its result.
        lost: the reason of a process that ended without a result, made of its last words.
    """
    result = folder.read_json(directory / folder.RESULT)
    if result is not None:
        return JobStatus(result["status"]), unpacked(result["reason"]) if "reason" in result else None
    if alive:
        # Imports and loading come before the first progress line.
        started = (directory / folder.PROGRESS).exists()
        return (JobStatus.RUNNING if started else JobStatus.QUEUED), None
    if (directory / folder.CANCEL).exists():
        return JobStatus.CANCELLED, folder.STOPPED
    if not (directory / folder.PROCESS).exists():
        return JobStatus.QUEUED, None
    return JobStatus.FAILED, lost(launcher.last_words(directory))
