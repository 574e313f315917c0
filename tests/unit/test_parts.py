"""A long text in fields of 3,000 characters: nothing is lost, nothing is torn, white space comes back as it was."""

from __future__ import annotations

import json

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.blocks.elements import INPUT_LIMIT, modal
from bot.blocks.parts import HEAVIEST, LONGEST, ROOM, part_inputs, split
from bot.listeners import entries
from bot.sandbox import inputs, limits
from bot.speech import ENGLISH_SPOKEN
from curation.errors import Invalid

WORDS = st.sampled_from(
    [
        *("The filter lasts six months.", "Ja!", "水筒は六か月使えます。", "नमस्ते क्षत्रिय", "각", "\u1112\u1161\u11ab"),
        *(
            "👩‍👩‍👧‍👦",
            "🇩🇪🇳🇴",
            "👍🏽",
            "é",
            "e\u0301",
            " \u0301",
            "\r\n",
            "กำ",
            "x" * 500,
            "。",
            "…",
            "https://example.com/a?b=c&d",
        ),
        *(" ", "  ", "\n", "\n\n", "\t", "\u3000", " \n \n\n"),
    ]
)
TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(st.one_of(WORDS, st.text(max_size=8)), max_size=60).map(lambda words: "".join(words) * 5),
    st.tuples(st.lists(WORDS, min_size=1, max_size=8), st.integers(1, 400)).map(lambda it: "".join(it[0]) * it[1]),
)


def shown(text: str, edition: str = "") -> dict:
    """A modal with the text in it, as Slack sends it back when nobody has touched it."""
    view = modal(
        ENGLISH_SPOKEN,
        "it",
        "It",
        part_inputs(ENGLISH_SPOKEN, "correction", "What should it say?", text, edition=edition),
        submit="Save",
    )
    limits.check_view(view, kind="modal")
    return {**view, "state": {"values": inputs.state_values(view["blocks"], {})}}


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.sampled_from(["", "1700000000.000100"]))
@example(" " * 9000 + "end" + " " * 9000, "")
@example("\r\n \n" * 1000, "")
@example("\n" * 30 + "a" * 4000 + "\n" * 30, "2")
@example("a\u0301" * 4000, "")
@example("🇩🇪" * 4000, "")
def test_a_text_that_nobody_touched_comes_back_character_by_character(text: str, edition: str) -> None:
    parts = split(text)
    if parts is None:
        assert len(text) > LONGEST or len(json.dumps(text)) > HEAVIEST or not text.strip()
        return
    assert "".join(part.before + part.text + part.after for part in parts) == text
    view = shown(text, edition)
    expected = text if text.strip() else ""
    if all(part.text for part in parts):
        expected = text
    assert entries.joined(view, "correction") == expected
    assert entries.prefilled(view, "correction") == expected


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_no_part_begins_inside_of_what_is_seen_as_one_character(text: str) -> None:
    parts = split(text) or []
    bounds = {match.start() for match in regex.finditer(r"\X", text)} | {len(text)}
    longest = max((len(match[0]) for match in regex.finditer(r"\X", text)), default=0)
    if longest > ROOM // 2:
        return
    at = 0
    for part in parts:
        at += len(part.before)
        assert at in bounds
        at += len(part.text)
        assert at in bounds
        at += len(part.after)


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_every_part_of_several_has_room_to_grow(text: str) -> None:
    parts = split(text) or []
    for part in parts:
        most = INPUT_LIMIT if len(parts) == 1 else ROOM
        assert len(part.text.encode("utf-16-le")) // 2 <= most


def test_a_text_that_fits_is_one_field_under_its_own_name() -> None:
    (block,) = part_inputs(ENGLISH_SPOKEN, "correction", "What should it say?", "Six months.")
    assert (block["block_id"], block["element"]["action_id"]) == ("correction", "value")
    assert block["label"]["text"] == "What should it say?"
    assert not block["optional"]


def test_a_long_text_is_cut_between_paragraphs_and_says_which_part_is_which() -> None:
    text = "\n\n".join(f"Paragraph {number}. " + "It goes on. " * 60 for number in range(9)).strip()
    first, *others = part_inputs(ENGLISH_SPOKEN, "correction", "What should it say?", text, hint="Whole.")
    assert first["label"]["text"] == f"What should it say? (part 1 of {1 + len(others)})"
    assert first["hint"]["text"] == "Whole."
    assert [block["block_id"] for block in others] == [f"correction:{number}" for number in range(2, 2 + len(others))]
    assert all(block["element"]["initial_value"].startswith("Paragraph") for block in others)
    assert all("hint" not in block and block["optional"] for block in others)


def test_where_a_text_has_lines_or_sentences_only_it_is_cut_there() -> None:
    lines = split("\n".join("It goes on and on" for _ in range(300)))
    assert lines is not None
    assert all(part.text.endswith("on") for part in lines)
    sentences = split("It goes on and on. " * 300)
    assert sentences is not None
    assert all(part.text.endswith("on.") for part in sentences)


def test_what_is_written_into_one_part_stands_in_the_whole_text() -> None:
    text = "a" * 2000 + "\n\n" + "b" * 2000
    view = shown(text)
    view["state"]["values"]["correction:2"] = {
        action_id: {"type": "plain_text_input", "value": "new"} for action_id in view["state"]["values"]["correction:2"]
    }
    assert entries.joined(view, "correction") == "a" * 2000 + "\n\nnew"
    assert entries.prefilled(view, "correction") == text


def test_a_part_that_was_emptied_takes_its_blank_line_with_it() -> None:
    view = shown("a" * 2000 + "\n\n" + "b" * 2000)
    for entry in view["state"]["values"]["correction:2"].values():
        entry["value"] = None
    assert entries.joined(view, "correction") == "a" * 2000


def test_parts_count_in_their_order_whatever_the_order_of_the_payload() -> None:
    text = " ".join(f"word{number}" for number in range(3000))
    view = shown(text)
    view["state"]["values"] = dict(reversed(view["state"]["values"].items()))
    assert len(view["state"]["values"]) > 10
    assert entries.joined(view, "correction") == text


@pytest.mark.parametrize("text", ["a" * (LONGEST + 1), "🦊" * 20_000])
def test_a_text_for_which_no_form_has_room_is_not_filled_in_and_the_form_says_so(text: str) -> None:
    (block,) = part_inputs(ENGLISH_SPOKEN, "correction", "What should it say?", text)
    assert "initial_value" not in block["element"]
    assert "too many for a form" in block["hint"]["text"]


@pytest.mark.parametrize(
    "values",
    [
        {"correction": {"value:": {"value": "a"}}},
        {"correction": {"other": {"value": "a"}}},
        {"correction": {"value::zz:": {"value": "a"}}},
        {"correction": {"value::fffffff:": {"value": "a"}}},
        {"correction:x": {"value": {"value": "a"}}},
        {"correction": {"value": {"value": ["a"]}}},
    ],
)
def test_a_field_that_errata_did_not_make_is_refused_with_a_sentence(values: dict) -> None:
    with pytest.raises(Invalid, match="another version of Errata"):
        entries.joined({"state": {"values": values}}, "correction")
