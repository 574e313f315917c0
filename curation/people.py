"""People and their roles, keyed by workspace and user, asked for at every action.

Owns person ids, grants and the answer to "may this person?". What Slack says of people and its user groups is kept by
``curation.memberships``. Fails closed: somebody without a role may do nothing, whatever a button that they kept open
says; a guest, a stranger or an account that is gone may do nothing whatever role it was granted; and a role that
comes from a user group counts only while Slack has confirmed it within the hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NewType

from sqlalchemy import bindparam, or_
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from curation import audit
from curation.errors import Conflict, Invalid, NotAllowed, NotFound
from curation.policies import ALLOWED, Permission, RoleName, Standing, may, same_house
from curation.store.columns import UtcDateTime
from curation.store.rows import Prepared, Work, insert_row, table_of
from curation.store.tables import GroupRole, Person, RoleGrant
from curation.wording import called, phrase

PersonId = NewType("PersonId", str)

LOCAL_TEAM = "local"
"""The team of people who exist on the command line only."""

SETTINGS = "settings"
"""Who granted a role that ERRATA_ROLES names."""

CONFIRMED = timedelta(hours=1)
"""How long a role that comes from a user group counts after Slack has last confirmed the membership."""


_PEOPLE, _GRANTS, _GROUPS = table_of(Person), table_of(RoleGrant), table_of(GroupRole)
_NAME = Prepared(select_columns(_PEOPLE.c.display_name).where(_PEOPLE.c.id == bindparam("sought")))
_TONGUE = Prepared(
    select_columns(_PEOPLE.c.language, _PEOPLE.c.locale, _PEOPLE.c.reads).where(_PEOPLE.c.id == bindparam("sought"))
)
_OF_SOUGHT = (_PEOPLE.c.id == bindparam("sought"), or_(_PEOPLE.c.standing.is_(None), _PEOPLE.c.standing == "member"))
_ROLES = Prepared(
    select_columns(_GRANTS.c.role)
    .join(_PEOPLE, _PEOPLE.c.id == _GRANTS.c.person_id)
    .where(*_OF_SOUGHT)
    .union(
        select_columns(_GROUPS.c.role)
        .join(_PEOPLE, _PEOPLE.c.id == _GROUPS.c.person_id)
        .where(*_OF_SOUGHT, _GROUPS.c.seen_at > bindparam("since", type_=UtcDateTime))
        .where(_GROUPS.c.seen_at < bindparam("until", type_=UtcDateTime))  # a clock that was set back
    )
)
_WITHOUT_RIGHTS = {
    Standing.GUEST: phrase("{person} is a guest in this workspace, and a guest's role does not count."),
    Standing.FOREIGN: phrase("{person} belongs to another workspace, and may do nothing here."),
    Standing.BOT: phrase("{person} is a bot, and a bot's role does not count."),
    Standing.GONE: phrase("The account of {person} is deactivated, and its role does not count."),
}


@dataclass(frozen=True, slots=True)
class Actor:
    """The acting person. ``solo`` lets one person try both halves of the two-person rule."""

    person_id: PersonId
    solo: bool = False


WORKER = Actor(PersonId("system/worker"))
"""Who the audit names for what a worker does by itself. Holds no role, so it may do nothing that a person may."""


def person_id(team_id: str, user_id: str, enterprise_id: str | None = None) -> PersonId:
    """``T1/U1``, or ``E1/T1/U1`` where the workspace belongs to an enterprise grid."""
    parts = [enterprise_id, team_id, user_id] if enterprise_id else [team_id, user_id]
    return PersonId("/".join(parts))


def user_id_of(person: str) -> str:
    """The user id inside a person id: ``T1/U1`` → ``U1``."""
    return person.rsplit("/", 1)[-1]


def meet(session: Session, now: datetime, person: PersonId, *, display_name: str | None = None) -> None:
    """Remember a person; knowing somebody grants nothing. A name once known is not replaced by a handle."""
    known = _NAME.first(session, sought=person)
    if known is None:
        insert_row(session, Person, id=person, display_name=display_name or user_id_of(person), created_at=now)
    elif display_name and known.display_name == user_id_of(person):
        session.get_one(Person, person).display_name = display_name
        session.flush()


def name_of(session: Session, person: str) -> str:
    """The display name, or the bare user id of somebody never met."""
    known = _NAME.first(session, sought=person)
    return str(known.display_name) if known is not None else user_id_of(person)


def tongue_of(work: Work, person: str) -> tuple[str | None, str | None]:
    """The language that a person chose, and the locale that Slack names; None for what is not known."""
    known = _TONGUE.first(work, sought=person)
    return (None, None) if known is None else (known.language, known.locale)


def reads_of(session: Session, person: str) -> frozenset[str] | None:
    """The codes of the languages that a person reviews; None: all of them."""
    known = _TONGUE.first(session, sought=person)
    return frozenset(known.reads) if known is not None and known.reads else None


def team_of(person: str) -> str:
    """The workspace inside a person id: ``T1/U1`` and ``E1/T1/U1`` → ``T1``."""
    return person.rsplit("/", 2)[-2]


def roles(session: Session, person: str, now: datetime | None = None) -> frozenset[RoleName]:
    """The roles that count for a person: granted ones, and those of user groups that Slack has just confirmed.

    Args:
        now: the moment that counts; the present, unless a test says otherwise. A group's roles grow old, so whoever
            forgets to say when must not get those of yesterday.
    """
    at = now or datetime.now(UTC)
    counted = _ROLES.rows(session, sought=person, since=at - CONFIRMED, until=at + CONFIRMED)
    return frozenset(RoleName(held.role) for held in counted)


def require(session: Session, actor: Actor, permission: Permission, now: datetime | None = None) -> None:
    """Let the actor pass or raise.

    Raises:
        NotAllowed: saying why a role that they hold does not count, or naming the roles that may, and the command that
            grants the least privileged of them.
    """
    if may(roles(session, actor.person_id, now), permission):
        return
    allowed = [role.value for role in RoleName if role in ALLOWED[permission]]  # from the least privileged on
    refuse_without_standing(session, actor.person_id)
    old = [one for one in session.exec(_group_roles_of(actor.person_id)) if one.role in allowed]
    if old:
        raise NotAllowed(
            "{person} may not {what} at the moment: Slack has not confirmed the members of the user group {group} for "
            "more than an hour. errata doctor says why.",
            person=name_of(session, actor.person_id),
            what=called(permission),
            group=old[0].group_id,
        )
    raise NotAllowed(
        "{person} may not {what}: that takes the role {roles:or}. An owner grants it with: errata people grant "
        "{person_id} {role}",
        person=name_of(session, actor.person_id),
        what=called(permission),
        roles=allowed,
        person_id=actor.person_id,
        role=allowed[0],
    )


def require_a_role(session: Session, actor: Actor, now: datetime | None = None) -> None:
    """Let anybody pass who holds a role, whichever: for what is to be looked at and belongs to nobody.

    Raises:
        NotAllowed: as ``require``.
    """
    if not roles(session, actor.person_id, now):
        require(session, actor, Permission.FLAG, now)


def refuse_without_standing(session: Session, person: str) -> None:
    """Refuse whom Slack says to be no member of the workspace; of whom Slack was not asked yet, nothing is said.

    Raises:
        NotAllowed: a guest, a stranger, a bot, or an account that is gone.
    """
    known = session.get(Person, person)
    if known is not None and known.standing is not None and known.standing != Standing.MEMBER:
        raise NotAllowed(_WITHOUT_RIGHTS[Standing(known.standing)], person=name_of(session, person))


def require_at_home(session: Session, actor: Actor, source: str) -> None:
    """Let the actor pass where this (a message, a place) is of their own workspace, or of none.

    Raises:
        NotAllowed: it belongs to another workspace that Errata is installed in.
    """
    if not same_house(actor.person_id, source):
        raise NotAllowed(
            "That belongs to another workspace than that of {person}: somebody there can do it.",
            person=name_of(session, actor.person_id),
        )


def _group_roles_of(person: str) -> SelectOfScalar[GroupRole]:
    return select(GroupRole).where(GroupRole.person_id == person).order_by(GroupRole.group_id)


def grant(session: Session, actor: Actor | None, now: datetime, *, person: PersonId, role: RoleName) -> None:
    """Grant a role. Without an actor (the host's own shell) only the very first owner can be made.

    Raises:
        NotAllowed: the actor is no owner, or there is an owner already and nobody acts; the person is known to be a
            guest, a stranger, a bot or gone.
    """
    if actor is None:
        if role is not RoleName.OWNER or owners(session):
            raise NotAllowed(
                "Say who acts, with --as PERSON or ERRATA_ACTOR: without it only the first owner can be granted."
            )
    else:
        require(session, actor, Permission.MANAGE_PEOPLE)
    meet(session, now, person)
    refuse_without_standing(session, person)
    if session.get(RoleGrant, (person, role.value)) is not None:
        return
    granted_by = actor.person_id if actor is not None else person
    session.add(RoleGrant(person_id=person, role=role.value, granted_by=granted_by, granted_at=now))
    session.flush()
    audit.record(
        session, actor or Actor(person), now, "role.granted", subject=f"person:{person}", details={"role": role.value}
    )


def revoke(session: Session, actor: Actor, now: datetime, *, person: PersonId, role: RoleName) -> None:
    """Take a role back; the last owner stays, and so does what comes from elsewhere.

    Raises:
        NotAllowed: not an owner.
        NotFound: the person lacks the role.
        Conflict: nobody would be left, or the role comes from a user group or from the settings.
    """
    require(session, actor, Permission.MANAGE_PEOPLE, now)
    held = session.get(RoleGrant, (person, role.value))
    if held is None:
        group = next((one for one in session.exec(_group_roles_of(person)) if one.role == role), None)
        if group is not None:
            raise Conflict(
                "{person} holds the role {role} as a member of the user group {group}: take them out of it in Slack.",
                person=name_of(session, person),
                role=role.value,
                group=group.group_id,
            )
        raise NotFound("{person} does not hold the role {role}.", person=name_of(session, person), role=role.value)
    if held.granted_by == SETTINGS:
        raise Conflict(
            "{person} holds the role {role} by ERRATA_ROLES: take it out there and restart Errata.",
            person=name_of(session, person),
            role=role.value,
        )
    others = [one for one in owners(session) if one != person and RoleName.OWNER in roles(session, one, now)]
    if role is RoleName.OWNER and not others:
        raise Conflict("That is the last owner; grant the role to somebody else first.")
    session.delete(held)
    session.flush()
    audit.record(session, actor, now, "role.revoked", subject=f"person:{person}", details={"role": role.value})


def owners(session: Session) -> list[PersonId]:
    """Everybody who was granted the role owner, in the order of their ids; those of a user group come and go."""
    grants = session.exec(
        select(RoleGrant.person_id).where(RoleGrant.role == RoleName.OWNER.value).order_by(RoleGrant.person_id)
    )
    return [PersonId(person) for person in grants]


def holders(session: Session, role: RoleName, now: datetime | None = None) -> list[PersonId]:
    """Everybody for whom this role counts, wherever they have it from, in the order of their ids."""
    found = {*session.exec(select(RoleGrant.person_id).where(RoleGrant.role == role.value))}
    found |= {*session.exec(select(GroupRole.person_id).where(GroupRole.role == role.value))}
    return [PersonId(person) for person in sorted(found) if role in roles(session, person, now)]


def staff_user_ids(session: Session, team_id: str) -> frozenset[str]:
    """The user ids of everybody with a role in this team, wherever from: the colleagues behind the desk."""
    found = {*session.exec(select(RoleGrant.person_id)), *session.exec(select(GroupRole.person_id))}
    return frozenset(user_id_of(person) for person in found if team_id in person.split("/")[:-1])


def listed(session: Session) -> list[tuple[Person, frozenset[RoleName]]]:
    """Everybody known, with their roles, by name."""
    everybody = session.exec(select(Person).order_by(col(Person.display_name), col(Person.id)))
    return [(person, roles(session, person.id)) for person in everybody]


def is_known(session: Session, person: str) -> bool:
    """Whether Errata has met this person."""
    return _NAME.first(session, sought=person) is not None


def by_name(session: Session, name: str) -> list[PersonId]:
    """Everybody whom this may mean: by display name, whatever its case, or by bare user id."""
    everybody = session.exec(select(Person).order_by(Person.id))
    meant = name.casefold()
    return [PersonId(one.id) for one in everybody if one.display_name.casefold() == meant or user_id_of(one.id) == name]


def resolve(session: Session, name: str) -> PersonId:
    """Find a known person by id, by bare user id or by display name, in this order.

    Raises:
        NotFound: nobody by that name.
        Invalid: several people go by it.
    """
    everybody = list(session.exec(select(Person)))
    for matches in (
        [person for person in everybody if person.id == name],
        [person for person in everybody if user_id_of(person.id) == name],
        [person for person in everybody if person.display_name == name],
    ):
        if len(matches) == 1:
            return PersonId(matches[0].id)
        if matches:
            ids = ", ".join(sorted(person.id for person in matches))
            raise Invalid("{name} could be any of {ids}: give the whole id.", name=name, ids=ids)
    raise NotFound("Nobody is known as {name}; grant a role first with: errata people grant {name} owner", name=name)
