"""What Slack says of people and groups, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from builders import NOON, Team, new_store, new_team

from bot import installations
from bot.installations import Installed
from curation import audit, memberships, people
from curation.people import WORKER, PersonId
from curation.policies import RoleName, Standing

ZOE = PersonId("T1/UZOE")


@pytest.fixture(params=["sqlite", "postgres"])
def team(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Team]:
    store = new_store(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres").new_store()
    made = new_team(tmp_path, store)
    yield made
    store.close()


def confirm(team: Team, at: datetime, *members: PersonId) -> None:
    with team.store.write() as session:
        memberships.confirm_group(
            session, WORKER, at, team_id="T1", group_id="S1", role=RoleName.REVIEWER, members=members
        )


def roles(team: Team, at: datetime) -> set[str]:
    with team.store.read() as session:
        return {*people.roles(session, ZOE, at)}


def test_a_groups_role_counts_for_members_within_the_hour(team: Team) -> None:
    confirm(team, NOON, ZOE)
    assert roles(team, NOON) == set()  # nobody has said that Zoe is a member of the workspace
    with team.store.write() as session:
        memberships.note_standing(session, NOON, ZOE, Standing.MEMBER, display_name="Zoe")
    confirm(team, NOON, ZOE)
    assert roles(team, NOON + timedelta(minutes=59)) == {"reviewer"}
    assert roles(team, NOON + timedelta(minutes=61)) == set()
    confirm(team, NOON + timedelta(hours=2), ZOE)
    assert roles(team, NOON + timedelta(hours=2)) == {"reviewer"}
    with team.store.write() as session:
        memberships.note_standing(session, NOON, ZOE, Standing.GUEST)
    assert roles(team, NOON + timedelta(hours=2)) == set()
    with team.store.read() as session:
        assert [entry.action for entry in audit.about(session, f"person:{ZOE}")] == ["role.joined", "person.standing"]


def test_a_role_held_twice_is_held_once_and_lasts_as_long_as_one_of_both(team: Team) -> None:
    with team.store.write() as session:
        memberships.note_standing(session, NOON, ZOE, Standing.MEMBER)
        people.grant(session, team.olga, NOON, person=ZOE, role=RoleName.REVIEWER)
    confirm(team, NOON, ZOE)
    assert roles(team, NOON) == {"reviewer"}
    with team.store.write() as session:
        people.revoke(session, team.olga, NOON, person=ZOE, role=RoleName.REVIEWER)
    assert roles(team, NOON) == {"reviewer"}
    with team.store.read() as session:
        assert people.holders(session, RoleName.REVIEWER, NOON) == ["T1/UBEA", "T1/UBEN", ZOE]
        assert "UZOE" in people.staff_user_ids(session, "T1")
    confirm(team, NOON)
    assert roles(team, NOON) == set()


def test_people_of_one_workspace_do_not_leave_a_group_of_another(team: Team) -> None:
    with team.store.write() as session:
        for person in (ZOE, PersonId("T2/UZOE")):
            memberships.note_standing(session, NOON, person, Standing.MEMBER)
        for workspace in ("T1", "T2"):
            memberships.confirm_group(
                session,
                WORKER,
                NOON,
                team_id=workspace,
                group_id="S1",
                role=RoleName.REVIEWER,
                members=[PersonId(f"{workspace}/UZOE")],
            )
    confirm(team, NOON)
    with team.store.read() as session:
        assert people.roles(session, "T2/UZOE", NOON) == {"reviewer"}


def test_an_installation_is_one_row_that_the_next_one_replaces(team: Team) -> None:
    first = Installed("T2", "Lumen", None, "B2", "U2", "xoxb-old", "commands")
    with team.store.write() as session:
        installations.keep(session, NOON, first, by=PersonId("T2/UZOE"))
        installations.keep(session, NOON + timedelta(days=1), first._replace(bot_token="xoxb-new"), by=ZOE)
    with team.store.write() as session:
        (kept,) = installations.listed(session)
        assert (kept.bot_token, kept.installed_by) == ("xoxb-new", ZOE)
        assert not installations.remove(session, "T2", NOON)  # told late, about the one before
        assert installations.remove(session, "T2", NOON + timedelta(days=2))
        assert not installations.remove(session, "T2", NOON + timedelta(days=2))
