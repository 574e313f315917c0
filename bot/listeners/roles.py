"""Roles in Slack: who holds what and from where, granted and taken back by owners; and what Slack tells of people.

Owns the form of ``/errata roles`` and the events about accounts and user groups. Whether somebody may is asked when
they press Save, not when the form was opened.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from slack_bolt import Ack, App, BoltContext, BoltResponse
from slack_sdk import WebClient
from sqlmodel import Session

from bot import membership
from bot.blocks import roles as blocks
from bot.blocks.elements import Block
from bot.desk import Desk, id_of
from bot.listeners.events import again
from bot.membership import Roster
from bot.outcomes import TROUBLES
from bot.speech import Say
from curation import memberships, people
from curation.errors import ErrataError, Invalid
from curation.people import Actor, PersonId
from curation.policies import Permission, RoleName, Standing, may
from curation.wording import Phrase, phrase

log = logging.getLogger("errata.roles")

DEEDS = {blocks.GRANT: people.grant, blocks.REVOKE: people.revoke}
"""What may be done about a role."""
_DONE = {
    blocks.GRANT: phrase("{person} holds the role {role} now."),
    blocks.REVOKE: phrase("{person} does not hold the role {role} any more."),
}


def register(app: App, desk: Desk) -> None:
    """Listen to the form and to the events."""
    app.action(blocks.CHOSEN)(partial(_chosen, desk))
    app.view(blocks.CHANGE)(partial(_save, desk))
    app.event("user_change")(partial(_changed, desk))
    app.event("subteam_members_changed")(partial(_members_changed, desk))
    app.event("subteam_updated")(partial(_group_changed, desk))


def view_of(session: Session, desk: Desk, actor: Actor, say: Say, told: str | None = None) -> Block:
    """The modal as this person sees it; ``told`` is what has just happened."""
    held = memberships.holdings(session, people.team_of(actor.person_id), desk.clock())
    named = [
        (one, people.name_of(session, one.person_id), people.name_of(session, one.granted_by or "")) for one in held
    ]
    may_change = may(people.roles(session, actor.person_id), Permission.MANAGE_PEOPLE)
    return blocks.roles_view(say, named, may_change=may_change, told=told)


def carry_out(session: Session, desk: Desk, actor: Actor, deed: str, person: PersonId, role: RoleName) -> Phrase:
    """Grant or take back; what happened."""
    DEEDS[deed](session, actor, desk.clock(), person=person, role=role)
    return phrase(_DONE[deed], person=people.name_of(session, person), role=blocks.ROLES[role])


def _save(desk: Desk, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
    actor = desk.actor(body)
    with desk.store.read() as session:
        say = desk.say(session, body)
    values = body["view"]["state"]["values"]
    chosen = {name: values.get(name) or {} for name in (blocks.PERSON, blocks.ROLE, blocks.DEED)}
    user_id = (chosen[blocks.PERSON].get(blocks.CHOSEN) or {}).get("selected_user")
    role, deed = (_option(chosen[name]) for name in (blocks.ROLE, blocks.DEED))
    try:
        if not isinstance(user_id, str) or not user_id or deed not in DEEDS:
            raise Invalid("Choose a person, a role and what to do.")
        person = beside(actor, user_id)
        with desk.store.write() as session:
            told = carry_out(session, desk, actor, str(deed), person, role_of(str(role)))
            unknown = deed == blocks.GRANT and memberships.standing_of(session, person) is None
            view = view_of(session, desk, actor, say, say(told))
    except ErrataError as error:
        ack(response_action="errors", errors={blocks.PERSON: say(error.sentence)})
        return
    if unknown:
        desk.executor.submit(_ask_and_update, desk, say, actor, person, client, body["view"]["id"])
    ack(response_action="update", view=view)


def _chosen(desk: Desk, ack: Ack, body: dict[str, Any], action: dict[str, Any], client: WebClient) -> None:
    """Somebody was chosen in the form: ask Slack who that is, while the rest is filled in."""
    user_id, actor = action.get("selected_user"), desk.actor(body)
    with desk.store.read() as session:
        may_change = may(people.roles(session, actor.person_id), Permission.MANAGE_PEOPLE)
    if may_change and isinstance(user_id, str) and user_id:
        desk.executor.submit(asked_about, desk, beside(actor, user_id), client)
    ack()


def _ask_and_update(desk: Desk, say: Say, actor: Actor, person: PersonId, client: WebClient, view_id: str) -> None:
    """The same in the form."""
    told = asked_about(desk, person, client)
    with desk.store.read() as session:
        view = view_of(session, desk, actor, say, say(told))
    try:
        client.views_update(view_id=view_id, view=view)
    except TROUBLES as error:  # it was closed meanwhile
        log.info("a form was not brought up to date: error=%s", type(error).__name__)


def asked_about(desk: Desk, person: PersonId, client: WebClient) -> Phrase:
    """Ask Slack about a person, and what came of it."""
    try:
        account = membership.look(client, person, people.team_of(person))
    except TROUBLES:
        return phrase("Slack did not say who that is. Until it does, the word of whoever granted the role counts.")
    membership.keep(desk.store, desk.clock(), person, account)
    with desk.store.read() as session:
        name = people.name_of(session, person)
    if account.standing is Standing.MEMBER:
        return phrase("{person} is a member of this workspace: every role of theirs counts.", person=name)
    return phrase("{person} is a guest, a bot, gone or from elsewhere: no role of theirs counts.", person=name)


def _changed(desk: Desk, ack: Ack, body: dict[str, Any], client: WebClient, context: BoltContext) -> BoltResponse:
    """An account has changed: somebody became a guest, or left. Of people whom Errata does not know nothing is kept.

    Slack brings events late, again and in no order: after news of somebody it is asked how they stand now.
    """
    user = body["event"].get("user")
    user_id = id_of(user)
    if not isinstance(user, dict) or not isinstance(user_id, str):
        return ack()
    team_id = str(context.team_id)
    person = people.person_id(team_id, user_id, context.enterprise_id)
    try:
        with desk.store.read() as session:
            known = people.is_known(session, person)
        told = membership.account_in(user, team_id)
        news = known and membership.keep(desk.store, desk.clock(), person, told)
    except ErrataError as error:
        return again(error)
    if news:
        desk.executor.submit(_ask, desk, person, client)
    return ack()


def _members_changed(desk: Desk, ack: Ack, body: dict[str, Any], context: BoltContext) -> BoltResponse:
    """People left a user group, or came into it: who left loses its role before the ack, who came is asked about."""
    event = body["event"]
    group_id, roster = event.get("subteam_id"), _roster(desk)
    if roster is None or not isinstance(group_id, str) or not roster.carries(group_id):
        return ack()
    removed = event.get("removed_users")
    left = [user for user in removed if isinstance(user, str)] if isinstance(removed, list) else []
    try:
        roster.leave(str(context.team_id), group_id, left, context.enterprise_id)
    except ErrataError as error:
        return again(error)
    desk.executor.submit(_read, roster, group_id)
    return ack()


def _group_changed(desk: Desk, ack: Ack, body: dict[str, Any]) -> BoltResponse:
    """A user group was renamed, turned off or on."""
    group_id, roster = id_of(body["event"].get("subteam")), _roster(desk)
    if roster is not None and isinstance(group_id, str) and roster.carries(group_id):
        desk.executor.submit(_read, roster, group_id)
    return ack()


def _roster(desk: Desk) -> Roster | None:
    """What asks Slack about user groups; None where no group carries a role."""
    groups = desk.workspaces.settings.groups if desk.workspaces is not None else ()
    return Roster(desk.store, desk.workspaces, groups, desk.clock) if desk.workspaces is not None and groups else None


def _ask(desk: Desk, person: PersonId, client: WebClient) -> None:
    try:
        asked_about(desk, person, client)
    except Exception as error:  # noqa: BLE001 (a thread's edge; the worker asks about everybody within the hour)
        log.warning("a person could not be asked about: error=%s", type(error).__name__)


def _read(roster: Roster, group_id: str) -> None:
    try:
        roster.read_groups(group_id)
    except Exception as error:  # noqa: BLE001 (a thread's edge; the worker reads them all in a few minutes)
        log.warning("a user group could not be read: error=%s", type(error).__name__)


def _option(held: dict[str, Any]) -> str | None:
    option = (held.get("value") or {}).get("selected_option") or {}
    value = option.get("value")
    return value if isinstance(value, str) else None


def role_of(word: str) -> RoleName:
    """The role of this name.

    Raises:
        Invalid: there is none.
    """
    try:
        return RoleName(word.casefold())
    except ValueError as error:
        named = [role.value for role in RoleName]
        raise Invalid("{word} is no role: choose one of {roles:or}.", word=word, roles=named) from error


def beside(actor: Actor, user_id: str) -> PersonId:
    """Somebody of the actor's own workspace."""
    return PersonId(f"{actor.person_id.rsplit('/', 1)[0]}/{user_id}")
