"""What is a customer's: which rows, in which datasets and files, by which names, and what tells of them elsewhere.

Owns what a key means: the customer as an imported row names them, a user who speaks as the customer in a captured
thread (``U123`` or ``T1/U123``), or a thread. Takes nothing away: that is ``curation.privacy.erasure``'s.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, String, Table, cast, or_, select
from sqlmodel import Session, col
from sqlmodel import select as select_rows

from curation import people
from curation.conversation import Conversation
from curation.errors import Invalid, NotFound
from curation.people import Actor, require
from curation.policies import Permission
from curation.privacy import places, remains
from curation.privacy.places import Owner, portions
from curation.privacy.releases import GAPS
from curation.privacy.remains import Mentions
from curation.privacy.spelling import folded
from curation.similarity.duplicates import fingerprint
from curation.store.rows import table_of
from curation.store.tables import (
    Candidate,
    Capture,
    DatasetRow,
    DatasetVersion,
    Example,
    Export,
    Notice,
    Person,
    Review,
)


@dataclass(frozen=True, slots=True)
class Erased:
    """What is a customer's, in ids and places.

    Attributes:
        datasets: names of the versions that hold a row of theirs.
        exports: files that left with a row of theirs, which nobody but their holders can delete.
        messages: places of messages to agents that quote them (for Slack: channel and ts), which nobody else can
            delete; cards in channels are edited by the worker.
        named: subjects of rows of others that name them: the name is redacted whenever these leave.
    """

    captures: list[int]
    candidates: list[int]
    examples: list[int]
    threads: list[str]
    datasets: list[str]
    exports: list[str]
    messages: list[str]
    named: list[str]

    def as_json(self) -> dict[str, Any]:
        """Every attribute, as ``--json`` prints it."""
        return asdict(self)

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.captures or self.candidates or self.examples)


@dataclass(frozen=True, slots=True)
class Belongings:
    """What erasing a customer has to know beforehand.

    Attributes:
        told: what whoever erases is told.
        versions: ids of the datasets that hold a row of theirs.
        mentions: where others name them.
        customers: how rows write the customer.
        forgotten: people whom nobody knows any more.
        labels: topics and languages of their rows.
        marks: of the values in their words.
        fingerprints: of the questions that nobody else asks.
    """

    told: Erased
    versions: list[int]
    mentions: Mentions
    customers: set[str]
    forgotten: list[Person]
    labels: set[str]
    marks: set[str]
    fingerprints: set[str]


def look(session: Session, actor: Actor, customer: str) -> Belongings:
    """What is theirs.

    Raises:
        NotAllowed, Invalid: the actor is no owner; the key is empty.
        NotFound: nothing is theirs.
    """
    require(session, actor, Permission.ERASE)
    key = customer.strip()
    if not key:
        raise Invalid("Say whom: --customer KEY, as imported rows name them, a Slack user id, or a thread.")
    customers = _customers(session, key)
    threads = _threads(session, key, customers)
    found = {
        table: _keys(session, table, _in(table.c.thread, threads)) for table in (table_of(model) for model in _HOLDERS)
    }
    captures, candidates, examples = found.values()
    if not (captures or candidates or examples):
        raise NotFound(
            "Nothing is kept of {key}. Give the key as an imported row names the customer, the id of a Slack user, "
            "or a thread as errata dataset lineage shows it.",
            key=key,
        )
    versions = _versions(session, examples)
    forgotten = _forgotten(session, key)
    gone = _names(session, forgotten, threads)
    mentions = remains.mentions(session, gone, examples=examples, candidates=candidates)
    told = Erased(
        captures=captures,
        candidates=candidates,
        examples=examples,
        threads=sorted(threads),
        datasets=list(versions.values()),
        exports=_exports(session, versions, examples, candidates),
        messages=_messages(session, candidates),
        named=remains.subjects(mentions),
    )
    return Belongings(
        told=told,
        versions=list(versions),
        mentions=mentions,
        customers=customers,
        forgotten=forgotten,
        labels=_labels(session, examples),
        marks=_marks(session, told),
        fingerprints=_fingerprints(session, examples),
    )


_HOLDERS = (Capture, Candidate, Example)


def _threads(session: Session, key: str, customers: Collection[str]) -> set[str]:
    """Every thread that is the customer's, by any of the three meanings of a key."""
    captures, candidates, examples = (table_of(model) for model in _HOLDERS)
    threads: set[str] = set()
    for table in (candidates, examples):
        found = or_(table.c.customer.in_(sorted(customers)), table.c.thread == key)
        threads |= set(session.connection().execute(select(table.c.thread).where(found)).scalars())
    speaking = cast(captures.c.speakers, String).contains(key, autoescape=True)
    spoken = select(captures.c.thread, captures.c.speakers).where(or_(captures.c.thread == key, speaking))
    for thread, speakers in session.connection().execute(spoken):
        if thread == key or any(key in (one, people.user_id_of(one)) for one in speakers or ()):
            threads.add(thread)
    return threads


