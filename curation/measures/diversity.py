"""How different texts are from each other: repeated words, near-duplicates, and the Vendi score.

Owns the words and the vectors by which texts are compared, and the sample that is taken of many.
Vectors are of character n-grams, so they need neither a model nor a language; what texts mean is not
seen. Figures of samples of different sizes cannot be compared, so each says how many texts it is of.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from curation.similarity.duplicates import near_earlier, normalised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[Any]

SAMPLE = 2_000
"""Texts that are measured at most: enough for two digits, and done within a second."""
DIMENSIONS = 64
N_GRAMS = (3, 4, 5)
BUCKETS = 4096
_SPARE = 10  # more directions than are kept, and two passes: Halko, Martinsson, Tropp 2011, section 4.5
_PASSES = 2
# Han characters are words of their own; other scripts put spaces or marks between words.
_WORD = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3400-\u9fff\uf900-\ufaff]+")


@dataclass(frozen=True, slots=True)
class Diversity:
    """What a set of texts, or a sample of it, says about diversity.

    Attributes:
        near_duplicates: share of texts that repeat an earlier one, exactly or nearly, from 0 to 1.
        distinct_1, distinct_2: different words and pairs of words over all of them, from 0 to 1. Li et al. 2016.
        vendi: as many completely different texts would be as diverse, from 1. Friedman and Dieng 2023.
        texts: how many there are.
        sampled: how many of them were measured.
    """

    near_duplicates: float
    distinct_1: float
    distinct_2: float
    vendi: float
    texts: int
    sampled: int

    def as_json(self) -> dict[str, float | int]:
        """Every attribute, to three digits."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


class Sample:
    """A uniform sample of a stream, kept in constant memory. Algorithm R, Vitter 1985."""

    def __init__(self, rng: random.Random, size: int = SAMPLE) -> None:
        self._rng = rng
        self._size = size
        self.texts: list[str] = []
        self.seen = 0

    def add(self, text: str) -> None:
        """Take the next text of the stream into account."""
        self.seen += 1
        if len(self.texts) < self._size:
            self.texts.append(text)
        elif (place := self._rng.randrange(self.seen)) < self._size:
            self.texts[place] = text

    def measure(self) -> Diversity | None:
        """The diversity of what was sampled; None of nothing."""
        if not self.texts:
            return None
        return Diversity(
            near_duplicates=sum(bool(earlier) for earlier in near_earlier(self.texts)) / len(self.texts),
            distinct_1=distinct(self.texts, 1),
            distinct_2=distinct(self.texts, 2),
            vendi=vendi(embed(vectors(self.texts), self._rng)),
            texts=self.seen,
            sampled=len(self.texts),
        )


def words(text: str) -> list[str]:
    """``"Wo ist's?"`` gives ``["wo", "ist", "s"]``; a Han character is a word."""
    return _WORD.findall(normalised(text))


def distinct(texts: Sequence[str], n: int) -> float:
    """Different word n-grams over all word n-grams: ``["a b a"]`` gives 2/3 for n = 1; 0 where there are none."""
    different: set[tuple[str, ...]] = set()
    total = 0
    for text in texts:
        said = words(text)
        grams = list(zip(*(said[start:] for start in range(n)), strict=False))
        total += len(grams)
        different.update(grams)
    return len(different) / total if total else 0.0


def vectors(texts: Sequence[str]) -> Matrix:
    """Character n-grams of each text, counted into ``BUCKETS`` by their hash: ``(texts, BUCKETS)``, rows of length 1.

    Counts are damped by the logarithm; the hash is the same on every machine and in every process.
    """
    import numpy as np  # noqa: PLC0415 (a tenth of a second that --help need not wait for)

    rows = np.zeros((len(texts), BUCKETS), dtype=np.float32)
    for place, text in enumerate(texts):
        buckets = (gram_hashes(text) % np.uint64(BUCKETS)).astype(np.int64)
        rows[place] = np.bincount(buckets, minlength=BUCKETS)
    np.log1p(rows, out=rows)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Matrix = rows / np.where(length == 0, 1, length)
    return scaled


def gram_hashes(text: str, sizes: Sequence[int] = N_GRAMS) -> Matrix:
    """A 64-bit hash of every character n-gram of the normalised text, of every size that fits."""
    import numpy as np  # noqa: PLC0415

    letters = f" {normalised(text)} "
    codes = np.frombuffer(letters.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    hashes = []
    for size in sizes:
        count = len(codes) - size + 1
        if count <= 0:
            continue
        mixed = np.full(count, size, dtype=np.uint64)
        for start in range(size):
            mixed = (mixed ^ codes[start : start + count]) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        hashes.append(mixed ^ (mixed >> np.uint64(32)))
    return np.concatenate(hashes) if hashes else np.zeros(0, dtype=np.uint64)


def embed(rows: Matrix, rng: random.Random, dimensions: int = DIMENSIONS) -> Matrix:
    """The rows on their ``dimensions`` main directions, ``(texts, dimensions or fewer)``, each of length 1.

    A randomised singular value decomposition: Halko, Martinsson, Tropp, "Finding structure with randomness",
    2011, algorithms 4.4 and 5.1. Exact where the rows have no more directions than are asked for.
    """
    import numpy as np  # noqa: PLC0415

    generator = np.random.default_rng(rng.getrandbits(64))
    kept = min(dimensions, *rows.shape)
    width = min(kept + _SPARE, *rows.shape)
    basis, _ = np.linalg.qr(rows @ generator.standard_normal((rows.shape[1], width)).astype(rows.dtype))
    for _ in range(_PASSES):
        basis, _ = np.linalg.qr(rows @ (rows.T @ basis))
    left, sizes, _ = np.linalg.svd(basis.T @ rows, full_matrices=False)
    placed = basis @ (left[:, :kept] * sizes[:kept])
    length = np.linalg.norm(placed, axis=1, keepdims=True)
    scaled: Matrix = placed / np.where(length == 0, 1, length)
    return scaled


def vendi(rows: Matrix) -> float:
    """``exp(-sum(λ ln λ))`` over the eigenvalues λ of the similarities over n; 0 for no rows.

    Friedman and Dieng, "The Vendi Score", TMLR 2023. With the dot product of unit vectors as similarity,
    ``X Xᵀ / n`` (n × n) and ``Xᵀ X / n`` (d × d) have the same eigenvalues other than 0, and d is small.

    Args:
        rows: ``(n, d)``, each of length 1 (or 0, which counts as alike with nothing).
    """
    import numpy as np  # noqa: PLC0415

    if not len(rows):
        return 0.0
    exact = rows.astype(np.float64)
    found = np.linalg.eigvalsh(exact.T @ exact / len(exact))
    shares = found[found > np.finfo(np.float64).eps]
    return float(np.exp(-np.sum(shares * np.log(shares))))
