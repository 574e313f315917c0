"""What a notice says: rendered from its subject's state at the moment it is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlmodel import Session

from bot.blocks import datasets as dataset_blocks
from bot.blocks import review
from bot.blocks import runs as run_blocks
from bot.blocks.elements import Block
from bot.speech import DEFAULT, Say, speaking, spoken_to
from curation import candidates, notices
from curation.datasets import requested
from curation.notices import NoticeKind
from curation.store.tables import Candidate, Notice, Review
from curation.summaries import of_candidate
from curation.wording import phrase
from training import runs
from training.store.tables import Deployment
from training.summaries import RunSummary, of_run


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG with the words for those who cannot see it."""

    name: str
    content: bytes
    alt_text: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message for a channel; with a picture it is a file post and ``text`` its comment."""

    text: str
    blocks: tuple[Block, ...] = ()
    picture: Picture | None = None


NOT_KEPT = phrase("This was erased: Errata keeps nothing of it any more.")
"""What becomes of a card in a channel once its candidate is gone."""

PERSON = "person:"
"""How the destination key of somebody's direct messages begins; their person id follows."""


def render(session: Session, notice: Notice, language: str = DEFAULT) -> Message:
    """The message that this notice owes now: to a person in their language, to a channel in the workspace's."""
    say = speaking(language)
    if notice.destination.startswith(PERSON):
        say = spoken_to(session, notice.destination.removeprefix(PERSON), language)
    gone = notice.kind == NoticeKind.CANDIDATE_CARD and session.get(Candidate, int(_id(notice))) is None
    if gone and notices.message_ref(session, notice) is not None:
        return Message(say(NOT_KEPT))
    return RENDERERS[NoticeKind(notice.kind)](session, _id(notice), say)


def _card(session: Session, subject: str, say: Say) -> Message:
    summary = of_candidate(session, candidates.find(session, int(subject)))
    return Message(review.card_text(summary), tuple(review.card(summary)))


def _returned(session: Session, subject: str, say: Say) -> Message:
    given = session.get_one(Review, int(subject))
    summary = of_candidate(session, candidates.find(session, given.candidate_id))
    return Message(f"Your correction #{summary.id} came back.", tuple(review.returned(summary)))


def _frozen(session: Session, subject: str, say: Say) -> Message:
    outcome = requested.outcome_of(session, int(subject))
    return Message(dataset_blocks.frozen_text(outcome), tuple(dataset_blocks.frozen(outcome)))


def _status(session: Session, subject: str, say: Say) -> Message:
    summary = _run(session, subject)
    return Message(run_blocks.status_text(summary), tuple(run_blocks.status(summary)))


def _curve(session: Session, subject: str, say: Say) -> Message:
    from training.plots import loss_curve  # noqa: PLC0415 (matplotlib is for the worker, and only once it draws)

    summary = _run(session, subject)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{summary.id}-loss.png"
        alt_text = loss_curve(summary.curve, path, f"Loss of {summary.id}")
        return Message(f"Loss curve of {summary.id}", picture=Picture(path.name, path.read_bytes(), alt_text))


def _evaluated(session: Session, subject: str, say: Say) -> Message:
    summary = _run(session, subject)
    return Message(run_blocks.evaluated_text(summary), tuple(run_blocks.evaluated(summary)))


def _deployment(session: Session, subject: str, say: Say) -> Message:
    deployment = session.get_one(Deployment, int(subject))
    summary = _run(session, deployment.run_id)
    return Message(run_blocks.deployment_text(summary), tuple(run_blocks.deployment(summary)))


def _run(session: Session, run_id: str) -> RunSummary:
    return of_run(session, runs.find(session, run_id))


def _id(notice: Notice) -> str:
    """``run:run-1a2b`` → ``run-1a2b``."""
    return notice.subject.split(":", 1)[1]


RENDERERS: dict[NoticeKind, Callable[[Session, str, Say], Message]] = {
    NoticeKind.CANDIDATE_CARD: _card,
    NoticeKind.RETURNED: _returned,
    NoticeKind.DATASET_FROZEN: _frozen,
    NoticeKind.RUN_STATUS: _status,
    NoticeKind.RUN_CURVE: _curve,
    NoticeKind.RUN_EVALUATED: _evaluated,
    NoticeKind.DEPLOYMENT: _deployment,
}
