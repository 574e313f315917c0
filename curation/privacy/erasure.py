"""Erasing a customer: everything of theirs goes, and what cannot go says that it is gone.

Owns which rows are a customer's, and that they go in one transaction. A key means: the customer as an imported row
names them, a user who speaks as the customer in a captured thread (``U123`` or ``T1/U123``), or a thread. Whatever
stands in a thread of theirs is erased with it, although others may speak there too. An example in a dataset becomes
a tombstone: its place and its labels stay, so that what was trained on the dataset can still be said; its words do
not. The audit holds ids only and stays whole. Refuses to guess from names inside of texts: for those there is the
privacy scan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, String, Table, bindparam, cast, delete, or_, select, update
from sqlmodel import Session, col
from sqlmodel import select as select_rows

from curation import audit, people
from curation.errors import Invalid, NotFound
from curation.people import Actor, require
from curation.policies import Permission
from curation.privacy.removal import detach, remove_candidates, remove_captures
from curation.store.engine import Store
from curation.store.rows import table_of
from curation.store.tables import (
    Candidate,
    Capture,
    DatasetRow,
    DatasetVersion,
    Example,
    Export,
    HandledRequest,
    Notice,
    Person,
    Review,
    SplitKey,
)

_MANY = 500


@dataclass(frozen=True, slots=True)
class Erased:
    """What is a customer's, in ids and places.

    Attributes:
        datasets: names of the versions that hold a row of theirs.
        exports: files that left with a row of theirs, which nobody but their holders can delete.
        messages: places of messages to agents that quote them (for Slack: channel and ts), which nobody else can
            delete; cards in channels are edited by the worker.
    """

    captures: list[int]
    candidates: list[int]
    examples: list[int]
    threads: list[str]
    datasets: list[str]
    exports: list[str]
    messages: list[str]

    def as_json(self) -> dict[str, Any]:
        """Every attribute, as ``--json`` prints it."""
        return asdict(self)

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.captures or self.candidates or self.examples)


def find(session: Session, actor: Actor, customer: str) -> Erased:
    """What erasing would take, without taking it.

    Raises:
        NotAllowed, Invalid: the actor is no owner; the key is empty.
        NotFound: nothing is theirs.
    """
    require(session, actor, Permission.ERASE)
    if not customer.strip():
        raise Invalid("Say whom: --customer KEY, as imported rows name them, a Slack user id, or a thread.")
    threads = _threads(session, customer.strip())
    found = {
        table: _keys(session, table, _in(table.c.thread, threads)) for table in (table_of(model) for model in _HOLDERS)
    }
    captures, candidates, examples = found.values()
    if not (captures or candidates or examples):
        raise NotFound(
            f"Nothing is kept of {customer.strip()}. Give the key as an imported row names the customer, the id of a "
            "Slack user, or a thread as errata dataset lineage shows it."
        )
    versions = _versions(session, examples)
    return Erased(
        captures=captures,
        candidates=candidates,
        examples=examples,
        threads=sorted(threads),
        datasets=list(versions.values()),
        exports=_exports(session, versions, examples),
        messages=_messages(session, candidates),
    )


def erase(session: Session, actor: Actor, now: datetime, customer: str) -> Erased:
    """Erase a customer: all of it or, where anything fails, nothing.

    Raises:
        As ``find``.
    """
    key = customer.strip()
    theirs = find(session, actor, key)
    in_a_file = session.get_bind().dialect.name == "sqlite"
    if in_a_file:  # without it SQLite leaves what was deleted in the free parts of its file
        session.connection().exec_driver_sql("PRAGMA secure_delete = ON")
    examples = table_of(Example)
    for some in _portions(theirs.examples):
        detach(session, examples, some, but=(table_of(DatasetRow),))
        rows = table_of(DatasetRow)
        session.connection().execute(update(rows).where(rows.c.example_id.in_(some)).values(treated=None))
        session.connection().execute(
            update(examples).where(examples.c.id == bindparam("key")).values(_tombstone(now)),
            [{"key": one, "nowhere": f"erased:{one}", "nothing": _nothing(one)} for one in some],
        )
    remove_candidates(session, now, theirs.candidates)
    remove_captures(session, theirs.captures)
    _forget_keys(session, key, theirs.threads)
    if in_a_file:  # the index of words only marks what was deleted, until it is written anew
        session.connection().exec_driver_sql("INSERT INTO candidate_search (candidate_search) VALUES ('optimize')")
    # Answers that Slack may ask for again within ten minutes, and that may quote anything.
    session.connection().execute(update(table_of(HandledRequest)).values(body=b""))
    _forget_name(session, key)
    details = {name: len(getattr(theirs, name)) for name in ("captures", "candidates", "examples", "datasets")}
    audit.record(session, actor, now, "customer.erased", subject="customer", details=details)
    session.expire_all()
    return theirs


def clear_traces(store: Store) -> None:
    """After an erasure: have SQLite write its journal into the file and forget it; nothing where another keeps it.

    Best effort: while somebody reads, the journal is cut by a later erasure or by SQLite itself.
    """
    if not store.shared:
        connection = store.engine.raw_connection()  # outside of any transaction, where SQLite does it
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()


def tombstones(session: Session) -> dict[int, frozenset[int]]:
    """The erased examples of every dataset version that has some, by the version's id."""
    rows = session.exec(
        select_rows(DatasetRow.dataset_id, DatasetRow.example_id)
        .join(Example, col(Example.id) == col(DatasetRow.example_id))
        .where(col(Example.erased_at).is_not(None))
    )
    gone: dict[int, set[int]] = {}
    for dataset_id, example_id in rows:
        gone.setdefault(dataset_id, set()).add(example_id)
    return {dataset_id: frozenset(ids) for dataset_id, ids in gone.items()}


