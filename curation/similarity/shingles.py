"""Shingles: what of a text is compared, and the little that is kept of it among very many.

Owns the shingle (5 characters of the normalised text, so that languages without spaces are no exception and
a typing error touches five at most), its hash, and the order from rare to common. Refuses to decide who is
similar to whom (``curation.similarity.similar``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

SHINGLE = 5
BINS = 128
WORDS = BINS // 8
ROW_BITS = 28
PLACE_BITS = 6
"""A posting is the hash of a shingle, then its place in the text's prefix in 64ths, then the row in the lowest bits."""
PARTS = 512
"""Parts into which postings may be taken apart, so that those of very many texts are never held together."""
_POSTINGS_TOGETHER = 1 << 18
_LEAST_BUCKET_BITS, _MOST_BUCKET_BITS = 10, 20
_HASH_BITS = 64 - PLACE_BITS - ROW_BITS
_MOST_TEXTS = 1 << 16
_PIECE_CHARACTERS = 1 << 15  # what is computed of so many stays near the processor
_PRIME = 0x100000001B3
_MIX = (0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93)


@dataclass(frozen=True, slots=True)
class Order:
    """From rare to common: a class from 0 to 255 for each of ``2**bits`` buckets of shingles."""

    classes: Array
    bits: int

    @classmethod
    def of(cls, sample: Sequence[str]) -> Order:
        """By how often each shingle stands in ``sample``; one that does not is as rare as can be."""
        import numpy as np  # noqa: PLC0415 (a tenth of a second that --help need not wait for)

        characters = sum(map(len, sample))
        bits = min(_MOST_BUCKET_BITS, max(_LEAST_BUCKET_BITS, characters.bit_length() + 1))
        often = np.zeros(1 << bits, np.uint32)
        for start, stop in _pieces(sample):
            hashes, _ = _hashed(sample[start:stop])
            np.add.at(often, (hashes >> np.uint64(64 - bits)).astype(np.int64), np.uint32(1))
        # An octave has eight classes up to 4 billion.
        classes = np.empty(1 << bits, np.uint8)
        for start in range(0, len(often), 1 << 16):
            piece = slice(start, start + (1 << 16))
            classes[piece] = 8 * np.log2(1 + often[piece])
        return cls(classes, bits)


@dataclass(frozen=True, slots=True)
class Sketches:
    """What is kept of a block of texts.

    Attributes:
        sizes: different shingles of each text, ``(texts,)``.
        bins: one byte for each of ``BINS`` parts into which hashes fall, from the smallest of the text's there, or 0;
            eight to a word, ``(WORDS, texts)``. Two texts agree in about so many of the bins that either uses as they
            are similar.
        postings: the prefix of each text, its rarest shingles, ascending.
    """

    sizes: Array
    bins: Array
    postings: Array


def shingles(text: str) -> set[str]:
    """Every 5 neighbouring characters; of a shorter text the whole: ``"abcdef"`` gives ``{"abcde", "bcdef"}``."""
    return {text[start : start + SHINGLE] for start in range(max(1, len(text) - SHINGLE + 1))}


def sketch(texts: Sequence[str], order: Order, *, first_row: int = 0) -> Sketches:
    """What is kept of normalised ``texts``, the first of which has the row ``first_row``.

    The same on every machine and in every process. Takes about 60 bytes a character of a text while it runs.

    Raises:
        ValueError: more than 65,536 texts at once.
    """
    import numpy as np  # noqa: PLC0415

    if len(texts) > _MOST_TEXTS:
        raise ValueError(f"{len(texts)} texts are too many for one block")
    sizes = np.empty(len(texts), np.uint32)
    bins = np.empty((WORDS, len(texts)), np.uint64)
    postings = [np.zeros(0, np.uint64)]
    for start, stop in _pieces(texts):
        piece = _sketch_piece(texts[start:stop], order, first_row + start)
        sizes[start:stop] = piece.sizes
        bins[:, start:stop] = piece.bins
        postings.append(piece.postings)
    together = np.concatenate(postings)
    together.sort()
    return Sketches(sizes, bins, together)


