"""Spans: a stretch of a text that is somebody's, of which kind, and how a text is written without it.

Owns the kinds. Finding spans is ``curation.privacy.detection``'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a span holds."""

    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    IBAN = "iban"
    IP = "ip"
    KEY = "key"
    """A credential: cloud keys, private keys, JSON web tokens, bearer tokens, passwords."""
    SLACK_TOKEN = "slack_token"  # noqa: S105 (the name of a kind)
    NATIONAL_ID = "national_id"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Span:
    """``text[start:end]`` is of this kind. Its text is left out of ``repr``: a log must not repeat it."""

    kind: Kind
    start: int
    end: int
    text: str = field(repr=False)


def redact(text: str, spans: Iterable[Span]) -> str:
    """Each span as its kind: ``Write to kari@x.no`` → ``Write to [EMAIL]``.

    Args:
        text: what was scanned.
        spans: as ``curation.privacy.detection.scan`` gives them, none over another.
    """
    return replaced(text, spans, lambda span: placeholder(span.kind))


def placeholder(kind: Kind) -> str:
    """``[EMAIL]``."""
    return f"[{kind.upper()}]"


def replaced(text: str, spans: Iterable[Span], by: Callable[[Span], str]) -> str:
    """The text with each span replaced by what ``by`` gives for it."""
    parts, last = [], 0
    for span in sorted(spans, key=lambda one: one.start):
        parts += [text[last : span.start], by(span)]
        last = span.end
    return "".join([*parts, text[last:]])


def stands_for(treated: str, text: str) -> bool:
    """Whether a text may be what was redacted into this one; outer whitespace does not count.

    ``stands_for("Hi [NAME]!", "Hi Kari!")`` and ``stands_for("Hi [NAME]!", "Hi [NAME]!")``, but not
    ``stands_for("Hi [NAME]!", "Hi!")``. A placeholder stands for up to ``LONGEST_SPAN`` characters of one line.
    """
    literal = _PLACEHOLDER.split(treated.strip())
    pattern = _ANYTHING.join(re.escape(part) for part in literal)
    return re.fullmatch(pattern, text.strip()) is not None


LONGEST_SPAN = 80
_PLACEHOLDER = re.compile("|".join(re.escape(placeholder(kind)) for kind in Kind))
_ANYTHING = f".{{1,{LONGEST_SPAN}}}?"
