"""``/errata flags`` and ``digest``: what waits for a correction, and how things stand every week."""

from __future__ import annotations

from sqlmodel import Session

from bot.blocks import flags as blocks
from bot.desk import place
from bot.listeners import flags as listing
from bot.listeners.commands.asked import Answer, Asked, View
from curation import digests
from curation.errors import Invalid

ON, OFF = "on", "off"


def flags(session: Session, asked: Asked) -> Answer:
    """The flagged replies that nobody has corrected, in a list with buttons."""
    shown = listing.page(session, asked.desk, asked.body)
    return View(blocks.view(asked.say, shown), listing.fill(asked.desk, asked.say, shown, asked.body))


def digest(session: Session, asked: Asked) -> Answer:
    """Have this channel hear every week how things stand, or no more."""
    say, word = asked.say, (asked.word(0) or ON).casefold()
    if word not in {ON, OFF}:
        raise Invalid("Write /errata digest on or /errata digest off.")
    if word == OFF:
        digests.cancel(session, asked.actor, asked.desk.clock(), place=place(asked.team, asked.channel))
        return say("This channel hears no weekly figures any more.")
    digests.order(session, asked.actor, asked.desk.clock(), place=place(asked.team, asked.channel))
    return say(
        "This channel hears every Monday how things stand. Stop it with {command}", command="`/errata digest off`"
    )
