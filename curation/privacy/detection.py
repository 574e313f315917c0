"""Personal data and secrets in a text: what is found, of which kind, where.

Owns the scan and the regions that are looked for. Decides nothing: what becomes of a finding is a reviewer's
decision, kept in ``curation.privacy.personal``, or the installation's policy, in ``curation.privacy.releases``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from curation.privacy import credentials, digits, names
from curation.privacy.names import NOBODY, KnownNames
from curation.privacy.phones import plans
from curation.privacy.spans import Kind, Span
from curation.privacy.treatment import REGIONS

VERSION = 1
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
    spans: list[Span] = []
    _take(spans, text, ((Kind.SLACK_TOKEN, *place) for place in credentials.slack_tokens(text)))
    _take(spans, text, ((Kind.KEY, *place) for place in credentials.keys(text)))
    if "@" in text:
        _take(
            spans,
            text,
            ((Kind.EMAIL, *match.span()) for match in _EMAIL.finditer(text) if match["top"].lower() not in _NO_DOMAIN),
        )
    if _DIGITS.search(text) or text.count(":") > 1:
        _take(spans, text, digits.find(text, plans(regions)))
    _take(spans, text, ((Kind.NAME, *place) for place in names.find(text, known)))
    spans.sort(key=lambda span: span.start)
    return spans


def _take(spans: list[Span], text: str, found: Iterable[tuple[Kind, int, int]]) -> None:
    """Add what lies over nothing that was found before: a card is no telephone, an address holds no name."""
    for kind, start, end in found:
        if not any(start < span.end and span.start < end for span in spans):
            spans.append(Span(kind, start, end, text[start:end]))
