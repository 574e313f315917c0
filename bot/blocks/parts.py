"""A long text in Slack's fields, which hold 3,000 characters each: in parts, and put together again without loss.

Owns where a text is cut (between paragraphs, else lines, else sentences, else words, never inside of what is seen as
one character) and what becomes of the white space at a cut: it travels in the field's ``action_id``, since a field
does not promise to keep what stands at its edges. Reading the parts back is ``bot.listeners.entries.joined``'s.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.blocks.elements import INPUT_LIMIT, Block, actions, button, plain
from bot.speech import Say

ROOM = 2400
"""How much of a text one of several fields is given: what is left of 3,000 is room to write more."""
LONGEST = 30_000
"""Characters that are edited in a form; Slack takes 250 KB for the whole of it."""
HEAVIEST = 150_000
"""Bytes of the text as JSON, where a character takes up to twelve."""
ADD_PART = "add_part"
_PARAGRAPH = "\n\n"  # what stands before a part that somebody adds: which words it parts, nobody can know

_EDGE = 20  # characters of white space that an action_id carries: of 255 they take 5 each, at both edges
_CUTS = (
    re.compile(r"\n[^\S\n]*(?=\n)"),
    re.compile(r"\n"),
    re.compile(r"(?<=[.!?…:])[\"'”’»)\]]*(?=\s)|(?<=[。！？])"),
    re.compile(r"(?=\s)"),
)
_MARKS = frozenset({"Mn", "Mc", "Me"})
_JOINER = "\u200d"
_VIRAMA = 9  # the combining class of the signs that tie two consonants of an Indian script together
_CLINGING = re.compile(
    # What continues the character before it: joiners, skin tones, tags of flags, vowels of Thai and Lao, half-width
    # voicing, the later letters of a Korean syllable.
    "[\u200c\u200d\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\u0e33\u0eb3\uff9e\uff9f\u1160-\u11ff\ud7b0-\ud7ff]"
)
_LEADING = re.compile("[\u1100-\u115f\ua960-\ua97c\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd]")
_REGIONAL = re.compile("[\U0001f1e6-\U0001f1ff]")  # two of them are a flag


@dataclass(frozen=True, slots=True)
class Part:
    """One field's share of a text, and the white space at its edges that the field is not trusted with."""

    before: str
    text: str
    after: str = ""


def part_inputs(
    say: Say, block_id: str, label: str, text: str | None, *, hint: str | None = None, edition: str = ""
) -> list[Block]:
    """A required multiline field with the text, or several: ``correction``, ``correction:2`` and so on.

    A text that is too long for any form is not filled in, since cut short and saved unread it would lose its end.

    Args:
        edition: Slack keeps what stands in a field for as long as its ids stay; another text needs another edition.
    """
    parts = split(text or "")
    if parts is None:
        hint = say(
            "The text has {length:,} characters, too many for a form, so it is not filled in: write it anew.",
            length=len(text or ""),
        )
        parts = [Part("", "")]
    return [
        _field(
            _block_id(block_id, number),
            _label(say, label, number, len(parts)),
            _action_id(edition, part),
            part.text,
            optional=number > 1,
            hint=hint if number == 1 else None,
        )
        for number, part in enumerate(parts, 1)
    ]


def adder(say: Say, block_id: str, fields: Sequence[Block]) -> list[Block]:
    """The button that adds a field below those of a text, where a form has room for another one."""
    if len(fields) * INPUT_LIMIT >= LONGEST:
        return []
    return [actions(f"{ADD_PART}:{block_id}", [button(say("Add a part"), ADD_PART, block_id)])]


def added(say: Say, block_id: str, label: str, fields: Sequence[Block]) -> list[Block]:
    """The fields of ``part_inputs`` and an empty one, which begins a new paragraph; what was typed stays in theirs."""
    _, _, edition = fields[0]["element"]["action_id"].partition(":")
    number = len(fields) + 1
    another = _field(
        _block_id(block_id, number),
        label,
        _action_id(edition.partition(":")[0], Part(_PARAGRAPH, "")),
        "",
        optional=True,
        hint=say("It begins a new paragraph."),
    )
    labelled = enumerate([*fields, another], 1)
    return [field | {"label": plain(_label(say, label, place, number))} for place, field in labelled]


def split(text: str) -> list[Part] | None:
    r"""A text in parts whose edges and texts, one after the other, are the text; None where it is too long for a form.

    ``"a" * 2399 + "\n\nb" + "c" * 2999`` → a part of ``a``, and two of the rest, the first of them after ``\n\n``.
    """
    if len(text) > LONGEST or len(json.dumps(text)) > HEAVIEST:
        return None
    if _units(text) <= INPUT_LIMIT:
        return [_trimmed(text)]
    if not text.strip():
        return None  # nothing but white space has no place to be cut, and nothing to be edited
    return list(_pieces(text))


