"""Diversity of words: every measure against a plain computation of the same formula."""

from __future__ import annotations

import math
import random
import subprocess
import sys

import numpy as np
import pytest

from curation.measures.diversity import (
    BUCKETS,
    DIMENSIONS,
    Sample,
    distinct,
    embed,
    gram_hashes,
    vectors,
    vendi,
    words,
)

SENTENCES = [
    "Where is my parcel with the blue lamp?",
    "The invoice of March was charged twice.",
    "Wie lange kann ich die Lampe zurückgeben?",
    "我的灯坏了，可以退货吗？",
    "Saan ko makikita ang resibo ko?",
]


def unit_rows(count: int, dimensions: int) -> np.ndarray:
    rows = np.random.default_rng(3).standard_normal((count, dimensions))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(("count", "dimensions"), [(1, 4), (5, 64), (80, 16), (200, 64)])
def test_the_vendi_score_of_d_by_d_is_that_of_n_by_n(count: int, dimensions: int) -> None:
    rows = unit_rows(count, dimensions)
    eigenvalues = np.linalg.eigvalsh(rows @ rows.T / count)
    plain = math.exp(-sum(value * math.log(value) for value in eigenvalues if value > 1e-12))
    assert vendi(rows) == pytest.approx(plain, rel=1e-9)


def test_the_vendi_score_counts_different_texts() -> None:
    assert vendi(np.eye(7)) == pytest.approx(7)
    assert vendi(np.ones((9, 1))) == pytest.approx(1)
    assert vendi(np.zeros((0, 4))) == 0
    repeated = embed(vectors(SENTENCES[:2] * 20), random.Random(1))
    assert 1.5 < vendi(repeated) < 2.01
    assert vendi(embed(vectors(SENTENCES), random.Random(1))) > 4


def test_the_main_directions_are_those_of_the_whole_decomposition() -> None:
    generator = np.random.default_rng(5)
    low = generator.standard_normal((120, 20)) @ generator.standard_normal((20, 300))
    left, sizes, _ = np.linalg.svd(low, full_matrices=False)
    whole = left[:, :20] * sizes[:20]
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    placed = embed(low, random.Random(2))
    assert placed.shape == (120, DIMENSIONS)
    # The directions may be turned; what texts are to each other may not.
    assert np.allclose(placed @ placed.T, whole @ whole.T, atol=1e-6)


def test_vectors_count_character_grams_as_a_dictionary_would() -> None:
    row = vectors(["aaab"])[0]
    letters = " aaab "
    grams = [letters[start : start + size] for size in (3, 4, 5) for start in range(len(letters) - size + 1)]
    counts = sorted(math.log1p(grams.count(gram)) for gram in set(grams))
    length = math.sqrt(sum(count**2 for count in counts))
    assert row.shape == (BUCKETS,)
    assert sorted(row[row > 0].tolist()) == pytest.approx([count / length for count in counts], rel=1e-5)


def test_a_hash_is_the_same_in_every_process() -> None:
    code = "from curation.measures.diversity import gram_hashes; print(int(gram_hashes('Wie lange?')[0]))"
    done = subprocess.run(  # noqa: S603 (our own interpreter and code)
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == int(gram_hashes("Wie lange?")[0])


def test_distinct_is_different_grams_over_all() -> None:
    assert distinct(["a b a"], 1) == pytest.approx(2 / 3)
    assert distinct(["a b a b", "a b"], 2) == pytest.approx(2 / 4)
    assert distinct(["a"], 2) == 0
    assert distinct([], 1) == 0


def test_chinese_is_counted_by_its_characters() -> None:
    assert words("我的 Lampe") == ["我", "的", "lampe"]


def test_a_sample_is_uniform_and_knows_how_much_went_by() -> None:
    hits = [0] * 20
    for seed in range(600):
        sample = Sample(random.Random(seed), 5)
        for number in range(20):
            sample.add(str(number))
        assert len(sample.texts) == 5
        assert sample.seen == 20
        for text in sample.texts:
            hits[int(text)] += 1
    assert min(hits) > 100  # each is expected 150 times; 100 is five deviations away
    assert max(hits) < 200


def test_a_sample_is_measured_and_nothing_has_no_diversity() -> None:
    sample = Sample(random.Random(1))
    assert sample.measure() is None
    for text in [*SENTENCES, SENTENCES[0].upper()]:
        sample.add(text)
    found = sample.measure()
    assert found is not None
    assert found.near_duplicates == pytest.approx(1 / 6)
    assert (found.texts, found.sampled) == (6, 6)
    assert found.as_json()["distinct_1"] == round(found.distinct_1, 3)
