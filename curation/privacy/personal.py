"""Findings of personal data in examples and candidates, and what people have decided about them.

Owns that a text is scanned once and that a decision stays with its place. The value itself is not written down again:
a finding says where it stands. What a policy makes of undecided ones is ``curation.privacy.releases``'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, insert, update
from sqlmodel import Session, col, select

from curation import audit, candidates, corrections
from curation.errors import Invalid, NotFound
from curation.people import Actor, require
from curation.policies import Permission
from curation.privacy import detection, names
from curation.privacy.names import KnownNames
from curation.privacy.pseudonyms import canonical, surrogate
from curation.privacy.spans import Kind, Span
from curation.privacy.treatment import REGIONS, REJECTED, Decision, Words
from curation.store.rows import table_of
from curation.store.tables import Assistant, Candidate, Example, Person, PrivacyFinding

_AROUND = 30
_MANY = 500

_Place = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Seen:
    """A finding as a reviewer sees it, the value with a few words around it."""

    id: int
    subject: str
    kind: str
    value: str
    around: str
    decision: str | None
    reason: str | None

    def as_json(self) -> dict[str, Any]:
        """Every attribute, as ``--json`` prints it."""
        return {name: getattr(self, name) for name in self.__slots__}


def words_of(example: Example) -> Words:
    """What of an example leaves the house."""
    return Words(example.messages, example.rejected, example.context)


def known_names(session: Session) -> KnownNames:
    """The names of everybody Errata has met and of every customer that a row names; the assistants' own stay."""
    everybody = set(session.exec(select(Person.display_name)))
    everybody |= {name for name in session.exec(select(Example.customer).distinct()) if name}
    everybody |= {name for name in session.exec(select(Candidate.customer).distinct()) if name}
    return names.known(sorted(everybody), but=session.exec(select(Assistant.name)))


def look(
    session: Session, examples: Sequence[Example], *, regions: tuple[str, ...] = REGIONS, again: bool = False
) -> int:
    """Scan the examples that this scan has not seen, keep what it finds, and return how many findings are new.

    Args:
        again: scan even what was scanned before.
    """
    known = known_names(session)
    stamp = _stamp(known, regions)
    fresh = [example for example in examples if again or example.scanned != stamp]
    if not fresh:
        return 0
    inherited = _inherited(session, {one.candidate_id for one in fresh if one.candidate_id is not None})
    everywhere = _everywhere(session)
    added = 0
    for start in range(0, len(fresh), _MANY):
        some = fresh[start : start + _MANY]
        found = {one.key: _scan(words_of(one), known, regions) for one in some}
        of_candidates = {one.key: inherited.get(one.candidate_id or 0, {}) for one in some}
        added += _keep(session, "example_id", found, of_candidates, everywhere)
        marked = [{"key": example.key, "stamp": stamp} for example in some]
        table = table_of(Example)
        session.connection().execute(
            update(table).where(table.c.id == bindparam("key")).values(scanned=bindparam("stamp")), marked
        )
    return added


def look_at_queue(session: Session, *, regions: tuple[str, ...] = REGIONS) -> int:
    """Scan every candidate that waits for review; how many findings are new."""
    known = known_names(session)
    waiting = candidates.queue(session)
    found = {one.key: _scan(_words_of_candidate(session, one), known, regions) for one in waiting}
    return _keep(session, "candidate_id", found, {}, _everywhere(session))


def listed(session: Session, *, decided: bool = False) -> list[Seen]:
    """The findings that wait for a decision, or those that have theirs, oldest first."""
    waiting = col(PrivacyFinding.decision).is_not(None) if decided else col(PrivacyFinding.decision).is_(None)
    rows = session.exec(select(PrivacyFinding).where(waiting).order_by(col(PrivacyFinding.id)))
    return [_seen(session, row) for row in rows]


def decide(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    finding_id: int,
    decision: Decision,
    reason: str,
    everywhere: bool,
    key: bytes,
) -> int:
    """Decide about a finding, and with ``everywhere`` about its value wherever it stands or will be found.

    Args:
        key: of the pseudonyms.

    Returns:
        How many findings were decided.

    Raises:
        NotAllowed, NotFound: the actor may not review; no such finding.
        Invalid: keeping somebody's data needs a reason.
    """
    require(session, actor, Permission.REVIEW)
    if decision is Decision.KEEP and not reason.strip():
        raise Invalid("Keeping it needs a reason that the audit can stand for: give --reason TEXT.")
    finding = session.get(PrivacyFinding, finding_id)
    if finding is None:
        raise NotFound(f"There is no privacy finding {finding_id}; list them with: errata privacy list")
    chosen = [finding]
    span = _span(session, finding)
    if everywhere:
        same = select(PrivacyFinding).where(PrivacyFinding.kind == finding.kind, PrivacyFinding.id != finding.id)
        chosen += [one for one in session.exec(same) if canonical(_span(session, one)) == canonical(span)]
    for one in chosen:
        one.decision = decision.value
        one.everywhere = everywhere
        one.replacement = surrogate(span, key) if decision is Decision.PSEUDONYMISE else None
        one.reason = reason.strip() or None
        one.decided_by, one.decided_at = actor.person_id, now
        session.add(one)
    session.flush()
    details = {"decision": decision.value, "kind": finding.kind, "findings": len(chosen)}
    audit.record(session, actor, now, "privacy.decided", subject=f"privacy:{finding_id}", details=details)
    return len(chosen)


