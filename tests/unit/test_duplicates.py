from __future__ import annotations

import random
import unicodedata
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.similarity import candidates, duplicates, similar
from curation.similarity.duplicates import across, clusters, conflicts, fingerprint, near_earlier, normalised
from curation.similarity.shingles import PARTS, PLACE_BITS, ROW_BITS, Order, parts_together, prefix_lengths, sketch
from curation.similarity.similar import similar_of_few, similar_pairs

REPLY = "Your parcel left our warehouse this morning and should be with you by Monday at noon at the latest."


def shingles(text: str) -> set[str]:
    text = normalised(text)
    return {text[start : start + 5] for start in range(max(1, len(text) - 4))}


def similarity(one: str, other: str) -> float:
    return len(shingles(one) & shingles(other)) / len(shingles(one) | shingles(other))


def test_case_width_and_spaces_make_no_difference_to_a_fingerprint() -> None:
    assert fingerprint("Where  is it?\n") == fingerprint("where is ｉｔ?")
    assert fingerprint("Where is it?") != fingerprint("Where was it?")


def test_a_text_with_one_word_changed_is_in_the_cluster_of_the_first() -> None:
    assert clusters([REPLY, "Goodbye.", REPLY.replace("Monday", "Sunday")]) == [0, 1, 0]


def test_texts_about_the_same_thing_in_other_words_stay_apart() -> None:
    assert clusters([REPLY, "We shipped the parcel today. Expect it on Monday around noon."]) == [0, 1]


def test_similarity_is_followed_from_text_to_text() -> None:
    words = REPLY.split()
    chain = [" ".join(words[skipped:]) for skipped in range(5)]
    assert similarity(chain[0], chain[-1]) < 0.8
    assert clusters(chain) == [0] * 5


def test_an_empty_list_and_empty_texts_are_no_trouble() -> None:
    assert clusters([]) == []
    assert clusters(["", "a", " ", "谢谢", "谢谢"]) == [0, 1, 0, 3, 3]


def test_a_repeated_text_names_its_first_occurrence_and_what_that_one_repeats() -> None:
    near = REPLY.replace("Monday", "Sunday")
    assert near_earlier([REPLY, near, near.upper(), "Goodbye."]) == [(), (0,), (0, 1), ()]


texts = st.lists(st.text("ab ", max_size=12) | st.sampled_from([REPLY, REPLY[1:], REPLY[:-9], REPLY[9:]]), max_size=8)


@given(texts)
def test_exactly_the_pairs_with_a_similarity_of_four_fifths_are_found(sample: list[str]) -> None:
    first: dict[str, int] = {}
    for position, text in enumerate(sample):
        first.setdefault(normalised(text), position)
    for text, earlier in zip(sample, near_earlier(sample), strict=True):
        # A repeat speaks through its first occurrence, so it names nothing that came between the two.
        last = first[normalised(text)]
        repeated = last != sample.index(text)
        similar = [place for place in first.values() if place < last and similarity(text, sample[place]) >= 0.8]
        assert [place for place in earlier if place != last] == similar
        assert not repeated or last in earlier


@given(texts, texts)
def test_what_is_said_of_a_text_never_changes_when_more_are_appended(sample: list[str], more: list[str]) -> None:
    assert near_earlier(sample + more)[: len(sample)] == near_earlier(sample)


def test_two_thousand_dialogues_are_clustered_and_the_planted_near_duplicates_found() -> None:
    rng = random.Random(3)
    words = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(2, 8))) for _ in range(3000)]
    originals = [" ".join(rng.choices(words, k=60)) for _ in range(300)]
    planted = [f"{text[:100]} indeed {text[100:]}" for text in originals[:20]]
    assert clusters(originals + planted) == [*range(300), *range(20)]


