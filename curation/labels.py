"""Labels: what a row of a file says of itself under ``metadata``, for people, for balance and for the sides.

Owns which those are and their one spelling. A number is taken as its text: customers are often no more than that. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curation.privacy.spelling import folded

LABELS = ("topic", "language", "thread", "customer")


def is_label(value: object) -> bool:
    """Whether it can be taken: text, a whole number, or nothing."""
    return value is None or isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))


def text_of(value: object) -> str | None:
    """The label as text, ``1007`` → ``"1007"``; None where there is none."""
    if value is None or not is_label(value):
        return None
    return folded(str(value)).strip() or None


def labels_of(metadata: Mapping[str, Any]) -> dict[str, str | None]:
    """Every label of a row by its name: ``{"topic": "billing", "language": None, …}``."""
    return {name: text_of(metadata.get(name)) for name in LABELS}