def of_examples(session: Session, keys: Iterable[int]) -> dict[int, list[PrivacyFinding]]:
    """The findings in these examples, by example, in the order of their text."""
    wanted = set(keys)
    rows = session.exec(
        select(PrivacyFinding)
        .where(col(PrivacyFinding.example_id).is_not(None))
        .order_by(col(PrivacyFinding.example_id), col(PrivacyFinding.turn), col(PrivacyFinding.start_index))
    )
    found: dict[int, list[PrivacyFinding]] = {}
    for row in rows:
        if row.example_id in wanted:
            found.setdefault(row.example_id or 0, []).append(row)
    return found


def _stamp(known: KnownNames, regions: tuple[str, ...]) -> str:
    """What a scan depends on; where it has changed, examples are scanned again."""
    seen = [detection.VERSION, regions, sorted(known.words), sorted(known.whole.items()), known.han]
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]


def _scan(words: Words, known: KnownNames, regions: tuple[str, ...]) -> list[tuple[int, Span]]:
    return [
        (turn, span) for turn, text in words.passages() for span in detection.scan(text, known=known, regions=regions)
    ]


def _keep(
    session: Session,
    owner: str,
    found: Mapping[int, Sequence[tuple[int, Span]]],
    inherited: Mapping[int, Mapping[_Place, Mapping[str, Any]]],
    everywhere: Mapping[tuple[str, str], Mapping[str, Any]],
) -> int:
    """Add what is new, and take away what nobody decided about and is not found any more."""
    column = col(getattr(PrivacyFinding, owner))
    before = {
        (getattr(row, owner), row.turn, row.start_index, row.kind): row
        for row in session.exec(select(PrivacyFinding).where(column.in_(list(found))))
    }
    now_found = {
        (key, turn, span.start, span.kind.value): (turn, span) for key, spans in found.items() for turn, span in spans
    }
    gone = [row.key for place, row in before.items() if place not in now_found and row.decision is None]
    if gone:
        session.execute(delete(PrivacyFinding).where(col(PrivacyFinding.id).in_(gone)))
    undecided = {"decision": None, "everywhere": False, "replacement": None, "reason": None}
    fresh = []
    for place, (turn, span) in now_found.items():
        if place not in before:
            decided = inherited.get(place[0], {}).get(place[1:]) or everywhere.get((span.kind.value, canonical(span)))
            where = {owner: place[0], "turn": turn, "kind": span.kind.value}
            fresh.append(
                {
                    **where,
                    "start_index": span.start,
                    "end_index": span.end,
                    **undecided,
                    "decided_by": None,
                    "decided_at": None,
                    **(decided or {}),
                }
            )
    if fresh:
        session.execute(insert(PrivacyFinding), fresh)
    return len(fresh)


def _decision_in(row: PrivacyFinding) -> dict[str, Any]:
    names_ = ("decision", "everywhere", "replacement", "reason", "decided_by", "decided_at")
    return {name: getattr(row, name) for name in names_}


def _inherited(session: Session, keys: set[int]) -> dict[int, dict[_Place, dict[str, Any]]]:
    """What was decided while an example was a candidate, about the words that cannot have changed since."""
    decided = select(PrivacyFinding, Candidate.turns).join(
        Candidate, col(Candidate.id) == col(PrivacyFinding.candidate_id)
    )
    found: dict[int, dict[_Place, dict[str, Any]]] = {}
    for row, turns in session.exec(decided.where(col(PrivacyFinding.decision).is_not(None))):
        if row.candidate_id in keys and (row.turn == REJECTED or 0 <= row.turn < len(turns)):
            found.setdefault(row.candidate_id or 0, {})[row.turn, row.start_index, row.kind] = _decision_in(row)
    return found


def _everywhere(session: Session) -> dict[tuple[str, str], dict[str, Any]]:
    decided = session.exec(select(PrivacyFinding).where(col(PrivacyFinding.everywhere).is_(True)))
    return {(row.kind, canonical(_span(session, row))): _decision_in(row) for row in decided}


def _text(session: Session, row: PrivacyFinding) -> str:
    """The passage that a finding is in; empty where its words have changed or gone."""
    if row.example_id is not None:
        words = words_of(session.get_one(Example, row.example_id))
    else:
        words = _words_of_candidate(session, session.get_one(Candidate, row.candidate_id))
    return dict(words.passages()).get(row.turn, "")


def _words_of_candidate(session: Session, candidate: Candidate) -> Words:
    """The words of the example that would be made of it now."""
    reply = {"role": "assistant", "content": corrections.current_text(session, candidate.key)}
    return Words([*candidate.turns, reply], candidate.reply, candidate.context)


def _span(session: Session, row: PrivacyFinding) -> Span:
    text = _text(session, row)[row.start_index : row.end_index]
    return Span(Kind(row.kind), row.start_index, row.end_index, text)


def _seen(session: Session, row: PrivacyFinding) -> Seen:
    text = _text(session, row)
    subject = f"example:{row.example_id}" if row.example_id is not None else f"candidate:{row.candidate_id}"
    return Seen(
        id=row.key,
        subject=subject,
        kind=row.kind,
        value=text[row.start_index : row.end_index],
        around=text[max(0, row.start_index - _AROUND) : row.end_index + _AROUND],
        decision=row.decision,
        reason=row.reason,
    )
