"""Yardsticks: what a perplexity is worth, beside models that only count the training side's tokens.

Owns two of them, over the very tokens that the model is measured on. A tuned model that does not beat the first has
learned which tokens are frequent and nothing else; one that does not beat the second knows no more than neighbours.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from training.backends.local.chat import Encoded


def unigram_perplexity(learned: Sequence[Encoded], held_out: Sequence[Encoded], *, vocabulary: int) -> float:
    """Perplexity of the supervised held-out tokens under add-one counts of the supervised learned ones.

    The yardstick of a model that knows which tokens are frequent and nothing about their order.
    """
    likelihood = _unigram(learned, vocabulary)
    return _perplexity([likelihood(token) for _, token in _pairs(held_out)])


def bigram_perplexity(learned: Sequence[Encoded], held_out: Sequence[Encoded], *, vocabulary: int) -> float:
    """Perplexity of the same tokens under counts of which token follows which, interpolated with the unigram.

    Witten and Bell's interpolation (1991, https://doi.org/10.1109/18.87000, method C): after a token that was seen
    ``n`` times with ``t`` different successors, the pair's share weighs ``n / (n + t)`` and the unigram the rest. So
    there is nothing to fit, on the held-out side least of all; after a token never seen it is the unigram alone.
    """
    likelihood = _unigram(learned, vocabulary)
    together = Counter(_pairs(learned))
    before, successors = Counter[int](), Counter[int]()
    for (first, _), times in together.items():
        before[first] += times
        successors[first] += 1
    likelihoods = []
    for first, token in _pairs(held_out):
        alone, kinds = likelihood(token), successors[first]
        total = before[first] + kinds
        likelihoods.append((together[first, token] + kinds * alone) / total if total else alone)
    return _perplexity(likelihoods)


def _pairs(rows: Sequence[Encoded]) -> Iterator[tuple[int, int]]:
    """Every supervised token with the one before it; nothing precedes the first."""
    for row in rows:
        for place in range(1, len(row.ids)):
            if row.supervised[place]:
                yield row.ids[place - 1], row.ids[place]


def _unigram(learned: Sequence[Encoded], vocabulary: int) -> Callable[[int], float]:
    counts = Counter(token for _, token in _pairs(learned))
    total = counts.total() + vocabulary
    return lambda token: (counts[token] + 1) / total


def _perplexity(likelihoods: Sequence[float]) -> float:
    return math.exp(-sum(map(math.log, likelihoods)) / len(likelihoods))
