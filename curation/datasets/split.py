"""The side of every example: train or validation, given once and for good.

Owns how a side is inherited and how a new group gets one, stratum by stratum. Pure: what is known
comes in, what was learned goes out, and the caller keeps it (``curation.datasets.sides``). Refuses to move
anything: a row that would tie the two sides together is quarantined instead, since either side would
leak into the other through it.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict, deque
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
    strata: Sequence[str] | None = None,
) -> tuple[list[Side], dict[str, Side]]:
    """The side of each row, and the keys whose side is new.

    A row takes the side of any key that has one; two sides put it into quarantine. What remains falls
    into groups of rows that share keys. Each stratum takes so many of its new groups for validation
    that, with the rows that are there already, it comes nearest to its part of the share; which ones,
    follows from ``salt`` and each group's smallest key. The order of the rows makes no difference, and
    a second call that knows what the first learned gives the same sides.

    Args:
        groups: the keys of each row.
        known: the side of every key met before, as the caller kept it.
        salt: another salt is another split.
        validation_share: of all rows, between 0 and 1.
        validation_minimum: least number of groups for validation, as long as one is left to train on. A side
            that is known counts as one group; of the new groups the smallest are taken.
        strata: for each row what it should be spread evenly by, such as its topic and language; without them
            all rows are one stratum.

    Returns:
        One side per row, in order, and ``{key: side}`` to add to ``known``.

    Raises:
        Invalid: a row has no keys, or the share is not between 0 and 1.
    """
    if not 0 <= validation_share <= 1:
        raise Invalid(f"A validation share of {validation_share} is not possible; give one between 0 and 1.")
    if any(not group.keys for group in groups):
        raise Invalid("A row without group keys cannot be split; give it at least the key of its thread.")
    sides, keys_of = _settled(groups, known)
    # A canonical order decides who comes first where two sides meet over a new key.
    order = sorted(keys_of, key=keys_of.__getitem__)
    rows_of = _rows_by_key(order, keys_of)
    learned: dict[str, Side] = {}
    if known:
        _inherit(order, keys_of, rows_of, known, learned, sides)
    fresh = _fresh_groups(order, keys_of, rows_of, sides)
    spread = strata if strata is not None else [""] * len(groups)
    chosen = _chosen(fresh, sides, spread, salt, validation_share)
    _keep_to_limits(chosen, fresh, {*known.values()}, salt, validation_minimum)
    for smallest, rows in fresh.items():
        side = Side.VALIDATION if smallest in chosen else Side.TRAIN
        for row in rows:
            sides[row] = side
            learned.update(dict.fromkeys(keys_of[row], side))
    return [sides[row] for row in range(len(groups))], learned


def _settled(
    groups: Sequence[GroupKeys], known: Mapping[str, Side]
) -> tuple[dict[int, Side], dict[int, tuple[str, ...]]]:
    """The sides of the rows whose every key is known, and the sorted keys of the others, by row.

    In a dataset that grows nearly every row is settled, and has nothing to teach the others.
    """
    sides: dict[int, Side] = {}
    keys_of: dict[int, tuple[str, ...]] = {}
    for row, group in enumerate(groups):
        found = {known.get(key) for key in group.keys}
        if None in found:
            keys_of[row] = tuple(sorted(set(group.keys)))
        else:
            side = found.pop()
            sides[row] = Side.QUARANTINE if found or side is None else side
    return sides, keys_of


def _rows_by_key(order: Sequence[int], keys_of: Mapping[int, tuple[str, ...]]) -> dict[str, list[int]]:
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row in order:
        for key in keys_of[row]:
            rows_of[key].append(row)
    return rows_of


def _inherit(
    order: Sequence[int],
    keys_of: Mapping[int, tuple[str, ...]],
    rows_of: Mapping[str, list[int]],
    known: Mapping[str, Side],
    learned: dict[str, Side],
    sides: dict[int, Side],
) -> None:
    """Spread the known sides along shared keys; ``learned`` receives the keys that got one.

    So every key has at most one side, and a row is on a side exactly when all its keys are. A
    quarantined row teaches nothing: its other keys stay free for rows that are clear.
    """
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


def _fresh_groups(
    order: Sequence[int],
    keys_of: Mapping[int, tuple[str, ...]],
    rows_of: Mapping[str, list[int]],
    sides: Mapping[int, Side],
) -> dict[str, list[int]]:
    """Rows without a side, by the smallest key of each group that shares keys."""
    fresh: dict[str, list[int]] = {}
    seen = set(sides)
    walked: set[str] = set()  # a customer of a thousand rows is walked once, not a thousand times
    for start in order:
        if start in seen:
            continue
        seen.add(start)
        rows = [start]
        for row in rows:  # grows while it is walked
            for key in keys_of[row]:
                if key not in walked:
                    walked.add(key)
                    neighbours = [other for other in rows_of[key] if other not in seen]
                    seen.update(neighbours)
                    rows.extend(neighbours)
        fresh[min(keys_of[row][0] for row in rows)] = rows
    return fresh


def _chosen(
    fresh: Mapping[str, list[int]], sides: Mapping[int, Side], strata: Sequence[str], salt: str, share: float
) -> set[str]:
    """The new groups for validation: in each stratum those of the smallest hashes, until its quota is met."""
    rows = Counter(strata[row] for row, side in sides.items() if side is not Side.QUARANTINE)
    held_out = Counter(strata[row] for row, side in sides.items() if side is Side.VALIDATION)
    for group in fresh.values():
        rows.update(strata[row] for row in group)
    lacking = {stratum: count - held_out[stratum] for stratum, count in _quotas(rows, share, salt).items()}
    chosen = set()
    for smallest in sorted(fresh, key=lambda key: (_hash(salt, key), key)):
        group = fresh[smallest]
        stratum = _commonest(strata[row] for row in group) if len(group) > 1 else strata[group[0]]
        if len(group) < 2 * lacking[stratum]:  # with it the quota is missed by less than without it
            chosen.add(smallest)
            for row in group:
                lacking[strata[row]] -= 1
    return chosen


def _commonest(names: Iterable[str]) -> str:
    counts = Counter(names)
    return min(counts, key=lambda name: (-counts[name], name))


def _quotas(rows: Mapping[str, int], share: float, salt: str) -> dict[str, int]:
    """Rows for validation by stratum: its share rounded down, and what that leaves to the largest remainders.

    So many small strata give as much together as one large one. ``{"a": 6, "b": 4}`` at 0.5 gives 3 and 2.
    """
    quotas = {stratum: int(share * count) for stratum, count in rows.items()}
    left = int(share * sum(rows.values()) + 0.5) - sum(quotas.values())
    by_remainder = sorted(
        rows, key=lambda stratum: (quotas[stratum] - share * rows[stratum], _hash(salt, stratum), stratum)
    )
    for stratum in by_remainder[:left]:
        quotas[stratum] += 1
    return quotas


def _keep_to_limits(
    chosen: set[str], fresh: Mapping[str, list[int]], known: set[Side], salt: str, minimum: int
) -> None:
    """Add to or take from ``chosen`` where a small set would leave a side empty."""

    def size(key: str) -> tuple[int, float, str]:
        return len(fresh[key]), _hash(salt, key), key

    lacking = minimum - len(chosen) - (Side.VALIDATION in known)
    if lacking > 0:
        chosen.update(sorted(fresh.keys() - chosen, key=size)[:lacking])
    if chosen and Side.TRAIN not in known and len(chosen) == len(fresh):
        chosen.remove(max(chosen, key=size))


def _hash(salt: str, key: str) -> float:
    """Between 0 and 1, the same on every machine."""
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
