"""Spans: a stretch of a text that is somebody's, of which kind, and how a text is written without it.

Owns the kinds. Finding spans is ``curation.privacy.detection``'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from curation.wording import phrase


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


IN_WORDS = {
    Kind.EMAIL: (phrase("an e-mail address"), phrase("e-mail addresses")),
    Kind.PHONE: (phrase("a telephone number"), phrase("telephone numbers")),
    Kind.CARD: (phrase("a payment card"), phrase("payment cards")),
    Kind.IBAN: (phrase("an IBAN"), phrase("IBANs")),
    Kind.IP: (phrase("an IP address"), phrase("IP addresses")),
    Kind.KEY: (phrase("a key or password"), phrase("keys or passwords")),
    Kind.SLACK_TOKEN: (phrase("a Slack token"), phrase("Slack tokens")),
    Kind.NATIONAL_ID: (phrase("a national identity number"), phrase("national identity numbers")),
    Kind.NAME: (phrase("a name"), phrase("names")),
}
"""What people call one of a kind, and several."""


def counted(counts: Mapping[str, int]) -> str:
    """``{"name": 9, "email": 1}`` → ``an e-mail address, 9 names``."""
    named = sorted((Kind(kind), count) for kind, count in counts.items() if count)
    return phrase(
        "{kinds}",
        kinds=[
            IN_WORDS[kind][0] if count == 1 else phrase("{count:,} {things}", count=count, things=IN_WORDS[kind][1])
            for kind, count in named
        ],
    )


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
        spans: as ``curation.privacy.detection.scan`` gives them.
    """
    return replaced(text, spans, lambda span: placeholder(span.kind))


def placeholder(kind: Kind) -> str:
    """``[EMAIL]``."""
    return f"[{kind.upper()}]"


def replaced(text: str, spans: Iterable[Span], by: Callable[[Span], str]) -> str:
    """The text with each span replaced by what ``by`` gives for it.

    Spans that lie over another go together, as the longest of them: no half of a name stays beside what stands for
    the other half.
    """
    parts, last = [], 0
    for start, end, longest in _together(spans):
        parts += [text[last:start], by(longest)]
        last = end
    return "".join([*parts, text[last:]])


def _together(spans: Iterable[Span]) -> Iterator[tuple[int, int, Span]]:
    """Each stretch of spans that lie over another: its start, its end, and the longest of them."""
    stretch: tuple[int, int, Span] | None = None
    for span in sorted(spans, key=lambda one: (one.start, -one.end)):
        if stretch is not None and span.start < stretch[1]:
            start, end, longest = stretch
            longer = span.end - span.start > longest.end - longest.start
            stretch = start, max(end, span.end), span if longer else longest
            continue
        if stretch is not None:
            yield stretch
        stretch = span.start, span.end, span
    if stretch is not None:
        yield stretch


def holds_placeholder(text: str) -> str | None:
    """The first placeholder in a text: ``[NAME]``, or ``[CARD-00c0de]`` as a pseudonym is; None where there is none."""
    if "[" not in text:
        return None
    match = _STAND_IN.search(text)
    return match[0] if match is not None else None


def stands_for(treated: str, text: str) -> bool:
    """Whether a text may be what was redacted into this one; outer whitespace does not count.

    ``stands_for("Hi [NAME]!", "Hi Kari!")`` and ``stands_for("Hi [NAME]!", "Hi [NAME]!")``, but not
    ``stands_for("Hi [NAME]!", "Hi!")``. A placeholder stands for up to ``LONGEST_SPAN`` characters of one line.
    """
    literal = _PLACEHOLDER.split(treated.strip())
    if len(literal) == 1:
        return literal[0] == text.strip()
    pattern = _ANYTHING.join(re.escape(part) for part in literal)
    return re.fullmatch(pattern, text.strip()) is not None


LONGEST_SPAN = 80
_PLACEHOLDER = re.compile("|".join(re.escape(placeholder(kind)) for kind in Kind))
_STAND_IN = re.compile(rf"\[(?:{'|'.join(kind.upper() for kind in Kind)})(?:-[0-9a-f]{{6}})?\]")
_ANYTHING = f".{{1,{LONGEST_SPAN}}}?"
