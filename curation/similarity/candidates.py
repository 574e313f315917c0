"""Pairs of texts that may be similar, among very many: every pair that is, and few that are not.

Owns the search by what is kept of the texts. Prefix filtering names every pair that can have a Jaccard similarity of
4/5, and a look at their bins drops those that are far from it; refuses to look at the texts themselves
(``curation.similarity.similar``). Sources: Chaudhuri, Ganti, Kaushik, "A Primitive Operator for Similarity Joins",
2006; Li, Owen, Zhang, "One Permutation Hashing", 2012 (the bins).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from curation.similarity.clusters import Clusters
from curation.similarity.shingles import PLACE_BITS, ROW_BITS, WORDS, prefix_lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# 5.6 standard errors below 4/5 with every bin in use; with fewer shingles than bins the error is smaller.
_LEAST_AGREEMENT = 0.6
# After the first bins a pair that agrees in fewer than three tenths is out, if it uses enough of them to tell: six
# standard errors below 4/5.
_FIRST_WORDS, _LEAST_USED, _LEAST_AT_FIRST = 4, 24, 0.3
_PAIRS_AT_A_TIME = 1 << 17


class Texts(Protocol):
    """Normalised texts, no two of them equal, and what is kept of them (``curation.similarity.shingles.Sketches``)."""

    def sizes(self) -> Array:
        """Different shingles of each text, by row."""

    def bins(self, word: int) -> Array:
        """One of the ``WORDS`` of eight bins of each text, by row."""

    def postings(self, parts: range) -> Iterator[Array]:
        """All postings of some of the ``PARTS``, one or a few of them at a time, in any order."""

    def text(self, row: int) -> str:
        """The text of one row."""


def candidates(texts: Texts, parts: range, clusters: Clusters | None) -> Iterator[list[tuple[int, int]]]:
    """Pairs that may be similar, some more than once; with ``clusters`` none that is in one."""
    import numpy as np  # noqa: PLC0415 (a tenth of a second that --help need not wait for)

    ranks = _Ranks.of(texts.sizes())
    # Side by side, since what is looked at for nearly every pair should lie together in memory.
    first_bins = np.stack([texts.bins(word) for word in range(_FIRST_WORDS)], axis=1)
    waiting: list[Array] = []
    count = 0

    def judged() -> list[tuple[int, int]]:
        codes = np.concatenate(waiting)
        waiting.clear()
        codes.sort()  # np.unique hashes, a hundred times as slow on such numbers
        codes = codes[np.r_[True, codes[1:] != codes[:-1]]]
        pairs = np.stack([codes >> np.uint64(32), codes & np.uint64(0xFFFFFFFF)], axis=1).view(np.int64)
        if clusters is not None:
            roots = clusters.roots()
            pairs = pairs[roots[pairs[:, 0]] != roots[pairs[:, 1]]]
        return [(one, other) for one, other in _likely(texts, pairs).tolist()]

    for part in texts.postings(parts):
        for one, other in _hopeful(first_bins, _sharing(part, ranks)):
            if clusters is not None:
                roots = clusters.roots()
                apart = roots[one] != roots[other]
                one, other = one[apart], other[apart]  # noqa: PLW2901 (fewer of the same)
            if not len(one):
                continue
            codes = np.minimum(one, other).astype(np.uint64) << np.uint64(32)
            waiting.append(codes | np.maximum(one, other).astype(np.uint64))
            count += len(codes)
            if count >= _PAIRS_AT_A_TIME:
                count = 0
                yield judged()
    if waiting:
        yield judged()


@dataclass(frozen=True, slots=True)
class _Ranks:
    """Rows from the smallest text to the largest; those that may be similar to one are neighbours.

    Attributes:
        of_rows: the rank of each row.
        rows: the row of each rank.
        sizes: by rank, ascending.
        ends: how many texts are no larger than so many shingles, from 0 to those of the largest.
    """

    of_rows: Array
    rows: Array
    sizes: Array
    ends: Array

    @classmethod
    def of(cls, sizes: Array) -> _Ranks:
        import numpy as np  # noqa: PLC0415

        rows = np.argsort(sizes, kind="stable").astype(np.int32)
        of_rows = np.empty(len(rows), np.int32)
        of_rows[rows] = np.arange(len(rows), dtype=np.int32)
        ends = np.bincount(sizes, minlength=1).cumsum().astype(np.int32)
        return cls(of_rows, rows, sizes[rows].astype(np.int32), ends)


def _sharing(postings: Array, ranks: _Ranks) -> Iterator[tuple[Array, Array]]:
    """Pairs of rows that share a shingle of their prefixes, as far as the rest of the two may be shared at all.

    A pair may be dropped here and come again with another shingle: what counts is the first that the two share.
    Source: Xiao, Wang, Lin, Yu, "Efficient Similarity Joins for Near Duplicate Detection", 2008 (positional filtering).
    """
    import numpy as np  # noqa: PLC0415

    # By hash, then from the smallest text to the largest: each is paired with those after it that are not too large.
    rank_shift, row_mask = np.uint64(PLACE_BITS), np.uint64((1 << ROW_BITS) - 1)
    place_mask, hash_mask = np.uint64((1 << PLACE_BITS) - 1), ~np.uint64((1 << PLACE_BITS + ROW_BITS) - 1)
    keys = ranks.of_rows[(postings & row_mask).view(np.int64)].astype(np.uint64) << rank_shift
    keys |= (postings >> np.uint64(ROW_BITS)) & place_mask
    keys |= postings & hash_mask
    keys.sort()
    # Different shingles of one text may have the same hash; a text is no repeat of itself.
    keys = keys[np.r_[True, (keys[1:] ^ keys[:-1]) > place_mask]] if len(keys) else keys
    rank = ((keys >> rank_shift) & row_mask).view(np.int64)
    sizes = ranks.sizes[rank]
    # At most so many shingles stand at or after the place, the place being rounded down. They have to be four ninths
    # of both texts together: what they are more than four ninths of the one is room for the other.
    left = sizes - ((keys & place_mask).astype(np.int32) * prefix_lengths(sizes) >> PLACE_BITS)
    room = (9 * left - 4 * sizes) // 4
    early = (room >= sizes).nonzero()[0]
    largest = ranks.ends[np.minimum(room[early], len(ranks.ends) - 1)].astype(np.uint64)
    ends = np.searchsorted(keys, (keys[early] & hash_mask) + (largest << rank_shift))
    following = ends - early - 1
    early, following = early[following > 0], following[following > 0]
    totals = np.cumsum(following)
    start = 0
    while start < len(early):
        before = int(totals[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(totals, before + _PAIRS_AT_A_TIME, side="right")))
        counts = following[start:stop]
        one = np.repeat(early[start:stop], counts)
        other = one + np.arange(1, len(one) + 1) - np.repeat(totals[start:stop] - counts - before, counts)
        start = stop
        fits = room[other] >= sizes[one]
        yield ranks.rows[rank[one[fits]]], ranks.rows[rank[other[fits]]]


def _hopeful(first_bins: Array, pairs: Iterable[tuple[Array, Array]]) -> Iterator[tuple[Array, Array]]:
    """Those of ``pairs`` whose first bins do not tell already that they are far from similar."""
    for one, other in pairs:
        agreeing, used = _agreement(
            zip(first_bins.take(one, axis=0).T, first_bins.take(other, axis=0).T, strict=True), len(one)
        )
        kept = (used < _LEAST_USED) | (agreeing >= _LEAST_AT_FIRST * used)
        yield one[kept], other[kept]


def _likely(texts: Texts, pairs: Array) -> Array:
    """Those of ``pairs`` that agree in most of the bins that either uses."""
    columns = (texts.bins(word) for word in range(WORDS))
    agreeing, used = _agreement(((column[pairs[:, 0]], column[pairs[:, 1]]) for column in columns), len(pairs))
    return pairs[agreeing >= _LEAST_AGREEMENT * used]


def _agreement(words: Iterable[tuple[Array, Array]], pairs: int) -> tuple[Array, Array]:
    """In how many bins both of each pair agree, and how many either uses."""
    import numpy as np  # noqa: PLC0415

    agreeing = np.zeros(pairs, np.int16)
    used = np.zeros(pairs, np.int16)
    for one, other in words:
        in_use = _bytes_in_use(one | other)
        agreeing += in_use
        agreeing -= _bytes_in_use(one ^ other)
        used += in_use
    return agreeing, used


def _bytes_in_use(words: Array) -> Array:
    """How many of the eight bytes of each word are not 0. Source: Warren, "Hacker's Delight", section 6-1."""
    import numpy as np  # noqa: PLC0415

    low, high = np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0x8080808080808080)
    count: Array = np.bitwise_count((((words & low) + low) | words) & high)
    return count
