"""Texts that say the same: exactly, or nearly.

Owns the fingerprint and the near-duplicate search. Finds every pair whose sets of character 5-grams
have a Jaccard similarity of at least 0.8, exactly and not by sampling; refuses to judge meaning.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain

SHINGLE = 5
# Similarity of 4/5, in integers: 5 * |x ∩ y| >= 4 * |x ∪ y|, which is 9 * |x ∩ y| >= 4 * (|x| + |y|).
_BITS = 4096


def normalised(text: str) -> str:
    """Case, width, accents' spelling and white space removed: ``"Hi  THERE"`` and ``"hi there"`` are one."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def fingerprint(text: str) -> str:
    """SHA-256 of the normalised text, in hex; texts that are equal but for case and spaces share it."""
    return hashlib.sha256(normalised(text).encode("utf-8", "surrogatepass")).hexdigest()


def clusters(texts: Sequence[str]) -> list[int]:
    """For each text the position of the first one it is, or nearly is, the same as.

    Similarity is followed from text to text, so the ends of a chain may differ more than any two
    neighbours in it. ``["Where is it?", "where is  it?", "Bye"]`` gives ``[0, 0, 2]``.
    """
    first = list(range(len(texts)))

    def root(position: int) -> int:
        while first[position] != position:
            first[position] = first[first[position]]
            position = first[position]
        return position

    for position, earlier in enumerate(near_earlier(texts)):
        for other in earlier:
            older, newer = sorted((root(position), root(other)))
            first[newer] = older
    return [root(position) for position in range(len(texts))]


def near_earlier(texts: Sequence[str]) -> list[tuple[int, ...]]:
    """For each text the positions of the earlier ones that it repeats, exactly or nearly.

    Of several equal texts only the first is named. What is said of a text never changes when more
    are appended. ``["Where is it?", "where is  it?", "Bye"]`` gives ``[(), (0,), ()]``.
    """
    distinct: dict[str, int] = {}
    repeats = [distinct.setdefault(normalised(text), position) for position, text in enumerate(texts)]
    origins = list(distinct.values())
    near: dict[int, set[int]] = defaultdict(set)
    for one, other in _similar_pairs([_shingles(text) for text in distinct]):
        older, newer = sorted((origins[one], origins[other]))
        near[newer].add(older)
    return [
        tuple(sorted(near[position])) if origin == position else (*sorted(near[origin]), origin)
        for position, origin in enumerate(repeats)
    ]


def _shingles(text: str) -> set[str]:
    return {text[start : start + SHINGLE] for start in range(max(1, len(text) - SHINGLE + 1))}


def _similar_pairs(documents: Sequence[set[str]]) -> list[tuple[int, int]]:
    """Pairs of positions with a similarity of at least 4/5, by prefix filtering.

    Source: Chaudhuri, Ganti, Kaushik, "A Primitive Operator for Similarity Joins", 2006. If all sets are
    sorted by one order, two similar sets share an element within their first fifth; with the rarest
    elements first, few others do.
    """
    frequency = Counter(chain.from_iterable(documents))
    rank = {shingle: place for place, (shingle, _) in enumerate(sorted(frequency.items(), key=lambda item: item[1]))}
    unique = sum(count == 1 for count in frequency.values())  # ranks below this stand in one document only
    ranked = [sorted(map(rank.__getitem__, document)) for document in documents]
    bitmaps = [_bitmap(document) for document in ranked]
    index: dict[int, list[int]] = defaultdict(list)
    pairs: list[tuple[int, int]] = []
    for position in sorted(range(len(documents)), key=lambda place: len(ranked[place])):
        size = len(ranked[position])
        prefix = size - -(-4 * size // 5) + 1
        candidates: set[int] = set()
        for element in ranked[position][:prefix]:
            if element >= unique:
                candidates.update(index[element])
                index[element].append(position)
        for other in candidates:
            total = size + len(ranked[other])
            # Each bit that only this one has is an element that only this one has: cheap to count, never too many.
            alone = (bitmaps[position] & ~bitmaps[other]).bit_count()
            if 9 * (size - alone) >= 4 * total and 9 * len(documents[position] & documents[other]) >= 4 * total:
                pairs.append((other, position))
    return pairs


def _bitmap(elements: Sequence[int]) -> int:
    bitmap = 0
    for bit in {element % _BITS for element in elements}:
        bitmap |= 1 << bit
    return bitmap
