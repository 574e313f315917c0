"""The few Block Kit elements that Errata's messages and modals are made of.

User-written text enters a message only through ``quoted``: escaped, so that it can neither ping nor
link, and cut to what a section holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bot.mrkdwn import quote
from bot.speech import Say

Block = dict[str, Any]

SECTION_LIMIT = 3000
QUOTE_LIMIT = 2800
INPUT_LIMIT = 3000
HEADER_LIMIT = 150
CONTEXT_LIMIT = 2000


def plain(text: str) -> Block:
    """A plain-text object; Slack shows it as it is."""
    return {"type": "plain_text", "text": text, "emoji": True}


def header(text: str) -> Block:
    """A headline of our own words."""
    return {"type": "header", "text": plain(text[:HEADER_LIMIT])}


def section(mrkdwn: str) -> Block:
    """A paragraph of our own words, in Slack's mrkdwn; Slack refuses an empty one, so a dash stands for nothing."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": mrkdwn[:SECTION_LIMIT].strip() or "–"}}


def quoted(label: str, text: str, *, limit: int = QUOTE_LIMIT) -> Block:
    """A labelled paragraph of somebody else's words, its line breaks kept, of at most ``limit`` characters."""
    lines, room = [], limit - len(label)
    for line in text.splitlines() or [""]:
        if room < 2:  # noqa: PLR2004 (an ellipsis and the line break before it)
            break
        lines.append(quote(line, room))
        room -= len(lines[-1]) + 1
    return section(f"*{label}*\n" + "\n".join(lines))


def context(text: str) -> Block:
    """Small print; plain text, so names in it can do nothing."""
    return {"type": "context", "elements": [plain(text[:CONTEXT_LIMIT])]}


def button(label: str, action_id: str, value: str, *, style: str | None = None) -> Block:
    """A button; ``style`` is ``primary`` or ``danger``."""
    element: Block = {"type": "button", "text": plain(label), "action_id": action_id, "value": value}
    return element | ({"style": style} if style else {})


def confirmed(element: Block, *, title: str, text: str, yes: str, no: str) -> Block:
    """An element that asks before it does anything; ``yes`` and ``no`` have 30 characters."""
    asked = {"title": plain(title), "text": plain(text), "confirm": plain(yes), "deny": plain(no)}
    return element | {"confirm": asked | ({"style": element["style"]} if "style" in element else {})}


def actions(block_id: str, elements: Iterable[Block]) -> Block:
    """A row of buttons."""
    return {"type": "actions", "block_id": block_id, "elements": list(elements)}


def text_input(
    say: Say,  # noqa: ARG001 (every builder is told how to speak)
    block_id: str,
    label: str,
    *,
    initial: str | None = None,
    multiline: bool = False,
    optional: bool = False,
    hint: str | None = None,
) -> Block:
    """A text field; its value is found under ``block_id`` and the action ``value``.

    Args:
        initial: of 3,000 characters at most; a text that may have more is for ``bot.blocks.parts``.
    """
    element: Block = {
        "type": "plain_text_input",
        "action_id": "value",
        "multiline": multiline,
        "max_length": INPUT_LIMIT,
    }
    if initial:
        element["initial_value"] = initial
    return _input(block_id, label, element, optional=optional, hint=hint)


def choice(
    block_id: str, label: str, options: Iterable[tuple[str, str]], *, initial: str | None = None, optional: bool = False
) -> Block:
    """A menu of ``(value, text)``.

    Args:
        initial: the value that is chosen to begin with; None, or one that is not among them: none is.
    """
    offered = [{"text": plain(text), "value": value} for value, text in options]
    element: Block = {"type": "static_select", "action_id": "value", "options": offered}
    chosen = next((one for one in offered if one["value"] == initial), None)
    if chosen is not None:
        element["initial_option"] = chosen
    return _input(block_id, label, element, optional=optional, hint=None)


def modal(
    say: Say, callback_id: str, title: str, blocks: Iterable[Block], *, submit: str | None, metadata: str = ""
) -> Block:
    """A modal view; without ``submit`` it can only be read and closed."""
    view: Block = {
        "type": "modal",
        "callback_id": callback_id,
        "title": plain(title),
        "close": plain(say("Cancel") if submit else say("Close")),
        "private_metadata": metadata,
        "blocks": list(blocks),
    }
    return view | ({"submit": plain(submit)} if submit else {})


def notice_view(say: Say, title: str, sentence: str) -> Block:
    """A modal that says one thing."""
    return modal(say, "notice", title, [section(quote(sentence, QUOTE_LIMIT))], submit=None)


def _input(block_id: str, label: str, element: Block, *, optional: bool, hint: str | None) -> Block:
    block: Block = {
        "type": "input",
        "block_id": block_id,
        "label": plain(label),
        "element": element,
        "optional": optional,
    }
    return block | ({"hint": plain(hint)} if hint else {})
