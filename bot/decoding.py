"""Bytes to objects: the strict JSON and the strict form that Slack's requests are read with.

Owns syntax, depth and characters. Refuses what parsers read differently (a key twice, NaN) and what
the database could not store. Which fields a payload needs is decided in ``bot.payloads``.
"""

from __future__ import annotations

import json
import math
import re
from binascii import a2b_qp
from typing import Any, NoReturn

from curation.errors import Invalid

MAX_DEPTH = 32
"""Objects and lists inside each other. A table inside a modal's state takes about twelve."""

MAX_FORM_FIELDS = 100
"""Slack sends about fifteen with a slash command."""


class PayloadError(Invalid):
    """A payload that is refused; ``reason`` names fields of Slack's, never a value that somebody sent."""

    def __init__(self, reason: str) -> None:
        super().__init__("The request cannot be taken: {reason}. Send what the Slack API documents.", reason=reason)
        self.reason = reason


def refuse(reason: str) -> NoReturn:
    """Raise PayloadError with this reason: a clause such as ``view is not an object``."""
    raise PayloadError(reason)


def read_json(body: bytes) -> dict[str, Any]:
    """``{"type": "shortcut"}`` as a dictionary, its values as ``check_values`` wants them.

    Raises:
        PayloadError: not JSON, not an object, an object that has the same key twice, or a value that cannot be kept.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        refuse("the body is not UTF-8")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        refuse("it is nested too deeply")
    except ValueError:  # also a number with more digits than Python converts
        refuse("it is not JSON")
    if not isinstance(value, dict):
        refuse("it is not a JSON object")
    # JSON forbids a NUL, and UTF-8 half a surrogate pair, unless escaped: without such an escape no text has one.
    if _STRANGE_ESCAPE.search(text):
        check_values(value)
    else:
        _check_depth(value)
    return value


_STRANGE_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        refuse("an object has the same key twice")
    return members


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        refuse("a number is infinite or none")
    return value


def read_form(body: bytes) -> dict[str, bytes]:
    """``command=%2Ferrata&text=help`` → ``{"command": b"/errata", "text": b"help"}``.

    Raises:
        PayloadError: not a form, too many fields, a field that comes twice, or a NUL.
    """
    fields = body.split(b"&", MAX_FORM_FIELDS)
    if len(fields) > MAX_FORM_FIELDS or b"\0" in body or b"%00" in body or _BROKEN_ESCAPE.search(body):
        refuse("it is not a form")
    form: dict[str, bytes] = {}
    for field in fields:
        name, equals, value = field.partition(b"=")
        if not equals:
            refuse("it is not a form")
        key = read_text(_unescaped(name))
        if key in form:
            refuse("the form has the same field twice")
        form[key] = _unescaped(value)
    return form


_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def _unescaped(part: bytes) -> bytes:
    """``a+%26`` → ``a &``. Quoted-printable is the same code with = for %, and the library decodes it in C."""
    part = part.replace(b"+", b" ")
    return a2b_qp(part.replace(b"=", b"=3D").replace(b"%", b"=")) if b"%" in part else part


def read_text(value: bytes) -> str:
    """A name or value of a form as text.

    Raises:
        PayloadError: not UTF-8.
    """
    try:
        return value.decode()
    except UnicodeDecodeError:
        refuse("the form is not UTF-8")


def check_values(body: dict[str, Any]) -> None:
    """Refuse depth, numbers that are none, and text that neither UTF-8 nor PostgreSQL can hold.

    Raises:
        PayloadError: naming which of these.
    """
    _check_depth(body)
    unread: list[Any] = [body]
    while unread:
        value = unread.pop()
        if isinstance(value, str):
            _check_text(value)
        elif isinstance(value, float) and not math.isfinite(value):
            refuse("a number is infinite or none")
        elif isinstance(value, dict):
            unread += (*value.keys(), *value.values())
        elif isinstance(value, list):
            unread += value


def _check_depth(body: dict[str, Any]) -> None:
    level: list[Any] = [body]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for holder in level
            for inner in (holder.values() if type(holder) is dict else holder)
            if type(inner) is dict or type(inner) is list  # what a JSON parser makes, and nothing else
        ]
        if not level:
            return
    refuse(f"it is nested deeper than {MAX_DEPTH}")


def _check_text(text: str) -> None:
    if "\0" in text or not (text.isascii() or _is_unicode(text)):
        refuse("a text has a NUL or half a surrogate pair")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
