"""How a correction is shown beside the reply: nothing is lost, nothing is taken for a change that is none."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.blocks.difference import HEAVIEST, MOST_CHARACTERS, compared, difference, in_full
from bot.sandbox.limits import check_view
from bot.speech import ENGLISH_SPOKEN

WORDS = st.lists(
    st.sampled_from(["six", " months", "ever", ".", " ", "\n", "月", "滤", "e\u0301", "👩🏽‍🚒", "!", "a"])
).map("".join)


def marked(before: str, after: str) -> str | None:
    """``A ~b~ *c*``: the comparison with the marks that people know."""
    found = compared(before, after)
    signs = {"same": "", "gone": "~", "new": "*"}
    return None if found is None else "".join(f"{signs[how]}{text}{signs[how]}" for how, text in found)


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("It costs 12 euros in the app.", "It costs 14 euros in the app.", "It costs~ 12~* 14* euros in the app."),
        ("Order it in the app.", "Please order it in the app.", "~Order~*Please order* it in the app."),
        ("Press the red button now.", "Press the button now.", "Press the~ red~ button now."),
        ("滤芯可以使用永远。请注意。", "滤芯可以使用六个月。请注意。", "滤芯可以使用~永远~*六个月*。请注意。"),
        (
            "Die Filter hält ewig, sagt man.",
            "Der Filter hält lange, sagt man.",
            "~Die~*Der* Filter hält~ ewig~* lange*, sagt man.",
        ),
        ("The same.", "The same.", "The same."),
    ],
)
def test_words_that_left_and_words_that_came_are_marked(before: str, after: str, shown: str) -> None:
    assert marked(before, after) == shown


def test_what_stays_between_two_large_changes_is_part_of_the_change() -> None:
    before = (
        "Thank you for asking us. A filter of ours lasts for ever and never needs a change. Have a nice day with it."
    )
    after = "Thank you for asking us. You should order one twice a year, once the app says so. Have a nice day with it."
    found = compared(before, after)
    assert found is not None
    assert [piece.how for piece in found] == ["same", "gone", "new", "same"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("It lasts for ever.", "Please send us a picture of the label, then we look it up for you."),
        ("", "Six months."),
        ("Six months.", ""),
        (" \n", "Six months."),
        ("word " * 1000, "word " * 1001),
        ("a b " * 700, "b a c " * 700),
    ],
    ids=["little in common", "no reply", "no correction", "blank", "long", "repeats in another order"],
)
def test_two_texts_that_cannot_be_read_as_one_stand_one_after_the_other(before: str, after: str) -> None:
    assert compared(before, after) is None
    shown = str(difference(ENGLISH_SPOKEN, before, after))
    assert "The assistant said" in shown
    assert "Better" in shown


@given(WORDS, WORDS)
def test_a_comparison_holds_both_texts_word_for_word(before: str, after: str) -> None:
    found = compared(before, after)
    if found is not None:
        assert "".join(text for how, text in found if how != "new") == before
        assert "".join(text for how, text in found if how != "gone") == after


@pytest.mark.parametrize("text", ["a ", "滤", "a b ", "\n", ".", "x"], ids=repr)
def test_no_pair_of_texts_holds_up_the_ack(text: str) -> None:
    before, after = (text * 15_000)[:15_000], ("b" + text * 15_000)[:14_000]
    began = time.process_time()
    difference(ENGLISH_SPOKEN, before, after)
    assert time.process_time() - began < 1


def test_the_marks_can_be_read_without_colour_and_nothing_in_them_links() -> None:
    hostile = "Ask <!channel> at https://evil.test or <@U1>, or \u202eelse, now and then."
    (_, rich, legend) = difference(ENGLISH_SPOKEN, f"{hostile} It lasts for ever.", f"{hostile} It lasts six months.")
    elements = rich["elements"][0]["elements"]
    assert {element["type"] for element in elements} == {"text"}  # shown as it is written
    assert [element.get("style") for element in elements[:3]] == [None, {"strike": True}, {"bold": True}]
    assert "\u202e" not in str(elements)
    assert "Struck through" in str(legend)


@pytest.mark.parametrize("text", ["x" * 9000, "ä& " * 4000, "one line\n" * 1500, "滤芯。" * 4000, "👩🏽‍🚒" * 3000])
def test_a_long_text_is_shown_in_as_many_paragraphs_as_it_takes(text: str) -> None:
    blocks = in_full(ENGLISH_SPOKEN, "Better", text)
    check_view({"type": "modal", "title": {"type": "plain_text", "text": "x"}, "blocks": blocks}, kind="modal")
    assert len(blocks) > 1


def test_a_long_line_is_not_broken_between_its_words() -> None:
    line = " ".join(["It lasts six months, and the app reminds you."] * 40)
    (block,) = in_full(ENGLISH_SPOKEN, "Better", f"{line}\nThe end")
    assert block["text"]["text"].splitlines() == ["*Better*", line, "The end"]


@pytest.mark.parametrize("text", ["x", "x\n", "@a", "&", "滤", "👩🏽‍🚒", "\u2028"], ids=repr)
def test_of_a_text_without_end_as_much_is_shown_as_a_form_takes_and_the_rest_is_counted(text: str) -> None:
    blocks = in_full(ENGLISH_SPOKEN, "Better", text * 60_000)
    assert len(json.dumps(blocks)) < HEAVIEST * 1.2
    assert "more characters are not shown." in str(blocks[-1])


def test_a_comparison_is_no_longer_than_one_text_of_slacks() -> None:
    before = "This sentence stays as it is. " * 60
    found = compared(before, before + "And this one comes. " * 20)
    assert found is not None
    assert sum(len(piece.text) for piece in found) <= MOST_CHARACTERS
    assert compared(before * 2, before * 2 + "And this one comes.") is None
