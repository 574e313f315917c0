"""Speaking to people in their language: catalogues, plurals, numbers and lists.

Owns which languages there are, how a template is found in a catalogue of ``bot/locale``, and the choice between what a
person asked for, what Slack says of them and what the workspace speaks. What a phrase is, is ``curation.wording``'s.

A block or a listener says everything through a ``Say``: ``say("Approve")``, ``say("by {author}", author=name)``,
``say.many("{count} row", "{count} rows", 3)``, ``say(error.sentence)``. The first argument is the English text as a
literal, so that the catalogues can be made from the code; only phrases that were made elsewhere come as a variable.
"""

from __future__ import annotations

import gettext
import io
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from babel import Locale
from babel.lists import format_list
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import get_decimal_symbol, get_group_symbol

from curation import people
from curation.language import LANGUAGES
from curation.store.rows import Work
from curation.wording import BETWEEN, ENGLISH, Value, phrase, plural, said

DEFAULT = "en"
DOMAIN = "errata"

OWN_NAMES = {
    "en": "English",
    "de": "Deutsch",
    "nb": "Norsk bokmål",
    "fil": "Filipino",
    "zh": "简体中文",
    "id": "Bahasa Indonesia",
}
"""Each language as its speakers call it, by code; of ``curation.language.LANGUAGES``."""

NOT_IN_SLACK = frozenset({"nb", "fil", "id"})
"""What Slack cannot be set to: where the workspace speaks one of these, a Slack in English says nothing of anybody."""

_LOCALES = {"zh": "zh_Hans"}
_CHINESE = {"": "、", "clauses": "；", "sentences": ""}


class Say:
    """One language, as something to speak in."""

    def __init__(self, language: str = DEFAULT) -> None:
        """Speak this language; one that Errata does not know is spoken as English."""
        self.language = language if language in LANGUAGES else DEFAULT
        self._voice = ENGLISH if self.language == DEFAULT else _Voice(self.language)

    def __call__(self, template: str, /, **values: Value) -> str:
        """A sentence: of a literal with its values, or of a phrase that was made elsewhere."""
        return said(phrase(template, **values), self._voice)

    def many(self, one: str, many: str, count: int, /, **values: Value) -> str:
        """A sentence about ``{count}`` things."""
        return said(plural(one, many, count, **values), self._voice)


class _Voice:
    def __init__(self, language: str) -> None:
        self._catalogue = catalogue(language)
        self._locale = Locale.parse(_LOCALES.get(language, language))
        symbols = {",": get_group_symbol(self._locale), ".": get_decimal_symbol(self._locale)}
        self._symbols = str.maketrans(symbols)

    def translated(self, template: str, many: str | None, count: int) -> str:
        if not template:
            return template  # a catalogue keeps its own header under nothing
        if many is None:
            return self._catalogue.gettext(template)
        return self._catalogue.ngettext(template, many, count)

    def number(self, value: float, spec: str) -> str:
        return format(value, spec).translate(self._symbols)

    def listed(self, items: Sequence[str], spec: str) -> str:
        between = _CHINESE if self._locale.language == "zh" else {"": ", ", **BETWEEN}
        if spec in between:
            return between[spec].join(items)
        return format_list(list(items), style="or" if spec == "or" else "standard", locale=self._locale)


ENGLISH_SPOKEN = Say()
"""For logs, tests and whoever nobody knows."""


@cache
def speaking(language: str) -> Say:
    """The one ``Say`` of a language."""
    return Say(language)


def spoken_to(work: Work, person: str, default: str) -> Say:
    """How to speak to a person: as they chose, else as Slack says, else in the workspace's own language."""
    chosen, locale = people.tongue_of(work, person)
    heard = language_of_locale(locale)
    if heard == DEFAULT and default in NOT_IN_SLACK:
        heard = None
    return speaking(chosen or heard or default)


def language_of_locale(locale: str | None) -> str | None:
    """Errata's code for a locale of Slack's: ``de-DE`` → ``de``; None for one that Errata does not speak.

    Slack's traditional Chinese is another script, and is left to the workspace's default.
    """
    if not locale or locale in {"zh-TW", "zh-HK"}:
        return None
    code = {"no": "nb", "tl": "fil", "in": "id"}.get(locale.split("-")[0].lower(), locale.split("-")[0].lower())
    return code if code in LANGUAGES else None


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """The translations of a language, read from its ``.po`` file once; what has none stays English."""
    source = files("bot") / "locale" / f"{language}.po"
    if not source.is_file():
        return gettext.NullTranslations()
    with source.open("rb") as opened:
        read = read_po(opened, locale=_LOCALES.get(language, language), domain=DOMAIN)
    compiled = io.BytesIO()
    write_mo(compiled, read)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
