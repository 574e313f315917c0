"""The log of the serving processes: what a line may hold, and how it is written.

Owns the fields that may leave the process. A line has the constant words of its template and, of what is put into
them, only named figures and codes (``KEYS``); an error is its type and the places it passed through, never what it
says, because drivers and decoders quote what people wrote. Other libraries compose their messages beforehand, so
of theirs only the logger and the place are kept.

    log.warning("refused: reason=%s size=%s", "signature", 812)
    → {"at": "…", "level": "warning", "logger": "errata.gate", "event": "refused", "reason": "signature", "size": 812}
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TextIO

log = logging.getLogger("errata.logs")


class LogFormat(StrEnum):
    """How a line is written."""

    JSON = "json"
    TEXT = "text"


KEYS = frozenset(
    {
        *(
            "asset",
            "candidate",
            "code",
            "count",
            "detail",
            "endpoint",
            "error",
            "job",
            "leads",
            "name",
            "notice",
            "replies",
        ),
        *("eta_seconds", "loss", "memory_mb", "step", "steps", "tokens_per_second"),
        *("group", "reason", "restarts", "run", "size", "snapshot", "status", "task", "team", "trouble", "worker"),
    }
)
"""The names under which a figure, an id or a code may be logged; ``key=%s`` in a template names one."""

Field = str | int | float | bool | None

WITHHELD = "…"
REDACTED = "[redacted]"

_PLACEHOLDER = re.compile(r"[\s:;,]*\b(?P<key>[a-z_]+)=%[sd]|%[-+0-9.]*[a-z]")
_CODE = re.compile(r"[A-Za-z0-9_.:/\[\]-]{1,100}")
# The gate's own sentence on a payload that does not fit: longer than a code, but with no quotation in it.
_DETAIL = re.compile(r"[A-Za-z0-9_.:/\[\]' -]{1,200}")
_TOKENS = re.compile(
    r"\bx(?:ox[a-z]|app|wfp)(?:\.xox[a-z])?-[\w-]+"
    r"|\bbearer\s+\S+"
    r"|[\w.+-]+@[\w-]+\.[\w.-]+"
    r"|(?<=://)[^\s/@]+:[^\s@]+(?=@)",
    re.IGNORECASE,
)
_SHORTEST_SECRET = 8
_FRAMES = 12


def configure(
    log_format: LogFormat | None, *, debug: bool, secrets: Iterable[str] = (), stream: TextIO | None = None
) -> None:
    """Send every log of this process to ``stream`` (stderr), as JSON unless a person watches.

    Args:
        log_format: None chooses text on a terminal and JSON elsewhere.
        debug: errata's own lines from DEBUG on, which adds where an error came from.
        secrets: tokens and signing secrets, which no line may hold under whatever key.
    """
    stream = stream or sys.stderr
    chosen = log_format or (LogFormat.TEXT if stream.isatty() else LogFormat.JSON)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter(chosen, secrets=secrets))
    # Libraries below a warning tell of every request and migration; Bolt's logger copies the root's level.
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("errata").setLevel(logging.DEBUG if debug else logging.INFO)
    threading.excepthook = _thread_ended


class LineFormatter(logging.Formatter):
    """One line for one record, with nothing in it that is not meant to be read by an operator."""

    def __init__(self, log_format: LogFormat, *, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._format = log_format
        self._secrets = tuple(secret for secret in secrets if len(secret) >= _SHORTEST_SECRET)

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        event, fields = _own(record) if _is_ours(record) else _foreign(record)
        if record.exc_info and record.exc_info[1] is not None:
            fields |= _trouble(record.exc_info[1])
        at = datetime.fromtimestamp(record.created, UTC)
        head = {
            "at": at.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event,
        }
        line = {key: self._redacted(value) for key, value in {**head, **fields}.items()}
        if self._format is LogFormat.JSON:
            return json.dumps(line, ensure_ascii=False)
        said = "".join(f" {key}={line[key]}" for key in fields)
        colon = ":" if said else ""
        return f"{at.astimezone():%H:%M:%S} {record.levelname} {record.name}: {line['event']}{colon}{said}"

    def _redacted(self, value: Field) -> Field:
        return redact(value, self._secrets) if isinstance(value, str) else value


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without tokens, e-mail addresses, passwords in addresses, and these secrets."""
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return _TOKENS.sub(REDACTED, text)


def _is_ours(record: logging.LogRecord) -> bool:
    # Bolt logs under a child of ours, in sentences of its own.
    return record.name.partition(".")[0] == "errata" and not record.name.startswith("errata.bolt")


def _own(record: logging.LogRecord) -> tuple[str, dict[str, Field]]:
    """A template's constant words, and its ``key=%s`` with their values; any other placeholder is withheld."""
    given = iter(record.args if isinstance(record.args, tuple) else ())
    fields: dict[str, Field] = {}

    def take(match: re.Match[str]) -> str:
        value = next(given, None)
        key = match["key"]
        if key is None:
            return WITHHELD
        fields[key] = _safe(key, value)
        return ""

    return _PLACEHOLDER.sub(take, str(record.msg)), fields


def _foreign(record: logging.LogRecord) -> tuple[str, dict[str, Field]]:
    """Where another library logged. Of gunicorn, whose templates are constant, the words as well: they name signals."""
    event = "a library's message"
    if record.name == "gunicorn.error" and record.args:
        given = iter(record.args if isinstance(record.args, tuple) else ())
        event = _PLACEHOLDER.sub(lambda _: _signal(next(given, None)), str(record.msg))
    return event, {"place": f"{_place(record.pathname)}:{record.lineno}"}


def _signal(value: object) -> str:
    """A process id, or a signal's name; nothing else of a message that is not ours."""
    return str(value) if isinstance(value, int) or re.fullmatch(r"SIG[A-Z0-9]+", str(value)) else WITHHELD


def _safe(key: str, value: object) -> Field:
    if key not in KEYS:
        return WITHHELD
    if value is None or isinstance(value, (bool, int, float)):
        return value
    shape = _DETAIL if key == "detail" else _CODE
    return str(value) if shape.fullmatch(str(value)) else WITHHELD


def _trouble(error: BaseException) -> dict[str, Field]:
    """``error``, what caused it, and the last places that it passed through: names and lines of code only."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return {
        "error": " < ".join(type(one).__name__ for one in _chain(error)),
        "trace": " > ".join(f"{_place(frame.filename)}:{frame.lineno}:{frame.name}" for frame in frames),
    }


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _place(filename: str) -> str:
    """``…/bot/listeners/review.py`` → ``listeners/review.py``."""
    return "/".join(Path(filename).parts[-2:])


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    """In place of Python's hook, which prints what the error says."""
    if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
        log.error("a thread ended", exc_info=ended.exc_value)
