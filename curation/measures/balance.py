"""Whether a set of examples is balanced, and which examples are missing.

Owns the measures (topic by language table, kinds, people) and what is found about them; the advice is
``curation.measures.advice``'s. Refuses to look at words: topic, language and length of each example come in as a
``Facet``, what its words say about diversity as a ``Diversity``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from curation.findings import Finding, Severity
from curation.formats.rules import Rule
from curation.measures.advice import ADVICE_LIMIT, Advice, Cell, Demand, advise
from curation.measures.diversity import Diversity
from curation.measures.spread import Concentration, Lengths, Spread
from curation.wording import phrase

__all__ = [
    "ADVICE_LIMIT",
    "Advice",
    "Balance",
    "Cell",
    "Demand",
    "Facet",
    "Lengths",
    "Spread",
    "advise",
    "findings",
    "measure",
    "measured",
]

ENDORSEMENT_SHARE = 0.5
"""The least share of good replies: tuned on corrections alone, a small model kept 0 of 48 good replies."""
AUTHOR_SHARE = 0.5
AUTHORED_EXAMPLES = 50
"""Below so many examples somebody has to be the first, and that is no concentration."""

RULES: tuple[Rule, ...] = (
    Rule(
        "balance.endorsements",
        Severity.WARNING,
        "At least half of a dataset are good replies.",
        "Approve more good replies as they are: a model tuned on its mistakes alone forgets what it did well.",
    ),
    Rule(
        "balance.unlabelled",
        Severity.INFO,
        "Every example has a topic and a language.",
        "Give each row metadata with a topic and a language, or balance cannot be judged.",
    ),
    Rule(
        "balance.one_author",
        Severity.INFO,
        f"Of {AUTHORED_EXAMPLES} examples or more, one person wrote at most half.",
        "Let more colleagues correct: a model takes over one person's habits, and one person's errors.",
    ),
)
"""What ``findings`` looks for."""


@dataclass(frozen=True, slots=True)
class Facet:
    """What balance looks at in one example, or in ``count`` alike.

    Attributes:
        topic: as labelled; None where nobody said.
        language: code such as ``de``; None where it is not known.
        kind: ``correction``, ``endorsement`` or ``imported``.
        tokens: of the whole conversation.
        turns: messages other than the system's.
        authors: whoever wrote a version of the reply; empty for imported rows.
        reviewer: whoever approved it.
        count: examples of which all this is true.
    """

    topic: str | None
    language: str | None
    kind: str
    tokens: int
    turns: int
    authors: tuple[str, ...] = ()
    reviewer: str | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Balance:
    """The measures of a set of examples.

    Attributes:
        total: examples measured.
        cells: examples by topic and language, of those that have both.
        topics, languages: how evenly examples spread over each, of those that have it.
        tokens, turns: lengths per example.
        token_counts: examples by their number of tokens, from which a histogram is drawn.
        kinds: examples by kind.
        authors, reviewers: how much is one person's.
        diversity: of the words; None where nobody measured it.
    """

    total: int
    cells: Mapping[Cell, int]
    topics: Spread
    languages: Spread
    tokens: Lengths
    turns: Lengths
    token_counts: Mapping[int, int]
    kinds: Mapping[str, int]
    authors: Concentration
    reviewers: Concentration
    diversity: Diversity | None = None

    @property
    def endorsement_share(self) -> float:
        """Endorsements among all examples, from 0 to 1; 0 for an empty set."""
        return self.kinds.get("endorsement", 0) / self.total if self.total else 0.0

    def as_json(self) -> dict[str, Any]:
        """As ``--json`` prints it; ``table`` is ``{topic: {language: count}}``."""
        table: dict[str, dict[str, int]] = {}
        for (topic, language), count in sorted(self.cells.items()):
            table.setdefault(topic, {})[language] = count
        return {
            "total": self.total,
            "table": table,
            "topics": self.topics.as_json(),
            "languages": self.languages.as_json(),
            "tokens": self.tokens.as_json(),
            "turns": self.turns.as_json(),
            "kinds": dict(sorted(self.kinds.items())),
            "endorsement_share": round(self.endorsement_share, 3),
            "authors": self.authors.as_json(),
            "reviewers": self.reviewers.as_json(),
            "diversity": self.diversity.as_json() if self.diversity is not None else None,
        }


def measure(items: Iterable[Facet]) -> Balance:
    """The balance of ``items``, taken one at a time; their order makes no difference."""
    cells: Counter[Cell] = Counter()
    topics, languages, kinds, authors, reviewers = (Counter[str]() for _ in range(5))
    tokens, turns = Counter[int](), Counter[int]()
    for facet in items:
        if facet.topic:
            topics[facet.topic] += facet.count
        if facet.language:
            languages[facet.language] += facet.count
        if facet.topic and facet.language:
            cells[facet.topic, facet.language] += facet.count
        kinds[facet.kind] += facet.count
        tokens[facet.tokens] += facet.count
        turns[facet.turns] += facet.count
        for author in set(facet.authors):
            authors[author] += facet.count
        if facet.reviewer:
            reviewers[facet.reviewer] += facet.count
    return Balance(
        total=kinds.total(),
        cells=cells,
        topics=Spread.of(topics.values()),
        languages=Spread.of(languages.values()),
        tokens=Lengths.of(list(tokens.elements())),
        turns=Lengths.of(list(turns.elements())),
        token_counts=tokens,
        kinds=kinds,
        authors=Concentration.of(authors),
        reviewers=Concentration.of(reviewers),
    )


def measured(balance: Balance, diversity: Diversity | None) -> Balance:
    """The same with what a walk along the words said, which is known only after every facet has gone by."""
    return replace(balance, diversity=diversity)


def findings(balance: Balance, *, endorsement_share: float = ENDORSEMENT_SHARE) -> list[Finding]:
    """What ``RULES`` says about ``balance``. Imported examples count as good replies: somebody attested them.

    Args:
        balance: of the examples.
        endorsement_share: the least share of good replies, from 0 to 1.
    """
    endorsements, unlabelled, one_author = RULES
    found = []
    corrections = balance.kinds.get("correction", 0)
    if balance.total - corrections < endorsement_share * balance.total:
        found.append(
            endorsements.found(
                phrase(
                    "{corrections:,} of {total:,} examples are corrections, more than half."
                    if endorsement_share == ENDORSEMENT_SHARE
                    else "{corrections:,} of {total:,} examples are corrections, more than {most:.0%}.",
                    corrections=corrections,
                    total=balance.total,
                    most=1 - endorsement_share,
                )
            )
        )
    without = balance.total - sum(balance.cells.values())
    if without:
        found.append(
            unlabelled.found(
                phrase(
                    "{count:,} of {total:,} examples lack a topic or a language.", count=without, total=balance.total
                )
            )
        )
    if balance.authors.largest > AUTHOR_SHARE and balance.total - balance.kinds.get("imported", 0) >= AUTHORED_EXAMPLES:
        found.append(
            one_author.found(
                phrase(
                    "{person} wrote {share:.0%} of the replies.",
                    person=balance.authors.who,
                    share=balance.authors.largest,
                )
            )
        )
    return found
