"""Slack's text becomes what the person saw, and ours can do nothing but be read."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.mrkdwn import blocks_to_text, escape, quote, to_text


@pytest.mark.parametrize(
    ("mrkdwn", "text"),
    [
        ("Hi <@U1|ana>", "Hi @ana"),
        ("Hi <@U1>", "Hi @Ana Lund"),
        ("Hi <@U9>", "Hi @U9"),
        ("in <#C1|billing>", "in #billing"),
        ("in <#C1|>", "in #support"),
        ("ask <!subteam^S1|@helpers>", "ask @helpers"),
        ("ask <!subteam^S1>", "ask @Night shift"),
        ("<!channel> <!here|here> <!everyone>", "@channel @here @everyone"),
        ("due <!date^1392734382^{date} at {time}^https://x.test/|18 Feb 2014, 6:39>", "due 18 Feb 2014, 6:39"),
        ("see <https://x.test/a?b=1&amp;c=2|the guide>", "see the guide (https://x.test/a?b=1&c=2)"),
        ("see <https://x.test/a|b|c>", "see b|c (https://x.test/a)"),
        ("see <https://x.test/>", "see https://x.test/"),
        ("see <http://x.test|x.test>", "see x.test"),
        ("mail <mailto:ana@x.test|ana@x.test>", "mail ana@x.test"),
        ("R&amp;D &lt;b&gt; <@U1|A&amp;B>", "R&D <b> @A&B"),
        ("write &amp;lt; for &lt;", "write &lt; for <"),
        ("a tag <b> of a bot", "a tag <b> of a bot"),
        ("*bold* `code` :tada:", "*bold* `code` :tada:"),
        ("1 &lt; 2", "1 < 2"),
        ("", ""),
    ],
)
def test_text_is_decoded_to_what_the_person_saw(mrkdwn: str, text: str) -> None:
    assert to_text(mrkdwn, {"U1": "Ana Lund", "C1": "support", "S1": "Night shift"}) == text


def test_a_name_with_brackets_or_entities_in_it_is_not_decoded_again() -> None:
    assert to_text("<@U1> &amp;", {"U1": "&lt;<@U2>"}) == "@&lt;<@U2> &"


STORABLE = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(STORABLE)
@example("&lt;<!channel>|&amp;amp;")
def test_what_was_escaped_decodes_to_itself(text: str) -> None:
    assert to_text(escape(text)) == text


@given(st.text())
def test_escaped_text_has_no_bracket_and_no_ampersand_but_in_entities(text: str) -> None:
    assert not re.search(r"[<>]|&(?!(?:amp|lt|gt);)", escape(text))


def test_what_no_database_holds_is_left_out_of_what_people_saw() -> None:
    broken = "a\ud83d\0 <@U1>"
    names = {"U1": "A\udc00na\0"}
    assert to_text(broken, names) == "a @Ana"
    section = {"type": "section", "text": {"type": "plain_text", "text": broken}}
    leaves = [{"type": "text", "text": "\0b\udfff"}, {"type": "user", "user_id": "U1"}]
    rich = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": leaves}]}
    assert blocks_to_text([section, rich], names) == "a <@U1>\n\nb@Ana"


SPITEFUL = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *"<>&@#`:./\n\r\u2028\u202e\0",
                "<!channel>",
                "@here",
                "https://x.test",
                "www.x.test",
                "```",
                "mailto:a@b.test",
            ]
        ),
        st.text(max_size=5),
    ),
    max_size=30,
).map("".join)


@given(SPITEFUL, st.integers(1, 60))
def test_a_quote_fits_its_limit_and_says_where_it_was_cut(text: str, limit: int) -> None:
    whole, cut = quote(text, 100_000), quote(text, limit)
    assert len(cut) <= limit
    assert cut == whole if len(whole) <= limit else cut.endswith("…")


@given(SPITEFUL, st.integers(1, 60))
def test_a_quote_cannot_ping_link_or_break_out(text: str, limit: int) -> None:
    quoted = quote(text, limit)
    assert not re.search(r"[<>`\u202e\0]|&(?!(?:amp|lt|gt);)", quoted)
    assert len(quoted.splitlines()) <= 1
    assert not re.search(r"[@#](?![\s\u2060…]|$)|://|mailto:\w", quoted)
    assert not re.search(r"\w\.[a-z]", quoted)


def test_a_quote_reads_like_the_text() -> None:
    quoted = quote("See https://x.test\n  or <b> & write to ana@x.test, #1 of 3.5", 200)
    assert quoted.replace("\u2060", "") == "See https://x.test or &lt;b&gt; &amp; write to ana@x.test, #1 of 3.5"


def test_a_quote_is_never_cut_inside_an_entity() -> None:
    assert [quote("a < b", limit) for limit in (1, 5, 6, 8)] == ["…", "a…", "a…", "a &lt; b"]


def test_rich_text_is_read_as_it_looks() -> None:
    blocks: list[Any] = [
        {
            "type": "rich_text",
            "elements": [
                {
                    "type": "rich_text_section",
                    "elements": [
                        {"type": "text", "text": "Hi "},
                        {"type": "user", "user_id": "U1"},
                        {"type": "text", "text": " & "},
                        {"type": "broadcast", "range": "here"},
                        {"type": "emoji", "name": "wave"},
                        {"type": "link", "url": "https://x.test", "text": "guide"},
                    ],
                },
                {
                    "type": "rich_text_list",
                    "style": "ordered",
                    "offset": 1,
                    "indent": 1,
                    "elements": [
                        {"type": "rich_text_section", "elements": [{"type": "text", "text": "two"}]},
                        {"type": "rich_text_section", "elements": [{"type": "text", "text": "three"}]},
                    ],
                },
                {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "x < 1"}]},
            ],
        },
        {"type": "divider"},
    ]
    assert (
        blocks_to_text(blocks, {"U1": "Ana"})
        == "Hi @Ana & @here:wave:guide (https://x.test)\n  2. two\n  3. three\nx < 1"
    )


def test_sections_headers_and_markdown_are_paragraphs() -> None:
    blocks: list[Any] = [
        {"type": "header", "text": {"type": "plain_text", "text": "A &amp; B"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "A &amp; <@U1|ana>"}, "fields": [{"text": "1"}]},
        {"type": "markdown", "text": "**C**"},
    ]
    assert blocks_to_text(blocks) == "A &amp; B\n\nA & @ana\n1\n\n**C**"


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "elements", "text", "fields", "style", "indent", "offset", "url", "user_id"]),
            inner | st.sampled_from(["rich_text", "rich_text_list", "section", "markdown", "link", "text", "ordered"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=50)
@given(st.lists(JUNK, max_size=4))
def test_no_shape_of_blocks_makes_the_reader_fail(blocks: list[Any]) -> None:
    assert isinstance(blocks_to_text(blocks), str)
