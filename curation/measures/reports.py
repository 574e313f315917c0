"""Findings, checks and balance as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from curation.findings import Finding, Severity
from curation.language import name_of

if TYPE_CHECKING:
    from curation.checking.checks import CheckReport
    from curation.measures.balance import Balance
    from curation.terminal import Terminal

SHOWN_PER_RULE = 3
SHOWN_LINES = 8
BAR_WIDTH = 20
HISTOGRAM_LINES = 12
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
    terminal.say()
    show_balance(terminal, report.balance)
    terminal.say()
    for advice in report.advice:
        terminal.say(advice.sentence())


def show_balance(terminal: Terminal, balance: Balance) -> None:
    """Kinds, the topic by language table, diversity and people, with bars where a length is seen sooner than read."""
    terminal.say(f"{balance.total:,} examples")
    most = max(balance.kinds.values(), default=0)
    terminal.table(
        ["", "", ""], [(kind, f"{count:,}", bar(count, most)) for kind, count in sorted(balance.kinds.items())]
    )
    if balance.cells:
        terminal.say()
        _show_cells(terminal, balance)
    if balance.diversity is not None:
        words = balance.diversity
        of = "" if words.sampled == words.texts else f", in a sample of {words.sampled:,}"
        terminal.say(
            f"As diverse as {words.vendi:.1f} completely different dialogues (Vendi score); "
            f"{words.near_duplicates:.1%} repeat an earlier one; different words {words.distinct_1:.0%}, "
            f"pairs {words.distinct_2:.0%}{of}."
        )
    for label, people in (("Written", balance.authors), ("Approved", balance.reviewers)):
        if people.who is not None:
            terminal.say(
                f"{label} by {people.people:,}, as if by {people.effective:.1f} alike: "
                f"{people.who} {people.largest:.0%} of it."
            )


def show_lengths(terminal: Terminal, balance: Balance) -> None:
    """A histogram of tokens per dialogue."""
    longest = max(balance.tokens.max, 1)
    width = -(-(longest + 1) // HISTOGRAM_LINES)
    counts = [0] * HISTOGRAM_LINES
    for tokens, number in balance.token_counts.items():
        counts[tokens // width] += number
    shown = [place for place, number in enumerate(counts) if number]
    terminal.table(
        ["Tokens", "", ""],
        [
            (f"{place * width:,}-{(place + 1) * width - 1:,}", f"{counts[place]:,}", bar(counts[place], max(counts)))
            for place in range(shown[-1] + 1 if shown else 0)
        ],
    )


def bar(count: float, most: float) -> str:
    """``count`` as a bar, of which ``most`` fills the width; whatever is not 0 is seen."""
    if not count or not most:
        return ""
    eighths = max(1, round(count / most * BAR_WIDTH * 8))
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _show_cells(terminal: Terminal, balance: Balance) -> None:
    languages = sorted({language for _, language in balance.cells})
    topics = sorted({topic for topic, _ in balance.cells})
    totals = {topic: sum(balance.cells.get((topic, language), 0) for language in languages) for topic in topics}
    terminal.table(
        ["Topic", *(name_of(language) for language in languages), ""],
        [
            [
                topic,
                *(balance.cells.get((topic, language), 0) or "·" for language in languages),
                bar(totals[topic], max(totals.values())),
            ]
            for topic in topics
        ],
    )
    terminal.say(
        f"As diverse as {balance.topics.effective:.1f} equally large topics "
        f"and {balance.languages.effective:.1f} languages."
    )