def generated(rng: random.Random, shape: str, size: int = 100) -> list[str]:
    """Texts as customers write them: from a template, with slips, of a word or two, without spaces, at random."""
    words = ["".join(rng.choices("abcdefghijklmnoprstuvwäøé", k=rng.randint(2, 9))) for _ in range(60)]
    template = "Hello, where is my order {} please? My name is {} and I have waited since {}."
    make = {
        "template": lambda: template.format(rng.randrange(10**5), rng.choice(words), rng.choice(words)),
        "short": lambda: f"order {rng.randrange(300)}",
        "tiny": lambda: "".join(rng.choices("ab", k=rng.randint(1, 40))),
        "numbers": lambda: f"Where is the parcel number {rng.randrange(10**4)}?",
        "Han": lambda: "".join(rng.choices("我的订单在哪里包裹退款发票谢谢请问", k=rng.randint(20, 60))),
        "words": lambda: " ".join(rng.choices(words, k=rng.randint(5, 50))),
    }[shape]
    texts = [make() for _ in range(size)]
    for _ in range(size // 3):
        text = list(rng.choice(texts))
        for _ in range(rng.randint(1, 4) if len(text) > 60 else 1):
            place = rng.randrange(len(text) + 1)
            text[place : place + rng.randint(0, 2)] = rng.choices("xyz ", k=rng.randint(0, 2))
        texts.append("".join(text))
    return list(dict.fromkeys(map(normalised, texts)))


@pytest.mark.parametrize("shape", ["template", "short", "tiny", "numbers", "Han", "words"])
@pytest.mark.parametrize("seed", range(3))
def test_the_search_finds_exactly_the_pairs_that_comparing_each_with_each_finds(shape: str, seed: int) -> None:
    texts = generated(random.Random(seed), shape)
    pairs = similar_of_few(texts)
    assert pairs == [
        pair for pair in combinations(range(len(texts)), 2) if similarity(*(texts[i] for i in pair)) >= 0.8
    ]
    assert similar_pairs(duplicates._Held(texts)) == pairs
    assert len(pairs) > 3


@pytest.mark.parametrize("shape", ["template", "numbers", "words"])
def test_clusters_are_what_the_pairs_join(shape: str) -> None:
    texts = generated(random.Random(5), shape)
    first = list(range(len(texts)))
    for one, other in similar_of_few(texts):
        joined = {first[one], first[other]}
        first = [min(joined) if root in joined else root for root in first]
    assert clusters(texts) == first


def test_the_order_of_shingles_changes_nothing_but_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = generated(random.Random(6), "template")
    found = similar_pairs(duplicates._Held(texts))
    monkeypatch.setattr(Order, "of", classmethod(lambda cls, _: cls(np.zeros(1024, np.uint8), 10)))
    assert similar_pairs(duplicates._Held(texts)) == found


def test_texts_in_many_blocks_are_found_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = generated(random.Random(7), "words")
    found = near_earlier(texts)
    monkeypatch.setattr(duplicates, "_BLOCK_TEXTS", 9)
    assert near_earlier(texts) == found


def test_a_sketch_is_the_same_in_every_process() -> None:
    """Its numbers may be kept in a file, so they may not hang on the seed of Python's hash."""
    kept = sketch([normalised(REPLY), "谢谢"], Order(np.zeros(1024, np.uint8), 10), first_row=3)
    assert kept.sizes.tolist() == [len(shingles(REPLY)), 1]
    assert kept.postings.tolist()[:2] == [1747964295477460996, 3202893904651223043]
    assert (kept.postings & 0xFFFFFFF).max() == 4


def test_a_prefix_is_long_enough_that_similar_sets_cannot_miss_each_other() -> None:
    for size in range(1, 400):
        least_shared = -(-4 * size // 5)
        assert prefix_lengths(np.array([size]))[0] + least_shared == size + 1


def test_ten_thousand_questions_from_one_template_take_seconds() -> None:
    rng = random.Random(1)
    texts = [f"Where is the parcel number {rng.randrange(10**6)}?" for _ in range(10_000)]
    assert len(set(clusters(texts))) < len(set(texts))


def test_prompts_that_are_answered_in_two_ways_are_named_with_the_first_of_each_reply() -> None:
    rows = [
        ("Open today?", "Yes."),
        ("Bye", "Bye"),
        ("open  today?", "No."),
        ("Open today?", "yes."),
        ("Open today?", "Until noon."),
        ("bye", "BYE"),
    ]
    assert conflicts(rows) == [(0, 2, 4)]
    assert conflicts([]) == []


def test_what_stands_on_both_sides_is_named_with_the_first_on_the_other() -> None:
    train = [REPLY, "Something else entirely, in words that nobody else has.", REPLY.upper()]
    validation = ["Hi", REPLY.replace("Monday", "Sunday"), REPLY]
    assert across(train, validation) == [(0, 2), (2, 2)]
    assert across(train, validation[:2]) == [(0, 1), (2, 1)]
    assert across(["Hi"], validation) == [(0, 0)]
    assert across([], validation) == across(train, []) == []


def plainly_normalised(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@given(st.text(st.sampled_from("aB  \n\t\x1c\x85\u00a0\u2003\u3000ßÄ，ﬁ謝\u0301")) | st.text())
def test_a_text_that_needs_no_taking_apart_is_normalised_as_any_other(text: str) -> None:
    assert normalised(text) == plainly_normalised(text)


@given(st.text("ab", max_size=60), st.text("abc", max_size=12), st.text("abc", max_size=12), st.text("ab", max_size=60))
def test_beginnings_and_ends_settle_only_what_the_sets_would(begin: str, one: str, other: str, end: str) -> None:
    texts = f"{begin}{one}{end}", f"{begin}{other}{end}"
    sets = [similar.shingles(text) for text in texts]
    sizes = len(sets[0]), len(sets[1])
    assert not similar._surely(*texts, sizes) or similar._similar(*sets)


def test_beginnings_and_ends_settle_what_was_appended_or_put_in() -> None:
    for text in (f"{REPLY} 17", f"{REPLY[:40]} {REPLY[40:]}"):
        sizes = len(shingles(REPLY)), len(shingles(text))
        assert similar._surely(normalised(REPLY), normalised(text), sizes)


@pytest.mark.parametrize("shape", ["template", "tiny", "Han", "words"])
def test_texts_taken_piece_by_piece_and_part_by_part_are_found_as_at_once(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = generated(random.Random(8), shape)
    order = Order.of(texts)
    whole, found = sketch(texts, order), similar_pairs(duplicates._Held(texts))
    monkeypatch.setattr("curation.similarity.shingles._PIECE_CHARACTERS", 50)
    monkeypatch.setattr("curation.similarity.shingles._POSTINGS_TOGETHER", 20)
    monkeypatch.setattr("curation.similarity.candidates._PAIRS_AT_A_TIME", 7)
    pieces = sketch(texts, order)
    for name in ("sizes", "bins", "postings"):
        assert np.array_equal(getattr(pieces, name), getattr(whole, name))
    assert similar_pairs(duplicates._Held(texts)) == found


def test_parts_are_taken_together_up_to_a_number_of_postings_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.similarity.shingles._POSTINGS_TOGETHER", 10)
    one, other = np.arange(PARTS + 1) * 2, np.arange(PARTS + 1)
    taken = list(parts_together([one, other], range(3, 12)))
    assert taken == [(3, 6), (6, 9), (9, 12)]
    monkeypatch.setattr("curation.similarity.shingles._POSTINGS_TOGETHER", 1)
    assert list(parts_together([one, other], range(2))) == [(0, 1), (1, 2)]
    assert list(parts_together([], range(PARTS))) == [(0, PARTS)]


def test_a_text_of_which_two_shingles_have_one_hash_is_no_repeat_of_itself() -> None:
    posting = 5 << PLACE_BITS + ROW_BITS
    postings = np.array([posting, posting | 1 << ROW_BITS], np.uint64)
    ranks = candidates._Ranks.of(np.array([100], np.uint32))
    assert list(candidates._sharing(postings, ranks)) == []


def test_where_the_first_bins_rule_out_every_pair_nothing_is_left_to_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = generated(random.Random(9), "words")
    monkeypatch.setattr("curation.similarity.candidates._LEAST_USED", 0)
    monkeypatch.setattr("curation.similarity.candidates._LEAST_AT_FIRST", 1.1)
    assert similar_pairs(duplicates._Held(texts)) == []
