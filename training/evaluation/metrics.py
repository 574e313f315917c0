"""Metrics: how near a reply is to the wanted one, and how often a label is right.

Owns the formulas, which agree with sacrebleu's, rouge-score's, SQuAD's and scikit-learn's. Pure, of texts and labels
alone: who replied is the backends' business, what follows from it the gate's. All scores are between 0 and 1.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from curation.measures.diversity import words
from curation.privacy.spans import stands_for

_CHARACTERS = 6
_BETA = 2

_Statistics = list[tuple[int, int, int]]


class ReplyScores(NamedTuple):
    """One reply beside the wanted one, each 0 to 1.

    Attributes:
        chrf: character n-grams, ``chrf``.
        rouge_l: the longest common sequence of words, ``rouge_l``.
        token_f1: words in any order, ``token_f1``.
        exact: 1 where it is the wanted reply, ``exact``.
    """

    chrf: float
    rouge_l: float
    token_f1: float
    exact: float


def reply_scores(reply: str, wanted: str) -> ReplyScores:
    """All that is measured of one reply."""
    return ReplyScores(
        chrf(reply, wanted), rouge_l(reply, wanted), token_f1(reply, wanted), float(exact(reply, wanted))
    )


def exact(reply: str, wanted: str) -> bool:
    """Whether it is the wanted reply; what was redacted in that may be anything.

    The spelling of accents, outer white space and the width of white space within do not count:
    ``exact(" Hei  Kari!", "Hei [NAME]!")``.
    """
    return stands_for(_plain(wanted), _plain(reply))


def chrf(reply: str, wanted: str) -> float:
    """chrF2 of one reply: the F score, recall twice as heavy, of character 1- to 6-grams without white space.

    As sacrebleu's ``CHRF()``, over 100. Popović 2015, https://aclanthology.org/W15-3049. 0 where either is empty.
    """
    return _f_score(_matches(reply, wanted))


def corpus_chrf(pairs: Iterable[tuple[str, str]]) -> float:
    """chrF2 over all pairs of (reply, wanted): their n-grams are counted together, so that long ones weigh more."""
    total = [(0, 0, 0)] * _CHARACTERS
    for pair in pairs:
        total = [(a + d, b + e, c + f) for (a, b, c), (d, e, f) in zip(total, _matches(*pair), strict=True)]
    return _f_score(total)


def rouge_l(reply: str, wanted: str) -> float:
    """ROUGE-L: the F score of the longest sequence of words that both have in the same order.

    As rouge-score's ``rougeL`` over our words. Lin 2004, https://aclanthology.org/W04-1013. 0 where either is empty.
    """
    said, expected = words(reply), words(wanted)
    return _harmonic(_longest_common(said, expected), len(said), len(expected))


def token_f1(reply: str, wanted: str) -> float:
    """The F score of the words that both have, as often as both have them, in any order.

    As SQuAD's, but for its dropping of English articles: https://aclanthology.org/D16-1264. Where either is empty, 1
    where both are.
    """
    said, expected = Counter(words(reply)), Counter(words(wanted))
    if not said or not expected:
        return float(said == expected)
    return _harmonic((said & expected).total(), said.total(), expected.total())


def accuracy(truth: Sequence[Hashable], said: Sequence[Hashable]) -> float:
    """Share of labels that are right; 0 of none."""
    return sum(one == other for one, other in zip(truth, said, strict=True)) / len(truth) if truth else 0.0


def confusion(truth: Sequence[Hashable], said: Sequence[Hashable], names: Sequence[Hashable]) -> list[list[int]]:
    """How often each true label (row) was called what (column), in the order of ``names``, which hold them all."""
    counts = Counter(zip(truth, said, strict=True))
    return [[counts[row, column] for column in names] for row in names]


def macro_f1(truth: Sequence[Hashable], said: Sequence[Hashable]) -> float:
    """The mean F score of all labels that occur on either side, rare ones as heavy as frequent ones; 0 of none."""
    right = Counter(one for one, other in zip(truth, said, strict=True) if one == other)
    true, called = Counter(truth), Counter(said)
    names = true.keys() | called.keys()
    return sum(_harmonic(right[name], called[name], true[name]) for name in names) / len(names) if names else 0.0


def _plain(text: str) -> str:
    composed = unicodedata.normalize("NFC", text).strip()
    # Lines stay lines: what was redacted was within one.
    return "\n".join(" ".join(line.split()) for line in composed.splitlines())


def _matches(reply: str, wanted: str) -> _Statistics:
    """For each length of n-grams: the reply's, the wanted reply's, and those that both have."""
    said, expected = "".join(reply.split()), "".join(wanted.split())
    found = []
    for size in range(1, _CHARACTERS + 1):
        ours, theirs = _grams(said, size), _grams(expected, size)
        # Where the wanted reply is too short for any, the reply's own are no mistakes.
        found.append((ours.total() if theirs else 0, theirs.total(), (ours & theirs).total()))
    return found


def _grams(text: str, size: int) -> Counter[str]:
    return Counter([text[start : start + size] for start in range(len(text) - size + 1)])


def _f_score(statistics: _Statistics) -> float:
    both = [(ours, theirs, common) for ours, theirs, common in statistics if ours and theirs]
    if not both:
        return 0.0
    precision = sum(common / ours for ours, _, common in both) / len(both)
    recall = sum(common / theirs for _, theirs, common in both) / len(both)
    if not precision + recall:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (_BETA**2 * precision + recall)


def _harmonic(common: int, ours: int, theirs: int) -> float:
    """The F score of ``common`` among ``ours`` and among ``theirs``."""
    return 2 * common / (ours + theirs) if common else 0.0


def _longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, a whole column of the table as the bits of one number.

    Hyyrö 2004, "Bit-parallel LCS-length computation revisited". A cleared bit is a step of the sequence.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << place
    whole = (1 << len(first)) - 1
    column = whole
    for word in second:
        matched = column & places.get(word, 0)
        column = ((column + matched) | (column - matched)) & whole
    return len(first) - column.bit_count()
