"""The catalogues of translations: they hold what the code says, all of it, and a translation can be said and shown."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import catalogues
import pytest
from babel.messages import Catalog, Message
from builders import NOON, Team
from catalogues import LANGUAGES, commands, forms, marks, missing, placeholders, templates

from bot.blocks import language as language_blocks
from bot.sandbox.limits import check_message, check_view
from bot.speech import OWN_NAMES, Say, speaking
from curation import captures
from curation.errors import Conflict
from curation.findings import Finding, Severity
from curation.store.tables import FreezeRequest
from curation.wording import Phrase, phrase

SAME = {"Slack", "Errata", "OK", "Status", "Run", "Model", "Name", "Token", "Tokens", "Recipe", "Dataset", "Online"}
"""Words that are the same in a language or two; more would be sentences that nobody has translated."""

TITLE_LIMIT, BUTTON_LIMIT, HEADER_LIMIT = 24, 75, 150


@pytest.fixture(scope="module")
def source() -> Catalog:
    return catalogues.template()


def test_whatever_is_said_is_a_literal_or_a_phrase_that_was_made_elsewhere() -> None:
    assert catalogues.unspeakable() == []


def test_nothing_is_shown_past_a_language() -> None:
    assert catalogues.unsaid() == []


def test_the_template_is_what_the_code_says(source: Catalog) -> None:
    known = catalogues.TEMPLATE.read_text(encoding="utf-8") if catalogues.TEMPLATE.is_file() else ""
    assert catalogues.written(source).decode() == known, "run: make catalogues"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_has_the_messages_of_the_template_and_no_others(source: Catalog, language: str) -> None:
    kept = catalogues.read(language)
    assert kept is not None
    assert {one.id for one in kept} == {one.id for one in source}, "run: make catalogues"


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_is_translated(language: str) -> None:
    assert [one.id for one in missing(_kept(language))] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_has_the_values_and_the_commands_of_its_sentence(language: str) -> None:
    assert [trouble for message in _kept(language) if message.id for trouble in troubles(message)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_hardly_anything_is_left_in_english(language: str) -> None:
    judged = [message for message in _kept(language) if message.id and is_of_words(message) and any(forms(message))]
    same = [message.id for message in judged if set(forms(message)) & set(templates(message))]
    assert len(same) <= 0.05 * max(1, len(judged)), same


@pytest.mark.parametrize("language", LANGUAGES)
def test_titles_and_buttons_fit_in_every_language(language: str) -> None:
    kept = _kept(language)
    too_long = []
    for text, limit in bounded():
        message = kept.get(text)
        said = str(message.string) if message is not None and message.string else text
        if len(said) > limit:
            too_long.append((text, said, limit))
    assert too_long == []


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_slack_takes_every_message_and_every_form_in_every_language(
    monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    import test_blocks  # noqa: PLC0415 (the samples are that module's)

    monkeypatch.setattr(test_blocks, "ENGLISH_SPOKEN", speaking(language))
    for name in ("pings", "chinese", "one word", "empty"):
        for line, blocks in test_blocks.messages(test_blocks.TEXTS[name]):
            check_message({"text": line, "blocks": blocks})
        for view in test_blocks.views(test_blocks.TEXTS[name]):
            check_view(view, kind="modal")
    say = speaking(language)
    for default in OWN_NAMES:
        form = language_blocks.form(say, chosen=default, reads=["de", default], default=default)
        check_view(form, kind="modal")
        check_view(language_blocks.form(say, chosen=None, reads=None, default=default), kind="modal")
    check_view(language_blocks.saved(say, reads=list(OWN_NAMES)), kind="modal")


def test_every_own_name_is_of_a_language_that_errata_speaks() -> None:
    assert set(OWN_NAMES) == {"en", *LANGUAGES}


# The looks above can fail: each finds the fault that it is for.


def test_a_form_too_few_is_missing() -> None:
    made = Catalog(locale="de")
    made.add("Approve", "Freigeben")
    made.add("Reject")
    made.add(("{count} row", "{count} rows"), ["{count} Zeile", ""])
    assert [one.id for one in missing(made)] == ["Reject", ("{count} row", "{count} rows")]


@pytest.mark.parametrize(
    ("template", "translation", "fault"),
    [
        ("by {author}", "von {autor}", "values"),
        ("{share:.0%} of it", "{share} davon", "values"),
        ("by {author!r}", "von {author}", "values"),
        ("See: errata queue", "Siehe: errata schlange", "commands"),
        ("Write `/errata runs`", "Schreibe `/errata läufe`", "commands"),
        ("set ERRATA_SOLO", "ERRATA_ALLEIN setzen", "commands"),
        ("*{name}* is live", "{name} ist in Betrieb", "marks"),
    ],
)
def test_a_translation_that_would_lose_something_is_found(template: str, translation: str, fault: str) -> None:
    made = Catalog(locale="de")
    assert any(fault in one for one in troubles(made.add(template, translation)))
    assert troubles(made.add(template, template)) == []


def test_a_plural_may_leave_its_number_out_where_it_says_one() -> None:
    made = Catalog(locale="de")
    several = ("the oldest message", "the {count} oldest messages")
    assert troubles(made.add(several, ["die älteste Nachricht", "die {count} ältesten Nachrichten"])) == []
    assert troubles(made.add(several, ["die älteste Nachricht", "die {number} ältesten Nachrichten"]))


def test_an_f_string_cannot_be_said() -> None:
    said = ["say(f'by {x}')", "say('a' + b)", "say.many(f'{n} row', 'rows', n)", "say('a %s' % b)", "Invalid(f'{x}')"]
    for one in said:
        call, _ = next(catalogues.calls(ast.parse(one), catalogues.error_names()))
        assert not catalogues._speakable(call.args[0], frozenset()), one
    for one in ("say('a')", "say(a)", "say(error.sentence)", "say(WORDS[x])", "say('a' if b else 'c')"):
        call, _ = next(catalogues.calls(ast.parse(one), catalogues.error_names()))
        assert catalogues._speakable(call.args[0], frozenset()), one
    call, _ = next(catalogues.calls(ast.parse("say(PLAIN)"), catalogues.error_names()))
    assert not catalogues._speakable(call.args[0], frozenset({"PLAIN"}))


def test_a_new_sentence_joins_a_catalogue_and_what_was_translated_stays() -> None:
    before = Catalog(locale="de")
    before.add("Approve", "Freigeben")
    before.add("Gone", "Weg")
    fresh = Catalog()
    for one in ("Approve", "Approved", ("{count} row", "{count} rows")):
        fresh.add(one, locations=[("a.py", 0)])
    after = catalogues.merged("de", fresh, before)
    assert {one.id: forms(one) for one in after if one.id} == {
        "Approve": ("Freigeben",),
        "Approved": ("",),
        ("{count} row", "{count} rows"): ("", ""),
    }
    assert catalogues.written(after) == catalogues.written(catalogues.merged("de", fresh, after))


@pytest.mark.parametrize(("language", "number"), [("de", 2), ("nb", 2), ("fil", 2), ("zh", 1), ("id", 2)])
def test_the_number_decides_the_form(tmp_path: Path, language: str, number: int) -> None:
    made = catalogues.merged(language, Catalog(), None)
    said = ["{count} one", "{count} several"][:number]
    made.add(("{count} row", "{count} rows"), said)
    with catalogues.spoken_from(tmp_path, {language: made}):
        say = Say(language)
        for count in (0, 1, 2, 5, 11, 100):
            expected = said[0] if count == 1 or number == 1 else said[1]
            assert say.many("{count} row", "{count} rows", count) == expected.format(count=count)


# Sentences that are kept for later.


def test_a_kept_sentence_is_said_in_the_language_of_whoever_reads_it(team: Team, tmp_path: Path) -> None:
    made = catalogues.merged("de", Catalog(), None)
    made.add("There is a dataset named {name} already.", "Es gibt schon einen Datensatz namens {name}.")
    kept = _refused(team, Conflict("There is a dataset named {name} already.", name="v1").sentence)
    with catalogues.spoken_from(tmp_path / "spoken", {"de": made}):
        assert kept == "There is a dataset named v1 already."
        assert Say("de")(kept) == "Es gibt schon einen Datensatz namens v1."


def test_a_sentence_that_an_older_errata_kept_comes_back_as_it_is(team: Team) -> None:
    assert _refused(team, "The disk is full {sic}.") == "The disk is full {sic}."


def test_a_capture_keeps_why_its_thread_could_not_be_read(team: Team) -> None:
    why = phrase("The thread could not be read ({code}).", code="ratelimited")
    with team.store.write() as session:
        place = {"source": "T1/C1/9.1", "thread": "T1/C1/9.1"}
        kept = captures.keep(session, team.ana, NOON, assistant_id=team.assistant_id, reply="For ever.", **place)
        captures.not_filled(session, kept.key, trouble=why)
    with team.store.read() as session:
        trouble = captures.find(session, kept.key).trouble
    assert isinstance(trouble, Phrase)
    assert (trouble, trouble.values) == ("The thread could not be read (ratelimited).", {"code": "ratelimited"})


def test_a_finding_comes_back_from_a_manifest_with_what_it_is_made_of() -> None:
    found = Finding("a.b", Severity.WARNING, phrase("{count:,} rows", count=1200), "Look.")
    again = Finding.from_json(json.loads(json.dumps(found.kept())))
    assert again == found
    assert isinstance(again.message, Phrase)
    assert again.message.values == {"count": 1200}
    assert found.as_json()["message"] == "1,200 rows"
    assert Finding.from_json(found.as_json()) == found  # of a manifest from before there were phrases


def _refused(team: Team, reason: str) -> str:
    """A reason as it comes back from the database."""
    with team.store.write() as session:
        made = FreezeRequest(
            options={}, place=team.place, asked_by=team.olga.person_id, asked_at=NOON, status="refused", reason=reason
        )
        session.add(made)
        session.flush()
        key = made.key
    with team.store.read() as session:
        return session.get_one(FreezeRequest, key).reason or ""


def _kept(language: str) -> Catalog:
    found = catalogues.read(language)
    assert found is not None, "run: make catalogues"
    return found


def is_of_words(message: Message) -> bool:
    """Whether there is anything to translate: not in ``{message} {fix}``, nor in a name."""
    left = re.sub(r"\{[^}]*\}|`[^`]*`|[^\w\s]|\d", " ", templates(message)[0])
    return bool(left.strip()) and left.strip() not in SAME


def troubles(message: Message) -> list[str]:
    """What a translation would lose of its sentence; nothing where there is none yet."""
    found = []
    every = {name: spec for one in templates(message) for name, spec in placeholders(one).items()}
    optional = {"count"} if message.pluralizable else set()
    for said in filter(None, forms(message)):
        values = placeholders(said)
        if values.items() - every.items() or every.keys() - values.keys() - optional:
            found.append(f"values of {templates(message)[-1]!r}: {said!r}")
        if commands(said) not in [commands(one) for one in templates(message)]:
            found.append(f"commands of {templates(message)[-1]!r}: {said!r}")
        if marks(said) not in [marks(one) for one in templates(message)]:
            found.append(f"marks of {templates(message)[-1]!r}: {said!r}")
    return found


def bounded() -> Iterator[tuple[str, int]]:
    """The sentences that stand where Slack has little room, with how much: titles, buttons, headers."""
    places = {"modal": (2, TITLE_LIMIT), "notice_view": (1, TITLE_LIMIT), "done_view": (1, TITLE_LIMIT)}
    places |= {"button": (0, BUTTON_LIMIT), "Press": (0, BUTTON_LIMIT), "header": (0, HEADER_LIMIT)}
    for path in sorted((catalogues.ROOT / "bot").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            name = call.func.id if isinstance(call.func, ast.Name) else ""
            position, limit = places.get(name, (len(call.args), 0))
            held = [(one, limit) for one in call.args[position : position + 1]]
            held += [(one.value, TITLE_LIMIT) for one in call.keywords if one.arg in {"submit", "title", "close"}]
            for place, room in held:
                for said, _ in catalogues.calls(place, frozenset()):
                    yield from ((str(one.value), room) for one in catalogues.literals(said.args[0]))
