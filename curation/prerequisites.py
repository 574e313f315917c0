"""What a doctor says about one prerequisite: what was seen, and what to do about it.

Owns the shape and the states. What is looked at belongs to whoever looks: ``bot.doctor``, ``bot.slack_checks`` and
``training.backends.foundry.doctor.diagnosis``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"  # not looked at: something that it needs has failed


@dataclass(frozen=True, slots=True)
class Check:
    """One prerequisite.

    Attributes:
        id: stable and dotted, such as ``slack.token``.
        evidence: what was seen; a phrase where it is said in Slack as well.
        remedy: what to do about it; empty where it is fine.
    """

    id: str
    state: State
    evidence: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """``{"id", "state", "evidence", "remedy"}``."""
        return asdict(self)
