"""What somebody types into a search, as words that no database takes for its own syntax."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import Invalid
from curation.search import Terms, label, terms


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("Refund refund", Terms(("refund",))),
        ("refu*", Terms((), ("refu",))),
        ("退款", Terms(("退款",))),
        ("要退款", Terms(("要退", "退款"))),
        ("退", Terms((), ("退",))),
        ("VIP会员", Terms(("vip", "会员"))),
        ('"a" OR (b)', Terms(("a", "or", "b"))),
    ],
)
def test_what_is_typed_becomes_words(typed: str, expected: Terms) -> None:
    assert terms(typed) == expected


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "nothing to search for: give a word"),
        ("?! 🫖 ---", "nothing to search for: give a word"),
        ("re*", r"re\* is the beginning of too many words: give 3 characters before the \*"),
        (" ".join(f"word{number}" for number in range(21)), "That is 21 words to search for; give at most 20"),
    ],
)
def test_a_search_for_nothing_or_for_too_much_is_told_so(typed: str, sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence):
        terms(typed)


@given(st.text())
def test_nothing_that_is_typed_reaches_a_query_but_letters_and_digits(typed: str) -> None:
    try:
        made = terms(typed)
    except Invalid:
        return
    for word in (*made.words, *made.beginnings):
        assert not set(word) & set("'\"\\ \0*&|!<>:()-+^")
    assert made.for_fts5().count('"') == made.for_tsquery().count("'") == 2 * len((*made.words, *made.beginnings))


def test_labels_are_words_that_nobody_can_type() -> None:
    made = terms("refund", {"kind": "imported", "topic": "it's"})
    assert made.for_fts5() == '"refund" AND "\ue000kimported" AND "\ue000t69742773"'
    assert made.for_tsquery() == "'refund' & '\ue000kimported' & '\ue000t69742773'"
    assert label("assistant", "3") == "\ue000a3"
    with pytest.raises(Invalid):
        terms("\ue000")
