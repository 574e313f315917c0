"""What somebody looks for in the queue: words, as each database's full-text index wants to be asked.

Owns what a word is. The index itself is built and kept by the database (migrations 0007 and 0008), with the same
words: runs of letters and digits in lower case; of Chinese and Japanese, which are written without spaces, every
pair of neighbours. Whole words are found, beginnings where somebody types ``refun*``. Nothing that is typed
reaches a database as its query syntax: everything but letters and digits separates words.

An index entry also carries labels (topic, language and so on), so that a question for a frequent word and a rare
topic is answered from the index alone. The status is none of them: a decision would have every word of its
candidate indexed anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from curation.errors import Invalid

MOST_WORDS = 20
SHORTEST_BEGINNING = 3
"""Characters before a ``*``: shorter beginnings are of too many words."""

_UNSPACED = "\u3040-\u9fff"
_RUN = re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|(?P<word>(?:(?![{_UNSPACED}])[^\W_])+)(?P<star>\*?)")
_LABEL = "\ue000"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a candidate's index entry must hold, all of it.

    Attributes:
        words: whole ones.
        beginnings: of words.
        labels: as ``label`` makes them.
    """

    words: tuple[str, ...]
    beginnings: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def for_fts5(self) -> str:
        """The operand of SQLite's MATCH: ``"refund" AND "erro"*``."""
        whole = [f'"{word}"' for word in (*self.words, *self.labels)]
        return " AND ".join([*whole, *(f'"{beginning}"*' for beginning in self.beginnings)])

    def for_tsquery(self) -> str:
        """The text of PostgreSQL's tsquery: ``'refund' & 'erro':*``."""
        whole = [f"'{word}'" for word in (*self.words, *self.labels)]
        return " & ".join([*whole, *(f"'{beginning}':*" for beginning in self.beginnings)])


def terms(text: str, labels: Mapping[str, str] | None = None) -> Terms:
    """The words of what somebody typed.

    ``Refund ERR-40*`` → words refund and err, beginning 40; ``退款`` → the word 退款; ``要退款`` → 要退 and 退款.

    Args:
        text: as it was typed.
        labels: kind of label → its value; see ``label``.

    Raises:
        Invalid: there is nothing to look for, too much, or a beginning that is too short.
    """
    words: dict[str, None] = {}
    beginnings: dict[str, None] = {}
    for run in _RUN.finditer(text.lower()):
        if (unspaced := run["unspaced"]) is not None:
            if len(unspaced) == 1:
                beginnings[unspaced] = None  # of every pair that it opens
            else:
                words.update(dict.fromkeys(unspaced[at : at + 2] for at in range(len(unspaced) - 1)))
        elif not run["star"]:
            words[run["word"]] = None
        elif len(run["word"]) < SHORTEST_BEGINNING:
            raise Invalid(
                "{word}* is the beginning of too many words: give {least} characters before the *.",
                word=run["word"],
                least=SHORTEST_BEGINNING,
            )
        else:
            beginnings[run["word"]] = None
    if not words and not beginnings:
        raise Invalid("There is nothing to search for: give a word of letters or digits, such as refund or ERR-4041.")
    if len(words) + len(beginnings) > MOST_WORDS:
        raise Invalid(
            "That is {count} words to search for; give at most {most}.",
            count=len(words) + len(beginnings),
            most=MOST_WORDS,
        )
    made = tuple(label(kind, value) for kind, value in (labels or {}).items())
    return Terms(tuple(words), tuple(beginnings), made)


def label(kind: str, value: str) -> str:
    """The index's word for a label: its kind's first letter and its value, in hexadecimal where people chose it."""
    free = kind in {"topic", "language"}
    return f"{_LABEL}{kind[0]}{value.encode().hex() if free else value}"
