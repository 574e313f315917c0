"""Findings of personal data in examples and candidates, and what people have decided about them.

Owns that a text is scanned once and that a decision stays with what it was made about: a value at its place. Where the
words have changed, as a correction's do, it is no decision any more; what holds for a value everywhere is
``curation.privacy.values``'s. What a policy makes of undecided findings is ``curation.privacy.releases``'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, update
from sqlmodel import Session, col, select

from curation import audit, candidates, corrections
from curation.errors import Conflict, Invalid, NotFound
from curation.people import Actor, require
from curation.policies import Permission
from curation.privacy import detection, names, places, values
from curation.privacy.names import KnownNames
from curation.privacy.places import Owner, Place, place_of, portions, span_at
from curation.privacy.pseudonyms import surrogate
from curation.privacy.spans import IN_WORDS, Kind, Span
from curation.privacy.treatment import REGIONS, Decision, Words
from curation.privacy.values import Ruling
from curation.store.rows import table_of
from curation.store.tables import Assistant, Candidate, Example, Person, PrivacyFinding

_AROUND = 30


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


@dataclass(frozen=True, slots=True)
class Scope:
    """What a scan looks for: whose names are known, and where callers are; ``stamp`` is of both."""

    known: KnownNames
    regions: tuple[str, ...]
    stamp: str


def words_of(example: Example) -> Words:
    """What of an example leaves the house."""
    return Words(example.messages, example.rejected, example.context, example.toolbox, example.topic, example.language)


def words_of_candidate(session: Session, candidate: Candidate) -> Words:
    """The words of the example that would be made of it now; its reply counts as rejected."""
    reply = {"role": "assistant", "content": corrections.current_text(session, candidate.key)}
    messages = [*candidate.turns, reply]
    return Words(messages, candidate.reply, candidate.context, candidate.toolbox, candidate.topic, candidate.language)


def known_names(session: Session) -> KnownNames:
    """The names of everybody Errata has met and of every customer that a row names; the assistants' own stay."""
    everybody = set(session.exec(select(Person.display_name)))
    everybody |= {name for name in session.exec(select(Example.customer).distinct()) if name}
    everybody |= {name for name in session.exec(select(Candidate.customer).distinct()) if name}
    return names.known(sorted(everybody), but=own_names(session))


def own_names(session: Session) -> Sequence[str]:
    """The names of the assistants."""
    return session.exec(select(Assistant.name)).all()


def look(
    session: Session, examples: Sequence[Example], *, regions: tuple[str, ...] = REGIONS, again: bool = False
) -> int:
    """Scan the examples that this scan has not seen, keep what it finds, and return how many findings are new.

    Args:
        again: scan even what was scanned before.
    """
    scope = scope_of(session, regions)
    fresh = [example for example in examples if again or example.scanned != scope.stamp]
    return sum(keep(session, scope, some, scan(session, scope, some)) for some in portions(fresh))


def scope_of(session: Session, regions: tuple[str, ...] = REGIONS) -> Scope:
    """What a scan that begins now looks for."""
    known = known_names(session)
    return Scope(known, regions, _stamp(known, regions))


def scan(session: Session, scope: Scope, examples: Sequence[Example]) -> dict[int, list[Place]]:
    """Where personal data stands in the examples, by id; only reads. ``keep`` writes it down."""
    return _scan(session, {one.key: words_of(one) for one in examples}, scope.known, scope.regions)


def keep(session: Session, scope: Scope, examples: Sequence[Example], found: Mapping[int, Sequence[Place]]) -> int:
    """Have the findings in these examples be what ``scan`` found, and return how many are new."""
    words = {one.key: words_of(one) for one in examples}
    added = places.keep(session, Owner.EXAMPLE, words, found, _inherited(session, examples))
    table = table_of(Example)
    session.connection().execute(
        update(table).where(table.c.id == bindparam("key")).values(scanned=bindparam("stamp")),
        [{"key": one, "stamp": scope.stamp} for one in words],
    )
    return added


def look_at_queue(session: Session, *, regions: tuple[str, ...] = REGIONS) -> int:
    """Scan every candidate that waits for review; how many findings are new."""
    return look_at_candidates(session, candidates.queue(session), regions=regions)


def look_at_candidates(session: Session, looked_at: Sequence[Candidate], *, regions: tuple[str, ...] = REGIONS) -> int:
    """Scan these candidates as they stand now; how many findings are new."""
    known = known_names(session)
    added = 0
    for some in portions(looked_at):
        words = {one.key: words_of_candidate(session, one) for one in some}
        added += places.keep(session, Owner.CANDIDATE, words, _scan(session, words, known, regions), {})
    return added


def listed(session: Session, *, decided: bool = False) -> list[Seen]:
    """The findings that wait for a decision, or those that have theirs, oldest first; not those whose words changed."""
    waiting = col(PrivacyFinding.decision).is_not(None) if decided else col(PrivacyFinding.decision).is_(None)
    key = values.key_of(session)
    found = []
    for row in session.exec(select(PrivacyFinding).where(waiting).order_by(col(PrivacyFinding.id))):
        texts = _texts(session, row)
        if span_at(row, texts, key) is not None:
            found.append(_seen(row, texts[row.turn]))
    return found


