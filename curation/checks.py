"""The check: everything that should be known about a file or dataset before money is spent on it.

Owns the order of the looks (format, tokens, duplicates, size, balance) and their report. The rules
about rows are in ``curation.rules``, those about balance in ``curation.balance``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from curation import balance as balances
from curation.balance import Advice, Balance, Cell, Facet, Lengths
from curation.conversation import Conversation, Role
from curation.duplicates import fingerprint
from curation.findings import Finding, Severity
from curation.jsonl import Row
from curation.language import detect
from curation.rules import Rule
from curation.tokens import TokenCount, TokenCounter

MINIMUM_EXAMPLES = 10
ADVISED_EXAMPLES = 50

_OVER = Rule(
    "tokens.over_window",
    Severity.ERROR,
    "A dialogue fits the window of the model.",
    "Split it or choose a 128k model.",
)
_MAYBE_OVER = Rule(
    "tokens.maybe_over",
    Severity.WARNING,
    "A dialogue whose tokens are estimated surely fits the window.",
    "Give the model's tokenizer.json for an exact count, or split the dialogue.",
)
_ESTIMATED = Rule(
    "tokens.estimated",
    Severity.WARNING,
    "Tokens are counted with the tokenizer of the model.",
    "Give the model's tokenizer.json for exact counts.",
)
_REPEATED = Rule(
    "duplicates.exact",
    Severity.WARNING,
    "No dialogue stands twice, but for case, spaces and the system turn.",
    "Keep one: a repeated dialogue is learned twice as hard.",
)
_TOO_SMALL = Rule(
    "dataset.too_small",
    Severity.ERROR,
    f"There are at least {MINIMUM_EXAMPLES} examples, the least that managed trainers take.",
    "Approve or import more examples.",
)
_SMALL = Rule(
    "dataset.small",
    Severity.WARNING,
    f"There are at least {ADVISED_EXAMPLES} examples.",
    "Approve or import more before you pay for a run.",
)
RULES: tuple[Rule, ...] = (_OVER, _MAYBE_OVER, _ESTIMATED, _REPEATED, _TOO_SMALL, _SMALL, *balances.RULES)
"""Every rule about a dataset as a whole, in the order in which the reference lists them."""


@dataclass(frozen=True, slots=True)
class TokenSummary:
    """Tokens of the valid rows, template included; upper bounds where they are estimated.

    Attributes:
        counter: what counted.
        exact: whether every count is exact.
        total: over all rows.
        lengths: per row.
    """

    counter: str
    exact: bool
    total: int
    lengths: Lengths

    def as_json(self) -> dict[str, Any]:
        """``{"total", "p5", "p50", "p95", "max", "exact", "counter"}``."""
        return {"total": self.total, **self.lengths.as_json(), "exact": self.exact, "counter": self.counter}


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found: findings by line and then about the whole, tokens, balance and advice."""

    findings: list[Finding]
    tokens: TokenSummary
    balance: Balance
    advice: list[Advice]

    def as_json(self) -> dict[str, Any]:
        """``{"findings": [...], "tokens": {...}, "balance": {...}, "advice": [...]}``."""
        return {
            "findings": [finding.as_json() for finding in self.findings],
            "tokens": self.tokens.as_json(),
            "balance": self.balance.as_json(),
            "advice": [advice.as_json() for advice in self.advice],
        }


def check(
    rows: Iterable[Row | Finding],
    *,
    counter: TokenCounter,
    window: int,
    model: str,
    pending: Mapping[Cell, int] | None = None,
) -> CheckReport:
    """Look at every row once and report.

    Args:
        rows: as ``curation.jsonl.read`` gives them; findings are passed on.
        counter: for the model's tokenizer family.
        window: most tokens of one dialogue.
        model: its name, for the sentences.
        pending: candidates that wait for review, by topic and language.
    """
    findings: list[Finding] = []
    facets: list[Facet] = []
    first_line: dict[str, int] = {}
    for row in rows:
        if isinstance(row, Finding):
            findings.append(row)
            continue
        count = counter.count(row.conversation)
        findings.extend(_judge_length(count, row.line, window, model))
        first = first_line.setdefault(fingerprint(_spoken(row.conversation)), row.line)
        if first != row.line:
            findings.append(_REPEATED.found(f"the dialogue is the same as on line {first}.", row.line))
        facets.append(_facet(row, count))
    balance = balances.measure(facets)
    findings.extend(_judge_size(len(facets)))
    if not counter.exact:
        findings.append(_ESTIMATED.found(f"Tokens are an estimate: {counter.name}."))
    findings.extend(balances.findings(balance))
    tokens = TokenSummary(counter.name, counter.exact, sum(facet.tokens for facet in facets), balance.tokens)
    return CheckReport(findings, tokens, balance, balances.advise(balance, pending or {}))


def _judge_length(count: TokenCount, line: int, window: int, model: str) -> Iterable[Finding]:
    limit = f"the window of {model} is {window:,}."
    if count.lower > window:
        least = "" if count.exact else "at least "
        yield _OVER.found(f"the dialogue has {least}{count.lower:,} tokens; {limit}", line)
    elif count.upper > window:
        yield _MAYBE_OVER.found(f"the dialogue has between {count.lower:,} and {count.upper:,} tokens; {limit}", line)


def _judge_size(examples: int) -> Iterable[Finding]:
    if examples < MINIMUM_EXAMPLES:
        yield _TOO_SMALL.found(f"There are {examples} valid examples; at least {MINIMUM_EXAMPLES} are needed.")
    elif examples < ADVISED_EXAMPLES:
        yield _SMALL.found(f"There are {examples} valid examples; {ADVISED_EXAMPLES} or more are advised.")


def _facet(row: Row, count: TokenCount) -> Facet:
    return Facet(
        topic=_label(row.metadata.get("topic")),
        language=_label(row.metadata.get("language")) or detect(row.conversation.first_user_text()),
        kind=_label(row.metadata.get("kind")) or "imported",
        tokens=count.upper,
        turns=sum(message.role is not Role.SYSTEM for message in row.conversation.messages),
    )


def _label(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _spoken(conversation: Conversation) -> str:
    """The turns without the system's, each behind its role, so that who said what counts."""
    return "\n".join(
        f"{message.role}: {message.content}" for message in conversation.messages if message.role is not Role.SYSTEM
    )
