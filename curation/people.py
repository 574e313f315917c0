"""People and their roles, keyed by workspace and user, asked for at every action.

Owns person ids, grants and the answer to "may this person?". Fails closed: somebody without a
granted role may do nothing, whatever a button that they kept open says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from sqlalchemy import bindparam
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from curation import audit
from curation.errors import Conflict, Invalid, NotAllowed, NotFound
from curation.policies import ALLOWED, Permission, RoleName, may
from curation.store.rows import Prepared, insert_row, table_of
from curation.store.tables import Person, RoleGrant

PersonId = NewType("PersonId", str)

LOCAL_TEAM = "local"
"""The team of people who exist on the command line only."""


_PEOPLE, _GRANTS = table_of(Person), table_of(RoleGrant)
_NAME = Prepared(select_columns(_PEOPLE.c.display_name).where(_PEOPLE.c.id == bindparam("sought")))
_TONGUE = Prepared(
    select_columns(_PEOPLE.c.language, _PEOPLE.c.locale, _PEOPLE.c.reads).where(_PEOPLE.c.id == bindparam("sought"))
)
_ROLES = Prepared(select_columns(_GRANTS.c.role).where(_GRANTS.c.person_id == bindparam("sought")))


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


def tongue_of(session: Session, person: str) -> tuple[str | None, str | None]:
    """The language that a person chose, and the locale that Slack names; None for what is not known."""
    known = _TONGUE.first(session, sought=person)
    return (None, None) if known is None else (known.language, known.locale)


def reads_of(session: Session, person: str) -> frozenset[str] | None:
    """The codes of the languages that a person reviews; None: all of them."""
    known = _TONGUE.first(session, sought=person)
    return frozenset(known.reads) if known is not None and known.reads else None


def roles(session: Session, person: str) -> frozenset[RoleName]:
    """The roles granted to a person."""
    return frozenset(RoleName(grant.role) for grant in _ROLES.rows(session, sought=person))


def require(session: Session, actor: Actor, permission: Permission) -> None:
    """Let the actor pass or raise.

    Raises:
        NotAllowed: naming the roles that may, and the command that grants the least privileged of them.
    """
    if may(roles(session, actor.person_id), permission):
        return
    allowed = [role.value for role in RoleName if role in ALLOWED[permission]]  # from the least privileged on
    raise NotAllowed(
        f"{name_of(session, actor.person_id)} may not {permission.value}: that takes the role {' or '.join(allowed)}. "
        f"An owner grants it with: errata people grant {actor.person_id} {allowed[0]}"
    )


def grant(session: Session, actor: Actor | None, now: datetime, *, person: PersonId, role: RoleName) -> None:
    """Grant a role. Without an actor (the host's own shell) only the very first owner can be made.

    Raises:
        NotAllowed: the actor is no owner, or there is an owner already and nobody acts.
    """
    if actor is None:
        if role is not RoleName.OWNER or owners(session):
            raise NotAllowed(
                "Say who acts, with --as PERSON or ERRATA_ACTOR: without it only the first owner can be granted."
            )
    else:
        require(session, actor, Permission.MANAGE_PEOPLE)
    meet(session, now, person)
    if session.get(RoleGrant, (person, role.value)) is not None:
        return
    granted_by = actor.person_id if actor is not None else person
    session.add(RoleGrant(person_id=person, role=role.value, granted_by=granted_by, granted_at=now))
    session.flush()
    audit.record(
        session, actor or Actor(person), now, "role.granted", subject=f"person:{person}", details={"role": role.value}
    )


def revoke(session: Session, actor: Actor, now: datetime, *, person: PersonId, role: RoleName) -> None:
    """Take a role back; the last owner stays.

    Raises:
        NotAllowed, NotFound, Conflict: not an owner; the person lacks the role; nobody would be left.
    """
    require(session, actor, Permission.MANAGE_PEOPLE)
    held = session.get(RoleGrant, (person, role.value))
    if held is None:
        raise NotFound(f"{name_of(session, person)} does not hold the role {role.value}.")
    if role is RoleName.OWNER and owners(session) == [person]:
        raise Conflict("That is the last owner; grant the role to somebody else first.")
    session.delete(held)
    session.flush()
    audit.record(session, actor, now, "role.revoked", subject=f"person:{person}", details={"role": role.value})


def owners(session: Session) -> list[PersonId]:
    """Everybody who holds the role owner."""
    return holders(session, RoleName.OWNER)


def holders(session: Session, role: RoleName) -> list[PersonId]:
    """Everybody who holds this role, in the order of their ids."""
    grants = session.exec(select(RoleGrant).where(RoleGrant.role == role.value).order_by(RoleGrant.person_id))
    return [PersonId(grant.person_id) for grant in grants]


def staff_user_ids(session: Session, team_id: str) -> frozenset[str]:
    """The user ids of everybody with a granted role in this team: the colleagues behind the desk."""
    grants = session.exec(select(RoleGrant.person_id))
    return frozenset(user_id_of(person) for person in grants if team_id in person.split("/")[:-1])


def listed(session: Session) -> list[tuple[Person, frozenset[RoleName]]]:
    """Everybody known, with their roles, by name."""
    everybody = session.exec(select(Person).order_by(col(Person.display_name), col(Person.id)))
    return [(person, roles(session, person.id)) for person in everybody]


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
            raise Invalid(f"{name} could be any of {ids}: give the whole id.")
    raise NotFound(f"Nobody is known as {name}; grant a role first with: errata people grant {name} owner")
