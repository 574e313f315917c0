"""Where the examples and the queue stand: everything ``errata stats`` and the dashboard tell.

Owns the gathering from rows; the measures are ``curation.measures.balance``'s and ``curation.measures.diversity``'s.
``overview`` only counts, for somebody who waits in Slack; ``gather`` reads every approved example.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation import people
from curation.candidates import CandidateKind, CandidateStatus
from curation.conversation import Conversation, Role
from curation.datasets.dataset import listed
from curation.findings import Finding
from curation.language import detect
from curation.measures import balance as balances
from curation.measures.balance import Advice, Balance, Cell, Demand, Facet
from curation.measures.diversity import Sample
from curation.store.rows import table_of
from curation.store.tables import Candidate, Example
from curation.tokens.counters import TokenCounter

WALK = 1_000
_CANDIDATES, _EXAMPLES = table_of(Candidate), table_of(Example)


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one person put forward, by where it stands, and the topic that is most theirs.

    Attributes:
        share: of everything that waits or is approved, from 0 to 1.
        topic: the topic with the largest share; None where none has a name.
        topic_share: the person's part of that topic, from 0 to 1.
    """

    name: str
    by_status: Mapping[str, int]
    share: float
    topic: str | None
    topic_share: float

    def as_json(self) -> dict[str, Any]:
        """``{"name", "by_status", "share", "topic", "topic_share"}``."""
        return {
            "name": self.name,
            "by_status": dict(self.by_status),
            "share": round(self.share, 3),
            "topic": self.topic,
            "topic_share": round(self.topic_share, 3),
        }


@dataclass(frozen=True, slots=True)
class Stats:
    """How the approved examples and the queue stand.

    Attributes:
        balance: of the approved examples.
        findings: about their balance.
        queue: candidates by status.
        advice: what is missing.
        contributions: by person, whoever did most first.
        versions: ``(name, examples by kind)`` of each dataset, oldest first.
        counter: what counted the tokens; None where nobody did.
    """

    balance: Balance
    findings: Sequence[Finding]
    queue: Mapping[str, int]
    advice: Sequence[Advice]
    contributions: Sequence[Contribution]
    versions: Sequence[tuple[str, Mapping[str, int]]]
    counter: str | None = None

    def as_json(self) -> dict[str, Any]:
        """``{"balance", "findings", "queue", "advice", "authors", "versions", "counter"}``."""
        return {
            "balance": self.balance.as_json(),
            "findings": [finding.as_json() for finding in self.findings],
            "queue": dict(self.queue),
            "advice": [advice.as_json() for advice in self.advice],
            "authors": [one.as_json() for one in self.contributions],
            "versions": [{"name": name, "kinds": dict(kinds)} for name, kinds in self.versions],
            "counter": self.counter,
        }


def overview(session: Session, *, endorsement_share: float = balances.ENDORSEMENT_SHARE) -> Stats:
    """The counts alone, without lengths and diversity: what can be had in a moment however many examples there are."""
    columns = (_EXAMPLES.c.topic, _EXAMPLES.c.language, _EXAMPLES.c.kind)
    counted = session.execute(
        select_columns(*columns, func.count()).where(_EXAMPLES.c.erased_at.is_(None)).group_by(*columns)
    )
    facets = (
        Facet(topic, language, kind, tokens=0, turns=0, count=count) for topic, language, kind, count in counted.all()
    )
    return _stats(session, balances.measure(facets), endorsement_share)


def gather(
    session: Session,
    counter: TokenCounter | None,
    rng: random.Random,
    *,
    endorsement_share: float = balances.ENDORSEMENT_SHARE,
) -> Stats:
    """Everything, from every approved example; a sample of the words is measured for diversity.

    Args:
        session: that only reads.
        counter: of tokens; without one, lengths are 0.
        rng: for the sample.
        endorsement_share: the least share of good replies.
    """
    sample = Sample(rng)
    balance = balances.measure(_facets(session, counter, sample))
    measured = balances.measured(balance, sample.measure())
    return _stats(session, measured, endorsement_share, counter.name if counter is not None else None)


def balance_of(
    items: Iterable[tuple[Example, Conversation]],
    counter: TokenCounter | None,
    rng: random.Random,
    names: Mapping[str, str],
) -> Balance:
    """The balance of examples under the prompts that they are trained with, such as a dataset's.

    Args:
        items: each example with its conversation.
        names: of people, by their id.
    """
    sample = Sample(rng)
    facets = (_facet(example, conversation, counter, sample, names) for example, conversation in items)
    balance = balances.measure(facets)
    return balances.measured(balance, sample.measure())


