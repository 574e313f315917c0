"""A row with a key of its own."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class Keyed(SQLModel):
    """A row with a generated integer key."""

    id: int | None = Field(default=None, primary_key=True)

    @property
    def key(self) -> int:
        """The key of a row that has been flushed."""
        if self.id is None:
            raise ValueError(f"{type(self).__name__} has no key before it is flushed")
        return self.id
