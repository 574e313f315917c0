"""Personal data and secrets in a text: what is found, of which kind, where.

Owns the scan and the regions that are looked for. Decides nothing: what becomes of a finding is a reviewer's
decision, kept in ``curation.privacy.personal``, or the installation's policy, in ``curation.privacy.releases``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from curation.privacy import credentials, digits, names
from curation.privacy.names import NOBODY, KnownNames
from curation.privacy.phones import plans
from curation.privacy.spans import Kind, Span
from curation.privacy.spelling import composed, straightened
from curation.privacy.treatment import REGIONS

VERSION = 2
"""Raised whenever the scan finds something else than before: what is kept of an older scan is then made again."""

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9À-ɏ._%+'-])[A-Za-z0-9À-ɏ](?:[A-Za-z0-9À-ɏ._%+'-]{0,62}[A-Za-z0-9À-ɏ_+-])?"
    r"@(?:[A-Za-z0-9À-ɏ](?:[A-Za-z0-9À-ɏ-]{0,61}[A-Za-z0-9À-ɏ])?\.)+(?P<top>[A-Za-z]{2,24})(?![A-Za-z0-9-])"
)
_NO_DOMAIN = frozenset({"png", "jpg", "jpeg", "gif", "svg", "webp", "pdf", "invalid"})  # RFC 2606, and names of files
_DIGITS = re.compile(r"[0-9][^\n]{4,}[0-9]")


def scan(text: str, *, known: KnownNames = NOBODY, regions: tuple[str, ...] = REGIONS) -> list[Span]:
    """Every span that is personal data or a secret, in the order of the text, none over another.

    ``Write to kari@nordmann.no or 22 33 44 55`` → an e-mail address at 9 and a telephone number at 27.

    Args:
        text: one message.
        known: names to look for, from ``curation.privacy.names.known``.
        regions: ISO codes of the countries whose telephone numbers may be written without a country code.

    Raises:
        Invalid: a region that has no telephones.
    """
    read, places = composed(text)
    spans: list[Span] = []
    taken = bytearray(len(read))
    for kind, start, end in _found(read, known, regions):
        # What lies over something that was found before is not: a card is no telephone, an address holds no name.
        if taken.find(1, start, end) < 0:
            taken[start:end] = b"\1" * (end - start)
            first, last = (start, end) if places is None else (places[start][0], places[end - 1][1])
            spans.append(Span(kind, first, last, text[first:last]))
    spans.sort(key=lambda span: span.start)
    return spans


def mentions(text: str, known: KnownNames) -> list[Span]:
    """Where these names stand, and no other personal data."""
    read, places = composed(text)
    found = names.mentions(straightened(read), known)
    where = found if places is None else ((places[start][0], places[end - 1][1]) for start, end in found)
    return [Span(Kind.NAME, start, end, text[start:end]) for start, end in where]


def _found(text: str, known: KnownNames, regions: tuple[str, ...]) -> Iterator[tuple[Kind, int, int]]:
    """What each way of looking finds, the surest first."""
    yield from ((Kind.SLACK_TOKEN, *place) for place in credentials.slack_tokens(text))
    yield from ((Kind.KEY, *place) for place in credentials.keys(text))
    if "@" in text:
        for match in _EMAIL.finditer(text):
            if match["top"].lower() not in _NO_DOMAIN:
                yield Kind.EMAIL, *match.span()
    if _DIGITS.search(text) or text.count(":") > 1:
        yield from digits.find(text, plans(regions))
    yield from ((Kind.NAME, *place) for place in names.find(text, known))
