"""Eligibility: which of what waits a reviewer may decide about now.

Owns the conditions of that, over parameters in place of values, so that a statement is made once for each kind of
question and not once for each press. What is shown next is ``curation.claims``'s, how much ``curation.tallies``'s.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, exists, func, or_, true
from sqlalchemy import select as select_columns

from curation.candidates import CandidateStatus
from curation.people import LOCAL_TEAM, Actor, team_of
from curation.store.rows import table_of
from curation.store.tables import Candidate, Claim, Correction, Expiry, Review
from curation.verdicts import APPROVING, Verdict

_CANDIDATES, _CLAIMS, _CORRECTIONS = table_of(Candidate), table_of(Claim), table_of(Correction)
_EXPIRIES, _REVIEWS = table_of(Expiry), table_of(Review)

PENDING = _CANDIDATES.c.status == CandidateStatus.PENDING.value
_PERSON: BindParameter[str] = bindparam("person")
_PRESENT: BindParameter[datetime] = bindparam("present")


class Shape(NamedTuple):
    """What makes a statement another one: everything about a question that is no value.

    Attributes:
        solo: the reviewer may decide about what they wrote.
        abroad: the reviewer belongs to no workspace, as on the command line, and sees those of all.
        in_place: it is about what is reviewed in one place.
        languages: about how many languages it is, and about what is in none that is known; None: about all.
    """

    solo: bool
    abroad: bool
    in_place: bool
    languages: int | None


def shape_of(actor: Actor, place: str | None, languages: frozenset[str] | None) -> Shape:
    """The shape of what this reviewer asks, of this place and these languages; None: of all."""
    several = len(languages) if languages is not None else None
    return Shape(actor.solo, team_of(actor.person_id) == LOCAL_TEAM, place is not None, several)


def values_of(actor: Actor, now: datetime, place: str | None, languages: frozenset[str] | None) -> dict[str, Any]:
    """The values for the parameters of the conditions."""
    named = {f"language_{number}": code for number, code in enumerate(sorted(languages or ()))}
    home = f"{team_of(actor.person_id)}/%"
    return {"person": actor.person_id, "present": now, "home": home, "place": place, **named}


def eligible(shape: Shape) -> list[ColumnElement[bool]]:
    """What makes a candidate one that the reviewer may decide about now, in whatever language."""
    conditions = [*here(shape), of_home(shape), ~claimed()]
    return conditions if shape.solo else [*conditions, ~wrote(), ~approved()]


def here(shape: Shape) -> list[ColumnElement[bool]]:
    """What waits in the place that is asked about."""
    return [PENDING, _CANDIDATES.c.place == bindparam("place")] if shape.in_place else [PENDING]


def at_home(person: str) -> ColumnElement[bool]:
    """Whether a candidate is of this person's own workspace, or of none, such as an imported row.

    For a statement that is made for one person; that of a shape is ``of_home``.
    """
    team = team_of(person)
    return true() if team == LOCAL_TEAM else _of(f"{team}/%")


def of_home(shape: Shape) -> ColumnElement[bool]:
    """The same of the reviewer."""
    return true() if shape.abroad else _of(bindparam("home"))


def claimed() -> ColumnElement[bool]:
    """Whether somebody else is looking at it."""
    claim = select_columns(_CLAIMS.c.candidate_id).where(_CLAIMS.c.candidate_id == _CANDIDATES.c.id)
    of_others = claim.where(_CLAIMS.c.person_id != _PERSON, _CLAIMS.c.until > _PRESENT).correlate(_CANDIDATES)
    # With the offset PostgreSQL looks up one candidate after the other, instead of reading every claim.
    return exists(of_others.offset(0))


def approved() -> ColumnElement[bool]:
    """Whether the reviewer has approved the version that stands, as the first of two."""
    # Told of what a subquery is: a candidate two levels up would be another one, of all there are.
    newest = select_columns(func.max(_CORRECTIONS.c.id)).where(_CORRECTIONS.c.candidate_id == _REVIEWS.c.candidate_id)
    first = and_(
        _REVIEWS.c.candidate_id == _CANDIDATES.c.id,
        _REVIEWS.c.reviewer + "" == _PERSON,  # an index of it is no way: SQLite walks all that they ever approved
        _REVIEWS.c.undone_at.is_(None),
        or_(*(_REVIEWS.c.verdict == verdict for verdict in APPROVING)),
        _REVIEWS.c.correction_id == newest.correlate(_REVIEWS).scalar_subquery(),
    )
    return exists().where(first).correlate(_CANDIDATES)


def wrote() -> ColumnElement[bool]:
    """Whether a correction is by the reviewer, in part at least; what they took back by undoing is not."""
    undone = and_(
        _REVIEWS.c.candidate_id == _CORRECTIONS.c.candidate_id,
        _REVIEWS.c.correction_id == _CORRECTIONS.c.id,
        _REVIEWS.c.verdict == Verdict.EDIT_AND_APPROVE.value,  # an approval undone takes back nobody's words
        _REVIEWS.c.undone_at.is_not(None),
    )
    stands = ~exists().where(undone).correlate(_CORRECTIONS)
    version = and_(_CORRECTIONS.c.candidate_id == _CANDIDATES.c.id, _CORRECTIONS.c.author == _PERSON, stands)
    return or_(flagged(), exists().where(version).correlate(_CANDIDATES))


def flagged() -> ColumnElement[bool]:
    """The same of whoever put the reply forward, which the index of the queue holds.

    Somebody who sent an expired example back to review is called so as well, and wrote nothing.
    """
    sent_back = exists().where(_EXPIRIES.c.candidate_id == _CANDIDATES.c.id).correlate(_CANDIDATES)
    return and_(_CANDIDATES.c.flagged_by == _PERSON, ~sent_back)


def readable(shape: Shape) -> ColumnElement[bool]:
    """Whether a candidate is in one of the languages that are asked about, or in none that is known."""
    if shape.languages is None:
        return true()
    language = _CANDIDATES.c.language
    return or_(language.is_(None), *(language == bindparam(f"language_{one}") for one in range(shape.languages)))


def _of(home: str | BindParameter[str]) -> ColumnElement[bool]:
    source = _CANDIDATES.c.source
    return or_(source.like(home), source.not_like("T%/%"))
