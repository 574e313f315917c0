"""Weeks: what is done once a week is done for a week that has ended, and is known by its name.

Pure. Owns where a week begins (Monday, midnight in UTC) and when it is told about (nine hours after it ended). After
downtime the week that ended last is told about, and none before it: old news helps nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

TOLD_AFTER = timedelta(hours=9)
"""How long after its end a week is told about: where most support teams are, Monday has begun by then."""

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True, order=True)
class Week:
    """Seven days from a Monday on.

    Attributes:
        begins: its first moment, in UTC.
    """

    begins: datetime

    @property
    def ends(self) -> datetime:
        """The first moment after it."""
        return self.begins + WEEK

    @property
    def told_at(self) -> datetime:
        """From when on it is told about."""
        return self.ends + TOLD_AFTER

    @property
    def name(self) -> str:
        """As ISO 8601 numbers it: ``2026-W47``."""
        year, number, _ = self.begins.isocalendar()
        return f"{year}-W{number:02d}"

    @property
    def before(self) -> Week:
        """The week before this one."""
        return Week(self.begins - WEEK)


def to_tell(now: datetime) -> Week:
    """The newest week that is told about by now."""
    today = (now.astimezone(UTC) - TOLD_AFTER).date()
    return Week(_midnight(today - timedelta(days=today.weekday())) - WEEK)


def named(name: str) -> Week:
    """The week of this name.

    Raises:
        ValueError: it names none.
    """
    year, _, number = name.partition("-W")
    return Week(_midnight(date.fromisocalendar(int(year), int(number), 1)))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
