"""Findings and checks as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from curation.findings import Finding, Severity
from curation.language import name_of

if TYPE_CHECKING:
    from curation.checks import CheckReport
    from curation.terminal import Terminal

SHOWN_PER_RULE = 3
SHOWN_LINES = 8
_ORDER = list(Severity)


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """Findings by rule, errors first: how many, the first few in full, and where the others are."""
    by_rule: dict[str, list[Finding]] = {}
    for finding in sorted(findings, key=lambda one: _ORDER.index(one.severity)):
        by_rule.setdefault(finding.rule, []).append(finding)
    lines = []
    for rule, found in by_rule.items():
        lines.append(f"{found[0].severity.value}: {rule} ({len(found):,})")
        lines += [f"  {finding.sentence()}" for finding in found[:SHOWN_PER_RULE]]
        if more := [finding.line for finding in found[SHOWN_PER_RULE:] if finding.line is not None]:
            places = ", ".join(f"{line:,}" for line in more[:SHOWN_LINES])
            lines.append(f"  … and {len(more):,} more, on lines {places}{' …' if len(more) > SHOWN_LINES else ''}")
    return lines


def show_check(terminal: Terminal, report: CheckReport, *, window: int, model: str) -> None:
    """A check's findings, lengths, balance and advice."""
    for line in finding_lines(report.findings):
        terminal.say(line)
    if report.findings:
        terminal.say()
    tokens = report.tokens
    terminal.say(f"Tokens, counted by {tokens.counter}; the window of {model} is {window:,}:")
    terminal.table(
        ["Total", "5 %", "Median", "95 %", "Longest"],
        [[f"{count:,}" for count in (tokens.total, *tokens.lengths.as_json().values())]],
    )
    _show_balance(terminal, report)
    for advice in report.advice:
        terminal.say(advice.sentence())


def _show_balance(terminal: Terminal, report: CheckReport) -> None:
    balance = report.balance
    terminal.say()
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(balance.kinds.items()))
    terminal.say(f"{balance.total:,} examples" + (f": {kinds}" if kinds else ""))
    if not balance.cells:
        return
    languages = sorted({language for _, language in balance.cells})
    terminal.table(
        ["Topic", *(name_of(language) for language in languages)],
        [
            [topic, *(balance.cells.get((topic, language), 0) or "·" for language in languages)]
            for topic in sorted({topic for topic, _ in balance.cells})
        ],
    )
    terminal.say(
        f"As diverse as {balance.topics.effective:.1f} equally large topics "
        f"and {balance.languages.effective:.1f} languages."
    )
    terminal.say()
