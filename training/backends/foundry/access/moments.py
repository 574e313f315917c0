"""Moments as Azure writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(value: object) -> datetime | None:
    """``2026-11-21T12:00:00Z``; None where nobody says when, or not so. Without a zone it is meant in UTC."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