def _customers(session: Session, key: str) -> set[str]:
    """How rows write this customer: the same name may be spelled in several ways."""
    written: set[str] = set()
    for table in (table_of(Candidate), table_of(Example)):
        there = select(table.c.customer).where(table.c.customer.is_not(None)).distinct()
        written |= set(session.connection().execute(there).scalars())
    return {one for one in written if folded(one) == folded(key)}


def _names(session: Session, forgotten: Collection[Person], threads: Collection[str]) -> set[str]:
    """The names that nobody bears once the customer is erased."""
    written = {person.display_name for person in forgotten}
    for table in (Candidate, Example):
        of_threads = select_rows(table.customer).where(
            col(table.thread).in_(sorted(threads)), col(table.customer).is_not(None)
        )
        written |= {name for name in session.exec(of_threads.distinct()) if name}
    borne = remains.borne_by_others(session, threads)
    return {name for name in written if folded(name) not in borne}


def _labels(session: Session, examples: Collection[int]) -> set[str]:
    found: set[str] = set()
    for some in portions(list(examples)):
        rows = session.exec(select_rows(Example.topic, Example.language).where(col(Example.id).in_(some)))
        found |= {label for labels in rows for label in labels if label}
    return found


def _marks(session: Session, theirs: Erased) -> set[str]:
    """The marks of every value that stands in what goes."""
    of_examples = places.of(session, Owner.EXAMPLE, theirs.examples)
    of_candidates = places.of(session, Owner.CANDIDATE, theirs.candidates)
    return {row.mark for found in (of_examples, of_candidates) for rows in found.values() for row in rows}


def _fingerprints(session: Session, examples: Collection[int]) -> set[str]:
    """Of the questions that only these examples ask."""
    theirs, others = set[str](), set[str]()
    gone = set(examples)
    asked = select_rows(Example.id, Example.messages).where(col(Example.erased_at).is_(None))
    for key, messages in session.exec(asked):
        print_ = fingerprint(Conversation.from_json(messages).user_text())
        (theirs if key in gone else others).add(print_)
    return theirs - others


def _keys(session: Session, table: Table, condition: ColumnElement[bool]) -> list[int]:
    return list(session.connection().execute(select(table.c.id).where(condition).order_by(table.c.id)).scalars())


def _in(column: ColumnElement[str], values: Collection[str]) -> ColumnElement[bool]:
    return column.in_(sorted(values))


def _versions(session: Session, examples: Collection[int]) -> dict[int, str]:
    rows = (
        select_rows(DatasetVersion.id, DatasetVersion.name)
        .join(DatasetRow, col(DatasetRow.dataset_id) == col(DatasetVersion.id))
        .where(col(DatasetRow.example_id).in_(list(examples)))
        .order_by(col(DatasetVersion.id))
        .distinct()
    )
    return {key: name for key, name in session.exec(rows) if key is not None}


def _exports(
    session: Session, versions: Mapping[int, str], examples: Collection[int], candidates: Collection[int]
) -> list[str]:
    """Files of these versions, of everything approved since the first of these examples was, and of such gaps."""
    first = session.exec(
        select_rows(Example.approved_at).where(col(Example.id).in_(list(examples))).order_by(col(Example.approved_at))
    ).first()
    flagged = session.exec(
        select_rows(Candidate.flagged_at)
        .where(col(Candidate.id).in_(list(candidates)))
        .order_by(col(Candidate.flagged_at))
    ).first()
    since = {False: first, True: flagged}  # a list of gaps holds candidates, every other file examples
    rows = session.exec(select_rows(Export).order_by(col(Export.id)))
    theirs = [
        one.path
        for one in rows
        if one.dataset_id in versions
        or (one.dataset_id is None and (begun := since[one.target == GAPS]) is not None and one.written_at >= begun)
    ]
    return list(dict.fromkeys(theirs))


def _messages(session: Session, candidates: Collection[int]) -> list[str]:
    reviews = session.exec(select_rows(Review.id).where(col(Review.candidate_id).in_(list(candidates))))
    subjects = [f"review:{key}" for key in reviews]
    shown = select_rows(Notice.message_ref).where(
        col(Notice.subject).in_(subjects), col(Notice.message_ref).is_not(None)
    )
    return sorted({reference for reference in session.exec(shown) if reference})


def _forgotten(session: Session, key: str) -> list[Person]:
    """A customer whom Errata has met loses the name; somebody with a role is no customer."""
    everybody = session.exec(select_rows(Person))
    theirs = [one for one in everybody if key in (one.id, people.user_id_of(one.id))]
    return [one for one in theirs if not people.roles(session, one.id)]
