"""``/errata queue``, ``review`` and ``stats``: what waits for a decision, and what there is already."""

from __future__ import annotations

from sqlmodel import Session

from bot.blocks import commands as blocks
from bot.blocks import queue as queue_blocks
from bot.blocks.commands import Line, opener
from bot.listeners.commands.asked import Answer, Asked, Blocks, View
from bot.listeners.review import open_review
from bot.mrkdwn import escape, quote
from bot.speech import Say
from curation import people, queue
from curation.candidates import CandidateKind
from curation.measures import stats as measures
from curation.policies import Permission
from curation.wording import called, phrase

EXCERPT = 80


def waiting(session: Session, asked: Asked) -> Answer:
    """The first few that wait."""
    people.require(session, asked.actor, Permission.REVIEW)
    say, everything = asked.say, queue.Filters(seen_by=asked.actor.person_id)
    shown = queue.page(session, everything, limit=blocks.SHOWN).candidates
    if not shown:
        return say("Nothing waits for review. Corrections come from the message shortcut *Correct this reply*.")
    number = queue.waiting(session, everything)
    title = say.many("{count:,} waits for review:", "{count:,} wait for review:", number)
    lines = [Line(f"#{one.id} {_kind(say, one.kind, one.language)}: {quote(one.reply, EXCERPT)}") for one in shown]
    rest = number - len(shown)
    foot = say.many("… and {count:,} more", "… and {count:,} more", rest) if rest else ""
    begin = Line(say("Decide about them:"), [opener(say("Review"), queue_blocks.OPEN, style="primary")])
    return Blocks(blocks.in_words(title, lines, foot), blocks.listing(title, [*lines, begin], foot))


def review(session: Session, asked: Asked) -> Answer:
    """The modal in which one decision loads the next candidate."""
    return View(open_review(asked.desk, session, asked.body))


def stats(session: Session, asked: Asked) -> Answer:
    """The approved examples, and which are missing."""
    people.require(session, asked.actor, Permission.REVIEW)
    say, found = asked.say, measures.overview(session)
    total = found.balance.total
    if not total:
        return say("No example has been approved yet. Next: {command}", command="`/errata review`")
    kinds = [
        say("{number:,} {kind}", number=number, kind=called(CandidateKind(kind)))
        for kind, number in sorted(found.balance.kinds.items())
    ]
    title = say.many("{count:,} approved example", "{count:,} approved examples", total)
    told = [f"*{title}*: {', '.join(kinds)}"]
    told += [f"• {escape(say(finding.sentence()))}" for finding in found.findings]
    told += [f"• {escape(say(advice.sentence()))}" for advice in found.advice[: blocks.SHOWN]]
    return "\n".join([*told, say("Next: {command}", command="`/errata freeze`")])


def _kind(say: Say, kind: str, language: str | None) -> str:
    """``correction, en``."""
    return say("{kind}, {language}", kind=called(CandidateKind(kind)), language=language or phrase("unknown"))
