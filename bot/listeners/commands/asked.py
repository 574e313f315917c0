"""What a sub-command is asked and what it may answer: a text, blocks, a modal, or something that takes a while.

Owns these shapes, how the words after ``/errata`` are told apart, and the suggestion where one is misspelt. Refuses
to talk to Slack: ``bot.listeners.commands`` does, once what a handler did is committed.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slack_sdk import WebClient
from sqlmodel import Session

from bot.blocks.elements import Block
from bot.desk import Desk, place
from bot.speech import Say
from curation.errors import Invalid
from curation.people import Actor
from curation.wording import Phrase

COMMAND = "/errata"

PERSON = "person:"
"""How the destination key of somebody's direct messages begins, as ``bot.rendering`` reads it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One use of the command.

    Attributes:
        say: speaks the language of whoever asked.
        words: what stands behind the sub-command.
        channel, team: ids of where it was typed.
        body: the whole payload, with its ``trigger_id`` and ``response_url``.
    """

    desk: Desk
    actor: Actor
    say: Say
    words: Sequence[str]
    channel: str
    team: str
    body: dict[str, Any]

    @property
    def destination(self) -> str:
        """Where notices go about what is asked for here."""
        return heard_in(self.team, self.channel, self.actor)

    def word(self, position: int) -> str | None:
        """The word at this position, from 0."""
        return self.words[position] if position < len(self.words) else None


def heard_in(team: str, channel: str, actor: Actor) -> str:
    """The destination key of a channel; outside any, of the person's direct messages.

    So too from a direct message with somebody else, where Errata cannot write.
    """
    return place(team, channel) if channel and not channel.startswith("D") else f"{PERSON}{actor.person_id}"


@dataclass(frozen=True, slots=True)
class Blocks:
    """An answer that only whoever asked sees; ``text`` is for notifications and screen readers."""

    text: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class View:
    """A modal. ``fill`` runs after the ack with ``(client, view id, hash)``; what it does may be lost."""

    view: Block
    fill: Callable[[WebClient, str, str], None] | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """A text now, and after the ack the outcome of ``work``, sent through the response_url; it may be lost."""

    text: str
    work: Callable[[], str | Blocks]


Answer = str | Blocks | View | Later
"""A ``str`` is mrkdwn: what people wrote goes into it through ``bot.mrkdwn.quote``."""


@dataclass(frozen=True, slots=True)
class SubCommand:
    """One line of the table.

    Attributes:
        summary: what it does, as a phrase for the list.
        handler: takes the session and what was asked; an ``ErrataError`` of its is told as its sentence.
        usage: the words behind the name, such as ``[NAME] [SHARE]``.
        example: these words as somebody would write them.
        writes: whether the session may change anything; one that does not waits for no other writer.
        notes: more, for ``/errata help NAME``.
    """

    summary: Phrase
    handler: Callable[[Session, Asked], Answer]
    usage: str = ""
    example: str = ""
    writes: bool = False
    notes: Phrase | None = None


# What a phone puts for the quotation mark, and the full-width characters of East Asian keyboards.
_TYPED = {ord(mark): '"' for mark in "“”„‟«»＂「」"} | {0x3000: " ", 0xA0: " "}
_TYPED |= {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F) if chr(code) != "＂"}


# How Slack hands on mentions, channels and addresses (``should_escape`` in the app's manifest).
_MARKED = re.compile(r"<(?P<mark>[@#]?)(?P<target>[^<>|\s]+)(?:\|(?P<label>[^<>]*))?>")


def split(text: str) -> list[str]:
    """The words of what was typed: ``freeze “spring one” 10％`` → ``["freeze", "spring one", "10%"]``.

    Of what Slack marks up, ``<@U1|ana>`` is ``<@U1>``, ``<#C1|help>`` is ``#help``, an address is the address, and
    ``<http://v1.de|v1.de>``, which nobody typed as an address, is ``v1.de``.

    Raises:
        Invalid: a quotation mark is never closed.
    """
    typed = _MARKED.sub(_unmarked, text)
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        typed = typed.replace(entity, character)
    typed = typed.translate(_TYPED)
    for quotes in ("\"'", '"'):  # an apostrophe is no quotation mark, where it has no second one
        lexer = shlex.shlex(typed, posix=True, punctuation_chars=False)
        lexer.whitespace_split, lexer.quotes, lexer.commenters, lexer.escape = True, quotes, "", ""
        try:
            return list(lexer)
        except ValueError:
            continue
    raise Invalid("A quotation mark is missing in {text}: close it and send the command again.", text=text)


def _unmarked(found: re.Match[str]) -> str:
    mark, target, label = found["mark"], found["target"], found["label"]
    if mark == "@":
        return f"<@{target}>"
    if mark == "#":
        return f"#{label or target}"
    scheme, _, address = target.partition(":")
    if scheme not in {"http", "https", "mailto"}:
        return found[0]
    return label if label and address.removeprefix("//").rstrip("/") == label else target


def find(table: Mapping[str, SubCommand], name: str) -> SubCommand:
    """The sub-command of this name, in any case.

    Raises:
        Invalid: there is none; the sentence names the nearest.
    """
    known = table.get(name.casefold().lstrip("/"))
    if known is not None:
        return known
    meant = nearest(name, table)
    if meant is None:
        raise Invalid("There is no command {name}: /errata help lists what there is.", name=name)
    raise Invalid("There is no command {name}. Did you mean /errata {meant}?", name=name, meant=meant)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of the known words that was probably meant; None where none is near."""
    by_fold = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.75)
    return by_fold[near[0]] if near else None
