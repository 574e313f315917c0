"""Cleaning: noise in a text as a proposed change that a person sees, never a silent one.

Owns what counts as noise: broken encodings, control and invisible characters, odd spaces, empty turns, signatures, and
what is left of a chat program's markup. The last is named and never undone: only where it was read is it known who was
mentioned (``bot.mrkdwn``), and a reply may be about ``&amp;``. Refuses everything that is a matter of taste: quotes,
ligatures, width of characters and emoji stay as they were typed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ftfy
from ftfy.badness import is_bad

from curation.conversation import Conversation, Role
from curation.findings import Finding, Severity
from curation.formats.rules import Rule
from curation.formats.unseen import CONTROLS, INVISIBLES

_FIX = "Look at the change with errata clean FILE, and write it with --out FILE."


def _rule(name: str, severity: Severity, summary: str) -> Rule:
    return Rule(f"clean.{name}", severity, summary, _FIX)


RULES: tuple[Rule, ...] = (
    _rule("encoding", Severity.WARNING, "A text was read in the encoding in which it was written (no Ã¸ for ø)."),
    _rule("control", Severity.WARNING, "A text holds no control characters."),
    _rule("invisible", Severity.WARNING, "A text holds no invisible characters but those that its script needs."),
    _rule("spaces", Severity.INFO, "Spaces and line breaks are plain ones."),
    _rule("signature", Severity.INFO, "A turn ends where its sender stops writing, not with a signature."),
    _rule("empty_turn", Severity.WARNING, "Every turn says something."),
    Rule(
        "clean.markup",
        Severity.WARNING,
        "A text is what people saw, without mentions, links and entities of a chat program (<@U1>, &amp;).",
        "Take it from where it was decoded (Slack's own archives: errata import-slack), or write what people saw.",
    ),
)
"""What is looked for, in the order in which it is cleaned."""

_ENCODING, _CONTROL, _INVISIBLE, _SPACES, _SIGNATURE, _EMPTY, _MARKUP = RULES

# fix_encoding does nothing else in any case; said here so that a newer ftfy's defaults change nothing.
_CONFIG = ftfy.TextFixerConfig(
    unescape_html=False,
    remove_terminal_escapes=False,
    fix_encoding=True,
    restore_byte_a0=True,
    replace_lossy_sequences=False,
    decode_inconsistent_utf8=True,
    fix_c1_controls=False,
    fix_latin_ligatures=False,
    fix_character_width=False,
    uncurl_quotes=False,
    fix_line_breaks=False,
    fix_surrogates=False,
    remove_control_chars=False,
    normalization=None,
)

# No sequence of these is bad to ftfy: every one that is has at least one capital with an accent, sign or mark. It looks
# fifty times as long as this does: ASCII, small Latin letters, Chinese, Japanese and Korean.
_LETTERS_ONLY = re.compile("[\x00-\x7f\xdf-\xf6\xf8-\xff\u3000-\u30ff\u3400-\u9fff\uac00-\ud7a3\uff01-\uffee]*")
_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_ODD_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f]")
_ODD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\xa0\u00ad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_MARKS = re.compile(
    r"<(?:[@#][A-Z0-9]{2,20}(?:\|[^<>\n]{0,100})?|!(?:here|channel|everyone|(?:subteam|date)\^[^<>\n]{1,300})"
    r"|(?:https?://|mailto:|tel:)[^<>|\s]{1,2000}\|[^<>\n]{0,500})>|&(?:amp|lt|gt);"
)
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Scripts whose letters change or join by a joiner (Unicode 16, chapters 9, 12, 13 and 14), and those without spaces.
_JOINING = re.compile("[\u0600-\u08ff\u0900-\u0dff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u1800-\u18af\ufb50-\ufefc]")
_SPACELESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
_ZWNJ, _ZWJ, _ZWSP, _TAG_FLAG = "\u200c", "\u200d", "\u200b", "\U0001f3f4"
_FIRST_TAG = "\U000e0000"

# Signatures. No text makes one of these slow: nowhere do two repeats that take the same characters stand side by side.
_SENT_FROM = re.compile(
    r"\s*(?:sent from (?:my )?(?:iphone|ipad|android|samsung|galaxy|mobile|phone|outlook|mail|yahoo)|get outlook for"
    r"|von meinem .{2,30} gesendet|gesendet (?:von|mit) |sendt fra min|få outlook for"
    r"|ipinadala mula sa|发自我的|来自我的|dikirim dari)",
    re.IGNORECASE,
)
_DELIMITER = re.compile(r"\n-- \n(?:[^\n]*\n){0,9}[^\n]*\n?\Z")
_CLOSING = re.compile(
    r"\n[ ]*(?:(?:(?:best|kind|warm|warmest|many)[ ])?regards|best wishes|yours (?:sincerely|truly|faithfully)"
    r"|sincerely(?: yours)?|respectfully"
    r"|mit (?:freundlichen|besten|herzlichen|lieben) grüßen|mit freundlichem gruß"
    r"|(?:freundliche|viele|beste|liebe|herzliche|schöne) grüße|mfg|vg|lg"
    r"|(?:med )?(?:vennlig|beste|hjertelig) hilsen|(?:beste |vennlige )?hilsener|hilsen|mvh"
    r"|(?:lubos na )?(?:gumagalang|nagpapasalamat)|taos-pusong sumasainyo|sumasainyo"
    r"|此致|敬礼|顺颂商祺|祝好|谨启|敬上|此致敬礼"
    r"|(?:salam )?hormat(?: saya| kami)?|salam(?: hangat| hormat)?)[,.!，。！]?[ ]*"
    r"(?:\n[^\n]{0,60}){0,8}\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A text or a row as it would be, and which rules it broke as it was; equal to what it was where there are none."""

    value: Any
    broken: tuple[Rule, ...]


