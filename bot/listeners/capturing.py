"""From a message in Slack to a capture, and from a capture to what its form shows.

Owns reading the thread around a reply and what is said where that fails. What the forms look like is
``bot.blocks.correct``'s; what opens, changes and saves them is in ``correct``, ``turns`` and ``links``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from sqlmodel import Session

from bot.assistant.history import about_reply, speaking
from bot.blocks.correct import Form
from bot.blocks.elements import Block
from bot.desk import Desk, place, source
from bot.outcomes import TROUBLES
from bot.speech import Say
from bot.threads import text_of
from curation import captures, corrections, proposals
from curation.captures import Kept
from curation.errors import ErrataError
from curation.language import detect
from curation.people import Actor
from curation.wording import Phrase, phrase

log = logging.getLogger("errata.correct")

View = Callable[[Say, Form], Block]

_WHY_NOT = {
    "channel_not_found": phrase("Errata is not in this channel: invite it with /invite @Errata."),
    "not_in_channel": phrase("Errata is not in this channel: invite it with /invite @Errata."),
    "missing_scope": phrase("Errata may not read this channel's history: add the scope that errata doctor names."),
    "thread_not_found": phrase("The thread is deleted."),
    "message_not_found": phrase("The message is deleted."),
    "ratelimited": phrase("Slack lets Errata read no more threads for a moment."),
}


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a reply stands, and its message."""

    team: str
    channel: str
    message: Mapping[str, Any]

    @property
    def ts(self) -> str:
        """The message's own ts."""
        return str(self.message["ts"])

    @property
    def thread_ts(self) -> str:
        """The ts of its thread; its own where it begins one."""
        return str(self.message.get("thread_ts") or self.ts)

    @property
    def reply(self) -> str:
        """What it says; empty where it has no words."""
        return text_of(self.message)


def keep(session: Session, desk: Desk, actor: Actor, spot: Spot) -> int:
    """Keep the reply; the capture's id.

    Raises:
        ErrataError: as ``proposals.capture``.
    """
    kept = proposals.capture(
        session,
        actor,
        desk.clock(),
        team_id=spot.team,
        spoken_by=speaking(spot.message),
        source=source(spot.team, spot.channel, spot.ts),
        thread=source(spot.team, spot.channel, spot.thread_ts),
        reply=spot.reply,
    )
    return kept.key


def fill(session: Session, capture_id: int, spot: Spot, thread: Sequence[Mapping[str, Any]]) -> Kept:
    """Complete the capture with what its thread says.

    Raises:
        ErrataError: the thread does not say what came before the reply.
    """
    where = place(spot.team, spot.channel)
    about = about_reply(session, where, thread, reply_ts=spot.ts, spoken_by=speaking(spot.message))
    captures.fill(
        session,
        capture_id,
        about.captured.conversation,
        reply=about.captured.reply,
        staff_reply=about.captured.staff_reply,
        speakers=about.asking,
        context=about.context,
        thread=about.thread,
        choices=about.choices,
    )
    session.flush()
    return captures.find(session, capture_id)


def form_of(desk: Desk, session: Session, say: Say, kept: Kept, **shown: Any) -> Form:
    """What a form shows of a capture, beside what ``shown`` says of it."""
    several = captures.choices(session, kept.id)
    return Form(
        capture_id=kept.id,
        reply=kept.reply,
        turns=None if kept.turns is None else [(turn["role"], turn["content"]) for turn in kept.turns],
        staff_reply=kept.staff_reply,
        room=_room(desk, session, say, kept),
        choices=[(one.source, one.reply) for one in several],
        shown=kept.source if several else None,
        **shown,
    )


def update(client: WebClient, *, view_id: str, view_hash: str, view: Block) -> bool:
    """Show another view; false where it was closed or changed meanwhile, or Slack does not say."""
    try:
        client.views_update(view_id=view_id, hash=view_hash, view=view)
    except TROUBLES as error:
        log.info("a form could not be updated: code=%s", code_of(error))
        return False
    return True


def code_of(error: Exception) -> str:
    """Slack's word for what went wrong, or the kind of the error."""
    return str(error.response.get("error")) if isinstance(error, SlackApiError) else type(error).__name__


def trouble_of(error: Exception) -> Phrase:
    """Why a thread could not be read, in a sentence."""
    if isinstance(error, ErrataError):
        return error.sentence
    if not isinstance(error, SlackApiError):
        return phrase("Slack did not answer while the thread was read.")
    code = code_of(error)
    return _WHY_NOT.get(code) or phrase("The thread could not be read ({code}).", code=code[:40])


def _room(desk: Desk, session: Session, say: Say, kept: Kept) -> str | None:
    """What of the window is taken before the reply; None where there is nothing to measure with."""
    gauge = desk.gauge()
    if gauge is None or kept.turns is None:
        return None
    asked = corrections.asked(session, kept.turns, assistant_id=kept.assistant_id, source=kept.source)
    return say(gauge.room(asked, detect(asked.first_user_text())))
