"""Pairs of texts whose sets of shingles have a Jaccard similarity of at least 4/5, among very many.

Owns the verdict. It is exact: of the pairs that ``curation.similarity.candidates`` names the sets are compared, where
what the two have in common at their beginnings and ends does not settle it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations

from curation.similarity.candidates import Texts, candidates
from curation.similarity.clusters import Clusters
from curation.similarity.shingles import PARTS, SHINGLE, shingles

_KEPT_TEXTS = 2_000


def similar_of_few(texts: Sequence[str]) -> list[tuple[int, int]]:
    """The pairs that ``similar_pairs`` finds, by comparing each text with each: plain, and quick for a few dozen."""
    sets = [shingles(text) for text in texts]
    return [pair for pair in combinations(range(len(texts)), 2) if _similar(*(sets[row] for row in pair))]


def similar_pairs(texts: Texts) -> list[tuple[int, int]]:
    """Every pair of similar texts, the earlier row first, in ascending order."""
    alike = _Comparison(texts)
    return sorted({pair for chunk in candidates(texts, range(PARTS), None) for pair in chunk if alike(pair)})


def joints(texts: Texts, rows: int, parts: range = range(PARTS)) -> list[tuple[int, int]]:
    """Pairs of similar texts that hold all clusters together; from some ``parts``, as far as those tell.

    What is in one cluster already is not compared again, so that ten thousand of a kind take no longer than others.
    """
    alike = _Comparison(texts)
    clusters = Clusters(rows)
    found = []
    for chunk in candidates(texts, parts, clusters):
        for one, other in chunk:
            if clusters.root(one) != clusters.root(other) and alike((one, other)):
                clusters.join(one, other)
                found.append((one, other))
    return found


class _Comparison:
    """Whether two texts are similar; the sets of the last few thousand are kept."""

    def __init__(self, texts: Texts) -> None:
        self._text = lru_cache(maxsize=_KEPT_TEXTS)(texts.text)
        self._set = lru_cache(maxsize=_KEPT_TEXTS)(lambda row: shingles(self._text(row)))
        self._sizes = texts.sizes()

    def __call__(self, pair: tuple[int, int]) -> bool:
        one, other = pair
        sizes = int(self._sizes[one]), int(self._sizes[other])
        return _surely(self._text(one), self._text(other), sizes) or _similar(self._set(one), self._set(other))


def _surely(one: str, other: str, sizes: tuple[int, int]) -> bool:
    """Whether two texts have so much in common at their beginnings and ends that their sets need not be made.

    What of a set is not shared stands between the two; ``sizes`` are of the sets, at most one too small each.
    """
    begin = _common(one, other)
    end = _common(one[::-1], other[::-1])
    around = max(0, begin - SHINGLE + 1) + max(0, end - SHINGLE + 1)
    shared = max(
        size - max(0, len(text) - SHINGLE + 1 - around) for text, size in zip((one, other), sizes, strict=True)
    )
    return 9 * shared >= 4 * (sum(sizes) + 2)


def _common(one: str, other: str) -> int:
    """How many characters the two have in common at their beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _similar(one: set[str], other: set[str]) -> bool:
    # 4/5 in integers: 5 * |x ∩ y| >= 4 * |x ∪ y|, which is 9 * |x ∩ y| >= 4 * (|x| + |y|).
    return 9 * len(one & other) >= 4 * (len(one) + len(other))
