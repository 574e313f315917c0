"""The check: everything that should be known about a file or dataset before money is spent on it.

Owns the order of the looks (format, tokens, duplicates, size, balance) and their report. The rules
about rows are in ``curation.formats.rules``, those about balance in ``curation.measures.balance``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.checking import windows
from curation.checking.scan import scan_rows
from curation.checking.scanned import Scan
from curation.findings import Finding, Severity
from curation.formats.jsonl import Row
from curation.formats.rules import Rule
from curation.measures import balance as balances
from curation.measures.balance import Advice, Balance, Cell, Demand, Facet, Lengths
from curation.similarity import repeats
from curation.tokens.counters import TokenCount, TokenCounter
from curation.wording import phrase

MINIMUM_EXAMPLES = 10
ADVISED_EXAMPLES = 50

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
RULES: tuple[Rule, ...] = (
    *windows.RULES,
    *repeats.RULES,
    _TOO_SMALL,
    _SMALL,
    *balances.RULES,
)
"""Every rule about a dataset as a whole, in the order in which the reference lists them."""


@dataclass(frozen=True, slots=True)
class TokenSummary:
    """Tokens of the valid rows, template included; upper bounds where they are estimated.

    Attributes:
        counter: what counted.
        exact: whether every count is exact.
        total: over all rows.
        at_least: the same as a lower bound; ``total`` where the counts are exact.
        learned: of these, words of the assistant's that are learned from.
        lengths: per row.
    """

    counter: str
    exact: bool
    total: int
    at_least: int
    learned: int
    lengths: Lengths

    def as_json(self) -> dict[str, Any]:
        """``{"total", "at_least", "learned", "p5", "p50", "p95", "max", "exact", "counter"}``."""
        return {
            "total": self.total,
            "at_least": self.at_least,
            "learned": self.learned,
            **self.lengths.as_json(),
            "exact": self.exact,
            "counter": self.counter,
        }


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
    pending: Mapping[Cell, Sequence[int]] | None = None,
    demand: Mapping[Cell, Demand] | None = None,
    endorsement_share: float = balances.ENDORSEMENT_SHARE,
) -> CheckReport:
    """Look at every row once and report.

    Args:
        rows: as ``curation.formats.jsonl.read`` gives them; findings are passed on.
        counter: for the model's tokenizer family.
        window: most tokens of one dialogue.
        model: its name, for the sentences.
        pending: ids of candidates that wait for review, oldest first, by topic and language.
        demand: what production is asked, by topic and language.
        endorsement_share: the least share of good replies, from 0 to 1.

    Raises:
        Unavailable: a temporary file cannot be written.
    """
    with scan_rows(rows, counter) as scan:
        return report(
            scan,
            counter=counter,
            window=window,
            model=model,
            pending=pending,
            demand=demand,
            endorsement_share=endorsement_share,
        )


def report(
    scan: Scan,
    *,
    counter: TokenCounter,
    window: int,
    model: str,
    pending: Mapping[Cell, Sequence[int]] | None = None,
    demand: Mapping[Cell, Demand] | None = None,
    endorsement_share: float = balances.ENDORSEMENT_SHARE,
) -> CheckReport:
    """What a scan with repeats has to say; the arguments are those of ``check``."""
    found = [*scan.findings, *repeats.findings(scan), *_over(scan, window, model)]
    found.sort(key=lambda finding: (finding.line is None, finding.line or 0))
    balance = balances.measured(balances.measure(_facets(scan)), scan.sample.measure())
    tokens = _summary(scan, counter, balance.tokens)
    found.extend(_judge_size(scan.rows))
    if not counter.exact:
        found.append(windows.estimated(counter.name, tokens.at_least, tokens.total, tokens.lengths.max))
    found.extend(balances.findings(balance, endorsement_share=endorsement_share))
    return CheckReport(found, tokens, balance, balances.advise(balance, pending or {}, demand=demand))


def _summary(scan: Scan, counter: TokenCounter, lengths: Lengths) -> TokenSummary:
    total, at_least, learned = (int(scan.column(name).sum(dtype="i8")) for name in ("upper", "lower", "learned"))
    return TokenSummary(counter.name, counter.exact, total, at_least, learned, lengths)


def _over(scan: Scan, window: int, model: str) -> Iterator[Finding]:
    lines, lower, upper, learned = (scan.column(name) for name in ("line", "lower", "upper", "learned"))
    for row in (upper > window).nonzero()[0].tolist():
        count = TokenCount(int(lower[row]), int(upper[row]), int(learned[row]))
        finding = windows.judge(count, window=window, model=model, line=int(lines[row]))
        if finding is not None:
            yield finding


def _judge_size(examples: int) -> Iterable[Finding]:
    if examples < MINIMUM_EXAMPLES:
        yield _TOO_SMALL.found(
            phrase(
                "There are {examples} valid examples; at least {least} are needed.",
                examples=examples,
                least=MINIMUM_EXAMPLES,
            )
        )
    elif examples < ADVISED_EXAMPLES:
        yield _SMALL.found(
            phrase(
                "There are {examples} valid examples; {advised} or more are advised.",
                examples=examples,
                advised=ADVISED_EXAMPLES,
            )
        )


def _facets(scan: Scan) -> Iterator[Facet]:
    """Rows that are alike in all that balance looks at are one facet, with their number."""
    names = ("topic", "language", "kind", "upper", "turns")
    alike = Counter[tuple[int, ...]]()
    for columns in scan.pieces(names):
        alike.update(zip(*(column.tolist() for column in columns), strict=True))
    topics, languages, kinds = ([None, *scan.labels[name]] for name in names[:3])
    for (topic, language, kind, tokens, turns), count in alike.items():
        yield Facet(
            topic=topics[topic],
            language=languages[language],
            kind=kinds[kind] or "imported",
            tokens=tokens,
            turns=turns,
            count=count,
        )
