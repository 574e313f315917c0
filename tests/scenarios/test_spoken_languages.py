"""Everybody is spoken to in their language: as they choose, as Slack is set, or as the workspace speaks.

The catalogues are those of the tests: every sentence is its English one behind a mark, so that a text without a mark
was never translated, whatever the translators have done so far.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import catalogues
import pytest
from builders import Office, open_office
from catalogues import mark

from bot.blocks.language import READ, SPOKEN
from bot.listeners.commands import SUBCOMMANDS
from bot.speech import OWN_NAMES
from curation import audit, people, reviews, tongues
from curation.language import LANGUAGES
from curation.reviews import Verdict

GERMAN, NORWEGIAN = mark("de"), mark("nb")
QUESTION, REPLY = "How long does the filter last?", "It lasts for ever."


@pytest.fixture(autouse=True)
def _marked(tmp_path: Path) -> Iterator[None]:
    source = catalogues.template()
    spoken = {language: catalogues.marked(language, source) for language in ("de", "nb")}
    with catalogues.spoken_from(tmp_path / "spoken", spoken):
        yield


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """An office whose workspace speaks Norwegian."""
    with open_office(tmp_path / "home", ERRATA_LANGUAGE="nb") as opened:
        yield opened


def chosen(office: Office, name: str) -> tuple[str | None, str | None]:
    with office.store.read() as session:
        return people.tongue_of(session, office.actor(name).person_id)


def speak(office: Office, name: str, language: str) -> None:
    with office.store.write() as session:
        tongues.choose_language(session, office.actor(name), office.ahead(), language)


def texts(part: Any) -> Iterator[str]:
    """Every text that Slack shows of a view or of blocks."""
    if isinstance(part, dict):
        if part.get("type") in {"plain_text", "mrkdwn"}:
            yield part["text"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from texts(inner)


def unmarked(part: Any, language: str, *, said: tuple[str, ...] = ()) -> list[str]:
    """The texts with words that bear no mark, names of languages and what people said themselves aside."""
    known = {*OWN_NAMES.values(), *said}
    return [
        text
        for text in texts(part)
        if re.search(r"[A-Za-z]{2}", text) and mark(language) not in text and text not in known
    ]


def test_a_word_is_enough_to_be_spoken_to_in_another_language_from_now_on(office: Office) -> None:
    for word in ("de", "German", "Deutsch", "deutsch", "DEUTSCH"):
        answer = office.ana.command("/errata", f"language {word}", office.channel)["text"]
        assert answer == f"{GERMAN}From now on Errata speaks Deutsch to you."
        assert chosen(office, "ana")[0] == "de"
        assert NORWEGIAN in office.ana.command("/errata", "language slack", office.channel)["text"]
        assert chosen(office, "ana")[0] is None


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_is_known_by_its_code_its_english_and_its_own_name(office: Office, code: str) -> None:
    for word in (code, LANGUAGES[code], OWN_NAMES[code]):
        office.ana.command("/errata", f"language {word}", office.channel)
        assert chosen(office, "ana")[0] == code


def test_a_language_that_errata_does_not_speak_is_refused_with_those_that_it_does(office: Office) -> None:
    speak(office, "ana", "de")
    answer = office.ana.command("/errata", "language Klingon", office.channel)["text"]
    assert answer.startswith(f"{GERMAN}Errata does not speak Klingon: choose one of {GERMAN}English, ")
    assert "oder" in answer  # the list is put together as in German
    assert chosen(office, "ana")[0] == "de"


def test_the_form_shows_what_was_chosen_and_keeps_what_is(office: Office) -> None:
    office.ben.command("/errata", "language", office.channel)
    assert not unmarked(office.ben.modal, "nb")
    assert office.ben.submit({SPOKEN: "de", READ: ["de", "nb"]}) == {}
    assert chosen(office, "ben")[0] == "de"
    with office.store.read() as session:
        assert people.reads_of(session, office.actor("ben").person_id) == {"de", "nb"}
        actions = [entry.action for entry in audit.search(session) if entry.action.startswith("person.l")]
    assert actions == ["person.language"]
    assert f"{GERMAN}From now on Errata speaks Deutsch to you." in list(texts(office.ben.modal))
    office.ben.close_modal()
    office.ben.command("/errata", "language", office.channel)
    assert not unmarked(office.ben.modal, "de")
    shown = {block["block_id"]: block["element"] for block in office.ben.modal["blocks"]}
    assert shown[SPOKEN]["initial_option"]["value"] == "de"
    assert {one["value"] for one in shown[READ]["initial_options"]} == {"de", "nb"}
    assert office.ben.submit({SPOKEN: "slack", READ: []}) == {}
    assert chosen(office, "ben")[0] is None
    with office.store.read() as session:
        assert people.reads_of(session, office.actor("ben").person_id) is None


def test_whoever_has_slack_in_german_is_spoken_to_in_german_after_the_first_time(office: Office) -> None:
    office.workspace.change(office.ana, locale="de-DE")
    office.ana.command("/errata", "help", office.channel)
    office.workspace.wait_until(lambda: chosen(office, "ana")[1] == "de-DE", what="the locale of Slack")
    assert GERMAN in office.ana.command("/errata", "help", office.channel)["text"]


def test_a_slack_in_english_says_nothing_where_slack_has_no_norwegian(office: Office) -> None:
    office.ana.command("/errata", "help", office.channel)
    office.workspace.wait_until(lambda: chosen(office, "ana")[1] == "en-US", what="the locale of Slack")
    assert NORWEGIAN in office.ana.command("/errata", "help", office.channel)["text"]
    assert NORWEGIAN not in office.ana.command("/errata", "language english", office.channel)["text"]


def test_a_choice_counts_more_than_what_slack_says(office: Office) -> None:
    office.workspace.change(office.ana, locale="de-DE")
    office.ana.command("/errata", "language norsk", office.channel)
    office.workspace.wait_until(lambda: chosen(office, "ana")[1] == "de-DE", what="the locale of Slack")
    assert NORWEGIAN in office.ana.command("/errata", "help", office.channel)["text"]


def test_where_slack_may_not_be_asked_the_workspaces_language_is_spoken(office: Office) -> None:
    office.workspace.change(office.ana, locale="de-DE")
    office.workspace.scopes = {"commands", "chat:write"}
    for _ in range(2):
        assert NORWEGIAN in office.ana.command("/errata", "help", office.channel)["text"]
    assert chosen(office, "ana")[1] is None


def test_what_is_refused_deep_in_the_house_is_read_in_the_readers_language(office: Office) -> None:
    speak(office, "ana", "de")
    _, ts = office.ask(QUESTION, REPLY)
    [error] = office.correct(office.ana, ts, "  ").values()
    assert error.startswith(f"{GERMAN}The correction is empty: ")
    speak(office, "ana", "nb")
    [error] = office.ana.submit({"correction": " "}).values()
    assert error.startswith(f"{NORWEGIAN}The correction is empty: ")


def test_a_channel_hears_the_workspaces_language_and_a_person_their_own(office: Office) -> None:
    speak(office, "ana", "de")
    _, ts = office.ask(QUESTION, REPLY)
    assert office.correct(office.ana, ts, "Six months.") == {}
    with office.store.write() as session:
        by, now = office.actor("ben"), office.ahead()
        reviews.decide(session, by, now, candidate_id=1, verdict=Verdict.RETURN, comment="Name the price.")
    office.deliver()
    [told] = office.ana.dms
    assert GERMAN in told["text"]
    assert NORWEGIAN not in str(told)
    cards = office.cards()
    assert cards
    assert all(GERMAN not in str(card) for card in cards)
    assert all(NORWEGIAN in card["text"] for card in cards)


def test_a_refusal_names_roles_as_the_language_lists_things(office: Office) -> None:
    speak(office, "customer", "de")
    _, ts = office.ask(QUESTION, REPLY)
    office.customer.message_shortcut(office.channel, ts, "correct_reply")
    [said] = [text for text in texts(office.customer.modal) if "takes the role" in text]
    assert f"{GERMAN}flag and correct replies" in said
    assert "agent, reviewer oder owner" in said


def shown(office: Office) -> Iterator[tuple[str, Any]]:
    """What people see on a day: every sub-command, the home, the forms, what a channel and an author are told."""
    office.workspace.subscriptions = frozenset({"app_home_opened"})
    _, ts = office.ask(QUESTION, REPLY)
    office.ana.message_shortcut(office.channel, ts, "correct_reply")
    office.wait_for_thread(office.ana)
    yield "the form of a correction", office.ana.modal
    office.ana.submit({"correction": " "})
    yield "the form with its error", office.ana.modal
    office.ana.submit({"correction": "Six months."})
    office.deliver()
    for name in (*SUBCOMMANDS, *(f"help {known}" for known in SUBCOMMANDS), "no-such-thing"):
        answer = office.olga.command("/errata", name, office.channel)
        yield f"/errata {name}", {"type": "mrkdwn", "text": answer.get("text") or ""}
        yield f"/errata {name}", answer.get("blocks") or []
        if office.olga.modal is not None:
            yield f"/errata {name}", office.olga.modal
            office.olga.close_modal()
    for name in ("ana", "ben", "olga", "customer"):
        office.people[name].open_home()
        office.workspace.wait_until(lambda name=name: office.people[name].home is not None, what="the home")
        yield f"the home of {name}", office.people[name].home
    with office.store.write() as session:
        by, now = office.actor("ben"), office.ahead()
        reviews.decide(session, by, now, candidate_id=1, verdict=Verdict.APPROVE)
    office.deliver()
    for message in (*office.cards(), *office.ana.dms):
        yield "a message", message.get("blocks") or [{"type": "mrkdwn", "text": message["text"]}]


@pytest.mark.parametrize("language", ["en", *catalogues.LANGUAGES])
def test_slack_takes_all_that_people_see_on_a_day_in_every_language(tmp_path: Path, language: str) -> None:
    """The sandbox refuses what is over a limit of Slack's; whoever is shown nothing fails here as well."""
    kept = {code: found for code in catalogues.LANGUAGES if (found := catalogues.read(code)) is not None}
    with (
        catalogues.spoken_from(tmp_path / "kept", kept),
        open_office(tmp_path / "office", ERRATA_LANGUAGE=language) as office,
    ):
        assert all(part for _, part in shown(office) if not isinstance(part, list))


def test_nothing_that_people_see_on_a_day_is_left_in_english(office: Office) -> None:
    said = (QUESTION, REPLY, "Six months.", "Ana", "Ben", "Bea", "Olga", "Customer", "Bris", "Errata", "View Title")
    left = {
        (where, text)
        for where, part in shown(office)
        for text in unmarked(part, "nb", said=said)
        if not re.fullmatch(r"(?:[`/•*#>~_.:\d\s-]|errata|run-\w+|ERRATA_\w+)*", text)
    }
    assert left == set()
