"""A row with a key of its own."""

from __future__ import annotations

from sqlmodel import Field, SQLModel

IDS_GIVEN_ONCE = {"sqlite_autoincrement": True}
"""Of tables whose rows may go while messages, forms or the audit still name them.

Without it SQLite gives the id of the newest row again once that row is gone, and what was said of it is then about
another one. PostgreSQL never does.
"""


class Keyed(SQLModel):
    """A row with a generated integer key."""

    id: int | None = Field(default=None, primary_key=True)

    @property
    def key(self) -> int:
        """The key of a row that has been flushed."""
        if self.id is None:
            raise ValueError(f"{type(self).__name__} has no key before it is flushed")
        return self.id
