"""Sentences for people: a template and its values, so that they can be said in other languages than English.

Owns what a phrase is and how it reads in English. Pure; which languages there are, and the translations, are the
business of whoever speaks to people (``bot.speech``). A ``Phrase`` is the English text, so that logs, the command
line and ``--json`` need to know nothing of this.

Example:
    ``phrase("{name} may not {what}.", name="Ana", what="review")`` → ``Ana may not review.``
    ``plural("{count:,} row", "{count:,} rows", 1200)`` → ``1,200 rows``
    ``phrase("That takes the role {roles:or}.", roles=("agent", "owner"))`` → ``That takes the role agent or owner.``
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from string import Formatter
from typing import Any, Protocol

Value = Any
"""A string, a phrase, a number, or a list of them. A list's format is ``or``, ``and``, none for commas
alone, ``clauses`` for semicolons, or ``sentences`` for sentences one after the other."""

BETWEEN = {"clauses": "; ", "sentences": " "}
"""What stands between the items of a list that has no last word such as *and*, in English."""


class Phrase(str):
    """An English sentence that remembers what it was made of.

    Attributes:
        template: the English template; for a plural that of one.
        many: the template for other counts; None where nothing is counted.
        values: what stands in the template's braces.
    """

    __slots__ = ("many", "template", "values")

    template: str
    many: str | None
    values: Mapping[str, Value]

    def packed(self) -> str:
        """As one text for a column of the database; ``unpacked`` reads it."""
        return json.dumps(_packed(self), ensure_ascii=False)


class Voice(Protocol):
    """What differs between languages."""

    def translated(self, template: str, many: str | None, count: int) -> str:
        """The template in this language, in the form for this count."""

    def number(self, value: float, spec: str) -> str:
        """A number under a format of Python's, such as ``,`` or ``.1%``."""

    def listed(self, items: Sequence[str], spec: str) -> str:
        """Items as a list: ``a, b or c``."""


class English:
    """The voice of the templates themselves."""

    def translated(self, template: str, many: str | None, count: int) -> str:
        """The template as it stands."""
        return template if many is None or count == 1 else many

    def number(self, value: float, spec: str) -> str:
        """As Python formats it."""
        return format(value, spec)

    def listed(self, items: Sequence[str], spec: str) -> str:
        """``a, b or c``; whole sentences one after the other."""
        if spec in BETWEEN:
            return BETWEEN[spec].join(items)
        if not spec or len(items) < len("ab"):
            return ", ".join(items)
        return f"{', '.join(items[:-1])} {spec} {items[-1]}"


ENGLISH = English()


def phrase(template: str, /, **values: Value) -> Phrase:
    """A phrase. Without values the template is taken as it stands, braces and all; a phrase is returned as it is."""
    if isinstance(template, Phrase) and not values:
        return template
    return _made(template, None, values)


def plural(one: str, many: str, count: int, /, **values: Value) -> Phrase:
    """A phrase about a number of things, which its templates know as ``{count}``."""
    return _made(one, many, {"count": count, **values})


def called(word: StrEnum) -> Phrase:
    """What a state, a step or a permission is called: its own value, which catalogues hold as well."""
    return _made(word.value, None, {})


def said(text: str, voice: Voice) -> str:
    """The text in a voice: a phrase is put together anew, any other text is somebody's own and stays as it is."""
    if not isinstance(text, Phrase):
        return text
    count = text.values.get("count", 1) if text.many is not None else 1
    template = voice.translated(text.template, text.many, count)
    return _Speaking(voice).vformat(template, (), text.values) if text.values else template


def unpacked(text: str) -> str:
    """What ``Phrase.packed`` gave; any other text, such as one that an older version kept, as it is."""
    if not text.startswith('{"phrase":'):
        return text
    try:
        found = _unpacked(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError):
        return text
    return found if isinstance(found, Phrase) else text


class _Speaking(Formatter):
    def __init__(self, voice: Voice) -> None:
        self._voice = voice

    def format_field(self, value: Value, format_spec: str) -> str:
        if isinstance(value, str):
            return format(said(value, self._voice), format_spec)
        if isinstance(value, bool) or value is None:
            return str(value)
        if isinstance(value, int | float):
            return self._voice.number(value, format_spec)
        if isinstance(value, Sequence):
            return self._voice.listed([self.format_field(item, "") for item in value], format_spec)
        return format(value, format_spec)


def _made(template: str, many: str | None, values: Mapping[str, Value]) -> Phrase:
    chosen = ENGLISH.translated(str(template), many, values.get("count", 1) if many is not None else 1)
    made = Phrase(_Speaking(ENGLISH).vformat(chosen, (), values) if values else chosen)
    made.template, made.many, made.values = str(template), many, values
    return made


def _packed(value: Value) -> Any:
    if isinstance(value, Phrase):
        kept = {"phrase": value.template, "values": {name: _packed(held) for name, held in value.values.items()}}
        return kept if value.many is None else kept | {"many": value.many}
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, Sequence):
        return [_packed(item) for item in value]
    return str(value)


def _unpacked(value: Any) -> Value:
    if isinstance(value, dict):
        return _made(value["phrase"], value.get("many"), {name: _unpacked(v) for name, v in value["values"].items()})
    return [_unpacked(item) for item in value] if isinstance(value, list) else value
