"""In which language people are spoken to, and which they review: their own choice, kept once and written down once."""

from __future__ import annotations

import pytest
from builders import NOON, Team

from bot.speech import spoken_to
from curation import audit, people, tongues
from curation.errors import Invalid, NotAllowed
from curation.people import Actor, PersonId

STRANGER = Actor(PersonId("T1/USTRANGER"))


def entries(team: Team) -> list[tuple[str, dict[str, object]]]:
    with team.store.read() as session:
        return [(one.action, one.details) for one in audit.search(session) if one.action.startswith("person.")]


def test_the_same_choice_twice_is_written_down_once(team: Team) -> None:
    for _ in range(2):
        with team.store.write() as session:
            tongues.choose_language(session, team.ben, NOON, "nb")
            tongues.choose_reads(session, team.ben, NOON, ["nb", "de", "nb"])
    assert entries(team) == [("person.language", {"language": "nb"}), ("person.reads", {"languages": "de,nb"})]
    with team.store.write() as session:
        tongues.choose_language(session, team.ben, NOON, None)
        tongues.choose_reads(session, team.ben, NOON, [])
    with team.store.read() as session:
        assert people.tongue_of(session, team.ben.person_id) == (None, None)
        assert people.reads_of(session, team.ben.person_id) is None


@pytest.mark.parametrize("code", ["fr", "", "DE", "de-DE", "nb; DROP TABLE people"])
def test_a_language_that_errata_does_not_know_is_refused_and_nothing_changes(team: Team, code: str) -> None:
    for choose in (
        lambda session: tongues.choose_language(session, team.ben, NOON, code),
        lambda session: tongues.choose_reads(session, team.ben, NOON, ["de", code]),
    ):
        with pytest.raises(Invalid, match="choose one of English, German, "), team.store.write() as session:
            choose(session)
    assert entries(team) == []


def test_somebody_without_a_role_may_choose_how_they_are_spoken_to(team: Team) -> None:
    with team.store.write() as session:
        tongues.choose_language(session, STRANGER, NOON, "id")
    with team.store.read() as session:
        assert spoken_to(session, STRANGER.person_id, "en").language == "id"
        assert people.roles(session, STRANGER.person_id) == frozenset()


@pytest.mark.parametrize(
    ("chosen", "locale", "default", "spoken"),
    [
        (None, None, "en", "en"),
        (None, None, "nb", "nb"),
        (None, "de-DE", "nb", "de"),
        ("zh", "de-DE", "nb", "zh"),
        (None, "fr-FR", "de", "de"),  # Slack is in a language that Errata does not speak
        (None, "en-GB", "de", "en"),
        (None, "en-GB", "nb", "nb"),  # Slack has no Norwegian, so English says nothing
        (None, "zh-TW", "en", "en"),
        ("en", "de-DE", "nb", "en"),
    ],
)
def test_a_choice_comes_first_then_slack_then_the_workspace(
    team: Team, chosen: str | None, locale: str | None, default: str, spoken: str
) -> None:
    with team.store.write() as session:
        tongues.choose_language(session, team.ana, NOON, chosen)
        if locale is not None:
            tongues.note_locale(session, NOON, team.ana.person_id, locale)
    with team.store.read() as session:
        assert spoken_to(session, team.ana.person_id, default).language == spoken


def test_what_slack_says_is_nobodys_choice_and_leaves_no_entry(team: Team) -> None:
    with team.store.write() as session:
        tongues.note_locale(session, NOON, team.ana.person_id, "de-DE" * 50)
    assert entries(team) == []
    with team.store.read() as session:
        assert len(people.tongue_of(session, team.ana.person_id)[1] or "") == tongues.LOCALE_LIMIT


def test_an_owner_chooses_for_somebody_else_and_nobody_else_does(team: Team) -> None:
    ana = team.ana.person_id
    for actor in (team.ben, STRANGER):
        for choose in (
            lambda session, actor=actor: tongues.choose_language(session, actor, NOON, "de", of=ana),
            lambda session, actor=actor: tongues.choose_reads(session, actor, NOON, ["de"], of=ana),
        ):
            with team.store.write() as session, pytest.raises(NotAllowed, match="may not grant roles"):
                choose(session)
    assert entries(team) == []
    with team.store.write() as session:
        tongues.choose_language(session, team.ana, NOON, "nb", of=ana)
        tongues.choose_language(session, team.olga, NOON, "de", of=ana)
    with team.store.read() as session:
        assert people.tongue_of(session, ana)[0] == "de"
        told = [(one.actor, one.details) for one in audit.about(session, f"person:{ana}") if "language" in one.action]
    assert told == [(ana, {"language": "nb"}), (team.olga.person_id, {"language": "de"})]
