"""What the doctor sees of Slack: scopes, channels, groups, people, and a notice that arrives and goes away again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import Office, open_office

from bot import slack_checks
from bot.installations import Workspaces
from bot.sandbox.people import Person
from bot.scopes import SCOPES
from bot.settings import Settings
from curation import memberships, people
from curation.policies import RoleName, Standing
from curation.prerequisites import Check, State


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as opened:
        yield opened


def examined(office: Office, *, notice: bool = True, **changes: str) -> dict[str, list[Check]]:
    """The checks by their ids, with settings that name the office's channel unless told otherwise."""
    workspace = office.workspace
    environ = {
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_API_URL": workspace.api_url,
        "ERRATA_HOME": str(office.settings.home),
        "ERRATA_REVIEW_CHANNEL": office.channel,
        **changes,
    }
    settings = Settings.from_environment(environ, dotenv=office.settings.home / "no.env")
    found: dict[str, list[Check]] = {}
    for check in slack_checks.examine(Workspaces(settings, office.store), office.store, office.ahead(), notice=notice):
        found.setdefault(check.id, []).append(check)
    return found


def only(checks: dict[str, list[Check]], name: str) -> Check:
    (check,) = checks[name]
    return check


def test_a_test_notice_is_sent_and_taken_away_again(office: Office) -> None:
    assert only(examined(office), "slack.notice").state is State.OK
    assert office.cards() == []
    assert "slack.notice" not in examined(office, notice=False)


def test_a_notice_that_does_not_arrive_says_why(office: Office) -> None:
    office.workspace.archive(office.channel)
    found = examined(office)
    assert only(found, "slack.channel").evidence == "The review channel support is archived."
    assert "is_archived" in only(found, "slack.notice").evidence
    assert only(found, "slack.notice").state is State.FAILED


def test_a_notice_that_cannot_be_taken_away_is_admitted(office: Office) -> None:
    office.workspace.fail_next("chat.delete", "cant_delete_message", times=1)
    check = only(examined(office), "slack.notice")
    assert (check.state, "stayed there: cant_delete_message" in check.evidence) == (State.WARNING, True)


def test_a_review_channel_that_errata_is_not_in_is_named(office: Office) -> None:
    office.workspace.remove_errata(office.channel)
    found = examined(office)
    assert only(found, "slack.channel").evidence == "Errata is not in the review channel support."
    assert only(found, "slack.channel").remedy == "Invite it there: /invite @Errata"


def test_channels_where_the_assistant_answers_without_errata_are_named(office: Office) -> None:
    assert only(examined(office), "slack.channels").state is State.OK
    for name in ("returns", "spares"):
        office.workspace.add_channel(name, [office.bris], with_errata=False)
    check = only(examined(office), "slack.channels")
    assert check.evidence == "Bris answers in 2 channels without Errata, such as #returns, #spares."
    assert check.state is State.WARNING


def test_each_missing_scope_is_named_with_its_reason(office: Office) -> None:
    office.workspace.scopes = set(SCOPES) - {"usergroups:read", "files:write"}
    told = [check.evidence for check in examined(office)["slack.scopes"]]
    assert told == [
        f"The scope {scope} is missing. It is for: {SCOPES[scope]}" for scope in ("files:write", "usergroups:read")
    ]
    office.workspace.scopes = set(SCOPES)
    assert only(examined(office), "slack.scopes").state is State.OK


def test_what_may_not_be_looked_at_is_said_and_not_guessed(office: Office) -> None:
    office.workspace.scopes = {"commands", "chat:write"}
    found = examined(office)
    assert "cannot be said: missing_scope" in only(found, "slack.channel").evidence
    assert "cannot be said: missing_scope" in only(found, "slack.channels").evidence
    assert only(found, "slack.history").state is State.FAILED
    assert only(found, "slack.notice").state is State.OK


def test_a_group_that_cannot_be_read_is_named(office: Office) -> None:
    group = office.workspace.add_group("reviewers", [office.ana])
    found = examined(office, ERRATA_GROUPS=f"reviewer={group},owner=S0WRONG")
    assert [check.evidence for check in found["slack.groups"]] == [
        f"The user group {group} has 1 member, who is reviewer.",
        "The user group S0WRONG (owner) cannot be read: no_such_subteam.",
    ]


def test_roles_that_do_not_count_are_named(office: Office) -> None:
    unknown = only(examined(office), "slack.people")
    assert "not said yet whether these are full members: Ana, Bea, Ben, Olga" in unknown.evidence
    with office.store.write() as session:
        for name in ("ana", "ben", "bea", "olga"):
            memberships.note_standing(session, office.ahead(), office.actor(name).person_id, Standing.MEMBER)
    assert only(examined(office), "slack.people").state is State.OK
    with office.store.write() as session:
        memberships.note_standing(session, office.ahead(), office.actor("ben").person_id, Standing.GUEST)
    assert only(examined(office), "slack.people").evidence.endswith("which do not count: Ben.")


def test_a_token_that_slack_refuses_is_all_there_is_to_say(office: Office) -> None:
    office.workspace.fail_next("auth.test", "invalid_auth", times=1)
    found = examined(office)
    assert set(found) == {"slack.reachable"}
    assert "invalid_auth" in only(found, "slack.reachable").evidence


def asked(office: Office, name: str) -> Any:
    return office.people[name].command("/errata", "doctor", office.channel).get("text")


def with_blocks(person: Person) -> list[Any]:
    return [one for one in person.ephemerals if "blocks" in one]


@pytest.mark.parametrize(("name", "role"), [("olga", None), ("bea", RoleName.OPERATOR)])
def test_an_owner_or_operator_asks_the_doctor_in_slack(office: Office, name: str, role: RoleName | None) -> None:
    office.workspace.scopes = set(SCOPES)
    person = office.people[name]
    if role is not None:
        assert "may not change assistants" in asked(office, name)
        with office.store.write() as session:
            people.grant(session, office.actor("olga"), office.ahead(), person=office.actor(name).person_id, role=role)
    assert "takes a few seconds" in asked(office, name)
    # The doctor is asked in a thread: now and then it answers before the command itself has been acknowledged.
    office.workspace.wait_until(lambda: with_blocks(person), what="the doctor")
    told = str(with_blocks(person)[0]["blocks"])
    assert "stand in the way" in told
    assert "Every scope of the manifest is granted" in told
