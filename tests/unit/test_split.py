from __future__ import annotations

import random
import time
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from curation.datasets import split
from curation.datasets.split import GroupKeys, Side, assign
from curation.errors import Invalid

TRAIN, VALIDATION, QUARANTINE = Side.TRAIN, Side.VALIDATION, Side.QUARANTINE


def group(*keys: str) -> GroupKeys:
    return GroupKeys(keys)


batches = st.lists(
    st.builds(
        lambda thread, customer, texts: GroupKeys((f"thread:{thread}", f"customer:{customer}", *sorted(texts))),
        st.integers(0, 60),
        st.integers(0, 30),
        st.sets(st.integers(0, 60).map(lambda number: f"text:{number}"), max_size=2),
    ),
    max_size=8,
)


class GrowingDataset(RuleBasedStateMachine):
    """Rows come in batches; every time all rows are assigned anew with what is known."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[GroupKeys] = []
        self.known: dict[str, Side] = {}
        self.sides: list[Side] = []

    @rule(batch=batches)
    def rows_arrive(self, batch: list[GroupKeys]) -> None:
        self.rows += batch
        sides, learned = assign(self.rows, self.known, salt="s", validation_share=0.4)
        assert sides[: len(self.sides)] == self.sides, "nothing moves"
        assert not learned.keys() & self.known.keys(), "nothing is learned twice"
        self.known |= learned
        self.sides = sides

    @rule(batch=batches)
    def only_new_rows_are_shown(self, batch: list[GroupKeys]) -> None:
        sides, learned = assign(batch, self.known, salt="s", validation_share=0.4)
        self.known |= learned
        self.rows += batch
        self.sides += sides

    @invariant()
    def no_key_stands_on_both_sides(self) -> None:
        seen: dict[str, Side] = {}
        for row, side in zip(self.rows, self.sides, strict=True):
            if side is not QUARANTINE:
                assert {seen.setdefault(key, side) for key in row.keys} == {side}

    @invariant()
    def both_sides_are_served(self) -> None:
        kept = set(self.sides) - {QUARANTINE}
        assert not kept or TRAIN in kept

    @invariant()
    def only_rows_between_the_sides_are_quarantined(self) -> None:
        for row, side in zip(self.rows, self.sides, strict=True):
            assert (side is QUARANTINE) == ({TRAIN, VALIDATION} <= {self.known.get(key) for key in row.keys})


GrowingDataset.TestCase.settings = settings(max_examples=60, stateful_step_count=8, deadline=None)
test_as_data_grows_nothing_moves_and_nothing_leaks = GrowingDataset.TestCase


@given(
    batches,
    st.dictionaries(st.sampled_from([f"customer:{n}" for n in range(30)]), st.sampled_from([TRAIN, VALIDATION])),
)
def test_the_order_of_rows_makes_no_difference(batch: list[GroupKeys], known: dict[str, Side]) -> None:
    order = list(range(len(batch)))
    random.Random(len(batch)).shuffle(order)
    sides, learned = assign(batch, known, salt="s")
    shuffled, learned_again = assign([batch[row] for row in order], known, salt="s")
    assert shuffled == [sides[row] for row in order]
    assert learned_again == learned


def test_a_side_is_inherited_from_any_known_key() -> None:
    sides, learned = assign([group("thread:1", "customer:7")], {"customer:7": VALIDATION}, salt="s")
    assert (sides, learned) == ([VALIDATION], {"thread:1": VALIDATION})


def test_a_side_is_inherited_through_a_row_of_the_same_batch() -> None:
    rows = [group("thread:1", "text:a"), group("thread:2", "text:a", "text:b"), group("thread:3", "text:b")]
    assert assign(rows, {"thread:3": VALIDATION}, salt="s")[0] == [VALIDATION] * 3


def test_a_row_between_both_sides_is_quarantined_and_teaches_nothing() -> None:
    known = {"thread:1": TRAIN, "customer:7": VALIDATION}
    sides, learned = assign([group("thread:1", "customer:7", "text:new")], known, salt="s")
    assert (sides, learned) == ([QUARANTINE], {})


def test_two_sides_that_meet_over_a_new_key_give_it_to_one_and_quarantine_the_other() -> None:
    rows = [group("a", "new"), group("b", "new")]
    assert assign(rows, {"a": TRAIN, "b": VALIDATION}, salt="s") == ([TRAIN, QUARANTINE], {"new": TRAIN})


def test_rows_that_share_a_key_stay_together() -> None:
    rows = [group(f"thread:{number}", f"customer:{number // 10}") for number in range(1000)]
    sides, _ = assign(rows, {}, salt="s")
    for first in range(0, 1000, 10):
        assert len(set(sides[first : first + 10])) == 1


def test_about_the_share_asked_for_is_for_validation() -> None:
    rows = [group(f"thread:{number}") for number in range(5000)]
    assert 0.085 < assign(rows, {}, salt="s", validation_share=0.1)[0].count(VALIDATION) / 5000 < 0.115


def test_another_salt_is_another_split() -> None:
    rows = [group(f"thread:{number}") for number in range(100)]
    assert assign(rows, {}, salt="a")[0] != assign(rows, {}, salt="b")[0]


@pytest.mark.parametrize("salt", ["a", "b", "c", "d"])
def test_small_sets_have_one_group_for_validation(salt: str) -> None:
    rows = [group("thread:1"), group("thread:2")]
    assert sorted(assign(rows, {}, salt=salt, validation_share=0.0)[0]) == [TRAIN, VALIDATION]
    assert sorted(assign(rows, {}, salt=salt, validation_share=1.0)[0]) == [TRAIN, VALIDATION]


def test_one_group_alone_is_trained_on_and_the_next_one_validates() -> None:
    sides, known = assign([group("thread:1")], {}, salt="s", validation_share=0.0)
    assert sides == [TRAIN]
    assert assign([group("thread:1"), group("thread:2")], known, salt="s", validation_share=0.0)[0] == [
        TRAIN,
        VALIDATION,
    ]


def test_a_known_validation_group_is_enough() -> None:
    known = {"thread:1": VALIDATION, "thread:2": TRAIN}
    assert assign([group("thread:3")], known, salt="s", validation_share=0.0)[0] == [TRAIN]


def test_validation_can_be_left_empty_on_request() -> None:
    rows = [group(f"thread:{number}") for number in range(9)]
    assert set(assign(rows, {}, salt="s", validation_share=0.0, validation_minimum=0)[0]) == {TRAIN}


def test_a_row_without_keys_or_an_impossible_share_is_refused() -> None:
    with pytest.raises(Invalid, match="group keys"):
        assign([group()], {}, salt="s")
    with pytest.raises(Invalid, match="between 0 and 1"):
        assign([group("a")], {}, salt="s", validation_share=1.5)


def spread(rows: list[GroupKeys], strata: list[str], share: float = 0.1) -> dict[str, list[int]]:
    """Rows for validation and rows in all, by stratum."""
    counts: dict[str, list[int]] = {}
    for side, stratum in zip(assign(rows, {}, salt="s", validation_share=share, strata=strata)[0], strata, strict=True):
        held, every = counts.get(stratum, [0, 0])
        counts[stratum] = [held + (side is VALIDATION), every + 1]
    return counts


def test_every_stratum_holds_out_its_part_of_the_share() -> None:
    strata = [f"{number % 7}" for number in range(700)] + ["rare"] * 10
    counts = spread([group(f"thread:{number}") for number in range(710)], strata)
    assert counts == {**{f"{number}": [10, 100] for number in range(7)}, "rare": [1, 10]}


def test_many_small_strata_hold_out_as_much_together_as_one_large_one() -> None:
    rows = [group(f"thread:{number}") for number in range(400)]
    counts = spread(rows, [f"{number // 4}" for number in range(400)])
    assert sum(held for held, _ in counts.values()) == 40
    assert max(held for held, _ in counts.values()) == 1


def test_what_comes_later_makes_up_for_what_a_stratum_lacks() -> None:
    old = [group(f"thread:old-{number}") for number in range(50)]
    known = {f"thread:old-{number}": TRAIN for number in range(50)}
    new = [group(f"thread:{number}") for number in range(50)]
    sides, _ = assign(old + new, known, salt="s", strata=["a"] * 100)
    assert sides.count(VALIDATION) == 10
    full = {**known, **{f"thread:old-{number}": VALIDATION for number in range(20)}}
    assert set(assign(old + new, full, salt="s", strata=["a"] * 100)[0][50:]) == {TRAIN}


def test_a_group_that_is_larger_than_what_is_lacking_is_trained_on() -> None:
    rows = [group(f"thread:{number}", "customer:big" if number < 50 else f"customer:{number}") for number in range(100)]
    sides, _ = assign(rows, {}, salt="s", strata=["a"] * 100)
    assert set(sides[:50]) == {TRAIN}
    assert sides.count(VALIDATION) == 10


def test_a_customer_of_very_many_rows_is_placed_in_no_time() -> None:
    """Walking its rows once for each of its rows would take minutes."""
    rows = [group(f"thread:{number}", "customer:one") for number in range(20_000)] + [group("thread:other")]
    began = time.process_time()
    sides, _ = assign(rows, {}, salt="s")
    assert time.process_time() - began < 5
    assert set(sides[:-1]) == {TRAIN}
    assert sides[-1] is VALIDATION


def test_one_long_thread_beside_a_short_one_is_trained_on() -> None:
    for number in range(10):
        rows = [group(f"thread:short-{number}"), *[group(f"thread:long-{number}")] * 10]
        assert assign(rows, {}, salt="s")[0] == [VALIDATION] + [TRAIN] * 10


def test_a_long_thread_that_comes_after_one_row_does_not_become_nearly_all_of_the_validation_side() -> None:
    sides, known = assign([group("thread:1")], {}, salt="s")
    rows = [group("thread:1"), *[group("thread:2")] * 10]
    sides, learned = assign(rows, known, salt="s")
    assert sides == [TRAIN] * 11
    rows.append(group("thread:3"))
    assert assign(rows, known | learned, salt="s")[0] == [TRAIN] * 11 + [VALIDATION]


def test_a_group_half_as_large_again_as_the_side_waits_for_smaller_ones() -> None:
    """Of 100 rows 10 are wanted: 16 are taken only where nothing comes nearer."""
    large = [*[group("thread:a")] * 16, *[group("thread:b")] * 17, *[group("thread:c")] * 67]
    sides, _ = assign(large, {}, salt="s")
    assert [row.keys for row, side in zip(large, sides, strict=True) if side is VALIDATION] == [("thread:a",)] * 16
    for number in range(10):
        mixed = large[:90] + [group(f"thread:small-{number}-{one}") for one in range(10)]
        sides, _ = assign(mixed, {}, salt="s")
        assert set(sides[:90]) == {TRAIN}
        assert set(sides[90:]) == {VALIDATION}


sized = st.lists(st.integers(1, 12), min_size=1, max_size=14)


@given(st.lists(sized, min_size=1, max_size=4), st.sampled_from((0.05, 0.1, 0.25, 0.5)), st.integers(1, 3))
def test_validation_never_has_more_rows_than_train_however_large_the_groups_that_arrive(
    arrivals: list[list[int]], share: float, strata: int
) -> None:
    rows: list[GroupKeys] = []
    known: dict[str, Side] = {}
    before: list[Side] = []
    for number, sizes in enumerate(arrivals):
        for place, size in enumerate(sizes):
            rows += [group(f"thread:{number}/{place}")] * size
        spread = [f"{row % strata}" for row in range(len(rows))]
        sides, learned = assign(rows, known, salt="s", validation_share=share, strata=spread)
        assert sides.count(VALIDATION) <= sides.count(TRAIN)
        assert sides[: len(before)] == before
        known |= learned
        before = sides


@given(sized, st.sampled_from((0.1, 0.3)))
def test_in_one_stratum_the_share_is_missed_by_no_more_than_the_smallest_group_left_or_half_of_it(
    sizes: list[int], share: float
) -> None:
    rows = [group(f"thread:{place}") for place, size in enumerate(sizes) for _ in range(size)]
    sides, _ = assign(rows, {}, salt="s", validation_share=share, validation_minimum=0)
    wanted = int(share * len(rows) + 0.5)
    held = sides.count(VALIDATION)
    if held < wanted:
        trained = [size for place, size in enumerate(sizes) if sides[rows.index(group(f"thread:{place}"))] is TRAIN]
        assert all(size >= 2 * (wanted - held) or held + size > len(rows) / 2 for size in trained)
    elif held > 1.5 * wanted:
        chosen = {keys for row, side in zip(rows, sides, strict=True) if side is VALIDATION for keys in row.keys}
        lone = [size for place, size in enumerate(sizes) if f"thread:{place}" in chosen]
        assert held - max(lone) < wanted, "only what was still lacking is met by too large a group"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), min_size=1, max_size=60), st.randoms())
def test_strata_make_no_difference_to_order_or_to_a_second_look(
    pairs: list[tuple[int, int]], rng: random.Random
) -> None:
    rows = [group(f"thread:{thread}") for _, thread in pairs]
    strata = [f"{stratum}" for stratum, _ in pairs]
    sides, learned = assign(rows, {}, salt="s", validation_share=0.3, strata=strata)
    assert assign(rows, learned, salt="s", validation_share=0.3, strata=strata) == (sides, {})
    order = rng.sample(range(len(rows)), len(rows))
    mixed, _ = assign(
        [rows[row] for row in order], {}, salt="s", validation_share=0.3, strata=[strata[row] for row in order]
    )
    assert mixed == [sides[row] for row in order]


def plainly(rows: list[GroupKeys], strata: list[str], share: float) -> list[Side]:
    """The same, spelt out: groups by merging until nothing merges, quotas by counting, everything looked at."""
    groups: list[tuple[set[str], set[int]]] = [(set(one.keys), {row}) for row, one in enumerate(rows)]
    merged = True
    while merged:
        merged = False
        for one, other in combinations(groups, 2):
            if one[0] & other[0]:
                groups = [group for group in groups if group is not one and group is not other]
                groups.append((one[0] | other[0], one[1] | other[1]))
                merged = True
                break
    groups.sort(key=lambda group: (split._hash("s", min(group[0])), min(group[0])))
    quotas = split._quotas(Counter(strata), share, "s")
    left = dict(quotas)
    held: list[set[int]] = []
    drawn = [members for _, members in groups]
    for beyond, order in ((0.5, drawn), (1.0, sorted(drawn, key=len))):
        for members in order:
            counts = Counter(strata[row] for row in members)
            commonest = min(counts, key=lambda stratum: (-counts[stratum], stratum))
            near = len(members) < 2 * left[commonest]
            near &= len(members) - left[commonest] <= beyond * quotas[commonest]
            small = sum(map(len, held)) + len(members) <= len(rows) / 2
            if near and small and members not in held:
                held.append(members)
                for row in members:
                    left[strata[row]] -= 1
    sides = [TRAIN] * len(rows)
    for row in (row for members in held for row in members):
        sides[row] = VALIDATION
    return sides


@given(
    st.lists(st.tuples(st.sets(st.integers(0, 40), min_size=1, max_size=3), st.sampled_from("abc")), max_size=40),
    st.sampled_from((0.1, 0.3, 0.5)),
)
def test_new_groups_are_placed_as_they_are_by_merging_and_counting(
    pairs: list[tuple[set[int], str]], share: float
) -> None:
    rows = [group(*(f"thread:{number}" for number in numbers)) for numbers, _ in pairs]
    strata = [stratum for _, stratum in pairs]
    expected = plainly(rows, strata, share)
    if len(set(expected)) < 2:
        return  # the least number of groups decides
    sides, learned = assign(rows, {}, salt="s", validation_share=share, strata=strata)
    assert sides == expected
    assert learned == {key: side for row, side in zip(rows, sides, strict=True) for key in row.keys}


def test_a_long_chain_of_rows_is_one_group() -> None:
    """Each shares a key with the next only; joined from both ends, in no order."""
    rows = [group(f"thread:{number}", f"thread:{number + 1}") for number in range(3_000)]
    random.Random(1).shuffle(rows)
    sides, _ = assign([*rows, group("thread:other")], {}, salt="s", validation_share=0.0)
    assert set(sides[:-1]) == {TRAIN}
    assert sides[-1] is VALIDATION
