from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from curation.duplicates import clusters, fingerprint, near_earlier, normalised

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
