"""Noise is proposed as a change, and nothing else is."""

from __future__ import annotations

import json
import time
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from ftfy.badness import is_bad

from curation import cleaning, mending
from curation.cleaning import clean_row, clean_text
from curation.conversation import Conversation, Message, Role
from curation.errors import Invalid

FAMILY = "👨\u200d👩\u200d👧"


@pytest.mark.parametrize(
    ("text", "cleaned", "rules"),
    [
        ("jeg bor i TromsÃ¸", "jeg bor i Tromsø", ["encoding"]),
        ("GrÃ¼ÃŸe aus KÃ¶ln", "Grüße aus Köln", ["encoding"]),
        ("bell\x07 and \x1b[31mred\x1b[0m", "bell and red", ["control"]),
        ("zero\u200bwidth, soft\u00adhyphen, mark\ufeff", "zerowidth, softhyphen, mark", ["invisible"]),
        ("over\u202eridden", "overridden", ["invisible"]),
        ("12\u00a0500\u202fkr", "12 500 kr", ["spaces"]),
        ("one\r\ntwo\u2028three", "one\ntwo\nthree", ["spaces"]),
        ("Dark.\n\nBest regards,\nAna Berg\nKlarbris AS\n+47 22 33 44 55", "Dark.", ["signature"]),
        ("Dunkel.\n\nMit freundlichen Grüßen\nAna Berg", "Dunkel.", ["signature"]),
        ("Mørk.\n\nMvh\nOla", "Mørk.", ["signature"]),
        ("Madilim.\n\nLubos na gumagalang,\nJuan", "Madilim.", ["signature"]),
        ("灯不亮了。\n\n此致\n敬礼！\n王小明", "灯不亮了。", ["signature"]),
        ("Gelap.\n\nHormat saya,\nBudi", "Gelap.", ["signature"]),
        ("Dark.\n-- \nAna\nKlarbris", "Dark.", ["signature"]),
        ("Dark.\n-- \nAna\n-- \nKlarbris\n", "Dark.", ["signature"]),
        ("Dark.\n-- \n", "Dark.", ["signature"]),
        ("Dark.\n\nSent from my iPhone", "Dark.", ["signature"]),
        ("Dark.\n\n \tSent from my iPhone \n\n", "Dark.", ["signature"]),
        ("Dark.\nKind regards\nAna\n\nVon meinem iPhone gesendet", "Dark.", ["signature"]),
    ],
)
def test_noise_is_taken_out_and_named(text: str, cleaned: str, rules: list[str]) -> None:
    result = clean_text(text)
    assert (result.value, [rule.id for rule in result.broken]) == (cleaned, [f"clean.{rule}" for rule in rules])
    assert clean_text(result.value).broken == ()


@pytest.mark.parametrize(
    "text",
    [
        "“Quotes” and ‘these’, ﬁne ligatures, Ｗｉｄｅ letters, an ellipsis…",
        f"a family {FAMILY}, a flag 🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f, ❤️",
        "می\u200cخواهم",  # Persian parts a prefix from its verb
        "क्\u200dष",  # Devanagari asks for the half form
        "שלום\u200f!",
        "ภาษา\u200bไทย",
        "naïve café in Århus, 20 °C — señor",
        "Tabs\tand\nlines stay",
        "Best regards,\nAna",  # there is nothing else
        "- one\n--\n- two",
        "Sent from my iPhone is what it says.\nWhy?",
        "Dark.\n-- \n" + "\n".join(f"Point {number}" for number in range(1, 12)),  # longer than signatures are
        "Greetings from the sea, and best regards to your wife, who wrote to us so kindly last week.\nBye",
    ],
)
def test_what_a_script_an_emoji_or_a_person_needs_stays(text: str) -> None:
    assert clean_text(text) == cleaning.Cleaned(text, ())


HOSTILE = {
    "a signature with a disclaimer": "Hello.\n-- \n" + "\n".join(f"Line {number}" for number in range(1, 14)),
    "blank lines": "a" + "\n" * 50_000 + "b",
    "blank lines with spaces": "a" + "\n \t" * 50_000 + "b",
    "delimiters": "a" + "\n-- \nc" * 50_000 + "\nb" * 12,
    "telephones": "a" + "\nSent from my iPhone" * 50_000 + " " * 50_000 + "\n" * 50_000 + "b",
    "closings": "a" + "\n  Mvh  \n" * 50_000 + " " * 50_000 + "\n" * 50_000 + "b",
    "closings with lines": "a" + ("\nMvh" + ("\n" + " " * 60) * 8) * 500 + "\n" * 50_000 + "b",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_looking_for_a_signature_takes_no_longer_than_reading_the_text(text: str) -> None:
    began = time.process_time()
    assert clean_text(text).broken == ()
    assert time.process_time() - began < 2  # a fiftieth of it where nothing else runs


def rows(*turns: tuple[str, str | None]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": text} for role, text in turns], "metadata": {"thread": "7"}}


def test_empty_turns_go_and_what_comes_to_stand_together_becomes_one() -> None:
    cleaned = clean_row(rows(("user", "a"), ("assistant", " "), ("user", "b"), ("assistant", "c"), ("user", None)))
    assert cleaned.value == rows(("user", "a\n\nb"), ("assistant", "c"))
    assert [rule.id for rule in cleaned.broken] == ["clean.empty_turn"]


def test_a_row_of_which_no_conversation_would_be_left_stays_for_a_person_to_look_at() -> None:
    for row in (rows(("user", ""), ("assistant", "Hello")), rows(("user", "a"), ("assistant", ""))):
        assert clean_row(row).broken == ()


def test_a_turn_that_only_calls_a_tool_is_not_empty() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "track", "arguments": "{}"}}
    row = rows(("user", "Where?"), ("assistant", "Here."))
    row["messages"][1:1] = [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "", "tool_call_id": "c1"},
    ]
    assert clean_row(row) == cleaning.Cleaned(row, ())