_HOLDERS = (Capture, Candidate, Example)


def _threads(session: Session, key: str) -> set[str]:
    """Every thread that is the customer's, by any of the three meanings of a key."""
    captures, candidates, examples = (table_of(model) for model in _HOLDERS)
    threads: set[str] = set()
    for table in (candidates, examples):
        found = or_(table.c.customer == key, table.c.thread == key)
        threads |= set(session.connection().execute(select(table.c.thread).where(found)).scalars())
    speaking = cast(captures.c.speakers, String).contains(key, autoescape=True)
    spoken = select(captures.c.thread, captures.c.speakers).where(or_(captures.c.thread == key, speaking))
    for thread, speakers in session.connection().execute(spoken):
        if thread == key or any(key in (one, people.user_id_of(one)) for one in speakers or ()):
            threads.add(thread)
    return threads


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


def _exports(session: Session, versions: Mapping[int, str], examples: Collection[int]) -> list[str]:
    """Files of these versions, and those of everything that was approved after the first of these examples was."""
    first = session.exec(
        select_rows(Example.approved_at).where(col(Example.id).in_(list(examples))).order_by(col(Example.approved_at))
    ).first()
    if first is None:
        return []
    whole = col(Export.dataset_id).is_(None) & (col(Export.written_at) >= first)
    rows = session.exec(
        select_rows(Export.path).where(or_(col(Export.dataset_id).in_(list(versions)), whole)).order_by(col(Export.id))
    )
    return list(dict.fromkeys(rows))


def _messages(session: Session, candidates: Collection[int]) -> list[str]:
    reviews = session.exec(select_rows(Review.id).where(col(Review.candidate_id).in_(list(candidates))))
    subjects = [f"review:{key}" for key in reviews]
    shown = select_rows(Notice.message_ref).where(
        col(Notice.subject).in_(subjects), col(Notice.message_ref).is_not(None)
    )
    return sorted({reference for reference in session.exec(shown) if reference})


def _tombstone(now: datetime) -> dict[str, Any]:
    """What an example is left with: its labels, and who approved it."""
    return {
        "messages": [],
        "rejected": None,
        "context": None,
        "toolbox": None,
        "customer": None,
        "candidate_id": None,
        "attested": None,
        "scanned": None,
        "source": bindparam("nowhere"),
        "thread": bindparam("nowhere"),
        "digest": bindparam("nothing"),
        "erased_at": now,
    }


def _nothing(key: int) -> str:
    return hashlib.sha256(f"erased:{key}".encode()).hexdigest()


def _forget_keys(session: Session, key: str, threads: Collection[str]) -> None:
    """The sides of the customer and their threads: nothing of theirs is left that could change sides."""
    keys = table_of(SplitKey)
    gone = [f"customer:{key}", *(f"thread:{thread}" for thread in threads)]
    for some in _portions(gone):
        session.connection().execute(delete(keys).where(keys.c.key.in_(some)))


def _forget_name(session: Session, key: str) -> None:
    """A customer whom Errata has met loses the name; somebody with a role is no customer."""
    for person in session.exec(select_rows(Person)):
        if key in (person.id, people.user_id_of(person.id)) and not people.roles(session, person.id):
            person.display_name = people.user_id_of(person.id)
            session.add(person)
    session.flush()


def _portions(keys: Collection[Any]) -> list[list[Any]]:
    ordered = list(keys)
    return [ordered[start : start + _MANY] for start in range(0, len(ordered), _MANY)]
