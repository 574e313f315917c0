from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.measures.advice import ADVICE_LIMIT, CELL_FLOOR, DEMAND_DIALOGUES, KEPT_IDS
from curation.measures.balance import (
    Advice,
    Demand,
    Facet,
    Lengths,
    Spread,
    advise,
    findings,
    measure,
)
from curation.measures.spread import Concentration


def facet(
    topic: str | None = "billing",
    language: str | None = "en",
    kind: str = "endorsement",
    tokens: int = 100,
    turns: int = 2,
    authors: tuple[str, ...] = (),
    reviewer: str | None = None,
    count: int = 1,
) -> Facet:
    return Facet(topic, language, kind, tokens, turns, authors, reviewer, count)


facets = st.lists(
    st.builds(
        Facet,
        topic=st.sampled_from(["billing", "shipping", "returns", None]),
        language=st.sampled_from(["en", "de", None]),
        kind=st.sampled_from(["correction", "endorsement", "imported"]),
        tokens=st.integers(0, 5000),
        turns=st.integers(1, 30),
        authors=st.sampled_from([(), ("ana",), ("ana", "ben"), ("bea",)]),
        reviewer=st.sampled_from([None, "olga", "ben"]),
        count=st.integers(1, 5),
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


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=12))
def test_spread_is_what_shannons_and_hills_formulas_give(counts: list[int]) -> None:
    shares = [count / sum(counts) for count in counts]
    entropy = sum(share * math.log2(1 / share) for share in shares)
    spread = Spread.of(counts)
    assert spread.effective == pytest.approx(2**entropy)
    if len(counts) > 1:
        assert spread.entropy == pytest.approx(entropy / math.log2(len(counts)))


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 1000), min_size=1))
def test_concentration_is_what_simpsons_formula_gives(counts: dict[str, int]) -> None:
    total = sum(counts.values())
    concentration = Concentration.of(counts)
    assert concentration.effective == pytest.approx(1 / sum((count / total) ** 2 for count in counts.values()))
    assert concentration.largest == pytest.approx(max(counts.values()) / total)
    assert counts[concentration.who or ""] == max(counts.values())


def test_of_nobody_nothing_is_concentrated() -> None:
    assert Concentration.of({}) == Concentration(0, 0.0, None, 0.0)


def test_people_are_counted_for_each_example_that_they_had_a_hand_in() -> None:
    balance = measure(
        [facet(authors=("ana", "ben"), reviewer="olga"), facet(authors=("ana",), reviewer="olga", count=2), facet()]
    )
    assert (balance.authors.who, balance.authors.largest) == ("ana", 0.75)
    assert balance.authors.effective == pytest.approx(1.6)
    assert (balance.reviewers.who, balance.reviewers.people) == ("olga", 1)
    assert balance.total == 4


@given(facets)
def test_counted_facets_are_as_good_as_repeated_ones(sample: list[Facet]) -> None:
    one_by_one = [
        Facet(item.topic, item.language, item.kind, item.tokens, item.turns, item.authors, item.reviewer)
        for item in sample
        for _ in range(item.count)
    ]
    assert measure(one_by_one) == measure(sample)


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
    (advice,) = advise(balance, {("billing", "de"): [14, 19, 23, 31, 40, 41]})
    assert advice == Advice("billing", "de", missing=6, waiting=6, ids=(14, 19, 23, 31, 40, 41))
    assert advice.sentence() == (
        "Add 6 German billing examples; 6 wait in the queue: 14, 19, 23, 31, 40, …; "
        "review them with: errata review --topic billing --language de"
    )
    assert advice.as_json()["ids"] == [14, 19, 23, 31, 40, 41]


def test_advice_speaks_of_one_example_in_the_singular_and_quotes_what_a_shell_would_split() -> None:
    one = Advice("late delivery", "de", 1, 1, (7,))
    assert one.sentence() == (
        "Add 1 German late delivery example; 1 waits in the queue: 7; "
        "review it with: errata review --topic 'late delivery' --language de"
    )
    assert Advice("billing", "xx", 2, 0).sentence() == "Add 2 xx billing examples; none waits in the queue."


def test_advice_keeps_the_oldest_of_many_candidates_and_counts_them_all() -> None:
    (advice,) = advise(measure([]), {("billing", "de"): range(1, 1001)})
    assert advice.waiting == 1000
    assert advice.ids == tuple(range(1, KEPT_IDS + 1))
    assert "; 1,000 wait in the queue: 1, 2, 3, 4, 5, …; " in advice.sentence()


def test_a_cell_that_nobody_has_covered_is_missed_and_a_full_one_is_not() -> None:
    balance = measure([facet() for _ in range(CELL_FLOOR)])
    assert advise(balance, {}) == []
    assert advise(balance, {("billing", "nb"): [1, 2, 3]}) == [Advice("billing", "nb", CELL_FLOOR, 3, (1, 2, 3))]


def test_where_production_is_known_a_cells_target_is_its_share_of_what_is_asked() -> None:
    balance = measure([facet(count=800), facet("returns", count=200)])
    asked = {("billing", "en"): Demand(500, 50), ("returns", "en"): Demand(500, 50)}
    assert advise(balance, {}, demand=asked) == [Advice("returns", "en", missing=300, waiting=0)]


def test_too_few_dialogues_say_nothing_about_production() -> None:
    balance = measure([facet(count=800), facet("returns", count=200)])
    few = DEMAND_DIALOGUES // 2
    assert advise(balance, {}, demand={("returns", "en"): Demand(few, few)}) == []


def test_of_two_equal_gaps_the_one_with_the_higher_flag_rate_comes_first() -> None:
    asked = {("billing", "en"): Demand(100, 5), ("returns", "en"): Demand(100, 40)}
    first, second = advise(measure([]), {}, demand=asked)
    assert (first.topic, second.topic) == ("returns", "billing")
    assert first.missing == second.missing


def test_large_sets_ask_for_more_than_the_floor() -> None:
    english = [facet() for _ in range(500)] + [facet("returns") for _ in range(500)]
    german = [facet("returns", "de") for _ in range(200)]
    (advice,) = advise(measure(english + german), {})
    assert advice == Advice("billing", "de", missing=(1200 * 500 * 200 // 1200**2) // 2, waiting=0)


def test_the_most_urgent_cells_come_first_and_the_list_stays_short() -> None:
    pending = {(f"topic {number:02}", "en"): range(number) for number in range(1, 20)}
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


def test_the_least_share_of_good_replies_can_be_set() -> None:
    mixed = measure([facet(count=6), facet(kind="correction", count=4)])
    assert findings(mixed) == []
    (finding,) = findings(mixed, endorsement_share=0.7)
    assert finding.message == "4 of 10 examples are corrections, more than 30%."
    assert findings(measure([facet(kind="correction", count=4)]), endorsement_share=0) == []


def test_one_author_of_most_of_a_large_set_is_mentioned() -> None:
    def written(ana: int, ben: int) -> list[str]:
        balance = measure([facet(authors=("ana",), count=ana), facet(authors=("ben",), count=ben)])
        return [finding.rule for finding in findings(balance)]

    assert written(40, 20) == ["balance.one_author"]
    assert written(30, 30) == []
    assert written(30, 10) == []
