"""Who may do something, as Slack says at that moment: user groups, guests, strangers, and people who left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import Office, furnish, new_workspace, open_office, served
from sqlmodel import select

from bot.app import build, gated
from bot.blocks import roles as blocks
from bot.installations import Workspaces
from bot.membership import Roster
from bot.sandbox.errors import NotAnswered
from bot.sandbox.payloads import user
from bot.sandbox.people import Person
from curation import audit, memberships, people
from curation.errors import NotAllowed
from curation.people import Actor, PersonId
from curation.policies import Permission, RoleName, Standing
from curation.store.tables import GroupRole

MEMBERSHIP_EVENTS = frozenset({"user_change", "subteam_members_changed", "subteam_updated"})


@contextmanager
def office_with_group(home: Path, role: str = "reviewer") -> Iterator[tuple[Office, str, Roster]]:
    """An office where the members of a group, Zoe alone, hold a role; nobody has read the group yet."""
    with new_workspace().serve() as workspace:
        group = workspace.add_group("reviewers", [])
        office = furnish(workspace, home, ERRATA_GROUPS=f"{role}={group}")
        office.people["zoe"] = workspace.add_person("Zoe")
        workspace.bring_in(office.channel, office.people["zoe"])
        workspace.change_group(group, [office.people["zoe"]])
        with served(gated(build(office.settings, office.store), office.settings, office.store)) as url:
            workspace.deliver_to(url)
            workspace.subscriptions = MEMBERSHIP_EVENTS
            yield office, group, roster_of(office)
        office.store.close()


def roster_of(office: Office) -> Roster:
    """What the worker asks with."""
    return Roster(office.store, Workspaces(office.settings, office.store), office.settings.groups, office.ahead)


def roles_of(office: Office, name: str) -> set[str]:
    with office.store.read() as session:
        return {*people.roles(session, office.actor(name).person_id, office.ahead())}


def standing(office: Office, person: Person) -> Standing | None:
    with office.store.read() as session:
        return memberships.standing_of(session, people.person_id(office.workspace.team_id, person.user_id))


def asked(office: Office, person: Person, text: str) -> str:
    return str(person.command("/errata", text, office.channel).get("text"))


def choose(office: Office, owner: Person, person: Person, role: str, deed: str) -> dict[str, str]:
    """Open the form and save it; the errors that it shows."""
    owner.command("/errata", "roles", office.channel)
    owner.click_in_modal(blocks.CHOSEN, blocks.PERSON, person.user_id)
    office.workspace.wait_until(lambda: standing(office, person) is not None, what="Slack's word on who that is")
    return owner.submit({blocks.ROLE: role, blocks.DEED: deed})


# Groups.


def test_members_of_a_user_group_hold_its_role_while_they_are_members(tmp_path: Path) -> None:
    with office_with_group(tmp_path) as (office, group, roster):
        assert roles_of(office, "zoe") == set()
        roster.step()
        assert roles_of(office, "zoe") == {"reviewer"}
        assert "has been approved yet" in asked(office, office.people["zoe"], "stats")
        office.workspace.change_group(group, [office.ana])
        office.ahead.by += timedelta(minutes=6)
        roster.step()
        assert roles_of(office, "zoe") == set()
        assert roles_of(office, "ana") == {"agent", "reviewer"}


def test_a_membership_that_slack_has_not_confirmed_for_an_hour_counts_no_more(tmp_path: Path) -> None:
    with office_with_group(tmp_path) as (office, group, roster):
        roster.step()
        office.workspace.fail_next("usergroups.users.list", "fatal_error", times=50)
        office.ahead.by += timedelta(minutes=59)
        roster.step()
        assert roles_of(office, "zoe") == {"reviewer"}
        office.ahead.by += timedelta(minutes=2)
        roster.step()
        assert roles_of(office, "zoe") == set()
        with office.store.read() as session, pytest.raises(NotAllowed, match=f"group {group} for more than an hour"):
            people.require(session, office.actor("zoe"), Permission.REVIEW, office.ahead())
        with office.store.read() as session:
            assert memberships.unconfirmed(session, office.ahead()) == [group]


def test_a_clock_that_is_set_back_neither_keeps_a_membership_alive_nor_puts_its_confirmation_off(
    tmp_path: Path,
) -> None:
    with office_with_group(tmp_path) as (office, group, roster):
        office.ahead.by += timedelta(days=1)
        roster.read_groups()
        assert roles_of(office, "zoe") == {"reviewer"}
        roster.step()
        office.ahead.by -= timedelta(days=1)
        assert roles_of(office, "zoe") == set()
        with office.store.read() as session:
            assert memberships.unconfirmed(session, office.ahead()) == [group]
        roster.step()
        assert roles_of(office, "zoe") == {"reviewer"}


@pytest.mark.parametrize("trouble", ["missing_scope", "ratelimited", "fatal_error", 500])
def test_an_answer_that_slack_does_not_give_is_not_nobody(tmp_path: Path, trouble: str | int) -> None:
    with office_with_group(tmp_path) as (office, _group, roster):
        roster.step()
        office.workspace.fail_next("usergroups.users.list", trouble, times=20)
        office.ahead.by += timedelta(minutes=6)
        roster.step()
        assert roles_of(office, "zoe") == {"reviewer"}


def test_a_group_that_is_turned_off_or_configured_no_more_takes_its_roles_along(tmp_path: Path) -> None:
    with office_with_group(tmp_path) as (office, group, roster):
        roster.step()
        office.workspace.disable_group(group)
        office.ahead.by += timedelta(minutes=6)
        roster.step()
        assert roles_of(office, "zoe") == set()
    with office_with_group(tmp_path / "other") as (office, _group, roster):
        roster.step()
        Roster(office.store, Workspaces(office.settings, office.store), [], office.ahead).step()
        assert roles_of(office, "zoe") == set()


def test_guests_and_bots_in_a_group_get_nothing_by_it(tmp_path: Path) -> None:
    with office_with_group(tmp_path) as (office, group, roster):
        guest = office.people["gus"] = office.workspace.add_person("Gus", guest=True)
        office.workspace.change_group(group, [guest, office.bris, office.people["zoe"]])
        roster.step()
        with office.store.read() as session:
            held = {one.person_id for one in session.exec(select(GroupRole))}
        assert held == {office.actor("zoe").person_id}


def test_a_role_of_a_group_is_taken_back_in_slack_and_nowhere_else(tmp_path: Path) -> None:
    with office_with_group(tmp_path) as (office, group, roster):
        roster.step()
        told = asked(office, office.olga, f"roles revoke {office.people['zoe'].user_id} reviewer")
        assert f"as a member of the user group {group}: take them out of it in Slack" in told
        assert roles_of(office, "zoe") == {"reviewer"}


def test_whoever_leaves_a_group_has_lost_its_role_when_the_event_is_acknowledged(tmp_path: Path) -> None:
    with office_with_group(tmp_path) as (office, group, roster):
        office.workspace.change_group(group, [office.ana, office.people["zoe"]])
        roster.step()
        assert roles_of(office, "ana") == {"agent", "reviewer"}
        office.workspace.fail_next("usergroups.users.list", "fatal_error", times=20)  # the event alone has to do
        office.workspace.change_group(group, [office.people["zoe"]])
        office.workspace.wait_until_delivered()
        assert roles_of(office, "ana") == {"agent"}
        with office.store.read() as session:
            left = audit.about(session, f"person:{office.actor('ana').person_id}")
        assert left[-1].action == "role.left"


def test_whoever_comes_into_a_group_is_asked_about_after_the_event(tmp_path: Path) -> None:
    with office_with_group(tmp_path) as (office, group, _roster):
        office.workspace.change_group(group, [office.ana])
        office.workspace.wait_until(lambda: "reviewer" in roles_of(office, "ana"), what="Slack's word on Ana")


# Standing.


def make_guest(office: Office) -> None:
    office.workspace.change(office.ben, guest=True)


def send_away(office: Office) -> None:
    office.workspace.deactivate(office.ben)


@pytest.mark.parametrize(
    ("change", "word"), [(make_guest, "is a guest in this workspace"), (send_away, "is deactivated")]
)
def test_somebody_who_becomes_a_guest_or_leaves_may_do_nothing_whatever_was_granted(
    tmp_path: Path, change: Callable[[Office], None], word: str
) -> None:
    with open_office(tmp_path) as office:
        office.workspace.subscriptions = MEMBERSHIP_EVENTS
        assert roles_of(office, "ben") == {"reviewer"}
        asked(office, office.ben, "queue")
        office.workspace.wait_until(lambda: standing(office, office.ben) is not None, what="Slack's word on Ben")
        change(office)
        office.workspace.wait_until_delivered()
        assert roles_of(office, "ben") == set()
        with office.store.read() as session, pytest.raises(NotAllowed, match=word):
            people.require(session, office.actor("ben"), Permission.REVIEW)


def test_a_guest_with_an_old_grant_is_known_as_one_after_the_first_thing_they_do(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        make_guest(office)
        asked(office, office.ben, "queue")  # an owner's word counts until Slack says otherwise
        office.workspace.wait_until(lambda: standing(office, office.ben) is Standing.GUEST, what="Slack's word on Ben")
        assert "a guest's role does not count" in asked(office, office.ben, "queue")


def test_the_worker_asks_about_role_holders_before_they_do_anything(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        make_guest(office)
        roster_of(office).step()
        assert roles_of(office, "ben") == set()
        assert roles_of(office, "bea") == {"reviewer"}
        office.workspace.change(office.ben, guest=False)
        office.ahead.by += timedelta(hours=2)
        roster_of(office).step()
        assert roles_of(office, "ben") == {"reviewer"}


def test_where_slack_does_not_say_who_somebody_is_the_owners_word_counts(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        office.workspace.scopes = {"commands", "chat:write"}
        roster_of(office).step()
        assert standing(office, office.ben) is None
        assert roles_of(office, "ben") == {"reviewer"}


def test_a_person_of_another_workspace_is_turned_away_before_anything_happens(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        stranger = office.workspace.add_person("Sten", stranger=True)
        home = stranger._account.team_id
        with office.store.write() as session:
            for team in (home, office.workspace.team_id):  # even where somebody granted it all
                person = people.person_id(team, stranger.user_id)
                for role in RoleName:
                    people.grant(session, office.actor("olga"), office.ahead(), person=person, role=role)
        channel = office.workspace.add_channel("shared", [stranger, *office.people.values()])
        ts = office.bris.post(channel, "For ever.")
        stranger.message_shortcut(channel, ts, "correct_reply")
        office.workspace.wait_until(lambda: stranger.ephemerals, what="the refusal")
        assert "from another workspace" in stranger.ephemerals[-1]["text"]
        assert stranger.modal is None
        with office.store.read() as session:
            assert not audit.about(session, "candidate:1")


# Granting in Slack.


def test_an_owner_grants_and_takes_back_in_a_form(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        zoe = office.people["zoe"] = office.workspace.add_person("Zoe")
        assert choose(office, office.olga, zoe, "reviewer", blocks.GRANT) == {}
        assert roles_of(office, "zoe") == {"reviewer"}
        assert "Zoe holds the role reviewer now." in str(office.olga.modal)
        assert "Zoe, granted by Olga" in str(office.olga.modal)
        assert choose(office, office.olga, zoe, "reviewer", blocks.REVOKE) == {}
        assert roles_of(office, "zoe") == set()


def test_nobody_but_an_owner_sees_the_form_or_gets_anything_by_sending_it(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        office.ana.command("/errata", "roles", office.channel)
        assert office.ana.modal is not None
        assert office.ana.modal.get("submit") is None
        office.olga.command("/errata", "roles", office.channel)
        with office.store.write() as session:  # while the form is open
            people.grant(
                session, office.actor("olga"), office.ahead(), person=person_of(office, "ben"), role=RoleName.OWNER
            )
            people.revoke(
                session, office.actor("ben"), office.ahead(), person=person_of(office, "olga"), role=RoleName.OWNER
            )
        office.olga.click_in_modal(blocks.CHOSEN, blocks.PERSON, office.ana.user_id)
        errors = office.olga.submit({blocks.ROLE: "owner", blocks.DEED: blocks.GRANT})
        assert "may not grant roles" in errors[blocks.PERSON]
        assert roles_of(office, "ana") == {"agent"}


def person_of(office: Office, name: str) -> PersonId:
    return office.actor(name).person_id


def test_the_last_owner_stays_in_slack_as_well(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        errors = choose(office, office.olga, office.olga, "owner", blocks.REVOKE)
        assert "the last owner" in errors[blocks.PERSON]
        assert roles_of(office, "olga") == {"owner"}


def test_an_owner_who_has_left_is_not_the_one_who_stays(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        with office.store.write() as session:
            people.grant(
                session, office.actor("olga"), office.ahead(), person=person_of(office, "ben"), role=RoleName.OWNER
            )
            memberships.note_standing(session, office.ahead(), person_of(office, "ben"), Standing.GONE)
        assert "the last owner" in choose(office, office.olga, office.olga, "owner", blocks.REVOKE)[blocks.PERSON]


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ({"guest": True}, "is a guest"),
        ({"stranger": True}, "another workspace"),
    ],
)
def test_nothing_is_granted_to_guests_and_strangers(tmp_path: Path, kind: dict[str, Any], word: str) -> None:
    with open_office(tmp_path) as office:
        gus = office.people["gus"] = office.workspace.add_person("Gus", **kind)
        assert word in choose(office, office.olga, gus, "owner", blocks.GRANT)[blocks.PERSON]
        assert roles_of(office, "gus") == set()


def test_a_role_is_granted_and_taken_back_in_one_line(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        zoe = office.people["zoe"] = office.workspace.add_person("Zoe")
        assert "holds the role agent now" in asked(office, office.olga, f"roles grant <@{zoe.user_id}|zoe> agent")
        office.workspace.wait_until(
            lambda: office.olga.ephemerals[-1:] and "is a member" in office.olga.ephemerals[-1]["text"],
            what="Slack's word",
        )
        assert roles_of(office, "zoe") == {"agent"}
        assert "does not hold the role agent any more" in asked(office, office.olga, "roles revoke @zoe agent")
        assert "may not grant roles" in asked(office, office.ana, "roles grant @ana owner")
        assert "Nobody is known here as nobody" in asked(office, office.olga, "roles grant @nobody owner")
        assert "is no role" in asked(office, office.olga, "roles grant @ana king")
        assert "Write /errata roles grant" in asked(office, office.olga, "roles grant @ana")


def test_granting_a_guest_in_one_line_is_told_to_be_of_no_use(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        gus = office.people["gus"] = office.workspace.add_person("Gus", guest=True)
        asked(office, office.olga, f"roles grant {gus.user_id} owner")
        office.workspace.wait_until(lambda: standing(office, gus) is Standing.GUEST, what="Slack's word on Gus")
        office.workspace.wait_until(
            lambda: "no role of theirs counts" in str(office.olga.ephemerals), what="the owner is told"
        )
        assert roles_of(office, "gus") == set()


# Roles by settings.


def test_settings_grant_roles_at_the_start_and_take_them_back_at_another(tmp_path: Path) -> None:
    with open_office(tmp_path, ERRATA_ROLES="reviewer=U0ZOE12345") as office:
        zoe = people.person_id(office.workspace.team_id, "U0ZOE12345")
        with office.store.read() as session:
            assert people.roles(session, zoe) == {RoleName.REVIEWER}
        told = asked(office, office.olga, "roles revoke U0ZOE12345 reviewer")
        assert "by ERRATA_ROLES: take it out there and restart" in told
        with office.store.write() as session:
            memberships.settle(session, people.WORKER, office.ahead(), set())
        with office.store.read() as session:
            assert people.roles(session, zoe) == set()
            assert people.roles(session, Actor(person_of(office, "ben")).person_id) == {RoleName.REVIEWER}


# Forged, or from elsewhere: one plain answer and no effect.


def granting(office: Office, sender: str, *, home: str, team: str, **view: str) -> dict[str, Any]:
    """A form that grants Ana the role owner, as somebody of ``home`` would send it from ``team``."""
    chosen = {"type": "static_select", "selected_option": {"value": "owner"}}
    deed = {"type": "static_select", "selected_option": {"value": blocks.GRANT}}
    person = {"type": "users_select", "selected_user": office.ana.user_id}
    values = {blocks.PERSON: {blocks.CHOSEN: person}, blocks.ROLE: {"value": chosen}, blocks.DEED: {"value": deed}}
    shown = {"id": "V1", "type": "modal", "callback_id": blocks.CHANGE, "private_metadata": "", "hash": "1.a"}
    return {
        "type": "view_submission",
        "team": {"id": team, "domain": "elsewhere"},
        "user": {"id": sender, "name": "somebody", "team_id": home},
        "api_app_id": office.workspace.app_id,
        "token": "none",
        "trigger_id": "1.2.3",
        "view": {**shown, "state": {"values": values}, **view},
    }


def test_a_form_of_somebody_from_another_workspace_changes_nothing_whoever_they_claim_to_be(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        home, olga = office.workspace.team_id, office.olga.user_id
        for forged in (
            granting(office, olga, home="T0ELSEWHERE", team=home),
            granting(office, olga, home="T0ELSEWHERE", team="T0ELSEWHERE", app_installed_team_id=home),
        ):
            answer = office.workspace.hand_over("interaction", forged)
            assert answer["response_action"] == "update"
            assert "You are from another workspace" in str(answer["view"])
        for forged in (
            granting(office, olga, home=home, team="T0ELSEWHERE"),
            granting(office, olga, home="T0ELSEWHERE", team="T0ELSEWHERE"),
        ):
            answer = office.workspace.hand_over("interaction", forged)
            assert "not installed in this workspace" in answer["text"]
        assert roles_of(office, "ana") == {"agent"}


@pytest.mark.parametrize("sender", ["ana", "ben", "customer", "nobody"])
def test_a_form_sent_by_somebody_who_never_saw_it_is_refused_by_their_own_role(tmp_path: Path, sender: str) -> None:
    with open_office(tmp_path) as office:
        home = office.workspace.team_id
        user_id = office.people[sender].user_id if sender != "nobody" else "U0NOBODY1"
        answer = office.workspace.hand_over("interaction", granting(office, user_id, home=home, team=home))
        assert "may not grant roles" in answer["errors"][blocks.PERSON]
        assert roles_of(office, "ana") == {"agent"}


def test_the_same_form_sent_twice_grants_once(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        home = office.workspace.team_id
        for _ in range(2):
            form = granting(office, office.olga.user_id, home=home, team=home)
            assert office.workspace.hand_over("interaction", form)["response_action"] == "update"
        assert roles_of(office, "ana") == {"agent", "owner"}
        with office.store.read() as session:
            entries = audit.about(session, f"person:{office.actor('ana').person_id}")
        assert [entry.action for entry in entries].count("role.granted") == 2  # agent before, owner now


def test_a_form_with_nothing_in_it_says_what_is_missing(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        home = office.workspace.team_id
        empty = granting(office, office.olga.user_id, home=home, team=home, state={"values": {}})  # type: ignore[arg-type]
        answer = office.workspace.hand_over("interaction", empty)
        assert answer["errors"] == {blocks.PERSON: "Choose a person, a role and what to do."}


def test_nobody_is_asked_about_for_a_press_that_no_listener_takes(tmp_path: Path) -> None:
    with new_workspace().serve() as workspace:
        office = furnish(workspace, tmp_path)
        stranger = workspace.add_person("Dora")
        workspace.bring_in(office.channel, stranger)
        app = build(office.settings, office.store)
        with served(gated(app, office.settings, office.store)) as url:
            workspace.deliver_to(url)
            card = office.old_card("button_of_another_app", "1")
            with pytest.raises(NotAnswered, match="404"):
                stranger.click(office.channel, card, "button_of_another_app")
            app._listener_runner.listener_executor.shutdown(wait=True)
        with office.store.read() as session:
            assert not people.is_known(session, people.person_id(workspace.team_id, stranger.user_id))
        office.store.close()


def test_news_of_somebody_that_comes_late_is_put_right_by_asking_how_they_stand_now(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        workspace, ben = office.workspace, office.ben
        workspace.change(ben, guest=True)
        late = user(ben._account, home_team_id=workspace.team_id, include_locale=True)
        workspace.change(ben, guest=False)
        workspace.subscriptions = MEMBERSHIP_EVENTS
        workspace.state.on_event({"type": "user_change", "user": late})
        workspace.wait_until_delivered()
        workspace.wait_until(lambda: standing(office, ben) is Standing.MEMBER, what="the standing as it is now")


@pytest.mark.parametrize("removed", [True, "U1", {"U1": 1}, [7]], ids=str)
def test_a_group_that_nobody_can_read_is_acknowledged(tmp_path: Path, removed: object) -> None:
    with office_with_group(tmp_path) as (office, group, _):
        told = {"type": "subteam_members_changed", "subteam_id": group, "removed_users": removed}
        office.workspace.state.on_event(told)
        office.workspace.wait_until_delivered()
        (delivery,) = [one for one in office.workspace.deliveries if "removed_users" in one.payload.get("event", {})]
        assert delivery.acknowledged