def pending(session: Session) -> dict[Cell, list[int]]:
    """The ids of the candidates that wait, oldest first, by topic and language, of those that have both."""
    columns = (_CANDIDATES.c.topic, _CANDIDATES.c.language, _CANDIDATES.c.id)
    waiting = session.execute(
        select_columns(*columns)
        .where(
            _CANDIDATES.c.status == CandidateStatus.PENDING.value,
            _CANDIDATES.c.topic.is_not(None),
            _CANDIDATES.c.language.is_not(None),
        )
        .order_by(_CANDIDATES.c.id)
    )
    cells: dict[Cell, list[int]] = defaultdict(list)
    for topic, language, key in waiting:
        if topic and language:
            cells[topic, language].append(key)
    return dict(cells)


def demand(session: Session) -> dict[Cell, Demand]:
    """What production is asked, by topic and language: captured dialogues, and how many of them were flagged."""
    columns = (_CANDIDATES.c.topic, _CANDIDATES.c.language, _CANDIDATES.c.kind)
    counted = session.execute(
        select_columns(*columns, func.count())
        .where(_CANDIDATES.c.kind != CandidateKind.IMPORTED.value)
        .group_by(*columns)
    )
    asked, flagged = Counter[Cell](), Counter[Cell]()
    for topic, language, kind, count in counted:
        if topic and language:
            asked[topic, language] += count
            flagged[topic, language] += count if kind == CandidateKind.CORRECTION.value else 0
    return {cell: Demand(count, flagged[cell]) for cell, count in asked.items()}


def _stats(session: Session, balance: Balance, endorsement_share: float, counter: str | None = None) -> Stats:
    statuses = session.execute(select_columns(_CANDIDATES.c.status, func.count()).group_by(_CANDIDATES.c.status))
    counted: dict[str, int] = dict(statuses.all())
    return Stats(
        balance=balance,
        findings=balances.findings(balance, endorsement_share=endorsement_share),
        queue={status.value: counted.get(status.value, 0) for status in CandidateStatus},
        advice=balances.advise(balance, pending(session), demand=demand(session)),
        contributions=_contributions(session),
        versions=[(one.name, one.manifest["kinds"]) for one in reversed(listed(session))],
        counter=counter,
    )


def _facets(session: Session, counter: TokenCounter | None, sample: Sample) -> Iterator[Facet]:
    columns = [
        _EXAMPLES.c[name] for name in ("topic", "language", "kind", "messages", "authors", "approved_by", "attested")
    ]
    names = {person.id: person.display_name for person, _ in people.listed(session)}
    kept = select_columns(*columns).where(_EXAMPLES.c.erased_at.is_(None)).order_by(_EXAMPLES.c.id)
    for row in session.execute(kept.execution_options(yield_per=WALK)):
        yield _facet(row, Conversation.from_json(row.messages), counter, sample, names)


def _facet(
    example: Any, conversation: Conversation, counter: TokenCounter | None, sample: Sample, names: Mapping[str, str]
) -> Facet:
    spoken = conversation.with_system(None)
    sample.add("\n".join(message.text for message in spoken.messages))
    return Facet(
        topic=example.topic,
        language=example.language or detect(conversation.first_user_text()),
        kind=example.kind,
        tokens=counter.count_all([conversation])[0].upper if counter is not None else 0,
        turns=sum(message.role is not Role.SYSTEM for message in conversation.messages),
        authors=tuple(names.get(author, author) for author in example.authors),
        # Whoever attested a file has not read each row of it.
        reviewer=names.get(example.approved_by, example.approved_by) if example.attested is None else None,
    )


def _contributions(session: Session) -> list[Contribution]:
    columns = (_CANDIDATES.c.flagged_by, _CANDIDATES.c.status, _CANDIDATES.c.topic)
    counted = session.execute(
        select_columns(*columns, func.count())
        .where(_CANDIDATES.c.kind != CandidateKind.IMPORTED.value)
        .group_by(*columns)
    )
    by_status: dict[str, Counter[str]] = defaultdict(Counter)
    by_topic: dict[str, Counter[str]] = defaultdict(Counter)
    for author, status, topic, count in counted:
        by_status[author][status] += count
        if topic and status in {CandidateStatus.PENDING.value, CandidateStatus.APPROVED.value}:
            by_topic[topic][author] += count
    standing = {author: counts["pending"] + counts["approved"] for author, counts in by_status.items()}
    total = sum(standing.values()) or 1
    contributions = []
    for author in sorted(by_status, key=lambda one: (-standing[one], one)):
        theirs = {topic: counts[author] / counts.total() for topic, counts in by_topic.items() if counts[author]}
        most = max(sorted(theirs), key=theirs.__getitem__, default=None)
        contributions.append(
            Contribution(
                name=people.name_of(session, author),
                by_status=dict(sorted(by_status[author].items())),
                share=standing[author] / total,
                topic=most,
                topic_share=theirs[most] if most is not None else 0.0,
            )
        )
    return contributions
