"""Which of the configured languages a text is written in.

Owns the list of languages with their English names and the detection. Refuses to guess: a text that
is too short, or in none of the languages as far as can be told, has no language.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from curation.wording import phrase

LANGUAGES: dict[str, str] = {
    "en": phrase("English"),
    "de": phrase("German"),
    "nb": phrase("Norwegian"),
    "fil": phrase("Filipino"),
    "zh": phrase("Chinese"),
    "id": phrase("Indonesian"),
}
"""The languages that Errata speaks, by their code; its interface is in the same six."""

# py3langid knows the macrolanguage or the older code where we name the standard language.
_MODEL_CODES = {"nb": "no", "fil": "tl"}
_MIN_CONFIDENCE = 0.5
_LOOKED_AT = 2_000  # characters: what follows them changes no verdict, and takes its time


def detect(text: str, languages: tuple[str, ...] = tuple(LANGUAGES)) -> str | None:
    """The code of the most likely of ``languages``; None where none is likelier than all others together.

    ``"Wo ist meine Bestellung?"`` gives ``"de"``; ``"ok"`` and ``"ERR-4041"`` give None. A text in a
    language that is not among them may be taken for one that is.

    Raises:
        ValueError: the detector does not know one of ``languages``.
    """
    code, confidence = _identifier(languages).classify(text[:_LOOKED_AT])
    if confidence < _MIN_CONFIDENCE:
        return None
    return _codes(languages)[code]


def name_of(code: str) -> str:
    """The language's English name; the code itself where it is not one of ours."""
    return LANGUAGES.get(code, code)


def _codes(languages: tuple[str, ...]) -> dict[str, str]:
    return {_MODEL_CODES.get(code, code): code for code in languages}


@cache
def _identifier(languages: tuple[str, ...]) -> Any:
    # Imported here: it brings NumPy and reads its model, which `errata --help` should not wait for.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(_codes(languages)))
    return identifier