def test_a_system_prompt_keeps_what_looks_like_a_signature() -> None:
    row = rows(("system", "Sign like this:\nBest regards,\nBris"), ("user", "a"), ("assistant", "b"))
    assert clean_row(row).broken == ()


def test_a_check_names_the_rule_the_turns_and_the_remedy() -> None:
    turns = (Message(Role.USER, "a\u200bb"), Message(Role.ASSISTANT, "plain"), Message(Role.USER, "c\u200bd\u00a0e"))
    found = list(cleaning.findings(Conversation(turns), 7))
    remedy = "Look at the change with errata clean FILE, and write it with --out FILE."
    assert [finding.sentence() for finding in found] == [
        f"line 7: invisible characters in turns 1, 3. {remedy} [clean.invisible]",
        f"line 7: odd spaces or line breaks in turn 3. {remedy} [clean.spaces]",
    ]


def test_a_file_is_cleaned_beside_the_original_and_shows_every_change(tmp_path: Path) -> None:
    file, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    plain = json.dumps(rows(("user", "plain"), ("assistant", "b")))
    noisy = json.dumps(rows(("user", "TromsÃ¸ it\u200b is"), ("assistant", "b")))
    file.write_text(f"{plain}\n{noisy}\nnot json\n", encoding="utf-8")
    before, changes = file.read_bytes(), list[mending.Change]()
    assert mending.mend(file, None, changes.append) == mending.Counted(rows=3, changed=1, unread=(3,))
    assert list(changes[0].lines()) == [
        "line 2: clean.encoding, clean.invisible",
        "  user: [-TromsÃ¸-]{+Tromsø+} it[-\u200b-] is",
    ]
    assert not out.exists()
    mending.mend(file, out, changes.append)
    assert out.read_text(encoding="utf-8").splitlines() == [
        plain,
        json.dumps(rows(("user", "Tromsø it is"), ("assistant", "b")), ensure_ascii=False, separators=(",", ":")),
        "not json",
    ]
    assert file.read_bytes() == before
    with pytest.raises(Invalid, match="is a directory"):
        mending.mend(tmp_path, None, changes.append)
    file.write_bytes(b"{}\n\xff\n")
    with pytest.raises(Invalid, match=r"in\.jsonl, line 2: it is not UTF-8"):
        mending.mend(file, None, changes.append)


@pytest.mark.parametrize(
    "text",
    ["Hi <@U123ABC>", "<#C1A|support>", "<!here>", "<!subteam^S1A|@help>", "<https://x.test|here>", "R&amp;D", "&lt;3"],
)
def test_what_is_left_of_a_chat_programs_markup_is_named(text: str) -> None:
    turns = (Message(Role.USER, "a"), Message(Role.ASSISTANT, text))
    (found,) = cleaning.findings(Conversation(turns), 7)
    assert (found.rule, found.message) == ("clean.markup", "a chat program's markup in turn 2.")
    assert clean_text(text).broken == ()


@pytest.mark.parametrize("text", ["a < b & c > d", "<b>bold</b>", "see <https://x.test>", "x <- y", "R&D; AT&T", "<@>"])
def test_what_is_no_chat_programs_markup_is_not(text: str) -> None:
    assert list(cleaning.findings(Conversation((Message(Role.USER, text),)), 7)) == []


def test_what_nobody_can_see_is_written_out() -> None:
    assert cleaning.visible("a\u200bb\u00a0c") == "a<U+200B>b<U+00A0>c"


def test_what_is_not_shown_to_ftfy_would_not_be_bad_to_it() -> None:
    """Of every kind of character that its rules know and ours lets pass, all sequences of three, and all pairs."""
    kinds = "aZ .0\n\x7fßàâäåçìîïòôöøúùûüýÿ、。か中한，！"
    assert cleaning._LETTERS_ONLY.fullmatch(kinds)
    assert not any(is_bad("".join(three)) for three in product(kinds, repeat=3))
    letters = [character for character in map(chr, range(0x3000)) if cleaning._LETTERS_ONLY.fullmatch(character)]
    assert not any(is_bad(f"{one}{other}") for one, other in product(letters, letters))


@pytest.mark.parametrize("text", ["Ã¸", "GrÃ¼ÃŸe", "â€œ", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "è°¢è°¢", "å\x9bž"])
def test_what_ftfy_finds_bad_is_shown_to_it(text: str) -> None:
    assert is_bad(text)
    assert not cleaning._LETTERS_ONLY.fullmatch(text)
