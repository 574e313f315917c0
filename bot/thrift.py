"""A process that lasts for months keeps what memory it has together.

Owns how glibc's allocator and SQLite's caches are set. Refuses nothing: another C library goes on as it is.
"""

from __future__ import annotations

import ctypes
import sqlite3

from sqlalchemy import event
from sqlalchemy.pool import Pool

_ARENA_MAX = -8  # M_ARENA_MAX of malloc.h
_ARENAS = 2
_CACHE_KIB = 256


def few_arenas() -> None:
    """Let all threads share two heaps; left alone, a hundred of them spread over eight for each core, half empty."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, _ARENAS)


def small_caches() -> None:
    """Let every connection to SQLite that is opened from now on keep few pages: the system has the file in memory.

    A worker opens two dozen, DBOS's among them, of which each would keep 2 MB once the files have grown.
    """
    event.listen(Pool, "connect", _with_small_cache)


def _with_small_cache(connection: object, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
