"""People and roles: who may, who was first, who stays, and who is meant."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from builders import NOON, Team, new_store

from curation import audit, people
from curation.errors import Conflict, Invalid, NotAllowed, NotFound
from curation.people import Actor, PersonId, person_id
from curation.policies import ALLOWED, Permission, RoleName, may

STRANGER = Actor(PersonId("T1/UNOBODY"))


def test_the_first_owner_is_granted_without_an_actor_and_nobody_after(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    with store.write() as session:
        people.grant(session, None, NOON, person=PersonId("T1/U1"), role=RoleName.OWNER)
    for role in RoleName:
        with pytest.raises(NotAllowed, match="only the first owner"), store.write() as session:
            people.grant(session, None, NOON, person=PersonId("T1/U2"), role=role)
    with store.read() as session:
        assert people.owners(session) == ["T1/U1"]
    store.close()


def test_the_first_grant_without_an_actor_is_of_no_other_role(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    for role in set(RoleName) - {RoleName.OWNER}:
        with pytest.raises(NotAllowed), store.write() as session:
            people.grant(session, None, NOON, person=PersonId("T1/U1"), role=role)
    store.close()


def test_the_last_owner_cannot_be_revoked_but_the_last_but_one_can(team: Team) -> None:
    with pytest.raises(Conflict, match="last owner"), team.store.write() as session:
        people.revoke(session, team.olga, NOON, person=team.olga.person_id, role=RoleName.OWNER)
    with team.store.write() as session:
        people.grant(session, team.olga, NOON, person=team.ben.person_id, role=RoleName.OWNER)
        people.revoke(session, team.ben, NOON, person=team.olga.person_id, role=RoleName.OWNER)
    with team.store.read() as session:
        assert people.owners(session) == [team.ben.person_id]
        entries = audit.about(session, f"person:{team.olga.person_id}")
    assert [entry.action for entry in entries] == ["role.granted", "role.revoked"]


def test_only_an_owner_grants_and_revokes(team: Team) -> None:
    for actor in (team.ana, team.ben, STRANGER):
        with pytest.raises(NotAllowed), team.store.write() as session:
            people.grant(session, actor, NOON, person=actor.person_id, role=RoleName.OWNER)
        with pytest.raises(NotAllowed), team.store.write() as session:
            people.revoke(session, actor, NOON, person=team.olga.person_id, role=RoleName.OWNER)


def test_a_role_that_somebody_does_not_hold_cannot_be_taken(team: Team) -> None:
    with pytest.raises(NotFound, match="Ana does not hold the role reviewer"), team.store.write() as session:
        people.revoke(session, team.olga, NOON, person=team.ana.person_id, role=RoleName.REVIEWER)


@pytest.mark.parametrize("permission", Permission)
def test_somebody_without_a_role_may_do_nothing(team: Team, permission: Permission) -> None:
    with team.store.read() as session, pytest.raises(NotAllowed, match="errata people grant T1/UNOBODY"):
        people.require(session, STRANGER, permission)


def test_being_known_grants_nothing(team: Team) -> None:
    with team.store.write() as session:
        people.meet(session, NOON, STRANGER.person_id, display_name="Owner")
        with pytest.raises(NotAllowed):
            people.require(session, STRANGER, Permission.FLAG)


def test_every_permission_has_somebody_and_no_role_has_one_that_the_table_does_not_name() -> None:
    assert set(ALLOWED) == set(Permission)
    for role, permission in itertools.product(RoleName, Permission):
        assert may({role}, permission) is (role in ALLOWED[permission])
        assert not may(set(), permission)


def test_a_role_is_asked_for_at_the_moment_of_the_action(team: Team) -> None:
    with team.store.write() as session:
        people.require(session, team.ben, Permission.REVIEW)
        people.revoke(session, team.olga, NOON, person=team.ben.person_id, role=RoleName.REVIEWER)
        with pytest.raises(NotAllowed, match="Ben may not review"):
            people.require(session, team.ben, Permission.REVIEW)


def test_the_same_user_id_in_another_team_is_another_person(team: Team) -> None:
    with team.store.read() as session:
        for other in (person_id("T2", "UOLGA"), person_id("T1", "UOLGA", "E1")):
            with pytest.raises(NotAllowed):
                people.require(session, Actor(other), Permission.FLAG)


def test_staff_of_one_team_is_not_staff_of_another(team: Team) -> None:
    with team.store.write() as session:
        people.grant(session, team.olga, NOON, person=PersonId("T2/UZOE"), role=RoleName.AGENT)
        people.grant(session, team.olga, NOON, person=PersonId("E1/T1/UYAN"), role=RoleName.AGENT)
        assert people.staff_user_ids(session, "T2") == {"UZOE"}
        assert people.staff_user_ids(session, "T1") == {"UANA", "UBEN", "UBEA", "UOLGA", "UYAN"}


def test_a_name_finds_its_person_by_id_then_user_id_then_display_name(team: Team) -> None:
    with team.store.write() as session:
        people.meet(session, NOON, PersonId("T1/UXY"), display_name="UANA")
        for name in ("T1/UANA", "UANA", "Ana"):
            assert people.resolve(session, name) == "T1/UANA"


def test_a_name_of_two_people_lists_their_ids(team: Team) -> None:
    with team.store.write() as session:
        people.meet(session, NOON, PersonId("T2/UANA"), display_name="Ana")
        for name in ("Ana", "UANA"):
            with pytest.raises(Invalid, match="could be any of T1/UANA, T2/UANA: give the whole id"):
                people.resolve(session, name)
        assert people.resolve(session, "T2/UANA") == "T2/UANA"


def test_a_name_of_nobody_names_the_command_that_grants(team: Team) -> None:
    with team.store.read() as session, pytest.raises(NotFound, match="errata people grant Zoe owner"):
        people.resolve(session, "Zoe")


def test_a_name_once_known_is_not_replaced_by_a_handle(team: Team) -> None:
    with team.store.write() as session:
        people.meet(session, NOON, PersonId("T1/UNEW"))
        assert people.name_of(session, "T1/UNEW") == "UNEW"
        people.meet(session, NOON, PersonId("T1/UNEW"), display_name="Noor")
        people.meet(session, NOON, PersonId("T1/UNEW"), display_name="noor.h")
        assert people.name_of(session, "T1/UNEW") == "Noor"
