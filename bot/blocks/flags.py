"""The flagged replies that wait for a correction, as a list in a modal: each with who minds it, and two buttons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bot.blocks.elements import Block, actions, button, context, modal, section
from bot.links import message_link
from bot.mrkdwn import escape, quote
from bot.speech import Say
from curation.flagged import Flagged

OPEN = "flags_open"
CORRECT = "flag_correct"
DISMISS = "flag_not_wrong"
MORE = "flags_more"
LIST = "flags_list"

SHOWN = 10
EXCERPT = 300


@dataclass(frozen=True, slots=True)
class Page:
    """What the list shows.

    Attributes:
        replies: at most ``SHOWN``, most flags first.
        total: how many wait altogether.
        names: of those who flagged, by person id.
        further: whether a page follows this one.
        said: what was done just now, in a sentence.
    """

    replies: tuple[Flagged, ...]
    total: int
    names: Mapping[str, str]
    further: bool = False
    said: str | None = None


def view(say: Say, page: Page, texts: Mapping[str, str] | None = None) -> Block:
    """The list. ``texts`` are the replies as they were just read, by source; None while they are being read."""
    blocks: list[Block] = []
    if page.said is not None:
        blocks.append(section(f":white_check_mark: {escape(page.said)}"))
    if not page.replies:
        blocks.append(section(say("No flagged reply waits for a correction.")))
        return modal(say, LIST, say("Flagged replies"), blocks, submit=None)
    blocks.append(
        section(
            say.many(
                "*{count:,} flagged reply* waits for a correction.",
                "*{count:,} flagged replies* wait for a correction, those that most people minded first.",
                page.total,
            )
        )
    )
    for number, reply in enumerate(page.replies, 1):
        blocks += _reply(say, number, reply, page.names, texts)
    if page.further:
        blocks.append(actions("flags_more", [button(say("Show more"), MORE, _position(page.replies[-1]))]))
    return modal(say, LIST, say("Flagged replies"), blocks, submit=None)


def opener(say: Say, total: int) -> Block:
    """The button that opens the list, for other messages."""
    return button(say("Flagged ({count:,})", count=total), OPEN, "flags")


def _reply(
    say: Say, number: int, reply: Flagged, names: Mapping[str, str], texts: Mapping[str, str] | None
) -> list[Block]:
    if texts is None:
        said = f"_{escape(say('Reading the message …'))}_"
    else:
        text = texts.get(reply.source)
        said = quote(text, EXCERPT) if text else f"_{escape(say('You or Errata cannot see this message.'))}_"
    link = message_link(reply.source)
    open_it = f"\n<{link}|{escape(say('Open the message'))}>" if link is not None else ""
    buttons = [
        button(say("Correct"), CORRECT, reply.source, style="primary"),
        button(say("Not wrong"), DISMISS, reply.source),
    ]
    return [
        section(f"{said}{open_it}"),
        context(_minded(say, reply, names)),
        actions(f"flag:{number}", buttons),
    ]


def _minded(say: Say, reply: Flagged, names: Mapping[str, str]) -> str:
    shown = [names.get(person, person) for person in reply.by[:5]]
    return say.many(
        "{count:,} person minds it: {names}. Since {day}.",
        "{count:,} people mind it: {names}. Since {day}.",
        reply.flags,
        names=shown,
        day=_day(reply.first_at),
    )


def _day(moment: datetime) -> str:
    return moment.date().isoformat()


def _position(reply: Flagged) -> str:
    """Where the next page begins; ``bot.listeners.flags`` reads it."""
    return f"{reply.flags}|{reply.first_at.isoformat()}|{reply.source}"
