"""Spelling: a name that several keyboards write in several ways is one name.

Owns which ways those are: accents as letters of their own or behind the letter (Unicode's NFC and NFD), apostrophes and
hyphens straight or typographic. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_STRAIGHT = {ord(written): "'" for written in "\u2018\u2019\u02bc\uff07\u00b4"} | {0x2010: "-", 0x2011: "-"}
_MARKS = "\u0300-\u036f\u0483-\u0487\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f"
_CLUSTER = re.compile(rf"[\s\S](?:[{_MARKS}\u1160-\u11ff])*")
"""A character with the accents behind it; in Korean, a syllable in its parts."""


def folded(text: str) -> str:
    """One spelling: ``O’Neil-Mu\u0308ller`` → ``O'Neil-Müller``."""
    return text if text.isascii() else unicodedata.normalize("NFC", text).translate(_STRAIGHT)


def straightened(text: str) -> str:
    """The same text with straight apostrophes and hyphens, each character in its place."""
    return text if text.isascii() else text.translate(_STRAIGHT)


def composed(text: str) -> tuple[str, Sequence[tuple[int, int]] | None]:
    """The text with its accents in their letters, and for each of its characters where it stood: start and end.

    The places are None where the text is like that already, as nearly every one is.
    """
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        return text, None
    parts: list[str] = []
    places: list[tuple[int, int]] = []
    for match in _CLUSTER.finditer(text):
        part = unicodedata.normalize("NFC", match[0])
        parts.append(part)
        places += [match.span()] * len(part)
    return "".join(parts), places
