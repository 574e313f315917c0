"""Topics: what people called a dialogue, and what they would probably call the others.

Owns the suggestion and its taking. A suggestion is the topic of the nearest labelled dialogues, it comes with its
confidence, and nobody's label is replaced: what people said stands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from curation import audit, candidates
from curation.candidates import OPEN, CandidateStatus
from curation.conversation import Conversation
from curation.errors import Invalid
from curation.measures.diversity import vectors
from curation.people import Actor, require
from curation.policies import Permission
from curation.store.tables import Candidate, Example
from curation.wording import called

NEIGHBOURS = 7
MINIMUM_CONFIDENCE = 0.8
MINIMUM_SIMILARITY = 0.22
"""The neighbours' mean cosine below which a text is about something that nobody has labelled yet.

Of 1,000 support dialogues, beside 1,000 labelled ones about 15 topics of which three were left out in turn, 72 % of
those about a known topic got a suggestion, and 99.9 % of the suggestions were right; of those about an unknown topic
2 % got one, which is wrong. Where only four topics are labelled, a fifth is taken for one of them more often: 8 of 40.
"""
_AT_ONCE = 500
LABELLED = 5_000
"""The newest labelled examples that suggestions come from."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A topic for a candidate that has none.

    Attributes:
        confidence: the topic's part of the nearest dialogues' similarity, from 0 to 1.
    """

    candidate: int
    topic: str
    confidence: float
    question: str

    def as_json(self) -> dict[str, Any]:
        """Every attribute; the confidence to three digits."""
        return {**asdict(self), "confidence": round(self.confidence, 3)}


def nearest(labelled: Sequence[tuple[str, str]], texts: Sequence[str]) -> list[tuple[str, float] | None]:
    """For each text the topic of its nearest neighbours with its confidence; None where that is too little.

    The ``NEIGHBOURS`` labelled texts of the greatest cosine similarity vote with it. Fewer labelled texts than
    neighbours, or neighbours that are hardly similar, suggest nothing.

    Args:
        labelled: ``(text, topic)``.
        texts: to be labelled.
    """
    import numpy as np  # noqa: PLC0415 (a tenth of a second that --help need not wait for)

    if len(labelled) < NEIGHBOURS or not texts:
        return [None] * len(texts)
    known = vectors([text for text, _ in labelled])
    # What stands in every text says nothing: less its mean, a vector is what sets the text apart.
    mean = known.mean(axis=0)
    known = _unit(known - mean)
    answers: list[tuple[str, float] | None] = []
    for start in range(0, len(texts), _AT_ONCE):
        for row in _unit(vectors(texts[start : start + _AT_ONCE]) - mean) @ known.T:
            near = np.argsort(-row, kind="stable")[:NEIGHBOURS]
            answers.append(_vote([(labelled[place][1], float(row[place])) for place in near]))
    return answers


def suggest(session: Session, actor: Actor) -> list[Suggestion]:
    """Topics for the open candidates that have none, as far as the labelled examples are like them.

    Raises:
        NotAllowed: the actor may not review.
    """
    require(session, actor, Permission.REVIEW)
    rows = session.exec(
        select(Example).where(col(Example.topic).is_not(None)).order_by(col(Example.id).desc()).limit(LABELLED)
    )
    labelled = [(Conversation.from_json(row.messages).user_text(), row.topic) for row in rows if row.topic]
    unlabelled = list(
        session.exec(
            select(Candidate)
            .where(col(Candidate.topic).is_(None), col(Candidate.status).in_(OPEN))
            .order_by(col(Candidate.id))
        )
    )
    texts = [Conversation.from_json(candidate.turns).user_text() for candidate in unlabelled]
    return [
        Suggestion(candidate.key, found[0], found[1], text)
        for candidate, text, found in zip(unlabelled, texts, nearest(labelled, texts), strict=True)
        if found is not None
    ]


def label(
    session: Session, actor: Actor, now: datetime, *, candidate_id: int, topic: str, suggested: bool = False
) -> None:
    """Give an open candidate a topic.

    Args:
        suggested: whether the topic is a suggestion that the actor takes: it then fills a gap and replaces nothing.

    Raises:
        NotAllowed, NotFound: the actor may not review; no such candidate.
        Invalid: the topic is blank, or the candidate is decided, and what it became never changes.
    """
    require(session, actor, Permission.REVIEW)
    if not topic.strip():
        raise Invalid("The topic is empty: give a word or two, such as billing.")
    candidate = candidates.find(session, candidate_id)
    if candidate.status not in OPEN:
        raise Invalid(
            "Candidate {candidate} is {status}: its topic stays as it is.",
            candidate=candidate_id,
            status=called(CandidateStatus(candidate.status)),
        )
    if candidate.topic == topic.strip() or (suggested and candidate.topic):
        return
    candidate.topic = topic.strip()
    session.add(candidate)
    audit.record(
        session,
        actor,
        now,
        "candidate.labelled",
        subject=f"candidate:{candidate_id}",
        details={"suggested": suggested},
    )


def _vote(neighbours: Sequence[tuple[str, float]]) -> tuple[str, float] | None:
    votes: dict[str, float] = defaultdict(float)
    for topic, similarity in neighbours:
        votes[topic] += max(0.0, similarity)
    total = sum(votes.values())
    topic = max(sorted(votes), key=votes.__getitem__)
    if total <= MINIMUM_SIMILARITY * len(neighbours) or votes[topic] < MINIMUM_CONFIDENCE * total:
        return None
    return topic, votes[topic] / total


def _unit(rows: Any) -> Any:
    import numpy as np  # noqa: PLC0415

    return rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9)
