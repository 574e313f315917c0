"""Column types shared by every table of the house."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Column, DateTime, String
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

from curation.wording import Phrase, unpacked

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """Stores aware datetimes as UTC and gives them back aware; refuses naive ones.

    SQLite keeps no time zone, and a naive time read on another machine means another moment.
    """

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy's signature)
        """Aware → naive UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy's signature)
        """Naive UTC → aware."""
        return None if value is None else value.replace(tzinfo=UTC)


class Worded(TypeDecorator[str]):
    """Stores a sentence with what it is made of, so that it can be said in any language when it is read.

    A text that is no phrase is stored, and comes back, as it is; so does what was stored before there were phrases.
    """

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 (SQLAlchemy's signature)
        """Phrase → packed."""
        return value.packed() if isinstance(value, Phrase) else value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 (SQLAlchemy's signature)
        """Packed → phrase."""
        return None if value is None else unpacked(value)


def moment(*, nullable: bool = False, index: bool = False) -> Any:
    """A field that holds an aware datetime."""
    return Field(sa_column=Column(UtcDateTime, nullable=nullable, index=index), default=None)


def worded(*, nullable: bool = False) -> Any:
    """A field that holds one of our own sentences."""
    return Field(sa_column=Column(Worded, nullable=nullable), default=None)


def json_column(*, nullable: bool = False) -> Any:
    """A field that holds JSON. Assign a new value to change it: edits in place are not seen."""
    # Without none_as_null, None is stored as the JSON text "null", which no IS NULL finds.
    return Field(sa_column=Column(JSON(none_as_null=True), nullable=nullable), default=None)
