from __future__ import annotations

import pytest

from curation.language import LANGUAGES, detect, name_of

SENTENCES = {
    "en": "Where is my order?",
    "de": "Wo ist meine Bestellung?",
    "nb": "Hvor er pakken min?",
    "fil": "Nasaan ang order ko?",
    "zh": "我的订单在哪里?",
    "id": "Di mana pesanan saya?",
}


@pytest.mark.parametrize(("code", "sentence"), SENTENCES.items())
def test_a_customers_question_is_recognised_in_each_of_our_languages(code: str, sentence: str) -> None:
    assert detect(sentence) == code


def test_every_configured_language_has_its_sentence() -> None:
    assert set(SENTENCES) == set(LANGUAGES)


@pytest.mark.parametrize("text", ["", "   ", "ok", "123", "🙂", "ERR-4041"])
def test_a_text_that_tells_nothing_has_no_language(text: str) -> None:
    assert detect(text) is None


def test_a_text_of_megabytes_is_recognised_by_its_beginning() -> None:
    assert detect("Wo ist meine Bestellung? " * 200_000) == "de"


def test_only_the_languages_asked_for_are_answered() -> None:
    assert detect(SENTENCES["nb"], ("nb", "de")) == "nb"
    assert detect(SENTENCES["nb"], ("en", "zh")) in {None, "en", "zh"}


def test_an_unknown_code_is_its_own_name() -> None:
    assert (name_of("nb"), name_of("pt")) == ("Norwegian", "pt")
