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
    follows from ``salt`` and each group's smallest key. A group that would go beyond that part by more than
    half of it is taken only where the smaller ones do not come near. No group is taken with which validation
    would have more rows than train, unless that is what was asked for. The order of the rows makes no
    difference, and a second call that knows what the first learned gives the same sides.

    Args:
        groups: the keys of each row.
        known: the side of every key met before, as the caller kept it.
        salt: another salt is another split.
        validation_share: of all rows, between 0 and 1.
        validation_minimum: least number of groups for validation, as long as train keeps the larger part. A side
            that is known counts as one group; of the new groups the smallest are taken.
        strata: for each row what it should be spread evenly by, such as its topic and language; without them
            all rows are one stratum.

    Returns:
        One side per row, in order, and ``{key: side}`` to add to ``known``.

    Raises:
        Invalid: a row has no keys, or the share is not between 0 and 1.
    """
    if not 0 <= validation_share <= 1:
        raise Invalid(
            "A validation share of {share} is not possible; give one between 0 and 1.", share=validation_share
        )
    if any(not group.keys for group in groups):
        raise Invalid("A row without group keys cannot be split; give it at least the key of its thread.")
    sides: list[Side | None] = [None] * len(groups)
    learned: dict[str, Side] = {}
    if known:
        _inherit(groups, known, learned, sides)
    fresh = _fresh_groups(groups, sides)
    spread = strata if strata is not None else [""] * len(groups)
    room = _room(sides, validation_share)
    chosen = _chosen(fresh, sides, spread, _Wanted(salt, validation_share, room))
    _keep_to_limits(chosen, fresh, {*known.values()}, room, salt, validation_minimum)
    for smallest, rows in fresh.items():
        side = Side.VALIDATION if smallest in chosen else Side.TRAIN
        for row in rows:
            sides[row] = side
            for key in groups[row].keys:
                learned[key] = side
    return [side if side is not None else Side.QUARANTINE for side in sides], learned


def _inherit(
    groups: Sequence[GroupKeys], known: Mapping[str, Side], learned: dict[str, Side], sides: list[Side | None]
) -> None:
    """Spread the known sides along shared keys; ``learned`` receives the keys that got one.

    So every key has at most one side, and a row is on a side exactly when all its keys are. A
    quarantined row teaches nothing: its other keys stay free for rows that are clear.
    """
    open_rows = _settle(groups, known, sides)
    # A canonical order decides who comes first where two sides meet over a new key.
    keys_of = {row: tuple(sorted(set(groups[row].keys))) for row in open_rows}
    order = sorted(open_rows, key=keys_of.__getitem__)
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row in order:
        for key in keys_of[row]:
            rows_of[key].append(row)
    waiting = deque(order)
    while waiting:
        row = waiting.popleft()
        if sides[row] is not None:
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


def _settle(groups: Sequence[GroupKeys], known: Mapping[str, Side], sides: list[Side | None]) -> list[int]:
    """Give the rows whose every key is known their sides; return the others.

    In a dataset that grows nearly every row is settled, and has nothing to teach the others.
    """
    open_rows = []
    for row, group in enumerate(groups):
        found = {known.get(key) for key in group.keys}
        if None in found:
            open_rows.append(row)
        else:
            side = found.pop()
            sides[row] = Side.QUARANTINE if found else side
    return open_rows


def _fresh_groups(groups: Sequence[GroupKeys], sides: Sequence[Side | None]) -> dict[str, list[int]]:
    """Rows without a side, by the smallest key of each group that shares keys."""
    first: dict[str, int] = {}
    joined: dict[int, int] = {}  # of the few rows that come after another of their group, one before them
    for row, side in enumerate(sides):
        if side is None:
            for key in groups[row].keys:
                other = first.setdefault(key, row)
                if other != row:
                    one, other = sorted((_root(joined, row), _root(joined, other)))
                    if one != other:
                        joined[other] = one
    members: dict[int, list[int]] = {}
    for row, side in enumerate(sides):
        if side is None:
            root = _root(joined, row) if row in joined else row
            if root == row:
                members[row] = [row]
            else:
                members[root].append(row)
    return {min([min(groups[row].keys) for row in rows]): rows for rows in members.values()}


def _root(joined: dict[int, int], row: int) -> int:
    """The first row of the group of ``row``; the way there is halved, so that long ones stay short."""
    while (before := joined.get(row)) is not None:
        further = joined.get(before)
        if further is None:
            return before
        joined[row] = further
        row = further
    return row


def _room(sides: Sequence[Side | None], share: float) -> int:
    """How many more rows validation may take before it has more than train, or than was asked for."""
    placed = Counter(sides)
    most = max(share, 0.5) * (len(sides) - placed[Side.QUARANTINE])
    return int(most) - placed[Side.VALIDATION]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is asked of a draw: its ``share``, and at most ``room`` more rows."""

    salt: str
    share: float
    room: int


def _chosen(
    fresh: Mapping[str, list[int]], sides: Sequence[Side | None], strata: Sequence[str], wanted: _Wanted
) -> set[str]:
    """The new groups for validation: in each stratum those of the smallest hashes, until its quota is met.

    What is unmet when all have been looked at is met by the smallest group that comes nearer to it than none.
    """
    rows = Counter([stratum for stratum, side in zip(strata, sides, strict=True) if side is not Side.QUARANTINE])
    held_out = Counter([stratum for stratum, side in zip(strata, sides, strict=True) if side is Side.VALIDATION])
    quotas = _quotas(rows, wanted.share, wanted.salt)
    lacking = {stratum: count - held_out[stratum] for stratum, count in quotas.items()}
    unmet = sum(count > 0 for count in lacking.values())
    room = wanted.room
    chosen: set[str] = set()
    by_hash = sorted([(_hash(wanted.salt, key), key) for key in fresh]) if unmet else []
    by_size = sorted(by_hash, key=lambda one: len(fresh[one[1]]))
    for order, most_beyond in ((by_hash, 0.5), (by_size, 1.0)):
        for _, smallest in order:
            if not unmet:
                return chosen
            group = fresh[smallest]
            stratum = _commonest(strata[row] for row in group) if len(group) > 1 else strata[group[0]]
            left = lacking[stratum]
            # Nearer with it than without it, and not far beyond.
            fits = len(group) < 2 * left and len(group) - left <= most_beyond * quotas[stratum]
            if fits and len(group) <= room and smallest not in chosen:
                chosen.add(smallest)
                room -= len(group)
                for row in group:
                    lacking[strata[row]] -= 1
                    unmet -= lacking[strata[row]] == 0
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
    chosen: set[str], fresh: Mapping[str, list[int]], known: set[Side], room: int, salt: str, minimum: int
) -> None:
    """Add to or take from ``chosen`` where a small set would leave a side empty."""

    def size(key: str) -> tuple[int, float, str]:
        return len(fresh[key]), _hash(salt, key), key

    room -= sum(len(fresh[key]) for key in chosen)
    lacking = minimum - len(chosen) - (Side.VALIDATION in known)
    for key in sorted(fresh.keys() - chosen, key=size) if lacking > 0 else ():
        room -= len(fresh[key])
        if lacking == 0 or room < 0:
            break
        chosen.add(key)
        lacking -= 1
    if chosen and Side.TRAIN not in known and len(chosen) == len(fresh):
        chosen.remove(max(chosen, key=size))


def _hash(salt: str, key: str) -> float:
    """Between 0 and 1, the same on every machine."""
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
