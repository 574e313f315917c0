"""What ``/errata`` answers with: lists with buttons, and the forms of what needs more than a word.

Pure. Lists are short, for a phone; the whole of it is on the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot.blocks.elements import Block, actions, button, context, section

SHOWN = 10
"""Most lines of a list; with a row of buttons below each it stays under the 50 blocks of a message."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a list, in mrkdwn, and the buttons of what can be done about it."""

    text: str
    buttons: Sequence[Block] = ()


def listing(title: str, lines: Iterable[Line], foot: str = "") -> list[Block]:
    """A title, the lines with their buttons, and small print."""
    blocks = [section(title)]
    for number, line in enumerate(lines):
        blocks.append(section(line.text))
        if line.buttons:
            blocks.append(actions(f"line_{number}", line.buttons))
    return [*blocks, context(foot)] if foot else blocks


def in_words(title: str, lines: Iterable[Line], foot: str = "") -> str:
    """The same as one text, without the buttons."""
    return "\n".join(filter(None, (title, *(f"• {line.text}" for line in lines), foot)))


def opener(label: str, action_id: str, *, style: str | None = None) -> Block:
    """A button that carries no value: it opens something."""
    return {key: held for key, held in button(label, action_id, "", style=style).items() if key != "value"}
