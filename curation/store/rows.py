"""Prepared statements: rows read and written on the driver's own cursor, for the work somebody in Slack waits for.

A statement is written once, in SQLAlchemy's words over the tables of ``curation.store.tables``, which
stay the one source of names and types. What SQLAlchemy would work out anew at each execution (text,
order of parameters, conversion of values) is kept for each kind of database. On SQLite a look-up of a row costs
1 µs this way, 15 through ``Connection.execute`` and 140 through a mapped class.

A statement runs in the transaction of the session or connection that it is given, after whatever that
session has not written yet, and fails with SQLAlchemy's errors. Refuses to know what a row means. Rows
that are read here are tuples with named columns; rows written here are not in the session's identity map:
a use case that changes one which somebody may hold as an object says so with ``renew``.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, Generic, TypeVar, overload

from sqlalchemy import Column, Float, Table, insert
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.orm.util import identity_key
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine
from sqlmodel import SQLModel

Work = Session | Connection
"""Where a statement runs: a unit of work, or a connection without one."""

Row = TypeVar("Row", bound=tuple[Any, ...])

Convert = Callable[[Any], Any]

_PORTION = 1_000


class Prepared(Generic[Row]):
    """A statement over columns, with ``bindparam`` where a value goes; lists (``in_``) it cannot take.

    Attributes:
        answers: whether it gives rows.
    """

    @overload
    def __init__(self: Prepared[Any], statement: Any, *, columns: Sequence[str] | None = None) -> None: ...

    @overload
    def __init__(self, statement: Any, row: type[Row]) -> None: ...

    def __init__(self, statement: Any, row: Any = None, *, columns: Sequence[str] | None = None) -> None:
        """``row`` is the NamedTuple that its columns make; ``columns`` are those an insert gives values for."""
        self._statement = statement
        self._row = row
        self._columns = columns
        self.answers = len(statement.exported_columns) > 0
        self._ready: dict[str, _Ready] = {}

    def rows(self, work: Work, **values: Any) -> list[Row]:
        """Every row, as a tuple with the columns' names.

        Raises:
            SQLAlchemyError: as the session's own statements do.
        """
        connection = _connection_of(work)
        ready = self._ready_for(connection.dialect)
        parameters = ready.parameters(values)
        try:
            return ready.rows(_driver(connection).execute(ready.text, parameters).fetchall())
        except ready.refusals as error:
            raise _failure(error, ready.text, connection) from error

    def first(self, work: Work, **values: Any) -> Row | None:
        """The first row, or None."""
        rows = self.rows(work, **values)
        return rows[0] if rows else None

    def change(self, work: Work, **values: Any) -> int:
        """Write; how many rows that was.

        Raises:
            SQLAlchemyError: as the session's own statements do.
        """
        connection = _connection_of(work)
        ready = self._ready_for(connection.dialect)
        parameters = ready.parameters(values)
        try:
            return int(_driver(connection).execute(ready.text, parameters).rowcount)
        except ready.refusals as error:
            raise _failure(error, ready.text, connection) from error

    def _ready_for(self, dialect: Dialect) -> _Ready:
        ready = self._ready.get(dialect.name)
        if ready is None:
            ready = self._ready[dialect.name] = _ready(self._statement, self._row, self._columns, dialect)
        return ready


def insert_row(work: Work, model: type[SQLModel], **values: Any) -> int:
    """Insert one row, every column named that is neither nullable nor has a default; its key, or 0 without one."""
    statement = _insert(model, tuple(values))
    if statement.answers:
        return int(statement.rows(work, **values)[0][0])
    statement.change(work, **values)
    return 0


def insert_rows(session: Session, model: type[SQLModel], rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows of the same columns, a portion at a time: tens of thousands at once take half as long again."""
    statement, several = insert(table_of(model)), iter(rows)
    while portion := list(islice(several, _PORTION)):
        session.connection().execute(statement, portion)


def found(session: Session, statement: Any, **values: Any) -> Sequence[Any]:
    """The rows of a statement that is made on the spot or takes lists, the way through SQLAlchemy."""
    return session.connection().execute(statement, values).all()


def run(connection: Connection, words: str) -> None:
    """Run a statement without values, such as SAVEPOINT.

    Raises:
        SQLAlchemyError: as the connection's own statements do.
    """
    try:
        _driver(connection).execute(words)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _failure(error, words, connection) from error


def renew(session: Session, model: type[SQLModel], key: int | str) -> None:
    """Have a session that holds this row as an object read it again: a prepared statement has changed it."""
    held = session.identity_map.get(identity_key(model, key))
    if held is not None:
        session.refresh(held)