def edges(action_id: str) -> tuple[str, str]:
    """The white space before and after a part, from its field's ``action_id``.

    Raises:
        ValueError: Errata made no such id.
    """
    if action_id == "value":
        return "", ""
    kind, _edition, before, after = action_id.split(":")
    if kind != "value":
        raise ValueError(action_id)
    return _unpacked(before), _unpacked(after)


def beginning(text: str, most: int) -> str:
    """The text, or as much of it as has room in so many characters, cut where it hurts least."""
    return text[: _cut(text, 0, most)] if _units(text) > most else text


def _trimmed(text: str) -> Part:
    before = _space(text, 0)
    rest = text[len(before) :]
    after = _space_at_end(rest)
    return Part(before, rest[: len(rest) - len(after)], after)


def _pieces(text: str) -> Iterator[Part]:
    at = 0
    while True:
        before = _space(text, at)
        at += len(before)
        if _units(text[at:]) <= ROOM:
            after = _space_at_end(text[at:])
            yield Part(before, text[at : len(text) - len(after)], after)
            return
        end = _cut(text, at, ROOM)
        yield Part(before, text[at:end])
        at = end


def _cut(text: str, at: int, room: int) -> int:
    """Where the part that begins at ``at`` ends: in the later half of what fits, at the best place there is."""
    most = _fitting(text, at, room)
    least = at + (most - at) // 2
    for mark in _CUTS:
        ends = (one.end() if one[0].strip() else one.start() for one in mark.finditer(text, least, most))
        found = [end for end in ends if not _tied(text, end)]
        if found:
            return found[-1]
    for place in range(most, at + 1, -1):
        if not _tied(text, place):
            return place
    return most  # one "character" of thousands: somebody's joke


def _fitting(text: str, at: int, room: int) -> int:
    """The end of the longest piece from ``at`` that has room, counted as Slack does, in UTF-16."""
    for place in range(at, len(text)):
        room -= 1 + (text[place] > "\uffff")
        if room < 0:
            return place
    return len(text)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _tied(text: str, place: int) -> bool:
    """Whether the characters on both sides of a place are seen as one."""
    before, after = text[place - 1], text[place]
    if _REGIONAL.match(before) and _REGIONAL.match(after):
        run = 0
        while run < place and _REGIONAL.match(text[place - 1 - run]):
            run += 1
        return bool(run % 2)
    return (
        unicodedata.category(after) in _MARKS
        or bool(_CLINGING.match(after))
        or before == _JOINER
        or bool(_LEADING.match(before))
        or (unicodedata.combining(before) == _VIRAMA and unicodedata.category(after) == "Lo")
        or (before, after) == ("\r", "\n")
    )


def _space(text: str, at: int) -> str:
    end = at
    while end < min(len(text), at + _EDGE) and text[end].isspace():
        end += 1
    while at < end < len(text) and _tied(text, end):  # an accent on a space
        end -= 1
    return text[at:end]


def _space_at_end(text: str) -> str:
    start = len(text)
    while start > max(0, len(text) - _EDGE) and text[start - 1].isspace():
        start -= 1
    return text[start:]


def _action_id(edition: str, part: Part) -> str:
    if not (edition or part.before or part.after):
        return "value"
    return f"value:{edition}:{_packed(part.before)}:{_packed(part.after)}"


def _packed(space: str) -> str:
    return ".".join(f"{ord(character):x}" for character in space)


def _unpacked(packed: str) -> str:
    return "".join(chr(int(code, 16)) for code in packed.split(".")) if packed else ""


def _block_id(stem: str, number: int) -> str:
    return stem if number == 1 else f"{stem}:{number}"


def _label(say: Say, label: str, number: int, parts: int) -> str:
    if parts == 1:
        return label
    return say("{label} (part {part} of {parts})", label=label, part=number, parts=parts)


def _field(block_id: str, label: str, action_id: str, text: str, *, optional: bool, hint: str | None) -> Block:
    element: Block = {
        "type": "plain_text_input",
        "action_id": action_id,
        "multiline": True,
        "max_length": INPUT_LIMIT,
    }
    block: Block = {
        "type": "input",
        "block_id": block_id,
        "label": plain(label),
        "element": element | ({"initial_value": text} if text else {}),
        "optional": optional,
    }
    return block | ({"hint": plain(hint)} if hint else {})
