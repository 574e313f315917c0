"""A finding: one thing about the data that a person should know, with what to do about it.

Owns the shape and the severities. The rules themselves live beside what they look at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How much a finding matters: an error blocks, a warning is printed, info is for reports."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation.

    Attributes:
        rule: stable id such as ``turns.last``; documented in the reference.
        severity: see ``Severity``.
        message: what is wrong and where, in one sentence.
        fix: what to do about it, in one imperative sentence.
        line: line number in the file, from 1; None where the finding is about the whole.
    """

    rule: str
    severity: Severity
    message: str
    fix: str
    line: int | None = None

    def as_json(self) -> dict[str, Any]:
        """``{"rule", "severity", "line", "message", "fix"}``, as ``--json`` prints it."""
        return {
            "rule": self.rule,
            "severity": self.severity.value,
            "line": self.line,
            "message": self.message,
            "fix": self.fix,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Finding:
        """What ``as_json`` gave."""
        return cls(**{**row, "severity": Severity(row["severity"])})

    def sentence(self) -> str:
        """``line 41: … Split it or choose a 128k model. [tokens.window]``."""
        where = f"line {self.line}: " if self.line is not None else ""
        return f"{where}{self.message} {self.fix} [{self.rule}]"


def blocking(findings: Iterable[Finding], *, strict: bool = False) -> list[Finding]:
    """The findings that stop the work: errors, and with ``strict`` warnings as well."""
    stopping = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    return [finding for finding in findings if finding.severity in stopping]
