"""Slack's blocks drawn as text, so that the terminal shows what people in the story see."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.panel import Panel
from rich.text import Text

from bot.mrkdwn import to_text

Blocks = Mapping[str, Any]

_BOLD = re.compile(r"\*(.+?)\*")
_EMOJI = {":white_check_mark:": "✓", ":warning:": "!", ":x:": "✗", ":tada:": "✓", ":scales:": "≈", ":rocket:": "▲"}


def draw(title: str, blocks: list[dict[str, Any]], *, values: Mapping[str, str] | None = None) -> Panel:
    """A panel of these blocks; ``values`` are what somebody has typed, by block id."""
    lines = [Text(line) if isinstance(line, str) else line for block in blocks for line in _lines(block, values or {})]
    return Panel(Text("\n").join(lines), title=title, title_align="left", expand=False, padding=(1, 2))


def _lines(block: Blocks, values: Mapping[str, str]) -> Iterator[str | Text]:
    match block["type"]:
        case "header":
            yield _plain(block["text"]["text"]).upper()
        case "section":
            yield _plain(block["text"]["text"])
        case "rich_text":
            yield from (_styled(part["elements"]) for part in block["elements"])
        case "context":
            yield " ".join(_plain(element["text"]) for element in block["elements"])
        case "input":
            typed = values.get(block["block_id"]) or block["element"].get("initial_value") or ""
            yield f"{block['label']['text']}: [ {typed} ]"
        case "actions":
            yield "  ".join(f"( {_plain(one['text']['text'])} )" for one in block["elements"] if "text" in one)


def _styled(leaves: Sequence[Blocks]) -> Text:
    """Rich text with what is struck through and what is bold, which is how a correction is shown."""
    text = Text()
    for leaf in leaves:
        style = leaf.get("style", {})
        text.append(leaf.get("text", ""), " ".join(name for name in ("strike", "bold") if style.get(name)))
    return text


def _plain(mrkdwn: str) -> str:
    for name, sign in _EMOJI.items():
        mrkdwn = mrkdwn.replace(name, sign)
    return _BOLD.sub(r"\1", to_text(mrkdwn))
