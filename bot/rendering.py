"""What a notice says: rendered from its subject's state at the moment it is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlmodel import Session

from bot.blocks import authors
from bot.blocks import datasets as dataset_blocks
from bot.blocks import digest as digest_blocks
from bot.blocks import flags as flag_blocks
from bot.blocks import queue as queue_blocks
from bot.blocks import runs as run_blocks
from bot.blocks import samples as sample_blocks
from bot.blocks import thread_posts as thread_post_blocks
from bot.blocks.elements import Block
from bot.mrkdwn import escape
from bot.speech import DEFAULT, Say, speaking, spoken_to
from curation import (
    board,
    candidates,
    digests,
    feedback,
    flagged,
    notices,
    queue,
    rolling,
    samples,
    thread_posts,
    weeks,
)
from curation.datasets import requested
from curation.notices import NoticeKind
from curation.store.tables import Candidate, Notice
from curation.summaries import of_candidate, of_candidates
from curation.wording import phrase
from training import deployments, runs, slots
from training.deployments import DeploymentStatus
from training.planning.prices import SHIPPED, PriceTable
from training.runs import production
from training.store.tables import Deployment
from training.summaries import RunSummary, of_run, standing_of
from training.weekly import of_week


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG with the words for those who cannot see it."""

    name: str
    content: bytes
    alt_text: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message for a channel; with a picture it is a file post and ``text`` its comment.

    Attributes:
        lasting: whether it is posted anew where somebody deleted it, or Slack did after some time: whoever reads it
            next still needs it.
    """

    text: str
    blocks: tuple[Block, ...] = ()
    picture: Picture | None = None
    lasting: bool = False


NOT_KEPT = phrase("This was erased: Errata keeps nothing of it any more.")
"""What becomes of a card in a channel once its candidate is gone."""

REPLACED = phrase("What waits for review is in one message about the queue now.")
"""What becomes of the card of a single candidate, as there were before."""

GOES_ON = phrase("What waits for review is in a newer message below.")
"""What becomes of a message about a queue once the next one has begun."""

_LASTING = frozenset({NoticeKind.AUTHOR, NoticeKind.RUN_STATUS, NoticeKind.DEPLOYMENT})
_OF_CANDIDATES = frozenset({notices.CARD, NoticeKind.AUTHOR.value, NoticeKind.THREAD_POST.value})

PERSON = "person:"
"""How the destination key of somebody's direct messages begins; their person id follows."""


def render(
    session: Session, notice: Notice, now: datetime, language: str = DEFAULT, table: PriceTable = SHIPPED
) -> Message:
    """The message that this notice owes now: to a person in their language, to a channel in the workspace's.

    Args:
        table: what providers ask for today.
    """
    say = speaking(language)
    if notice.destination.startswith(PERSON):
        say = spoken_to(session, notice.destination.removeprefix(PERSON), language)
    gone = notice.kind in _OF_CANDIDATES and session.get(Candidate, int(_id(notice))) is None
    if gone and notices.message_ref(session, notice) is not None:
        return Message(say(NOT_KEPT))
    if notice.kind == notices.CARD:
        return Message(say(REPLACED))
    if notice.kind == NoticeKind.QUEUE:
        current = rolling.is_current(session, notice.message_key or "")
        return replace(_queue(session, _id(notice), say, now), lasting=True) if current else Message(say(GOES_ON))
    kind, subject = NoticeKind(notice.kind), _id(notice)
    priced = _PRICED.get(kind)
    told = priced(session, subject, say, table) if priced is not None else _RENDERERS[kind](session, subject, say)
    return replace(told, lasting=kind in _LASTING)


def _queue(session: Session, subject: str, say: Say, now: datetime) -> Message:
    tally = queue.tally_of(session, now, subject)
    waiting = queue_blocks.Queue(
        place=subject,
        waiting=tally.waiting,
        risky=tally.risky,
        returned=tally.returned,
        oldest_at=tally.oldest_at,
        reviewing=tally.reviewers,
        first=of_candidates(session, board.first(session, subject, queue_blocks.SHOWN_CANDIDATES)),
        decided=board.decided_lately(session, now, subject),
        further=_to_flags(session, subject, say),
    )
    return Message(queue_blocks.queue_text(say, waiting, now), tuple(queue_blocks.queue(say, waiting, now)))


def _to_flags(session: Session, place: str, say: Say) -> tuple[Block, ...]:
    unanswered = flagged.count(session, team=place.rpartition("/")[0])
    return (flag_blocks.opener(say, unanswered),) if unanswered else ()


def _author(session: Session, subject: str, say: Say) -> Message:
    summary = of_candidate(session, candidates.find(session, int(subject)))
    return Message(authors.told_text(say, summary), tuple(authors.told(say, summary)))


def _thread_post(session: Session, subject: str, say: Say) -> Message:
    shown = thread_posts.shown(session, int(subject))
    return Message(thread_post_blocks.post_text(say, shown), tuple(thread_post_blocks.post(say, shown)))


def _not_posted(session: Session, subject: str, say: Say) -> Message:
    trouble = thread_posts.trouble(session, int(subject))
    return Message(escape(thread_post_blocks.not_posted(say, int(subject), trouble)))


def _frozen(session: Session, subject: str, say: Say) -> Message:
    outcome = requested.outcome_of(session, int(subject))
    return Message(dataset_blocks.frozen_text(say, outcome), tuple(dataset_blocks.frozen(say, outcome)))


def _status(session: Session, subject: str, say: Say, table: PriceTable) -> Message:
    summary = _run(session, subject, table)
    return Message(run_blocks.status_text(say, summary), tuple(run_blocks.status(say, summary)))


