"""How a correction differs from the reply: what left is struck through, what came is bold.

Owns the comparison for the eye, word by word, and character by character where a script has no spaces. Two texts that
have little in common, or are long, are shown one after the other instead: struck through, half a page helps nobody.
Pure; what stands in a rich_text block is shown as it is written, so it can neither ping nor link.

Example:
    ``For ever and a day.`` → ``For six months.`` is shown as ``For ~ever and a day~*six months*.``
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, takewhile
from typing import NamedTuple

from bot.blocks.elements import QUOTE_LIMIT, Block, context, section
from bot.mrkdwn import quote
from bot.speech import Say

MOST_CHANGED = 0.6
"""The share of both texts that may differ; beyond it a reader is better off with two texts."""
MOST_CHARACTERS = 3000
"""Of a comparison, all that left and came included: what a text of Slack's holds elsewhere."""
MOST_STEPS = 400_000
"""Of the comparison, which is made before the ack: a twentieth of a second. difflib has no such bound, and takes ten
seconds for two texts of 1,500 words that repeat in another order."""
MOST_PIECES = 300
HEAVIEST = 45_000
"""Bytes of one text that a form shows, as JSON, where a character takes up to twelve; Slack takes 250 KB in all."""

_CHINESE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_WORDS = re.compile(rf"\s*(?:[{_CHINESE}]|(?:(?![{_CHINESE}])[\w\u0300-\u036f])+|[^\w\s]|$)")
_TURNING = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # of lines, for str.splitlines
_STEP = 500  # characters of a line that certainly fit a section, entities included


class Piece(NamedTuple):
    """Some of a comparison: ``same``, ``gone`` or ``new``."""

    how: str
    text: str


def difference(say: Say, reply: str, correction: str) -> list[Block]:
    """The assistant's reply and what it should have been: as one text where that is readable, else as two."""
    before, after = visible(reply), visible(correction)
    found = compared(before, after)
    if found is None:
        return [*in_full(say, say("The assistant said"), reply), *in_full(say, say("Better"), correction)]
    return [
        section(f"*{say('What changes')}*"),
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [_shown(one) for one in found]}]},
        context(say("Struck through: what the assistant said. Bold: what it should say instead.")),
    ]


def compared(before: str, after: str) -> list[Piece] | None:
    """What is the same, gone and new, in the order of reading; None where two texts are easier to read."""
    ours, theirs = _words(before), _words(after)
    if not ours or not theirs:
        return None
    start = len(list(takewhile(_equal, zip(ours, theirs, strict=False))))
    end = len(list(takewhile(_equal, zip(reversed(ours[start:]), reversed(theirs[start:]), strict=False))))
    changed, put = ours[start : len(ours) - end], theirs[start : len(theirs) - end]
    if len(changed) * len(put) > MOST_STEPS:
        return None
    around = [Piece("same", "".join(words)) for words in (ours[:start], ours[len(ours) - end :])]
    pieces = _merged([around[0], *_readable(_merged(_steps(changed, put))), around[1]])
    same = sum(len(piece.text) for piece in pieces if piece.how == "same")
    if 1 - 2 * same / (len(before) + len(after)) > MOST_CHANGED:
        return None
    fits = len(pieces) <= MOST_PIECES and sum(len(piece.text) for piece in pieces) <= MOST_CHARACTERS
    return pieces if fits else None


def in_full(say: Say, label: str, text: str) -> list[Block]:
    """Somebody else's words under a label, in as many paragraphs as Slack needs for them, line breaks kept."""
    paragraphs, room, shown, weight = [f"*{label}*\n"], QUOTE_LIMIT - len(label), 0, 0
    for piece in _pieces_of_lines(text):
        line = quote(piece, QUOTE_LIMIT)
        line += "\n" if piece[-1:] in _ENDS else " " if piece[-1:].isspace() else ""
        weight += len(json.dumps(line))
        if weight > HEAVIEST:
            break
        shown += len(piece)
        if len(line) > room:
            paragraphs.append("")
            room = QUOTE_LIMIT
        paragraphs[-1] += line
        room -= len(line)
    left_out = len(text) - shown
    rest = say.many("{count:,} more character is not shown.", "{count:,} more characters are not shown.", left_out)
    return [*(section(one) for one in paragraphs if one.strip()), *([context(rest)] if left_out > 0 else [])]