def columns_of(model: type[SQLModel], row: type[tuple[Any, ...]]) -> list[Column[Any]]:
    """The columns of the table that the fields of a NamedTuple are named after, in their order."""
    return [table_of(model).c[name] for name in row._fields]  # type: ignore[attr-defined]  # a NamedTuple's


def table_of(model: type[SQLModel]) -> Table:
    """The table of a mapped class."""
    table: Table = model.__table__  # type: ignore[attr-defined]  # SQLModel gives every table model one
    return table


@cache
def _insert(model: type[SQLModel], columns: tuple[str, ...]) -> Prepared[Any]:
    table = table_of(model)
    key = table.autoincrement_column
    statement: Any = insert(table)
    if key is not None and key.key not in columns:
        statement = statement.returning(key)
    return Prepared(statement, columns=columns)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A statement as one kind of database takes it."""

    text: str
    given: tuple[tuple[str, Convert | None], ...]
    fixed: dict[str, Any]
    by_position: bool
    row: Callable[[Sequence[Any]], Any]
    read: tuple[tuple[int, Convert], ...]
    refusals: type[Exception]

    def parameters(self, values: dict[str, Any]) -> Any:
        """The values in the driver's own types, in its order."""
        if self.fixed:
            values = self.fixed | values
        if self.by_position:
            return [values[name] if to is None else to(values[name]) for name, to in self.given]
        return {name: values[name] if to is None else to(values[name]) for name, to in self.given}

    def rows(self, found: Sequence[Sequence[Any]]) -> list[Any]:
        """The driver's rows with our types and names."""
        if not self.read:
            return [self.row(values) for values in found]
        return [self.row(self._converted(values)) for values in found]

    def _converted(self, values: Sequence[Any]) -> list[Any]:
        converted = [*values]
        for position, convert in self.read:
            converted[position] = convert(converted[position])
        return converted


def _ready(statement: Any, row: Any, columns: Sequence[str] | None, dialect: Dialect) -> _Ready:
    compiled = statement.compile(dialect=dialect, column_keys=columns)
    binds = {name: bind for bind, name in compiled.bind_names.items()}
    names = compiled.positiontup if compiled.positional else tuple(binds)
    returned = tuple(statement.exported_columns)
    tuples: Any = row or namedtuple("Row", [column.key for column in returned])  # noqa: PYI024 (known only now)
    readers = [_reader(column.type, dialect) for column in returned]
    return _Ready(
        text=str(compiled),
        given=tuple((name, _implemented(binds[name].type, dialect).bind_processor(dialect)) for name in names),
        fixed=_fixed(compiled),
        by_position=compiled.positional,
        row=tuples._make,
        read=tuple((position, reader) for position, reader in enumerate(readers) if reader is not None),
        refusals=dialect.loaded_dbapi.Error,
    )


def _reader(kind: TypeEngine[Any], dialect: Dialect) -> Any:
    """What makes a value of ours of the database's; None where it is one already, as its own floating-point number is.

    For those, SQLAlchemy's reader would ask the database's answer of which kind they are, and there is none yet.
    """
    return None if isinstance(kind, Float) else _implemented(kind, dialect).result_processor(dialect, None)


def _fixed(compiled: SQLCompiler) -> dict[str, Any]:
    """The values that are part of the statement, such as a limit's, and the defaults of columns left out."""
    fixed = {name: bind.effective_value for bind, name in compiled.bind_names.items() if not bind.required}
    for column in compiled.insert_prefetch:
        fixed[column.key] = column.default.arg  # type: ignore[union-attr]  # only columns with a default are fetched
    return fixed


def _implemented(type_: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    return type_.dialect_impl(dialect)


def _connection_of(work: Work) -> Connection:
    if isinstance(work, Connection):
        return work
    if not work.in_transaction() and isinstance(work.bind, Connection):
        return work.bind  # a unit of work that has no object yet: see curation.store.units
    work.flush()
    return work.connection()


def _driver(connection: Connection) -> Any:
    # sqlite3's connection and psycopg's both make a cursor, execute and give the cursor.
    return connection.connection.driver_connection


def _failure(error: Exception, text: str, connection: Connection) -> Exception:
    """What SQLAlchemy would have raised, without the values, which are what people wrote."""
    lost = connection.dialect.is_disconnect(error, None, None)  # type: ignore[arg-type]
    if lost:
        connection.invalidate(error)
    failure: Exception = DBAPIError.instance(
        text,
        None,
        error,
        connection.dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=lost,
        dialect=connection.dialect,
    )
    return failure
