"""The one message of a channel that says what waits for review there; edited in place, never one for each candidate.

Owns its words and its buttons. How much waits is ``curation.queue``'s to count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.blocks.candidate import TITLES, language_named, suggestion_line
from bot.blocks.correct import REASONS
from bot.blocks.elements import Block, actions, button, context, section
from bot.mrkdwn import quote
from bot.speech import Say
from curation.candidates import CandidateKind, Reason
from curation.suggestions import Kind
from curation.summaries import CandidateSummary

OPEN = "review_open"

SHOWN_CANDIDATES = 3
EXCERPT = 90
ABOUT = 180
SHOWN_REVIEWERS = 5


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits in one channel.

    Attributes:
        place: the destination key of the channel, which the button carries.
        waiting: how many candidates wait.
        risky: of how many of them screening warns.
        returned: how many wait for their author instead.
        oldest_at: since when the oldest one waits.
        reviewing: the names of those who review now.
        first: the candidates whose turn is next, a few of them.
        decided: how many were decided within a day.
        further: buttons beside *Review*.
    """

    place: str
    waiting: int
    risky: int = 0
    returned: int = 0
    oldest_at: datetime | None = None
    reviewing: Sequence[str] = ()
    first: Sequence[CandidateSummary] = ()
    decided: int = 0
    further: Sequence[Block] = ()


def queue(say: Say, waiting: Queue, now: datetime) -> list[Block]:
    """The message; where nothing waits it says so, and how much was done."""
    if not waiting.waiting:
        further = [actions("queue", waiting.further)] if waiting.further else []
        return [section(f":white_check_mark: {queue_text(say, waiting, now)}"), context(_hint(say)), *further]
    opened = button(say("Review"), OPEN, waiting.place, style="primary")
    return [
        section(f"*{queue_text(say, waiting, now)}*"),
        *([section("\n".join(f"• {_line(say, one)}" for one in waiting.first))] if waiting.first else []),
        *([context(_reviewing(say, waiting.reviewing))] if waiting.reviewing else []),
        actions("queue", [opened, *waiting.further]),
    ]


def queue_text(say: Say, waiting: Queue, now: datetime) -> str:
    """The message in one line, for notifications; our own words only."""
    if not waiting.waiting:
        return " ".join([say("Nothing waits for review."), *_done(say, waiting)])
    parts = [say.many("{count:,} waits for review", "{count:,} wait for review", waiting.waiting)]
    if waiting.risky:
        parts.append(say.many("{count:,} is risky", "{count:,} are risky", waiting.risky))
    if waiting.oldest_at is not None:
        parts.append(say("oldest {age}", age=_age(say, now - waiting.oldest_at)))
    return " · ".join(parts)


def _done(say: Say, waiting: Queue) -> list[str]:
    """What became of what waited."""
    decided = say.many(
        "{count:,} was decided in the last 24 hours.", "{count:,} were decided in the last 24 hours.", waiting.decided
    )
    returned = say.many(
        "{count:,} is back with its author.", "{count:,} are back with their authors.", waiting.returned
    )
    return [line for number, line in ((waiting.decided, decided), (waiting.returned, returned)) if number]


def _hint(say: Say) -> str:
    return say("Corrections come from the message shortcut “Correct this reply”; /errata stats shows what is missing.")


def _reviewing(say: Say, names: Sequence[str]) -> str:
    shown, more = tuple(names[:SHOWN_REVIEWERS]), len(names) - SHOWN_REVIEWERS
    if more > 0:
        return say("Reviewing now: {names} and {more} more", names=shown, more=more)
    return say("Reviewing now: {names:and}", names=shown)


def _line(say: Say, summary: CandidateSummary) -> str:
    parts = [
        say(TITLES[CandidateKind(summary.kind)].template, id=summary.id),
        language_named(summary.language),
        say(REASONS[Reason(summary.reason)]) if summary.reason is not None else None,
        *(_suggested(say, summary)),
    ]
    about = " · ".join(part for part in parts if part)
    return f"{quote(about, ABOUT)}: {quote(summary.question or summary.reply, EXCERPT)}"


def _suggested(say: Say, summary: CandidateSummary) -> list[str | None]:
    """What models make of it where its author has said nothing; how likely staff would flag it in any case."""
    said = {Kind.TOPIC.value: summary.topic, Kind.REASON.value: summary.reason}
    return [suggestion_line(say, one) for one in summary.suggestions if said.get(one.label) is None]


def _age(say: Say, age: timedelta) -> str:
    """In the largest unit that fits: nobody plans by the minute."""
    minutes = max(int(age.total_seconds() // 60), 0)
    hours, days = minutes // 60, age.days
    if days:
        return say.many("{count:,} day", "{count:,} days", days)
    if hours:
        return say.many("{count} hour", "{count} hours", hours)
    return say.many("{count} minute", "{count} minutes", minutes)