def clean_text(text: str, *, signatures: bool = True) -> Cleaned:
    r"""A text without noise: ``"Hei\u200b,\u00a0jeg bor i TromsÃ¸."`` → ``"Hei, jeg bor i Tromsø."``.

    Args:
        text: one turn's.
        signatures: whether a signature is taken off its end.
    """
    broken = []
    if _LETTERS_ONLY.fullmatch(text) is None and is_bad(text) and (mended := ftfy.fix_encoding(text, _CONFIG)) != text:
        text, broken = mended, [_ENCODING]
    if _ODD.search(text):
        plain = CONTROLS.sub("", text)
        if plain != text:
            text = plain
            broken.append(_CONTROL)
        seen = INVISIBLES.sub(_kept, text)
        if seen != text:
            text = seen
            broken.append(_INVISIBLE)
        spaced = _ODD_SPACES.sub(" ", _BREAKS.sub("\n", text))
        if spaced != text:
            text = spaced
            broken.append(_SPACES)
    if signatures and "\n" in text and (unsigned := _unsigned(text)) != text:
        text = unsigned
        broken.append(_SIGNATURE)
    return Cleaned(text, tuple(broken))


def clean_row(row: Mapping[str, Any]) -> Cleaned:
    """A row of chat JSONL without noise; everything that is no text of a turn stays as it is.

    Empty turns go, and turns of one speaker that come to stand together become one. Where no conversation would be
    left that ends with the assistant, the turns stay, for a person to look at.
    """
    messages = row.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        return Cleaned(row, ())
    broken: dict[str, Rule] = {}
    turns: list[dict[str, Any]] = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            cleaned = clean_text(content, signatures=message.get("role") in (Role.USER, Role.ASSISTANT))
            broken |= {rule.id: rule for rule in cleaned.broken}
            message = {**message, "content": cleaned.value}  # noqa: PLW2901 (the same turn, cleaned)
        turns.append(message)
    kept = _without_empty(turns)
    if kept != turns:
        broken[_EMPTY.id] = _EMPTY
        turns = kept
    return Cleaned({**row, "messages": turns} if broken else row, tuple(broken.values()))


def findings(conversation: Conversation, line: int | None) -> Iterator[Finding]:
    """What cleaning would change in a conversation, a finding a rule."""
    found: dict[str, tuple[Rule, list[int]]] = {}
    for number, message in enumerate(conversation.messages, start=1):
        if has_markup(message.content):
            found.setdefault(_MARKUP.id, (_MARKUP, []))[1].append(number)
        if message.content.isascii() and message.content.isprintable():
            continue  # nine in ten: neither an odd character nor a line break that a signature could follow
        cleaned = clean_text(message.content, signatures=message.role in (Role.USER, Role.ASSISTANT))
        for rule in cleaned.broken:
            found.setdefault(rule.id, (rule, []))[1].append(number)
    for rule, turns in found.values():
        where = f"turn {turns[0]}" if len(turns) == 1 else f"turns {', '.join(map(str, turns))}"
        yield rule.found(f"{_WHAT[rule.id]} in {where}.", line)


