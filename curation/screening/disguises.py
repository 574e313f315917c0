"""What can stand in a text without a reader noticing: hidden characters, look-alike letters, orders, links.

Owns the looking at one text, or at two that barely differ. Refuses to judge: ``curation.screening.outliers`` says
what it means for a correction.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from difflib import SequenceMatcher

from curation.similarity.duplicates import normalised

# Zero-width, direction and tag characters. ZERO WIDTH (NON-)JOINER and variation selectors are left out: emoji,
# Persian and the scripts of India are written with them. Unicode TR36, TR39; "Trojan Source", Boucher 2021.
_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\u3164\ufeff\uffa0\U000e0000-\U000e007f]"
)
_ORDERS = re.compile(
    r"""(?:ignore|disregard|forget)\s+(?:all\s+|any\s+)?(?:of\s+)?(?:the\s+|your\s+|my\s+)?
        (?:previous|prior|above|earlier|preceding)\s+(?:instructions?|rules|prompts?|messages?)
      | (?:reveal|print|repeat|show)\s+(?:me\s+)?(?:your|the)\s+(?:system|hidden|initial)\s+prompt
      | you\s+are\s+now\s+(?:in\s+)?(?:developer|dan|jailbreak)\w*
      | (?:ignorier|vergiss|vergess)\w*\s+(?:sie\s+)?(?:bitte\s+)?(?:alle\s+)?(?:die\s+|deine\s+|ihre\s+)?
        (?:vorherigen|bisherigen|obigen|früheren)\s+(?:anweisungen|instruktionen|regeln)
      | (?:ignorer|glem)\s+(?:alle\s+)?(?:de\s+)?(?:tidligere|foregående|forrige)\s+(?:instruks|regl)\w*
      | (?:abaikan|lupakan)\s+(?:semua\s+)?(?:instruksi|perintah|aturan)\s+(?:sebelumnya|di\s+atas)
      | (?:huwag\s+pansinin|balewalain|kalimutan)\s+(?:mo\s+)?(?:ang\s+)?(?:lahat\s+ng\s+)?(?:mga\s+)?
        (?:naunang?|nakaraang)\s+(?:tagubilin|utos|panuto)
      | (?:忽略|无视|無視|忘记|忘記).{0,6}(?:之前|以上|先前|前面|所有).{0,6}(?:指令|指示|提示|规则|規則)
      | <\|(?:im_start|im_end|system|user|assistant|end|endoftext)\|> | \[/?INST\] | <</?SYS>>
    """,
    re.IGNORECASE | re.VERBOSE,
)
_HOST = r"(?:[\w-]+\.)+(?:xn--[a-z0-9-]+|[^\W\d_]{2,24})"
# A match begins where a word begins: tried at every letter of a long word, it would take the square of its length.
_LINK = re.compile(
    rf"(?:https?://|\bwww\.)(?:[^\s/@]*@)?(?P<linked>{_HOST})|(?<![\w.+-])[\w.+-]+@(?P<mailed>{_HOST})", re.IGNORECASE
)
# Without a scheme only under endings that are not also the first word of a sentence after a missing space.
_BARE = re.compile(
    r"(?<![\w@./-])(?P<bare>(?:[\w-]+\.)+(?:com|net|org|info|biz|io|app|shop|xyz|top|site|online|link|click|ru|cn|de|eu|uk"
    r"|test|example))(?![\w-])",
    re.IGNORECASE,
)
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK")
_SHOWN = 3
_MIXED = 4  # letters: shorter ones are units and symbols, such as μm
_WORDS = re.compile(r"\w+|[^\w\s]")


def hidden(text: str) -> list[str]:
    """Names of the characters that cannot be seen, each once: ``["ZERO WIDTH SPACE"]``."""
    found = dict.fromkeys(_HIDDEN.findall(text))
    return [unicodedata.name(character, f"U+{ord(character):04X}") for character in found]


def lookalikes(text: str) -> list[str]:
    """Words that mix Latin, Greek and Cyrillic letters, each once: ``раypal`` with a Cyrillic ``р`` and ``а``."""
    long_enough = (word for word in re.findall(r"[^\W\d_]+", text) if len(word) >= _MIXED)
    return list(dict.fromkeys(word for word in long_enough if len(_scripts_of(word)) > 1))


def orders(text: str) -> str | None:
    """The first words that address a model rather than a customer; None where there are none."""
    # Spread over wide letters or joined by hidden ones they would still be read by a tokenizer.
    plain = unicodedata.normalize("NFKC", _HIDDEN.sub("", text))
    match = _ORDERS.search(plain)
    return " ".join(match.group().split()) if match is not None else None


def hosts(text: str) -> list[str]:
    """Domains that the text links to or names, each once, in lower case: ``["shop.example.com"]``."""
    return list(dict.fromkeys(_hosts(text)))


def same_words(one: str, other: str) -> bool:
    """Whether two texts differ at most in case, white space and punctuation."""
    return _letters(one) == _letters(other)


def distance(one: str, other: str, most: int) -> int | None:
    """The edits (insert, remove, replace a character) between two texts; None where they are more than ``most``.

    Levenshtein 1966, only the diagonals within ``most`` of the main one (Ukkonen 1985): ``len * most`` steps.
    """
    start = 0
    shorter = min(len(one), len(other))
    while start < shorter and one[start] == other[start]:
        start += 1
    end = 0
    while end < shorter - start and one[-1 - end] == other[-1 - end]:
        end += 1
    one, other = one[start : len(one) - end], other[start : len(other) - end]
    if abs(len(one) - len(other)) > most:
        return None
    beyond = most + 1
    above = [column if column <= most else beyond for column in range(len(other) + 1)]
    for row, letter in enumerate(one, start=1):
        here = [beyond] * (len(other) + 1)
        if row <= most:
            here[0] = row
        for column in range(max(1, row - most), min(len(other), row + most) + 1):
            replaced = above[column - 1] + (letter != other[column - 1])
            here[column] = min(replaced, above[column] + 1, here[column - 1] + 1)
        above = here
    return above[-1] if above[-1] <= most else None


def changes(one: str, other: str) -> list[tuple[str, str]]:
    """The words that differ, at most three places: ``[("14", "30")]``; an empty half was put in or left out."""
    before, after = _WORDS.findall(one), _WORDS.findall(other)
    steps = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    different = [step for step in steps if step[0] != "equal"]
    return [(" ".join(before[a:b]), " ".join(after[c:d])) for _, a, b, c, d in different[:_SHOWN]]


def _hosts(text: str) -> Iterator[str]:
    for match in _LINK.finditer(text):
        yield (match["linked"] or match["mailed"]).casefold().removeprefix("www.")
    for match in _BARE.finditer(text):
        yield match["bare"].casefold().removeprefix("www.")


def _scripts_of(word: str) -> set[str]:
    named = (unicodedata.name(letter, "") for letter in word)
    return {script for name in named for script in _SCRIPTS if name.startswith(f"{script} ")}


def _letters(text: str) -> str:
    """The text without spaces and punctuation, except between two digits: 1.5 is not 15."""
    plain = normalised(text)
    return "".join(
        letter
        for place, letter in enumerate(plain)
        if unicodedata.category(letter)[0] not in "CPZ"
        or (plain[max(0, place - 1) : place].isdigit() and plain[place + 1 : place + 2].isdigit())
    )
