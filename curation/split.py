"""The side of every example: train or validation, given once and for good.

Owns how a side is inherited and how a new group gets one. Pure: what is known comes in, what was
learned goes out, and the caller keeps it. Refuses to move anything: a row that would tie the two
sides together is quarantined instead, since either side would leak into the other through it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from curation.errors import Invalid


class Side(StrEnum):
    """Where a row is used. Only train and validation are ever remembered for a key."""

    TRAIN = "train"
    VALIDATION = "validation"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class GroupKeys:
    """What one row may not be torn apart from: ``("thread:C1/17", "customer:42", "text:9f…")``.

    At least one key; equal strings mean the same group, so a key names its kind. A row keeps its keys
    for good: one that is added later may tie it to the other side and send it into quarantine.
    """

    keys: tuple[str, ...]


def assign(
    groups: Sequence[GroupKeys],
    known: Mapping[str, Side],
    *,
    salt: str,
    validation_share: float = 0.1,
    validation_minimum: int = 1,
) -> tuple[list[Side], dict[str, Side]]:
    """The side of each row, and the keys whose side is new.

    A row takes the side of any key that has one; two sides put it into quarantine. What remains falls
    into groups of rows that share keys, and each group's side follows from ``salt`` and its smallest
    key. The order of the rows makes no difference, and a second call that knows what the first
    learned gives the same sides.

    Args:
        groups: the keys of each row.
        known: the side of every key met before, as the caller kept it.
        salt: another salt is another split.
        validation_share: of the new groups, between 0 and 1.
        validation_minimum: least number of groups for validation, as long as one is left to train on. A side
            that is known counts as one group; new groups are taken in the order of their hashes.

    Returns:
        One side per row, in order, and ``{key: side}`` to add to ``known``.

    Raises:
        Invalid: a row has no keys, or the share is not between 0 and 1.
    """
    if not 0 <= validation_share <= 1:
        raise Invalid(f"A validation share of {validation_share} is not possible; give one between 0 and 1.")
    if any(not group.keys for group in groups):
        raise Invalid("A row without group keys cannot be split; give it at least the key of its thread.")
    keys_of = [tuple(sorted(set(group.keys))) for group in groups]
    # A canonical order decides who comes first where two sides meet over a new key.
    order = sorted(range(len(groups)), key=keys_of.__getitem__)
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row in order:
        for key in keys_of[row]:
            rows_of[key].append(row)
    learned: dict[str, Side] = {}
    sides = _inherit(order, keys_of, rows_of, known, learned)
    fresh = _fresh_groups(order, keys_of, rows_of, sides)
    for (_, rows), side in _draw(fresh, {*known.values()}, salt, validation_share, validation_minimum):
        for row in rows:
            sides[row] = side
            learned.update(dict.fromkeys(keys_of[row], side))
    return [sides[row] for row in range(len(groups))], learned


def _inherit(
    order: Sequence[int],
    keys_of: Sequence[tuple[str, ...]],
    rows_of: Mapping[str, list[int]],
    known: Mapping[str, Side],
    learned: dict[str, Side],
) -> dict[int, Side]:
    """Spread the known sides along shared keys; ``learned`` receives the keys that got one.

    So every key has at most one side, and a row is on a side exactly when all its keys are. A
    quarantined row teaches nothing: its other keys stay free for rows that are clear.
    """
    sides: dict[int, Side] = {}
    waiting = deque(order)
    while waiting:
        row = waiting.popleft()
        if row in sides:
            continue
        keys = keys_of[row]
        found = {known[key] for key in keys if key in known} | {learned[key] for key in keys if key in learned}
        if len(found) > 1:
            sides[row] = Side.QUARANTINE
        elif found:
            side = sides[row] = found.pop()
            for key in keys:
                if key not in known and key not in learned:
                    learned[key] = side
                    waiting.extend(rows_of[key])
    return sides


def _fresh_groups(
    order: Sequence[int],
    keys_of: Sequence[tuple[str, ...]],
    rows_of: Mapping[str, list[int]],
    sides: Mapping[int, Side],
) -> list[tuple[str, list[int]]]:
    """Rows without a side, as (smallest key, rows) of each group that shares keys."""
    fresh: list[tuple[str, list[int]]] = []
    seen = set(sides)
    for start in order:
        if start in seen:
            continue
        seen.add(start)
        rows = [start]
        for row in rows:  # grows while it is walked
            for key in keys_of[row]:
                neighbours = [other for other in rows_of[key] if other not in seen]
                seen.update(neighbours)
                rows.extend(neighbours)
        fresh.append((min(keys_of[row][0] for row in rows), rows))
    return fresh


def _draw(
    fresh: Iterable[tuple[str, list[int]]], known: set[Side], salt: str, share: float, minimum: int
) -> list[tuple[tuple[str, list[int]], Side]]:
    """Give each new group its side: those with the smallest hashes are for validation."""
    ranked = sorted((_hash(salt, group[0]), group[0], group) for group in fresh)
    chosen = sum(value < share for value, _, _ in ranked)
    lacking = minimum - (Side.VALIDATION in known)
    # Small sets: hashes alone might leave a side empty.
    chosen = max(chosen, min(lacking, len(ranked)))
    if Side.TRAIN not in known:
        chosen = min(chosen, len(ranked) - 1)
    return [
        (group, Side.VALIDATION if position < chosen else Side.TRAIN) for position, (_, _, group) in enumerate(ranked)
    ]


def _hash(salt: str, key: str) -> float:
    """Between 0 and 1, the same on every machine."""
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
