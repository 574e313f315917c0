"""Bytes to objects: the strict JSON and the strict form that Slack's requests are read with.

Owns syntax, depth and characters. Refuses what parsers read differently (a key twice, NaN) and what
the database could not store. Which fields a payload needs is decided in ``bot.payloads``.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from curation.errors import Invalid

MAX_DEPTH = 32
"""Objects and lists inside each other. A table inside a modal's state takes about twelve."""

MAX_FORM_FIELDS = 100
"""Slack sends about fifteen with a slash command."""


class PayloadError(Invalid):
    """A payload that is refused; ``reason`` names fields of Slack's, never a value that somebody sent."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The request cannot be taken: {reason}. Send what the Slack API documents.")
        self.reason = reason


def refuse(reason: str) -> NoReturn:
    """Raise PayloadError with this reason: a clause such as ``view is not an object``."""
    raise PayloadError(reason)


def read_json(text: str) -> dict[str, Any]:
    """``{"type": "shortcut"}`` as a dictionary.

    Raises:
        PayloadError: not JSON, not an object, or an object that has the same key twice.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        refuse("it is nested too deeply")
    except ValueError:  # also a number with more digits than Python converts
        refuse("it is not JSON")
    if not isinstance(value, dict):
        refuse("it is not a JSON object")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        refuse("an object has the same key twice")
    return members


def read_form(text: str) -> dict[str, Any]:
    """``command=%2Ferrata&text=help`` → ``{"command": "/errata", "text": "help"}``.

    Raises:
        PayloadError: not a form, too many fields, or a field that comes twice.
    """
    try:
        fields = parse_qsl(
            text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_FORM_FIELDS
        )
    except ValueError:
        refuse("it is not a form")
    form = dict(fields)
    if len(form) != len(fields):
        refuse("the form has the same field twice")
    return form


def check_values(body: dict[str, Any]) -> None:
    """Refuse depth, numbers that are none, and text that neither UTF-8 nor PostgreSQL can hold.

    Raises:
        PayloadError: naming which of these.
    """
    level: list[Any] = [body]
    depth = 1
    while level:
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                _check_text(value)
            elif isinstance(value, float) and not math.isfinite(value):
                refuse("a number is infinite or none")
            elif isinstance(value, dict):
                below += (*value.keys(), *value.values())
            elif isinstance(value, list):
                below += value
            if isinstance(value, dict | list) and depth > MAX_DEPTH:
                refuse(f"it is nested deeper than {MAX_DEPTH}")
        level = below
        depth += 1


def _check_text(text: str) -> None:
    if "\0" in text or not (text.isascii() or _is_unicode(text)):
        refuse("a text has a NUL or half a surrogate pair")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
