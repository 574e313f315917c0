"""Which language somebody wants to be spoken to in, and which languages they review.

Owns both choices and what Slack says of somebody's language. A choice is everybody's own: it takes no role, and nobody
but an owner makes it for somebody else. Who is spoken to how is decided in ``bot.speech``; who is shown what, in
``curation.claims``.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import bindparam, update
from sqlmodel import Session

from curation import audit, people
from curation.errors import Invalid
from curation.language import LANGUAGES, name_of
from curation.people import Actor, PersonId
from curation.policies import Permission
from curation.store.rows import Prepared, renew, table_of
from curation.store.tables import Person

_PEOPLE = table_of(Person)
_SPEAK = Prepared(update(_PEOPLE).where(_PEOPLE.c.id == bindparam("whose")).values(language=bindparam("chosen")))
LOCALE_LIMIT = 20
"""Slack's are five characters long, such as ``de-DE``."""


def choose_language(
    session: Session, actor: Actor, now: datetime, language: str | None, *, of: PersonId | None = None
) -> None:
    """Have Errata speak this language to the actor; None: as Slack is set, or else as the workspace speaks.

    Args:
        of: to this person instead.

    Raises:
        Invalid: a language that Errata does not speak.
        NotAllowed: it is somebody else's choice, and the actor is no owner.
    """
    if language is not None:
        _known(language)
    person = _whose(session, actor, now, of)
    if people.tongue_of(session, person)[0] == language:
        return
    _SPEAK.change(session, whose=person, chosen=language)
    renew(session, Person, person)
    _record(session, actor, now, person, "person.language", {"language": language or ""})


def choose_reads(
    session: Session, actor: Actor, now: datetime, codes: Collection[str] | None, *, of: PersonId | None = None
) -> None:
    """Review what is in these languages only; none of them, or None: all.

    Args:
        of: this person instead of the actor.

    Raises:
        Invalid: a language that Errata does not know.
        NotAllowed: as ``choose_language``.
    """
    for code in codes or ():
        _known(code)
    chosen = [code for code in LANGUAGES if code in (codes or ())] or None
    person = session.get_one(Person, _whose(session, actor, now, of))
    if person.reads == chosen:
        return
    person.reads = chosen
    session.add(person)
    session.flush()
    _record(session, actor, now, person.id, "person.reads", {"languages": ",".join(chosen or ())})


def note_locale(session: Session, now: datetime, person: PersonId, locale: str) -> None:
    """Keep what Slack says of a person's language. It is no choice of theirs, and gives way to one."""
    people.meet(session, now, person)
    known = session.get_one(Person, person)
    if known.locale != locale[:LOCALE_LIMIT]:
        known.locale = locale[:LOCALE_LIMIT]
        session.add(known)
        session.flush()


def _known(code: str) -> None:
    if code not in LANGUAGES:
        raise Invalid(
            "Errata does not speak {language}: choose one of {languages:or}.",
            language=code,
            languages=[name_of(known) for known in LANGUAGES],
        )


def _whose(session: Session, actor: Actor, now: datetime, of: PersonId | None) -> PersonId:
    """The actor, or the person that an owner chooses for."""
    if of is not None and of != actor.person_id:
        people.require(session, actor, Permission.MANAGE_PEOPLE, now)
    chosen = of or actor.person_id
    people.meet(session, now, chosen)
    return chosen


def _record(
    session: Session, actor: Actor, now: datetime, person: str, action: str, details: dict[str, str | int | bool]
) -> None:
    audit.record(session, actor, now, action, subject=f"person:{person}", details=details)