def _pieces(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """From where to where the texts may be taken together."""
    start = characters = 0
    for place, text in enumerate(texts):
        characters += len(text)
        if characters >= _PIECE_CHARACTERS:
            yield start, place + 1
            start, characters = place + 1, 0
    if start < len(texts):
        yield start, len(texts)


def _sketch_piece(texts: Sequence[str], order: Order, first_row: int) -> Sketches:
    """The same of a few texts, their postings in no order."""
    import numpy as np  # noqa: PLC0415

    hashes, owners = _hashed(texts)
    smallest = np.full(len(texts) * BINS, ~np.uint64(0))
    np.minimum.at(smallest, owners * BINS + (hashes >> np.uint64(57)).view(np.int64), hashes)
    used = smallest != ~np.uint64(0)
    bins = np.where(used, smallest % np.uint64(255) + np.uint64(1), np.uint64(0)).astype(np.uint8)
    # One sort for all: by text, then class, then hash.
    keys = owners.view(np.uint64) << np.uint64(8)
    keys |= order.classes[(hashes >> np.uint64(64 - order.bits)).view(np.int64)]
    keys <<= np.uint64(40)
    keys |= hashes & np.uint64((1 << 40) - 1)
    keys.sort()
    keys = keys[np.r_[True, keys[1:] != keys[:-1]]] if len(keys) else keys
    sizes = np.bincount((keys >> np.uint64(48)).view(np.int64), minlength=len(texts))
    lengths = prefix_lengths(sizes)
    rows = np.repeat(np.arange(len(texts)), lengths)
    rank = np.arange(len(rows)) - (np.cumsum(lengths) - lengths)[rows]
    early = keys[(np.cumsum(sizes) - sizes)[rows] + rank]
    postings = (early & np.uint64((1 << _HASH_BITS) - 1)) << np.uint64(PLACE_BITS + ROW_BITS)
    postings |= ((rank << PLACE_BITS) // lengths[rows] << ROW_BITS).view(np.uint64)
    postings |= rows.view(np.uint64) + np.uint64(first_row)
    return Sketches(sizes, bins.view(np.uint64).reshape(len(texts), WORDS).T, postings)


def part_bounds(postings: Array) -> Array:
    """Where in ``postings`` each of the ``PARTS`` begins, and where the last ends; equal hashes are in one part."""
    import numpy as np  # noqa: PLC0415

    starts = np.arange(PARTS, dtype=np.uint64) << np.uint64(64 - PARTS.bit_length() + 1)
    return np.append(np.searchsorted(postings, starts), len(postings))


def parts_together(bounds: Sequence[Array], parts: range) -> Iterator[tuple[int, int]]:
    """From which of ``parts`` to which they may be held together, given the bounds of each block of postings.

    Of few texts that is all of them: with hardly a posting in it a part takes its time all the same.
    """
    import numpy as np  # noqa: PLC0415

    ends = np.sum([np.zeros(PARTS + 1, np.int64), *bounds], axis=0)
    start = parts.start
    while start < parts.stop:
        most = ends[start] + _POSTINGS_TOGETHER
        stop = min(parts.stop, max(start + 1, int(np.searchsorted(ends, most, side="right")) - 1))
        yield start, stop
        start = stop


def prefix_lengths(sizes: Array) -> Array:
    """How many of so many shingles, in any one order, two similar texts cannot both have without sharing one.

    They share at least four fifths of either, so one of each's first fifth and one more.
    """
    lengths: Array = sizes - -(-4 * sizes // 5) + 1
    return lengths


def _hashed(texts: Sequence[str]) -> tuple[Array, Array]:
    """The 64-bit hashes of all shingles of ``texts``, and the position of the text of each."""
    import numpy as np  # noqa: PLC0415

    # A short text is one shingle: padded with NUL, which no other text has at its end.
    padded = [text.ljust(SHINGLE, "\0") for text in texts]
    if not padded:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    letters = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32)
    last = len(letters) - SHINGLE + 1
    hashes = letters[:last].astype(np.uint64)
    for place in range(1, SHINGLE):
        hashes *= np.uint64(_PRIME)
        hashes += letters[place : place + last]
    for factor in _MIX:
        hashes *= np.uint64(factor)
        hashes ^= hashes >> np.uint64(32)
    lengths = np.fromiter(map(len, padded), np.int64, len(padded))
    ends = np.cumsum(lengths)
    whole = np.ones(len(letters), bool)
    for back in range(1, SHINGLE):
        whole[ends - back] = False  # a shingle that begins here runs into the next text
    owners = np.repeat(np.arange(len(padded), dtype=np.int64), lengths)[whole]
    return hashes[whole[:last]], owners
