"""What would remain of an erased customer in what is not theirs: their name in the words of others, or as a topic.

Owns the looking for it while the name is still known, and that it leaves nowhere afterwards: no scan knows an erased
name. Whose rows are erased is ``curation.privacy.erasure``'s.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from curation.people import Actor
from curation.privacy import detection, names, personal, places, values
from curation.privacy.places import Owner, Place, place_of, portions
from curation.privacy.spans import redact
from curation.privacy.spelling import folded
from curation.privacy.treatment import Decision, Words
from curation.store.tables import Candidate, DatasetVersion, Example

Mentions = Mapping[Owner, Mapping[int, Sequence[Place]]]
"""Where names stand: in whose words, by id."""

_REASON = "The name of an erased customer."


def mentions(
    session: Session, gone: Iterable[str], *, examples: Collection[int], candidates: Collection[int]
) -> Mentions:
    """Where these names stand in everything that stays.

    Args:
        gone: names that nobody who stays bears.
        examples: ids of those that go.
        candidates: the same.
    """
    known = names.known(gone, but=personal.own_names(session))
    found: dict[Owner, dict[int, list[Place]]] = {Owner.EXAMPLE: {}, Owner.CANDIDATE: {}}
    if not known:
        return found
    key = values.key_of(session)
    for owner, one, words in _staying(session, set(examples), set(candidates)):
        spans = [(turn, span) for turn, text in words.passages() for span in detection.mentions(text, known)]
        if spans:
            found[owner][one] = [place_of(turn, span, key) for turn, span in spans]
    return found


def redact_for_good(session: Session, actor: Actor, now: datetime, found: Mentions) -> None:
    """Have the names redacted there whenever the rows leave, but where somebody has decided about them already."""
    ruling = {**values.UNDECIDED, "decision": Decision.REDACT.value, "reason": _REASON}
    for owner, those in found.items():
        places.rule(session, owner, those, {**ruling, "decided_by": actor.person_id, "decided_at": now})


def subjects(found: Mentions) -> list[str]:
    """``["example:3", "candidate:7"]``."""
    return [f"{owner.value.removesuffix('_id')}:{one}" for owner, those in found.items() for one in those]


def borne_by_others(session: Session, threads: Collection[str]) -> set[str]:
    """The customers of rows outside of these threads, in one spelling."""
    borne: set[str] = set()
    for table in (Candidate, Example):
        rows = session.exec(select(table.customer, table.thread).where(col(table.customer).is_not(None)).distinct())
        borne |= {folded(customer) for customer, thread in rows if customer and thread not in threads}
    return borne


def impersonal(session: Session, labels: Iterable[str], regions: tuple[str, ...]) -> dict[str, str]:
    """Those of these topics and the like that hold personal data, each with what may stay of it."""
    known = personal.known_names(session)
    scanned = {label: detection.scan(label, known=known, regions=regions) for label in labels}
    return {label: redact(label, spans) for label, spans in scanned.items() if spans}


def rewrite(session: Session, versions: Collection[int], labels: Mapping[str, str]) -> None:
    """Have the manifests of these datasets call topics what may stay of them; the digests are of rows, and stay."""
    if not labels:
        return
    longest_first = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    pattern = re.compile(rf"(?<!\w)(?:{longest_first})(?!\w)")
    for some in portions(sorted(versions)):
        for version in session.exec(select(DatasetVersion).where(col(DatasetVersion.id).in_(some))):
            version.manifest = _rewritten(version.manifest, lambda text: pattern.sub(lambda one: labels[one[0]], text))
            session.add(version)
    session.flush()


def _rewritten(value: Any, by: Any) -> Any:
    if isinstance(value, str):
        return by(value)
    if isinstance(value, list):
        return [_rewritten(inner, by) for inner in value]
    if not isinstance(value, dict):
        return value
    written: dict[str, Any] = {}
    for key, inner in value.items():
        made, name = _rewritten(inner, by), by(key)
        both = name in written and isinstance(made, int)  # two topics that are one from now on
        written[name] = written[name] + made if both else made
    return written


def _staying(session: Session, examples: set[int], candidates: set[int]) -> Iterator[tuple[Owner, int, Words]]:
    kept = select(Example.id).where(col(Example.erased_at).is_(None))
    for example in _rows(session, Example, [one for one in session.exec(kept) if one not in examples]):
        yield Owner.EXAMPLE, example.key, personal.words_of(example)
    for candidate in _rows(
        session, Candidate, [one for one in session.exec(select(Candidate.id)) if one not in candidates]
    ):
        yield Owner.CANDIDATE, candidate.key, personal.words_of_candidate(session, candidate)


def _rows(session: Session, table: type[Any], keys: Sequence[int | None]) -> Iterator[Any]:
    for some in portions(keys):
        yield from session.exec(select(table).where(col(table.id).in_(some)).order_by(col(table.id)))
