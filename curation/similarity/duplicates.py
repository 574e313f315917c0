"""Texts that say the same: exactly, or nearly; and prompts that are answered in two ways.

Owns the fingerprint and what is said about repeats. Near is a Jaccard similarity of at least 4/5 between
the sets of shingles (``curation.similarity.shingles``), found exactly and not by sampling; refuses to judge meaning.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from curation.similarity.clusters import Clusters
from curation.similarity.shingles import SHINGLE, Order, Sketches, part_bounds, parts_together, sketch
from curation.similarity.similar import joints, similar_of_few, similar_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["SHINGLE", "across", "clusters", "conflicts", "fingerprint", "near_earlier", "normalised"]

_FEW = 32
_SAMPLE = 20_000
_BLOCK_CHARACTERS = 1_000_000
_BLOCK_TEXTS = 4_096


def normalised(text: str) -> str:
    """Case, width, accents' spelling and white space removed: ``"Hi  THERE"`` and ``"hi there"`` are one."""
    folded = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    # White space other than the space is not printable, so what most people write need not be taken apart.
    if "  " not in folded and folded.isprintable() and folded == folded.strip(" "):
        return folded
    return " ".join(folded.split())


def fingerprint(text: str) -> str:
    """SHA-256 of the normalised text, in hex; texts that are equal but for case and spaces share it."""
    return hashlib.sha256(normalised(text).encode("utf-8", "surrogatepass")).hexdigest()


def clusters(texts: Sequence[str]) -> list[int]:
    """For each text the position of the first one it is, or nearly is, the same as.

    Similarity is followed from text to text, so the ends of a chain may differ more than any two
    neighbours in it. ``["Where is it?", "where is  it?", "Bye"]`` gives ``[0, 0, 2]``.
    """
    repeats, distinct = _distinct(texts)
    joined = Clusters(len(distinct))
    for one, other in joints(_Held(list(distinct)), len(distinct)):
        joined.join(one, other)
    origins = list(distinct.values())
    first = {origin: origins[root] for origin, root in zip(origins, joined.roots().tolist(), strict=True)}
    return [first[origin] for origin in repeats]


def near_earlier(texts: Sequence[str]) -> list[tuple[int, ...]]:
    """For each text the positions of the earlier ones that it repeats, exactly or nearly.

    Of several equal texts only the first is named. What is said of a text never changes when more
    are appended. ``["Where is it?", "where is  it?", "Bye"]`` gives ``[(), (0,), ()]``.
    """
    repeats, distinct = _distinct(texts)
    origins = list(distinct.values())
    near: dict[int, list[int]] = defaultdict(list)
    few = len(distinct) <= _FEW
    for one, other in similar_of_few(list(distinct)) if few else similar_pairs(_Held(list(distinct))):
        near[origins[other]].append(origins[one])
    return [
        tuple(near.get(position, ())) if origin == position else (*near.get(origin, ()), origin)
        for position, origin in enumerate(repeats)
    ]


def across(texts: Sequence[str], others: Sequence[str]) -> list[tuple[int, int]]:
    """For each text that repeats one of ``others`` the pair: with the one that is the same, else the first nearly so.

    ``(["Bye", "Where is it?"], ["where is it"])`` gives ``[(1, 0)]``: the sides of a split must give nothing.
    """
    earlier = near_earlier([*others, *texts])
    origin_of: dict[str, int] = {}
    for place, text in enumerate(others):
        origin_of.setdefault(normalised(text), place)
    found = []
    first_near: dict[str, int] = {}
    for position, text in enumerate(texts):
        plain = normalised(text)
        near = [place for place in earlier[len(others) + position] if place < len(others)]
        # A repeat among the texts themselves speaks through its first occurrence.
        first = origin_of.get(plain, min(near, default=first_near.get(plain, -1)))
        if first >= 0:
            first_near[plain] = first
            found.append((position, first))
    return found


def conflicts(rows: Sequence[tuple[str, str]]) -> list[tuple[int, ...]]:
    """Of prompts and replies the positions of those that ask the same and are answered differently.

    Of each different reply to one prompt the first is named; case and spaces make no difference.
    ``[("Open today?", "Yes."), ("Bye", "Bye"), ("open today?", "No.")]`` gives ``[(0, 2)]``.
    """
    replies: dict[str, dict[str, int]] = defaultdict(dict)
    for position, (prompt, reply) in enumerate(rows):
        replies[fingerprint(prompt)].setdefault(fingerprint(reply), position)
    return [tuple(firsts.values()) for firsts in replies.values() if len(firsts) > 1]


def _distinct(texts: Sequence[str]) -> tuple[list[int], dict[str, int]]:
    """For each text the position of its first occurrence, and that of every different normalised text."""
    distinct: dict[str, int] = {}
    return [distinct.setdefault(normalised(text), position) for position, text in enumerate(texts)], distinct


class _Held:
    """Texts that are all in memory, as ``curation.similarity.similar`` wants them."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts
        order = Order.of([" ".join(block) for block in _blocks(texts[:: max(1, len(texts) // _SAMPLE)])])
        self._blocks: list[Sketches] = []
        row = 0
        for block in _blocks(texts):
            self._blocks.append(sketch(block, order, first_row=row))
            row += len(block)

    def sizes(self) -> Array:
        return _joined([block.sizes for block in self._blocks])

    def bins(self, word: int) -> Array:
        return _joined([block.bins[word] for block in self._blocks])

    def postings(self, parts: range) -> Iterator[Array]:
        bounds = [part_bounds(block.postings) for block in self._blocks]
        for start, stop in parts_together(bounds, parts):
            yield _joined(
                [block.postings[bound[start] : bound[stop]] for block, bound in zip(self._blocks, bounds, strict=True)]
            )

    def text(self, row: int) -> str:
        return self._texts[row]


def _blocks(texts: Sequence[str]) -> Iterator[list[str]]:
    block: list[str] = []
    characters = 0
    for text in texts:
        block.append(text)
        characters += len(text)
        if len(block) == _BLOCK_TEXTS or characters >= _BLOCK_CHARACTERS:
            yield block
            block, characters = [], 0
    if block:
        yield block


def _joined(arrays: Sequence[Array]) -> Array:
    import numpy as np  # noqa: PLC0415 (a tenth of a second that --help need not wait for)

    return np.concatenate(arrays) if arrays else np.zeros(0, np.uint64)
