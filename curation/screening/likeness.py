"""Finding what one text repeats among many that were seen before, without reading them all.

Owns the hashes by which near-duplicates are looked up, and the search for phrases that one author repeats and
nobody else uses. A look-up may miss one in sixty near-duplicates: it warns. What counts and clusters for good is
``curation.similarity.duplicates``, which misses none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from curation.measures.diversity import gram_hashes, words
from curation.similarity.duplicates import SHINGLE, fingerprint, near_earlier

BANDS = 8
ROWS = 4
"""Of two texts with a similarity s the chance to share a band is ``1 - (1 - s**4)**8``: 98.5 % at 0.8, 0.1 % at 0.1."""
LOOKED_AT = 20_000
"""Characters of a text that are hashed; what is longer and differs only after them is very much alike."""
PHRASE_WORDS = 4
WORD_LETTERS = 4
"""A single word is a phrase of its own from so many letters on."""
PROMPTS_LEAST = 4
"""Different other questions under which a phrase must stand before it is called repeated."""
USUAL_TEXTS = 50
"""Below so many other texts nobody can say what is unusual."""
_SEED = 0x5EED


def bands(text: str) -> list[int]:
    """The text's ``BANDS`` hashes, each from 0 to 2**63 - 1; equal texts have equal ones.

    MinHash of character 5-grams (Broder 1997), with ``ROWS`` minima to a band (Leskovec, Rajaraman, Ullman, "Mining
    of Massive Datasets", 3.4).
    """
    import numpy as np  # noqa: PLC0415 (a tenth of a second that --help need not wait for)

    grams = gram_hashes(text[:LOOKED_AT], (SHINGLE,))
    if not len(grams):
        return [int(fingerprint(text)[:15], 16)]
    factors, addends = np.random.default_rng(_SEED).integers(
        1, 2**63, size=(2, BANDS * ROWS, 1), dtype=np.uint64, endpoint=False
    )
    minima = (grams * (factors | np.uint64(1)) + addends).min(axis=1) >> np.uint64(11)
    mixed = np.arange(1, BANDS + 1, dtype=np.uint64)
    for row in minima.reshape(BANDS, ROWS).T:
        mixed = (mixed ^ row) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return [int(band) for band in mixed >> np.uint64(1)]


def alike(one: str, other: str) -> bool:
    """Whether two texts are the same or nearly so, exactly as ``curation.similarity.duplicates`` decides it."""
    return bool(near_earlier([one[:LOOKED_AT], other[:LOOKED_AT]])[1])


def repeated(correction: str, own: Iterable[tuple[str, str]], usual: Sequence[str]) -> dict[str, int]:
    """Unusual phrases of a correction, with under how many other prompts its author wrote them.

    A phrase is ``PHRASE_WORDS`` words in a row or one longer word; it is unusual if no other text has it.

    Args:
        correction: whose phrases are looked at.
        own: the author's other corrections as ``(prompt, text)``; those under one prompt count once.
        usual: what others wrote, what customers asked, what the assistant replied.
    """
    if len(usual) < USUAL_TEXTS:
        return {}
    phrases = _phrases(correction)
    for text in usual:
        phrases -= _phrases(text)
    if not phrases:
        return {}
    by_prompt: dict[str, set[str]] = {}
    for prompt, text in own:
        by_prompt.setdefault(prompt, set()).update(phrases & _phrases(text))
    counts = Counter(phrase for found in by_prompt.values() for phrase in found)
    return {phrase: count for phrase, count in counts.items() if count >= PROMPTS_LEAST}


def _phrases(text: str) -> set[str]:
    said = words(text[:LOOKED_AT])
    longer = zip(*(said[start:] for start in range(PHRASE_WORDS)), strict=False)
    return {" ".join(phrase) for phrase in longer} | {word for word in said if len(word) >= WORD_LETTERS}
