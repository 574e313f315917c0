"""Folder: the files by which a detached process and the bot talk to each other.

Owns the names in a job's, evaluation's or endpoint's directory and how they are written, so that a
reader never sees half a file. Knows no torch, because the bot reads here as well.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from curation.wording import phrase

REQUEST = "request.json"  # what is to be done
PROCESS = "process.json"  # who does it: {"pid"}
PROGRESS = "progress.jsonl"  # how far it is, one line per report
RESULT = "result.json"  # how it ended: {"status", "reason", ...}
LOCK = "lock"  # held for as long as the process lives
CANCEL = "cancel"  # exists once somebody asked to stop
LOG = "log.txt"  # what the process printed
READY = "endpoint.json"  # where the endpoint listens: {"port", "pid", "models"}
REPORT = "report.json"
BASE = "base"
ADAPTER = "adapter"
MODEL = "model"

STOPPED = phrase("It was stopped before it was done.")
"""The reason of whoever was asked to stop."""


def write_json(path: Path, row: Mapping[str, Any]) -> None:
    """Write the whole file or nothing: a crash at any moment leaves the old one or the new one."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False))  # in one go: with an indent it takes ten times as long
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    # The rename itself is durable only once the directory is.
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file that ``write_json`` wrote; None where there is no file."""
    try:
        row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return row


def append_progress(directory: Path, row: Mapping[str, Any]) -> None:
    """Add one line to the progress file."""
    with (directory / PROGRESS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def forget_progress(directory: Path, *, after_step: int) -> None:
    """Drop the lines about steps after this one: a training that goes on from there takes them again."""
    kept = [line for line in read_progress(directory) if line.get("step", 0) <= after_step]
    path = directory / PROGRESS
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    partial.replace(path)


def read_progress(directory: Path) -> list[dict[str, Any]]:
    """All complete progress lines, oldest first.

    A line still being written is left for the next read; one that a full disk has cut is passed over.
    """
    try:
        text = (directory / PROGRESS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    rows = []
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            with suppress(ValueError):
                rows.append(json.loads(line))
    return rows
