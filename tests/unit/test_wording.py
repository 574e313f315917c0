"""Phrases: English text that remembers what it was made of, through pickles, columns and other languages."""

from __future__ import annotations

import pickle

from bot.speech import Say, language_of_locale
from curation.errors import Invalid, NotFound
from curation.wording import Phrase, phrase, plural, unpacked

ROLES = phrase("That takes the role {roles:or}.", roles=("agent", "reviewer", "owner"))


def test_a_phrase_is_its_english_text() -> None:
    assert ROLES == "That takes the role agent, reviewer or owner."
    assert plural("{count:,} row", "{count:,} rows", 1) == "1 row"
    assert plural("{count:,} row", "{count:,} rows", 1200) == "1,200 rows"


def test_without_values_braces_stand_as_they_are() -> None:
    assert phrase('{"messages": []}') == '{"messages": []}'


def test_what_somebody_wrote_is_never_taken_for_a_template() -> None:
    assert phrase("{name} was faster.", name="{roles} {0.__class__}") == "{roles} {0.__class__} was faster."


def test_a_phrase_survives_a_column_with_the_phrases_in_it() -> None:
    outer = phrase("No dataset: {reason}", reason=ROLES)
    kept = unpacked(outer.packed())
    assert isinstance(kept, Phrase)
    assert kept == outer
    assert isinstance(kept.values["reason"], Phrase)


def test_a_text_that_is_no_phrase_comes_back_from_a_column_as_it_is() -> None:
    for text in ("Disk full.", '{"phrase": 1}', '{"phrase": "a {b}", "values": {"c": 1}}', '{"phrase":'):
        assert unpacked(text) == text


def test_an_error_crosses_processes_with_its_values() -> None:
    error = pickle.loads(pickle.dumps(NotFound("There is no run {run}.", run="run-1")))  # noqa: S301 (our own)
    assert str(error) == "There is no run run-1."
    assert error.sentence.values == {"run": "run-1"}
    assert str(Invalid("as it stands {}")) == "as it stands {}"


def test_numbers_and_lists_are_said_as_the_language_does() -> None:
    text = "{count:,} rows, {share:.1%} of {roles:or}, number {id}"
    values = {"count": 12345, "share": 0.123, "roles": ("a", "b"), "id": 12345}
    assert Say("de")(text, **values) == "12.345 rows, 12,3% of a oder b, number 12345"
    assert Say("zh")(text, **values) == "12,345 rows, 12.3% of a或b, number 12345"


def test_a_locale_of_slack_is_one_of_ours_or_none() -> None:
    known = {"de-DE": "de", "en-GB": "en", "zh-CN": "zh", "zh-TW": None, "fr-FR": None, "": None, None: None}
    assert {locale: language_of_locale(locale) for locale in known} == known


def test_nothing_is_said_as_nothing() -> None:
    assert [Say(language)("") for language in ("en", "de", "zh")] == ["", "", ""]