def has_markup(text: str) -> bool:
    """Whether a chat program's markup is left in a text: ``<@U123ABC>``, ``<https://x.test|here>``, ``R&amp;D``."""
    return ("<" in text or "&" in text) and _MARKS.search(text) is not None


def visible(text: str) -> str:
    r"""The text with what nobody can see written out: ``"a\u200bb"`` → ``a<U+200B>b``."""
    return _ODD.sub(lambda match: f"<U+{ord(match[0]):04X}>", text)


_WHAT = {
    _ENCODING.id: "a text read in the wrong encoding",
    _CONTROL.id: "control characters",
    _INVISIBLE.id: "invisible characters",
    _SPACES.id: "odd spaces or line breaks",
    _SIGNATURE.id: "a signature",
    _EMPTY.id: "nothing is said",
    _MARKUP.id: "a chat program's markup",
}


def _kept(match: re.Match[str]) -> str:
    """An invisible character where its script or emoji needs it, else nothing."""
    character, text = match[0], match.string
    before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
    if character in _DIRECTIONS:
        return character if _RIGHT_TO_LEFT.search(text) else ""
    if character in (_ZWJ, _ZWNJ) and _JOINING.match(before) and (character == _ZWJ or after.strip()):
        return character
    if character == _ZWJ and before and after and _is_emoji(before) and _is_emoji(after):
        return character
    if character == _ZWSP and _SPACELESS.match(before) and _SPACELESS.match(after):
        return character
    if character >= _FIRST_TAG and _TAG_FLAG in text[max(0, match.start() - 7) : match.start()]:
        return character
    return ""


def _is_emoji(character: str) -> bool:
    return character == "\ufe0f" or "\U0001f3fb" <= character <= "\U0001f3ff" or unicodedata.category(character) == "So"


def _unsigned(text: str) -> str:
    """The text without the signature at its end; a turn that is nothing else stays."""
    for start in (_sent_from, _delimiter, _sent_from, _closing):
        place = start(text)
        if place is not None and (said := text[:place].rstrip()):
            text = said
    return text


def _sent_from(text: str) -> int | None:
    """Where the last line starts, if a telephone or a program wrote it."""
    place = text.rstrip().rfind("\n")
    return place if place >= 0 and _SENT_FROM.match(text, place + 1) else None


def _delimiter(text: str) -> int | None:
    match = _DELIMITER.search(text)
    return match.start() if match is not None else None


def _closing(text: str) -> int | None:
    match = _CLOSING.search(text.rstrip())
    return match.start() if match is not None else None


def _without_empty(turns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The turns that say something, or all of them where those are no conversation."""
    kept: list[dict[str, Any]] = []
    for turn in turns:
        if not _says(turn):
            continue
        last = kept[-1] if kept else None
        if last is not None and _joins(last, turn) and not _stood_together(turns, last, turn):
            kept[-1] = {**last, "content": f"{last['content']}\n\n{turn['content']}"}
        else:
            kept.append(turn)
    if len(kept) == len(turns):
        return list(turns)
    while kept and kept[-1].get("role") in (Role.USER, Role.SYSTEM):
        kept.pop()
    return kept if any(turn.get("role") == Role.USER for turn in kept) else list(turns)


def _says(turn: Mapping[str, Any]) -> bool:
    content = turn.get("content")
    if turn.get("tool_calls") or turn.get("role") == Role.TOOL or not (content is None or isinstance(content, str)):
        return True
    return bool(content and content.strip())


def _joins(last: Mapping[str, Any], turn: Mapping[str, Any]) -> bool:
    """Whether two turns are one speaker's and differ in nothing but their words."""
    rest = [{key: value for key, value in one.items() if key != "content"} for one in (last, turn)]
    return rest[0] == rest[1] and isinstance(last.get("content"), str) and isinstance(turn.get("content"), str)


def _stood_together(turns: Sequence[Mapping[str, Any]], last: Mapping[str, Any], turn: Mapping[str, Any]) -> bool:
    """Whether nothing stood between the two from the start: then their order is not cleaning's business."""
    places = [place for place, one in enumerate(turns) if one is last or one is turn]
    return len(places) == 2 and places[1] - places[0] == 1  # noqa: PLR2004 (both of them)