def visible(text: str) -> str:
    """The text without what turns its direction round or controls a terminal."""
    return "".join(one for one in text if one == "\n" or not _is_hidden(one))


def _is_hidden(character: str) -> bool:
    turns = unicodedata.bidirectional(character) in _TURNING or character in "\u061c\u200e\u200f"
    return turns or unicodedata.category(character) == "Cc"


def _words(text: str) -> list[str]:
    """Words, each with the white space before it; ``"".join`` gives the text again."""
    return [word for word in _WORDS.findall(text) if word]


def _equal(pair: tuple[str, str]) -> bool:
    return pair[0] == pair[1]


def _steps(ours: Sequence[str], theirs: Sequence[str]) -> Iterator[Piece]:
    """The way from one to the other on which the most words stay (their longest common subsequence)."""
    kept = [[0] * (len(theirs) + 1) for _ in range(len(ours) + 1)]  # of the words from there on
    for row in range(len(ours) - 1, -1, -1):
        word, here, below = ours[row], kept[row], kept[row + 1]
        for column in range(len(theirs) - 1, -1, -1):
            if word == theirs[column]:
                here[column] = below[column + 1] + 1
            else:
                above, beside = below[column], here[column + 1]
                here[column] = above if above >= beside else beside  # noqa: FURB136 (max() doubles the time of it all)
    row = column = 0
    while row < len(ours) and column < len(theirs):
        if ours[row] == theirs[column]:
            yield Piece("same", ours[row])
            row, column = row + 1, column + 1
        elif kept[row + 1][column] >= kept[row][column + 1]:
            yield Piece("gone", ours[row])
            row += 1
        else:
            yield Piece("new", theirs[column])
            column += 1
    yield Piece("gone", "".join(ours[row:]))
    yield Piece("new", "".join(theirs[column:]))


def _readable(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """What stays between two larger changes belongs to both: a sentence that was replaced is one change, not nine."""
    runs = [(same, list(run)) for same, run in groupby(pieces, lambda piece: piece.how == "same")]
    sizes = [max(len(piece.text) for piece in run) for _, run in runs]
    for place, (same, run) in enumerate(runs):
        inside = same and 0 < place < len(runs) - 1
        if inside and 2 * sizes[place] <= min(sizes[place - 1], sizes[place + 1]):
            yield from (Piece(how, run[0].text) for how in ("gone", "new"))
        else:
            yield from run


def _merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Neighbouring changes as one: first all that left, then all that came."""
    merged: list[Piece] = []
    for same, run in groupby(pieces, lambda piece: piece.how == "same"):
        held = list(run)
        for how in ("same",) if same else ("gone", "new"):
            text = "".join(piece.text for piece in held if piece.how == how)
            if text:
                merged.append(Piece(how, text))
    return merged


def _shown(piece: Piece) -> Block:
    element: Block = {"type": "text", "text": piece.text}
    style = {"gone": {"strike": True}, "new": {"bold": True}}.get(piece.how)
    return element | ({"style": style} if style else {})


def _pieces_of_lines(text: str) -> Iterator[str]:
    """Lines, their ends included, and longer ones in pieces, cut between words: all together they are the text."""
    for line in text.splitlines(keepends=True):
        start = 0
        while start < len(line):
            end = start + _STEP
            if end < len(line):
                between = line.rfind(" ", start + _STEP // 2, end)
                end = end if between < 0 else between + 1
            yield line[start:end]
            start = end
