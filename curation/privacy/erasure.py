"""Erasing a customer: everything of theirs goes, and what cannot go says that it is gone.

Owns that it goes in one transaction; what is theirs, ``curation.privacy.belongings`` says. What stands in a thread of
theirs is erased with it, although others may speak there too. An example in a dataset becomes a tombstone: its place
and its labels stay, so that what was trained on the dataset can still be said; its words do not. The audit holds ids
only and stays whole. Refuses to guess from names inside of texts: a row that only names the customer stays, and from
then on leaves without the name (``curation.privacy.remains``).
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from itertools import product
from typing import Any

from sqlalchemy import bindparam, delete, update
from sqlmodel import Session, col
from sqlmodel import select as select_rows

from curation import audit, people
from curation.people import Actor
from curation.privacy import belongings, remains, values
from curation.privacy.belongings import Belongings, Erased
from curation.privacy.places import portions
from curation.privacy.removal import detach, remove_candidates, remove_captures
from curation.privacy.treatment import REGIONS
from curation.store.engine import Store
from curation.store.rows import table_of
from curation.store.tables import DatasetRow, Example, HandledRequest, SplitKey


def find(session: Session, actor: Actor, customer: str) -> Erased:
    """What erasing would take, without taking it.

    Raises:
        NotAllowed, Invalid: the actor is no owner; the key is empty.
        NotFound: nothing is theirs.
    """
    return belongings.look(session, actor, customer).told


def erase(
    session: Session, actor: Actor, now: datetime, customer: str, *, regions: tuple[str, ...] = REGIONS
) -> Erased:
    """Erase a customer: all of it or, where anything fails, nothing.

    Args:
        regions: where callers are who write their number without a country code.

    Raises:
        As ``find``.
    """
    found = belongings.look(session, actor, customer)
    theirs = found.told
    impersonal = remains.impersonal(session, found.labels, regions)
    in_a_file = session.get_bind().dialect.name == "sqlite"
    if in_a_file:  # without it SQLite leaves what was deleted in the free parts of its file
        session.connection().exec_driver_sql("PRAGMA secure_delete = ON")
    examples = table_of(Example)
    for some in portions(theirs.examples):
        detach(session, examples, some, but=(table_of(DatasetRow),))
        rows = table_of(DatasetRow)
        session.connection().execute(update(rows).where(rows.c.example_id.in_(some)).values(treated=None))
        session.connection().execute(
            update(examples).where(examples.c.id == bindparam("key")).values(_tombstone(now)),
            [{"key": one, "nowhere": f"erased:{one}", "nothing": _nothing(one)} for one in some],
        )
        for column, (label, stays) in product((examples.c.topic, examples.c.language), impersonal.items()):
            named = update(examples).where(examples.c.id.in_(some), column == label)
            session.connection().execute(named.values({column.name: stays}))
    remains.rewrite(session, found.versions, impersonal)
    remove_candidates(session, now, theirs.candidates)
    remove_captures(session, theirs.captures)
    _forget_keys(session, found)
    values.forget(session, found.marks)
    remains.redact_for_good(session, actor, now, found.mentions)
    if in_a_file:  # the index of words only marks what was deleted, until it is written anew
        session.connection().exec_driver_sql("INSERT INTO candidate_search (candidate_search) VALUES ('optimize')")
    # Answers that Slack may ask for again within ten minutes, and that may quote anything.
    session.connection().execute(update(table_of(HandledRequest)).values(body=b""))
    for person in found.forgotten:
        person.display_name = people.user_id_of(person.id)
        session.add(person)
    session.flush()
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


def _forget_keys(session: Session, found: Belongings) -> None:
    """The sides of the customer, their threads and questions: nothing of theirs is left that could change sides."""
    keys = table_of(SplitKey)
    gone = [f"customer:{one}" for one in found.customers] + [f"thread:{thread}" for thread in found.told.threads]
    gone += [f"text:{one}" for one in found.fingerprints]
    for some in portions(gone):
        session.connection().execute(delete(keys).where(keys.c.key.in_(some)))
