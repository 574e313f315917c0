"""Slack's text and ours: decoding what people wrote, escaping what the bot says.

Owns mrkdwn, its entities, and the plain text of blocks; whatever Slack holds, what comes out can be kept. Refuses to
interpret emphasis, code fences and emoji names: they are what the person typed, and the model learns from that.
Source: https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

Names = Mapping[str, str]
"""User, channel and user group ids → the names that people see."""

NO_NAMES: Names = MappingProxyType({})

# Raw angle brackets are always Slack's: people's own arrive as entities. One pass over both, so that
# an entity inside a token is decoded with it and `&amp;lt;` ends as `&lt;`, not as `<`.
_TOKEN_OR_ENTITY = re.compile(r"<([^<>]*)>|&(amp|lt|gt);")
# Neither a file of UTF-8 nor PostgreSQL can hold them, and nobody sees them.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_CHARACTERS = {"amp": "&", "lt": "<", "gt": ">"}
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)

_AUTOMATIC_SCHEMES = ("http://", "https://", "mailto:", "tel:")

_ELLIPSIS = "…"
_WORD_JOINER = "\u2060"
# Slack's own rules for what it turns into a link or a ping are not published, so every spot where one
# could begin is broken with a character that nobody sees.
_STARTS_OF_LINKS = re.compile(r"[@#](?=\S)|:(?=//)|(?<=\w)\.(?=[^\W\d_])|(?<=mailto):|(?<=tel):", re.IGNORECASE)
# What in a model's answer could ping somebody, or hide where a link leads. The sign after which it breaks is kept.
_ARMED = re.compile(r"<(?=\S)|@(?=channel|here|everyone)|\](?=[(\[:])")
_DISARMED = re.compile(rf"(?<=[<@\]]){_WORD_JOINER}")
_TRIGGERS = re.compile(r"[<@\]]")
_LONGEST_TRIGGER = len("@everyone")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")  # all of Unicode's category Cc
_BIDI_CONTROLS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

# The elements of a rich_text block: type → the field with its text, and what stands before and after it.
_LEAVES = {
    "text": ("text", "", ""),
    "user": ("user_id", "@", ""),
    "usergroup": ("usergroup_id", "@", ""),
    "channel": ("channel_id", "#", ""),
    "broadcast": ("range", "@", ""),
    "emoji": ("name", ":", ":"),
    "date": ("fallback", "", ""),
}
_MAX_COUNT = 1000  # of a list's indent or offset: Slack's own stay far below


def to_text(mrkdwn: str, names: Names = NO_NAMES) -> str:
    """What the person saw, as plain text.

    ``Hi <@U1|ana>, see <https://x.test|the guide> &amp; reply`` →
    ``Hi @ana, see the guide (https://x.test) & reply``. A link that Slack made out of typed text
    (``<http://x.test|x.test>``) becomes that text again. NUL and halves of surrogate pairs are left out, as nobody sees
    them. For every other text t, to_text(escape(t)) == t.
    """
    return storable(_TOKEN_OR_ENTITY.sub(lambda match: _decoded(match, names), mrkdwn))


def escape(text: str) -> str:
    """``R&D <b>`` → ``R&amp;D &lt;b&gt;``: all that Slack asks for, once, on the way out."""
    return re.sub("[&<>]", lambda match: _ENTITIES[match[0]], text)


def cut(escaped: str, limit: int) -> str:
    """At most ``limit`` characters of a text that is escaped already, none of its entities torn; ``…`` if some miss."""
    if len(escaped) <= limit:
        return escaped
    return re.sub(r"&[a-z]{0,4}$", "", escaped[: limit - len(_ELLIPSIS)]) + _ELLIPSIS


def quote(text: str, limit: int) -> str:
    """One line of somebody's text that is safe inside a mrkdwn section, a code span or a block quote.

    It can't ping, link, close a code span or reverse what follows; line breaks become spaces. At most
    ``limit`` characters (from 1) as Slack counts them, entities included and never cut, the last of
    them ``…`` where something is missing: ``quote("a < b", 6)`` → ``a…``.
    """
    line = " ".join(_BIDI_CONTROLS.sub("", text).split())
    line = _CONTROLS.sub("", line)
    line = _STARTS_OF_LINKS.sub(lambda match: match[0] + _WORD_JOINER, line.replace("`", "ˋ"))
    pieces = [_ENTITIES.get(character, character) for character in line[: limit + 1]]
    if sum(map(len, pieces)) <= limit:
        return "".join(pieces)
    kept, room = [], limit - len(_ELLIPSIS)
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept).rstrip(" " + _WORD_JOINER) + _ELLIPSIS


def disarm(text: str) -> str:
    """A model's answer that can neither ping nor say another address than a link leads to; ``rearm`` undoes it.

    ``Ask <!channel> or [here](https://x.test)`` is shown as it is written: the address stands beside its label.
    """
    return _ARMED.sub(lambda match: match[0] + _WORD_JOINER, text)


def rearm(text: str) -> str:
    """The answer as the model gave it, which is what is corrected and learned from."""
    return _DISARMED.sub("", text)


def settled(text: str) -> int:
    """How many characters of an answer that still grows can be shown: what follows will not change how they look."""
    for found in _TRIGGERS.finditer(text, max(0, len(text) - _LONGEST_TRIGGER)):
        return found.start()
    return len(text)


def blocks_to_text(blocks: Sequence[Any], names: Names = NO_NAMES) -> str:
    """The plain text of header, section, markdown and rich_text blocks, one paragraph each; others have none."""
    paragraphs = (_block(block, names) for block in blocks if isinstance(block, Mapping))
    return storable("\n\n".join(paragraph for paragraph in paragraphs if paragraph))


def storable(text: str) -> str:
    """The text without what no database holds: NUL, and halves of surrogate pairs."""
    return _UNSTORABLE.sub("", text)


def _decoded(match: re.Match[str], names: Names) -> str:
    if match[2]:
        return _CHARACTERS[match[2]]
    target, _, label = (_entities_decoded(part) for part in match[1].partition("|"))
    kind, rest = target[:1], target[1:]
    if kind in {"@", "#"}:
        return kind + (label.removeprefix(kind) or names.get(rest, rest))
    if kind == "!":
        return _special(rest, label, names)
    if not _SCHEME.match(target):
        return _entities_decoded(match[0])  # an unescaped tag in a bot's message, not a link
    typed = target.removesuffix("/") in {scheme + label.removesuffix("/") for scheme in ("", *_AUTOMATIC_SCHEMES)}
    return f"{label} ({target})" if label and not typed else label or target


def _special(command: str, label: str, names: Names) -> str:
    """``subteam^S1|@help`` → ``@help``; ``date^1…^{date}|18 May`` → ``18 May``; ``here`` → ``@here``."""
    name, *arguments = command.split("^")
    if name == "date":
        return label
    if name == "subteam" and arguments:
        return "@" + (label.removeprefix("@") or names.get(arguments[0], arguments[0]))
    return "@" + (label.removeprefix("@") or name)


def _entities_decoded(text: str) -> str:
    return re.sub("&(amp|lt|gt);", lambda match: _CHARACTERS[match[1]], text)


def _block(block: Mapping[str, Any], names: Names) -> str:
    match block:
        case {"type": "rich_text", "elements": list(elements)}:
            return "\n".join(_rich(element, names) for element in elements if isinstance(element, Mapping))
        case {"type": "markdown", "text": str(text)}:
            return text
        case {"type": "header" | "section", **rest}:
            fields = rest.get("fields")
            texts = [rest.get("text"), *(fields if isinstance(fields, list) else [])]
            return "\n".join(_text_object(text, names) for text in texts if isinstance(text, Mapping))
        case _:
            return ""


def _text_object(text: Mapping[str, Any], names: Names) -> str:
    content = text.get("text")
    if not isinstance(content, str):
        return ""
    return content if text.get("type") == "plain_text" else to_text(content, names)


def _rich(element: Mapping[str, Any], names: Names) -> str:
    """One element of a rich_text block; its texts are not escaped."""
    if (leaf := _LEAVES.get(str(element.get("type")))) is not None:
        field, before, after = leaf
        value = str(element.get(field) or "")
        return before + (names.get(value, value) if field.endswith("_id") else value) + after
    if element.get("type") == "link":
        url, label = str(element.get("url") or ""), element.get("text")
        return f"{label} ({url})" if label and label != url else url
    inner = element.get("elements")
    parts = [_rich(child, names) for child in inner if isinstance(child, Mapping)] if isinstance(inner, list) else []
    if element.get("type") != "rich_text_list":
        return "".join(parts)
    indent = "  " * _count(element.get("indent"))
    if element.get("style") == "ordered":
        first = 1 + _count(element.get("offset"))
        return "\n".join(f"{indent}{number}. {part}" for number, part in enumerate(parts, first))
    return "\n".join(f"{indent}• {part}" for part in parts)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value <= _MAX_COUNT else 0