def _curve(session: Session, subject: str, say: Say) -> Message:
    from training.plots import loss_curve  # noqa: PLC0415 (matplotlib is for the worker, and only once it draws)

    summary = _run(session, subject)
    return _pictured(
        say,
        run_blocks.curve_text(say, summary),
        f"{summary.id}-loss.png",
        lambda path: loss_curve(summary.curve, path, phrase("Loss of {run}", run=summary.id)),
    )


def _evaluated(session: Session, subject: str, say: Say, table: PriceTable) -> Message:
    summary = _run(session, subject, table)
    return Message(run_blocks.evaluated_text(say, summary), tuple(run_blocks.evaluated(say, summary)))


def _scores(session: Session, subject: str, say: Say) -> Message:
    from training.evaluation.pictures import evaluation  # noqa: PLC0415 (as above)

    summary = _run(session, subject)
    return _pictured(
        say,
        run_blocks.scores_text(say, summary),
        f"{summary.id}-scores.png",
        lambda path: evaluation(summary.report or {}, path, phrase("Evaluation of {run}", run=summary.id)),
    )


def _deployment(session: Session, subject: str, say: Say, table: PriceTable) -> Message:
    deployment = session.get_one(Deployment, int(subject))
    live, former = production(session), deployments.former_live(session)
    summary = replace(  # of a run that was deployed twice, each deployment has a message of its own
        _run(session, deployment.run_id, table),
        deployment=standing_of(deployment),
        endpoint=deployment.url,
        test_question=deployment.test_question,
        test_reply=deployment.test_reply,
        deployment_reason=deployment.reason,
    )
    slot = slots.of_deployment(session, deployment)
    if slot != slots.REPLIES:
        return Message(run_blocks.suggester_text(say, summary, slot), tuple(run_blocks.suggester(say, summary, slot)))
    now_live, was_live = live.id if live is not None else None, former.run_id if former is not None else None
    return Message(
        run_blocks.deployment_text(say, summary, live=now_live),
        tuple(run_blocks.deployment(say, summary, live=now_live, former=was_live)),
    )


def _idle(session: Session, subject: str, say: Say, table: PriceTable) -> Message:
    deployment = session.get_one(Deployment, int(subject))
    summary = replace(_run(session, deployment.run_id, table), deployment=standing_of(deployment))
    return Message(run_blocks.idle_text(say, summary), tuple(run_blocks.idle(say, summary)))


def _author_live(session: Session, subject: str, say: Say) -> Message:
    key, _, author = subject.partition(":")
    deployment = session.get_one(Deployment, int(key))
    run = runs.find(session, deployment.run_id)
    number = feedback.trained_on(session, run.dataset_id).get(author, 0)
    standing = deployment.status == DeploymentStatus.LIVE.value
    return Message(
        authors.live_text(say, run.id, number, standing=standing),
        tuple(authors.live(say, run.id, number, standing=standing)),
    )


def _sample(session: Session, subject: str, say: Say) -> Message:
    sample = samples.of_subject(session, subject)
    return Message(sample_blocks.asked_text(say, sample), tuple(sample_blocks.asked(say, sample)))


def _digest(session: Session, subject: str, say: Say) -> Message:
    name, _, team = subject.partition(":")
    week = weeks.named(name)
    figures, trained = digests.of_week(session, week, team), of_week(session, week)
    return Message(digest_blocks.told_text(say, figures), tuple(digest_blocks.told(say, figures, trained)))


def _rates(session: Session, subject: str, say: Say) -> Message:
    from curation.measures.rates import flag_rates  # noqa: PLC0415 (as above)

    name, _, team = subject.partition(":")
    history, title = digests.history(session, weeks.named(name), team), phrase("Flagged replies by week")
    return _pictured(
        say,
        digest_blocks.rates_text(say),
        f"flag-rate-{name}.png",
        lambda path: flag_rates(history, path, title),
    )


def _pictured(say: Say, text: str, name: str, draw: Callable[[Path], str]) -> Message:
    """A message with a picture that is drawn for it; ``draw`` gives the words for those who cannot see it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        alt_text = say(draw(path))
        return Message(text, picture=Picture(name, path.read_bytes(), alt_text))


def _run(session: Session, run_id: str, table: PriceTable = SHIPPED) -> RunSummary:
    """The run; what tells no price needs no table."""
    return of_run(session, runs.find(session, run_id), table)


def _id(notice: Notice) -> str:
    """``run:run-1a2b`` → ``run-1a2b``."""
    return notice.subject.split(":", 1)[1]


_RENDERERS: dict[NoticeKind, Callable[[Session, str, Say], Message]] = {
    NoticeKind.AUTHOR: _author,
    NoticeKind.THREAD_POST: _thread_post,
    NoticeKind.NOT_POSTED: _not_posted,
    NoticeKind.DATASET_FROZEN: _frozen,
    NoticeKind.RUN_CURVE: _curve,
    NoticeKind.RUN_SCORES: _scores,
    NoticeKind.AUTHOR_LIVE: _author_live,
    NoticeKind.SAMPLE: _sample,
    NoticeKind.DIGEST: _digest,
    NoticeKind.DIGEST_RATES: _rates,
}

_PRICED: dict[NoticeKind, Callable[[Session, str, Say, PriceTable], Message]] = {
    NoticeKind.RUN_STATUS: _status,
    NoticeKind.RUN_EVALUATED: _evaluated,
    NoticeKind.DEPLOYMENT: _deployment,
    NoticeKind.IDLE: _idle,
}
"""Those that may name a price: in their words, or in the second question of a button."""