def decide(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    which: int | Kind,
    decision: Decision,
    reason: str,
    everywhere: bool,
    key: bytes,
) -> int:
    """Decide about a finding, or about every undecided one of a kind.

    Args:
        which: the id of the finding, or the kind.
        everywhere: about its value as well, wherever it stands or will be found.
        key: of the pseudonyms.

    Returns:
        How many findings were decided.

    Raises:
        NotAllowed, NotFound: the actor may not review; no such finding, or none of that kind waits.
        Invalid: keeping somebody's data needs a reason.
        Conflict: the words that it was found in have changed.
    """
    require(session, actor, Permission.REVIEW)
    if decision is Decision.KEEP and not reason.strip():
        raise Invalid("Keeping it needs a reason that the audit can stand for: give --reason TEXT.")
    decided: set[int] = set()
    for finding, span in _waiting(session, which) if isinstance(which, Kind) else [_one(session, which)]:
        ruling: Ruling = {
            "decision": decision.value,
            "replacement": surrogate(span, key) if decision is Decision.PSEUDONYMISE else None,
            "reason": reason.strip() or None,
            "decided_by": actor.person_id,
            "decided_at": now,
        }
        for one in _everywhere(session, finding, ruling) if everywhere else [finding]:
            for name, value in ruling.items():
                setattr(one, name, value)
            session.add(one)
            decided.add(one.key)
    session.flush()
    kind = which.value if isinstance(which, Kind) else finding.kind
    details = {"decision": decision.value, "kind": kind, "findings": len(decided)}
    audit.record(session, actor, now, "privacy.decided", subject=f"privacy:{which}", details=details)
    return len(decided)


def _one(session: Session, finding_id: int) -> tuple[PrivacyFinding, Span]:
    finding = session.get(PrivacyFinding, finding_id)
    if finding is None:
        raise NotFound("There is no privacy finding {finding}; list them with: errata privacy list", finding=finding_id)
    span = span_at(finding, _texts(session, finding), values.key_of(session))
    if span is None:
        raise Conflict(
            "The words of the privacy finding {finding} have changed since it was found. Look again with: errata "
            "privacy scan --queue",
            finding=finding_id,
        )
    return finding, span


def _waiting(session: Session, kind: Kind) -> list[tuple[PrivacyFinding, Span]]:
    """What nobody has decided about, of a kind, where it still stands."""
    key = values.key_of(session)
    undecided = select(PrivacyFinding).where(PrivacyFinding.kind == kind.value, col(PrivacyFinding.decision).is_(None))
    spans = ((row, span_at(row, _texts(session, row), key)) for row in session.exec(undecided).all())
    found = [(row, span) for row, span in spans if span is not None]
    if not found:
        several = IN_WORDS[kind][1]
        raise NotFound(
            "No {several} wait for a decision; look for some with: errata privacy scan --examples", several=several
        )
    return found


def _everywhere(session: Session, finding: PrivacyFinding, ruling: Ruling) -> list[PrivacyFinding]:
    """Have it decided about the value from now on; the findings that hold it today."""
    values.rule(session, finding.kind, finding.mark, ruling)
    same = select(PrivacyFinding).where(PrivacyFinding.kind == finding.kind, PrivacyFinding.mark == finding.mark)
    return list(session.exec(same))


def _stamp(known: KnownNames, regions: tuple[str, ...]) -> str:
    """What a scan depends on; where it has changed, examples are scanned again."""
    seen = [detection.VERSION, regions, sorted(known.words), sorted(known.whole.items()), known.han, sorted(known.kept)]
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]


def _scan(
    session: Session, words: Mapping[int, Words], known: KnownNames, regions: tuple[str, ...]
) -> dict[int, list[Place]]:
    key = values.key_of(session)
    return {
        one: [
            place_of(turn, span, key)
            for turn, text in said.passages()
            for span in detection.scan(text, known=known, regions=regions)
        ]
        for one, said in words.items()
    }


def _inherited(session: Session, examples: Sequence[Example]) -> dict[int, dict[Place, Ruling]]:
    """What was decided while an example was a candidate: the same value at the same place is the same finding."""
    born = {one.candidate_id: one.key for one in examples if one.candidate_id is not None}
    return {
        born[candidate]: {places.place(row): values.ruling_of(row) for row in rows if row.decision is not None}
        for candidate, rows in places.of(session, Owner.CANDIDATE, born).items()
    }


def _texts(session: Session, row: PrivacyFinding) -> dict[int, str]:
    """The passages of the words that a finding is in."""
    if row.example_id is not None:
        words = words_of(session.get_one(Example, row.example_id))
    else:
        words = words_of_candidate(session, session.get_one(Candidate, row.candidate_id))
    return dict(words.passages())


def _seen(row: PrivacyFinding, text: str) -> Seen:
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
