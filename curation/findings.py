"""A finding: one thing about the data that a person should know, with what to do about it.

Owns the shape and the severities. The rules themselves live beside what they look at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from curation.wording import Phrase, phrase, unpacked


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

    def kept(self) -> dict[str, Any]:
        """As JSON for the store: the same, and what its sentences are made of, so that any language can say them."""
        made = {name: text.packed() for name in ("message", "fix") if isinstance(text := getattr(self, name), Phrase)}
        return {**self.as_json(), "wording": made} if made else self.as_json()

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Finding:
        """What ``as_json`` or ``kept`` gave."""
        said = {name: unpacked(text) for name, text in row.get("wording", {}).items()}
        plain = {name: value for name, value in row.items() if name != "wording"}
        return cls(**{**plain, **said, "severity": Severity(row["severity"])})

    def sentence(self) -> Phrase:
        """``line 41: … Split it or choose a 128k model. [tokens.window]``."""
        if self.line is None:
            return phrase("{message} {fix} [{rule}]", message=self.message, fix=self.fix, rule=self.rule)
        return phrase(
            "line {line}: {message} {fix} [{rule}]",
            line=self.line,
            message=self.message,
            fix=self.fix,
            rule=self.rule,
        )


def blocking(findings: Iterable[Finding], *, strict: bool = False) -> list[Finding]:
    """The findings that stop the work: errors, and with ``strict`` warnings as well."""
    stopping = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    return [finding for finding in findings if finding.severity in stopping]
