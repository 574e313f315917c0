"""Telephone numbers as they are written: which runs of digits are one, in the regions of this installation.

Owns the numbering plans as patterns, made from the data of libphonenumber; its own matcher takes 50 times as long.
An international number has to be possible; a national one has to be assigned, or be written as only telephone numbers
are, or be introduced as one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, SUPPORTED_REGIONS, PhoneMetadata

from curation.errors import Invalid

EXTENSION = re.compile(r"[ ]?(?:x|ext\.?|#|durchwahl|utv\.?|loc(?:al)?\.?)[ ]?\d{1,6}(?![0-9A-Za-z])", re.IGNORECASE)

_SHORTEST, _LONGEST = 7, 15
_NANP = re.compile(r"(?:1[ .-]?)?(?:\([2-9]\d\d\)[ ]?|[2-9]\d\d[-. ])[2-9]\d\d[-. ]\d{4}")
_PAIRS = re.compile(r"[0-9]{2}(?: [0-9]{2}){3}|[0-9]{3} [0-9]{2} [0-9]{3}")
"""As the Norwegians and Danes write."""
_AREA_IN_BRACKETS = re.compile(r"\(0?[1-9]\d{0,4}\)[ ]?[-/]?[ ]?\d")
_GROUPED_AFTER_ZERO = re.compile(r"0[1-9]\d{0,4}(?:[ ]?[-/][ ]?|[ ])\d{2,4}(?:[ -]?\d{2,6}){0,4}")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:[., ]\d{3})+")
_TRUNK_ZERO = (9, 12)
"""Digits of a number written without a gap whose first is the trunk's 0."""
_WITHOUT_TRUNK = 11
"""Digits of a national number that is written without the trunk's 0, as China's mobile numbers are."""
_TYPES = ("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip", "uan")


@dataclass(frozen=True, slots=True)
class Plan:
    """A region's numbering plan.

    Attributes:
        assigned: a national number without its trunk prefix that somebody may hold.
        lengths: digits that one may have.
        trunk: whether national numbers are written after a 0.
        north_american: whether they are written as in the United States.
    """

    assigned: re.Pattern[str]
    lengths: frozenset[int]
    trunk: bool
    north_american: bool


@cache
def plans(regions: tuple[str, ...]) -> tuple[Plan, ...]:
    """The plans of these regions: ``("NO", "DE")``.

    Raises:
        Invalid: one is no region of the telephone's.
    """
    if unknown := sorted(set(regions) - SUPPORTED_REGIONS):
        raise Invalid("{regions} is no region with telephones; write ISO codes such as NO,DE,US.", regions=unknown)
    return tuple(_plan(region) for region in regions)


def is_phone(raw: str, digits: str, known: Sequence[Plan], *, introduced: bool) -> bool:
    """Whether a run of digits is a telephone number.

    Args:
        raw: as written: ``+47 22 33 44 55``, ``(0)30/1234567``.
        digits: the same without everything else.
        known: the plans of the regions where callers are.
        introduced: whether words before it say that a telephone number follows.
    """
    if not _SHORTEST <= len(digits) <= _LONGEST + 2:
        return False
    if raw.startswith(("+", "(+")) or digits.startswith("00"):
        return _is_international(raw, digits)
    if _THOUSANDS.fullmatch(raw) and not introduced:
        return False
    return any(_is_national(raw, digits, plan, introduced=introduced) for plan in known)


def _is_international(raw: str, digits: str) -> bool:
    # +49 (0) 30: the trunk's 0 is written and not dialled.
    number = re.sub(r"\D", "", raw.replace("(0)", "")).removeprefix("00")
    for width in (1, 2, 3):
        regions = COUNTRY_CODE_TO_REGION_CODE.get(int(number[:width] or 0))
        if regions is not None and number[0] != "0":
            lengths = _lengths(regions[0])
            national = number[width:]
            fits = len(national) in lengths or len(national.removeprefix("0")) in lengths
            return fits and (digits != raw or bool(set(national[:6]) - {"0"}))
    return False


def _is_national(raw: str, digits: str, plan: Plan, *, introduced: bool) -> bool:
    if plan.north_american and _NANP.fullmatch(raw):
        return True
    led = plan.trunk and digits.startswith("0")
    national = digits[1:] if led or (plan.north_american and len(digits) == 11) else digits  # noqa: PLR2004 (1 and ten)
    led_in_full = led and (raw != digits or len(digits) >= _TRUNK_ZERO[0])
    plain = introduced or led_in_full or not plan.trunk or len(national) == _WITHOUT_TRUNK
    if plain and plan.assigned.fullmatch(national):
        return True
    return len(national) in plan.lengths and (introduced or _is_written_as_phone(raw, digits, plan))


def _is_written_as_phone(raw: str, digits: str, plan: Plan) -> bool:
    """Whether only telephone numbers are written like that, be they assigned or not."""
    if _AREA_IN_BRACKETS.match(raw) or (not plan.trunk and _PAIRS.fullmatch(raw)):
        return True
    shortest, longest = _TRUNK_ZERO
    after_zero = plan.trunk and digits.startswith("0") and shortest <= len(digits) <= longest
    return after_zero and (raw == digits or bool(_GROUPED_AFTER_ZERO.fullmatch(raw)))


def _plan(region: str) -> Plan:
    data: Any = PhoneMetadata.metadata_for_region(region)
    patterns = [kind.national_number_pattern for name in _TYPES if (kind := getattr(data, name)) is not None]
    return Plan(
        assigned=re.compile("|".join(f"(?:{pattern})" for pattern in patterns if pattern)),
        lengths=_lengths(region),
        trunk=data.national_prefix == "0",
        north_american=data.country_code == 1,
    )


@cache
def _lengths(region: str) -> frozenset[int]:
    if region == "001":  # numbers of no region: satellites, freephone
        return frozenset(range(_SHORTEST, _LONGEST))
    data: Any = PhoneMetadata.metadata_for_region(region)
    return frozenset(length for length in data.general_desc.possible_length if length >= _SHORTEST - 1)
