"""Counts of a table's rows by columns that one of its indexes begins with.

Owns walking such an index from value to value and counting the entries of each: a GROUP BY compares every entry
with the one before it, which takes three times as long. Meant for columns of few values, such as a status or a
language: each combination that occurs costs a descent into the index.
"""

# ruff: noqa: S608 (statements made of our own tables' names)

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import Any

from sqlalchemy import Column, text
from sqlmodel import Session


def counts(session: Session, *columns: Column[Any]) -> list[tuple[Any, ...]]:
    """Each combination of values that occurs, and behind it the number of rows: ``("pending", None, "de", 3)``.

    Args:
        columns: of one table, in the order in which an index begins with them.
    """
    # Empty ones are left out here: asked to, either database would count everything twice.
    return [tuple(row) for row in session.execute(text(_statement(columns))) if row[-1]]


@cache
def _statement(columns: Sequence[Column[Any]]) -> str:
    levels = []
    for number, column in enumerate(columns):
        outer, name = columns[:number], column.name
        kept = "".join(f"{one.name}, " for one in outer)
        table, step, before = column.table.name, f"level_{number}", f"level_{number - 1}"
        # Not min(): behind IS NULL, PostgreSQL would read every entry for it.
        order = f"ORDER BY {', '.join(f'{table}.{one.name}' for one in columns[: number + 1])} LIMIT 1"
        smallest = _looked_up(name, table, outer, before, f"{table}.{name} IS NOT NULL", order)
        first = f"SELECT {kept}{smallest} AS {name}" + (f" FROM {before}" if outer else "")
        following = _looked_up(name, table, outer, step, f"{table}.{name} > {step}.{name}", order)
        then = f"SELECT {kept}{following} FROM {step} WHERE {name} IS NOT NULL"
        levels.append(f"{step} ({kept}{name}) AS ({first} UNION ALL {then})")
    names = ", ".join(column.name for column in columns)
    last = f"level_{len(columns) - 1}"
    counted = _looked_up("count(*)", columns[0].table.name, columns, last)
    # Each walk ends with NULL, which stands for the rows without a value; where there are none, nothing is counted.
    return f"WITH RECURSIVE {', '.join(levels)} SELECT {names}, {counted} FROM {last}"


def _looked_up(
    wanted: str, table: str, equal: Sequence[Column[Any]], level: str, besides: str = "true", order: str = ""
) -> str:
    """``wanted`` of the rows with the same values as ``level``, by a branch for each way in which they may be missing.

    PostgreSQL looks neither IS NOT DISTINCT FROM nor an OR up in an index.
    """
    branches = []
    for missing in product(*((False, True) if column.nullable else (False,) for column in equal)):
        ways = list(zip(equal, missing, strict=True))
        when = [f"{level}.{one.name} IS {'' if gone else 'NOT '}NULL" for one, gone in ways if one.nullable]
        same = [f"{table}.{one.name} " + ("IS NULL" if gone else f"= {level}.{one.name}") for one, gone in ways]
        rows = f"(SELECT {wanted} FROM {table} WHERE {' AND '.join([*same, besides])} {order})"
        branches.append((" AND ".join(when), rows))
    if len(branches) == 1:
        return branches[0][1]
    return "CASE " + " ".join(f"WHEN {when} THEN {rows}" for when, rows in branches) + " END"
