from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.balance import ADVICE_LIMIT, CELL_FLOOR, Advice, Facet, Lengths, Spread, advise, findings, measure


def facet(
    topic: str | None = "billing",
    language: str | None = "en",
    kind: str = "endorsement",
    tokens: int = 100,
    turns: int = 2,
) -> Facet:
    return Facet(topic, language, kind, tokens, turns)


facets = st.lists(
    st.builds(
        Facet,
        topic=st.sampled_from(["billing", "shipping", "returns", None]),
        language=st.sampled_from(["en", "de", None]),
        kind=st.sampled_from(["correction", "endorsement", "imported"]),
        tokens=st.integers(0, 5000),
        turns=st.integers(1, 30),
    ),
    max_size=40,
)


@given(facets, st.randoms(use_true_random=False))
def test_the_order_of_examples_makes_no_difference(sample: list[Facet], rng: random.Random) -> None:
    shuffled = list(sample)
    rng.shuffle(shuffled)
    assert measure(shuffled) == measure(sample)
    assert advise(measure(shuffled), {}) == advise(measure(sample), {})


@given(facets)
def test_entropies_lie_between_0_and_1_and_classes_between_1_and_all(sample: list[Facet]) -> None:
    balance = measure(sample)
    for spread, labels in (
        (balance.topics, {item.topic for item in sample if item.topic}),
        (balance.languages, {item.language for item in sample if item.language}),
    ):
        assert 0 <= spread.entropy <= 1
        assert min(1, len(labels)) - 1e-9 <= spread.effective <= len(labels) + 1e-9


def test_equal_classes_are_evenly_spread_and_one_class_is_not_spread_at_all() -> None:
    assert Spread.of([7, 7, 7]).entropy == pytest.approx(1)
    assert Spread.of([7, 7, 7]).effective == pytest.approx(3)
    assert Spread.of([9]) == Spread(0, 1)
    assert Spread.of([]) == Spread(0, 0)


def test_the_entropy_of_three_to_one_is_as_computed_by_hand() -> None:
    spread = Spread.of([3, 1])
    assert spread.entropy == pytest.approx(0.8113, abs=1e-4)
    assert spread.effective == pytest.approx(1.7548, abs=1e-4)


def test_percentiles_are_values_that_occur() -> None:
    assert Lengths.of(list(range(1, 101))) == Lengths(5, 50, 95, 100)
    assert Lengths.of([4, 1, 3, 2]) == Lengths(1, 2, 4, 4)
    assert Lengths.of([]) == Lengths(0, 0, 0, 0)


def test_the_table_counts_topics_by_language() -> None:
    balance = measure([facet(), facet(), facet(language="de"), facet("returns", kind="correction"), facet(None)])
    assert balance.as_json()["table"] == {"billing": {"de": 1, "en": 2}, "returns": {"en": 1}}
    assert balance.as_json()["kinds"] == {"correction": 1, "endorsement": 4}
    assert balance.endorsement_share == 0.8


def test_advice_names_what_is_missing_and_what_waits() -> None:
    balance = measure([facet() for _ in range(120)] + [facet(language="de") for _ in range(4)])
    (advice,) = advise(balance, Counter({("billing", "de"): 12}))
    assert advice == Advice("billing", "de", missing=6, waiting=12)
    assert advice.sentence() == "Add 6 German billing examples; 12 wait in the queue."


def test_advice_speaks_of_one_example_in_the_singular() -> None:
    assert Advice("billing", "de", 1, 1).sentence() == "Add 1 German billing example; 1 waits in the queue."
    assert Advice("billing", "xx", 2, 0).sentence() == "Add 2 xx billing examples; none waits in the queue."


def test_a_cell_that_nobody_has_covered_is_missed_and_a_full_one_is_not() -> None:
    balance = measure([facet() for _ in range(CELL_FLOOR)])
    assert advise(balance, {}) == []
    assert advise(balance, {("billing", "nb"): 3}) == [Advice("billing", "nb", CELL_FLOOR, 3)]


def test_large_sets_ask_for_more_than_the_floor() -> None:
    english = [facet() for _ in range(500)] + [facet("returns") for _ in range(500)]
    german = [facet("returns", "de") for _ in range(200)]
    (advice,) = advise(measure(english + german), {})
    assert advice == Advice("billing", "de", missing=(1200 * 500 * 200 // 1200**2) // 2, waiting=0)


def test_the_most_urgent_cells_come_first_and_the_list_stays_short() -> None:
    pending = {(f"topic {number:02}", "en"): number for number in range(1, 20)}
    advice = advise(measure([]), pending)
    assert len(advice) == ADVICE_LIMIT
    assert [item.waiting for item in advice] == list(range(19, 9, -1))


def test_more_corrections_than_good_replies_are_a_warning() -> None:
    good, bad = facet(), facet(kind="correction")
    assert [finding.rule for finding in findings(measure([good, bad, bad]))] == ["balance.endorsements"]
    assert findings(measure([good, bad])) == []


def test_examples_without_a_topic_are_mentioned() -> None:
    (finding,) = findings(measure([facet(), facet(topic=None)]))
    assert (finding.rule, finding.message) == ("balance.unlabelled", "1 of 2 examples lack a topic or a language.")
