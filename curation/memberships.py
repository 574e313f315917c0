"""What Slack says of people: who belongs to the workspace, and who to which of its user groups.

Owns the rows that such answers become: a person's standing, and the roles that members of a user group hold. An answer
that never came changes nothing here: what is known then grows old, and ``curation.people`` stops counting it. Asking
Slack is the bot's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import bindparam, or_
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from curation import audit, people
from curation.people import SETTINGS, WORKER, Actor, PersonId
from curation.policies import RoleName, Standing
from curation.store.rows import Prepared, table_of
from curation.store.tables import GroupRole, Person, RoleGrant

REMEMBERED = timedelta(hours=1)
"""How long what Slack said of a person's account is not asked again."""

_PEOPLE = table_of(Person)
_STANDING = Prepared(
    select_columns(_PEOPLE.c.standing, _PEOPLE.c.standing_at).where(_PEOPLE.c.id == bindparam("sought"))
)


class Holding(NamedTuple):
    """A role that somebody holds and where it comes from; ``granted_by`` or ``group_id``, and whether it counts."""

    person_id: str
    role: RoleName
    granted_by: str | None
    group_id: str | None
    counts: bool


def standing_of(session: Session, person: str) -> Standing | None:
    """What Slack last said of a person; None while it was not asked."""
    known = _STANDING.first(session, sought=person)
    return Standing(known.standing) if known is not None and known.standing is not None else None


def is_due(session: Session, person: str, now: datetime) -> bool:
    """Whether Slack should be asked about this person again."""
    known = _STANDING.first(session, sought=person)
    return known is None or known.standing_at is None or abs(now - known.standing_at) > REMEMBERED


def due(session: Session, now: datetime, team_id: str, *, most: int) -> list[PersonId]:
    """The role holders of a workspace whom Slack should be asked about, those never asked about first."""
    holders = {*session.exec(select(RoleGrant.person_id)), *session.exec(select(GroupRole.person_id))}
    waiting = [
        person
        for person in session.exec(select(Person).where(col(Person.id).in_(holders)))
        if team_id in person.id.split("/")[:-1]
        and (person.standing_at is None or abs(now - person.standing_at) > REMEMBERED)
    ]
    waiting.sort(key=lambda person: (person.standing_at is not None, person.standing_at or now, person.id))
    return [PersonId(person.id) for person in waiting[:most]]


def note_standing(
    session: Session, now: datetime, person: PersonId, standing: Standing, *, display_name: str | None = None
) -> bool:
    """Keep what Slack says of a person's account; whether that is news."""
    people.meet(session, now, person, display_name=display_name)
    known = session.get_one(Person, person)
    before, known.standing, known.standing_at = known.standing, standing.value, now
    session.add(known)
    session.flush()
    if before == standing.value or (before is None and standing is Standing.MEMBER):
        return False
    audit.record(
        session, WORKER, now, "person.standing", subject=f"person:{person}", details={"standing": standing.value}
    )
    return True


def confirm_group(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    team_id: str,
    group_id: str,
    role: RoleName,
    members: Iterable[PersonId],
) -> None:
    """Keep who belongs to a user group now, as Slack has just said; whoever left loses its role at once.

    Args:
        members: their person ids. Whoever is not known to be a member of the workspace is left out until Slack says so.
    """
    present = {person for person in members if standing_of(session, person) is Standing.MEMBER}
    held = {
        one.person_id: one
        for one in session.exec(select(GroupRole).where(GroupRole.group_id == group_id, GroupRole.role == role.value))
        if team_id in one.person_id.split("/")[:-1]
    }
    for person in sorted(present):
        if person in held:
            held[person].seen_at = now
            session.add(held[person])
        else:
            session.add(GroupRole(person_id=person, role=role.value, group_id=group_id, seen_at=now))
            _note_change(session, actor, now, "role.joined", person, role, group_id)
    for left in sorted(held.keys() - present):
        session.delete(held[left])
        _note_change(session, actor, now, "role.left", left, role, group_id)
    session.flush()


def leave_group(session: Session, actor: Actor, now: datetime, *, group_id: str, persons: Collection[PersonId]) -> None:
    """Take a user group's roles from people who have left it."""
    for one in session.exec(select(GroupRole).where(GroupRole.group_id == group_id)).all():
        if one.person_id in persons:
            session.delete(one)
            _note_change(session, actor, now, "role.left", one.person_id, RoleName(one.role), group_id)
    session.flush()


def forget_groups(
    session: Session, actor: Actor, now: datetime, *, configured: Collection[tuple[str, RoleName]]
) -> None:
    """Take away the roles of every user group that ERRATA_GROUPS names no more.

    Args:
        configured: the pairs of a group's id and its role that are left.
    """
    for one in session.exec(select(GroupRole).order_by(GroupRole.group_id, GroupRole.person_id)).all():
        if (one.group_id, RoleName(one.role)) not in configured:
            session.delete(one)
            _note_change(session, actor, now, "role.left", one.person_id, RoleName(one.role), one.group_id)
    session.flush()


def settle(session: Session, actor: Actor, now: datetime, roles: Collection[tuple[PersonId, RoleName]]) -> None:
    """Let exactly these people hold roles by ERRATA_ROLES, as it is read at each start. What owners granted stays."""
    for person, role in sorted(roles):
        people.meet(session, now, person)
        if session.get(RoleGrant, (person, role.value)) is None:
            session.add(RoleGrant(person_id=person, role=role.value, granted_by=SETTINGS, granted_at=now))
            session.flush()
            _note_change(session, actor, now, "role.granted", person, role, SETTINGS)
    for held in session.exec(select(RoleGrant).where(RoleGrant.granted_by == SETTINGS)).all():
        if (held.person_id, held.role) not in roles:
            session.delete(held)
            session.flush()
            _note_change(session, actor, now, "role.revoked", held.person_id, RoleName(held.role), SETTINGS)


def holdings(session: Session, team_id: str, now: datetime) -> list[Holding]:
    """Who of a workspace holds what, and from where, by person."""
    granted = [
        (one.person_id, RoleName(one.role), one.granted_by, None) for one in session.exec(select(RoleGrant)).all()
    ]
    grouped = [
        (one.person_id, RoleName(one.role), None, one.group_id, one.seen_at)
        for one in session.exec(select(GroupRole)).all()
    ]
    found = [Holding(*one, counts=one[1] in people.roles(session, one[0], now)) for one in granted]
    found += [
        Holding(*one[:4], counts=abs(now - one[4]) < people.CONFIRMED and one[1] in people.roles(session, one[0], now))
        for one in grouped
    ]
    ours = [one for one in found if team_id in one.person_id.split("/")[:-1]]
    return sorted(ours, key=lambda one: (people.name_of(session, one.person_id), one.person_id, one.role))


def unconfirmed(session: Session, now: datetime) -> list[str]:
    """The user groups of which some membership was not confirmed within the hour."""
    seen = col(GroupRole.seen_at)
    old = or_(seen <= now - people.CONFIRMED, seen >= now + people.CONFIRMED)  # or the clock was set back
    return sorted(session.exec(select(GroupRole.group_id).where(old).distinct()))


def _note_change(
    session: Session, actor: Actor, now: datetime, action: str, person: str, role: RoleName, origin: str
) -> None:
    details = {"role": role.value, "by": origin}
    audit.record(session, actor, now, action, subject=f"person:{person}", details=details)
