"""A row of another shape, said in the words of the strict profile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from curation.findings import Finding
from curation.formats.profile import judge_row


@dataclass(slots=True)
class Translation:
    """What became of a row.

    Attributes:
        findings: what is wrong with it in its own shape.
        record: the row as chat, ``{"messages": [...]}``; None where it could not be said.
        rejected: the reply that the last turn is preferred to.
        fixes: what to do, in the words of the shape, by the rule whose own words are those of chat.
    """

    findings: list[Finding] = field(default_factory=list)
    record: dict[str, Any] | None = None
    rejected: str | None = None
    fixes: dict[str, str] = field(default_factory=dict)

    def judged(self, line: int) -> Iterator[Finding]:
        """Every finding: its own, then those of the profile."""
        yield from self.findings
        if self.record is not None:
            for finding in judge_row(self.record, line):
                yield replace(finding, fix=self.fixes.get(finding.rule, finding.fix))
