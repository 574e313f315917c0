"""What forms and buttons carry back: ids that Errata put into them, and texts that people entered.

Owns the reading of both. Slack signs them, so what cannot be read comes from an older Errata or from a
block that somebody changed: it is refused with a sentence, like everything else a person may see.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from curation.candidates import Reason
from curation.errors import Invalid
from curation.reviews import Verdict

_LARGEST_ID = 2**63 - 1


def captured(view: Mapping[str, Any]) -> int:
    """The capture's or candidate's id in a form's ``private_metadata``.

    Raises:
        Invalid: it holds none.
    """
    return _id(view["private_metadata"])


def asked(view: Mapping[str, Any]) -> tuple[int, int, Verdict]:
    """Candidate, seen version and verdict of a review's form.

    Raises:
        Invalid: it does not hold all of them.
    """
    try:
        held = json.loads(view["private_metadata"])
        return _id(held["candidate"]), _id(held["seen"]), Verdict(held["verdict"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise from_another_version() from error


def named(action: Mapping[str, Any]) -> tuple[int, int]:
    """The ids on a card's button: ``12:34`` → candidate 12, shown with version 34 of its correction.

    Raises:
        Invalid: it carries others.
    """
    candidate, _, seen = value(action).partition(":")
    return _id(candidate), _id(seen)


def value(action: Mapping[str, Any]) -> str:
    """A button's value.

    Raises:
        Invalid: it has none.
    """
    carried = action.get("value")
    if not isinstance(carried, str) or not carried:
        raise from_another_version()
    return carried


def number(action: Mapping[str, Any]) -> int:
    """The one id that a button carries.

    Raises:
        Invalid: it carries something else.
    """
    return _id(value(action))


def entered(view: Mapping[str, Any]) -> dict[str, str | None]:
    """``{block_id: text or chosen value}`` of a submitted form.

    Raises:
        Invalid: an entry is no text.
    """
    found: dict[str, str | None] = {}
    for block_id, elements in view["state"]["values"].items():
        for element in elements.values():
            chosen = element.get("selected_option")
            text = chosen.get("value") if isinstance(chosen, dict) else chosen or element.get("value")
            if not isinstance(text, str | None):
                raise from_another_version()
            found[block_id] = text
    return found


def reason(name: str | None) -> Reason | None:
    """The reason that was chosen, if any.

    Raises:
        Invalid: it is not one that the form offers.
    """
    try:
        return Reason(name) if name else None
    except ValueError as error:
        raise from_another_version() from error


def _id(held: Any) -> int:
    text = str(held) if isinstance(held, int) and not isinstance(held, bool) else held
    # The length first: Python refuses to convert thousands of digits, and the database keeps 64 bits.
    if not isinstance(text, str) or not text.isascii() or not text.isdecimal() or len(text) > len(str(_LARGEST_ID)):
        raise from_another_version()
    if (found := int(text)) > _LARGEST_ID:
        raise from_another_version()
    return found


def from_another_version() -> Invalid:
    """What is said of a form or button that Errata did not make, or not this one."""
    return Invalid("This form or button is from another version of Errata: open it again from the message.")
