"""What forms and buttons carry back: ids that Errata put into them, and texts that people entered.

Owns the reading of both. Slack signs them, so what cannot be read comes from an older Errata or from a
block that somebody changed: it is refused with a sentence, like everything else a person may see.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any

from bot.blocks.candidate import REASON, TOPIC
from bot.blocks.parts import edges
from curation.candidates import Reason
from curation.errors import Invalid
from curation.reviews import Labels

_LARGEST_ID = 2**63 - 1
_PLACE = re.compile(r"[A-Z0-9]+/[A-Z0-9]+/[0-9]+\.[0-9]+")


def captured(view: Mapping[str, Any]) -> int:
    """The capture's or candidate's id in a form's ``private_metadata``.

    Raises:
        Invalid: it holds none.
    """
    return _id(view["private_metadata"])


def shown(view: Mapping[str, Any]) -> tuple[int, str | None]:
    """The capture behind a form, and which reply of its thread the form shows: None for the one that was pressed.

    Raises:
        Invalid: it holds neither; the bare id is what older forms hold.
    """
    held = _json(view["private_metadata"])
    if isinstance(held, int):
        return _id(held), None
    reply = held.get("reply") if isinstance(held, dict) else None
    if not isinstance(held, dict) or not isinstance(reply, str | None):
        raise from_another_version()
    return _id(held.get("capture")), reply


def reworked(view: Mapping[str, Any]) -> tuple[int, int | None]:
    """The candidate whose correction is reworked, and the version that the form began with; None in older forms.

    Raises:
        Invalid: the form names no candidate.
    """
    candidate, known, seen = str(view["private_metadata"]).partition(":")
    return _id(candidate), _id(seen) if known else None


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


def place(action: Mapping[str, Any]) -> str:
    """Where the reply stands that a button is about: ``T1/C1/1700000000.000100``.

    Raises:
        Invalid: its value is no such place.
    """
    carried = value(action)
    if not _PLACE.fullmatch(carried):
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
            text = element.get("selected_date") if element.get("type") == "datepicker" else text
            if not isinstance(text, str | None):
                raise from_another_version()
            found[block_id] = text
    return found


def labels(view: Mapping[str, Any]) -> Labels:
    """The topic and reason in the fields of ``bot.blocks.candidate.suggested``; none without such fields.

    Raises:
        Invalid: an entry is no text, or the reason is none of Errata's.
    """
    said = {block_id.partition(":")[0]: text for block_id, text in entered(view).items()}
    try:
        chosen = said.get(REASON)
        return Labels(said.get(TOPIC), Reason(chosen) if chosen else None)
    except ValueError as error:
        raise from_another_version() from error


def labels_in(view: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same fields with what stands in them, to be shown again."""
    said, found = entered(view), []
    for block in (block for name in (TOPIC, REASON) for block in fields_in(view, name)):
        element = {key: value for key, value in block["element"].items() if not key.startswith("initial_")}
        text = said.get(block["block_id"])
        chosen = [option for option in element.get("options", []) if option["value"] == text]
        initial = {"initial_option": chosen[0]} if chosen else {"initial_value": text} if text else {}
        found.append({**block, "element": element | initial})
    return found


def joined(view: Mapping[str, Any], block_id: str) -> str:
    """The text of ``part_inputs``, put together again; a part that was emptied goes with the white space around it.

    Raises:
        Invalid: an entry is no text, or its field is not one that Errata made.
    """
    values = view["state"]["values"]
    return _joined((part, action_id, held.get("value")) for part, action_id, held in _fields(values.items(), block_id))


def touched(view: Mapping[str, Any], block_id: str) -> list[dict[str, Any]]:
    """The fields of ``part_inputs`` as they are, to be shown again, if somebody has changed anything in them."""
    return fields_in(view, block_id) if joined(view, block_id) != prefilled(view, block_id) else []


def fields_in(view: Mapping[str, Any], block_id: str) -> list[dict[str, Any]]:
    """The fields of ``part_inputs`` as they are: shown again, they keep what stands in them."""
    return [block for block in view["blocks"] if block["block_id"].partition(":")[0] == block_id]


def filled_in(view: Mapping[str, Any], block_id: str) -> list[dict[str, Any]]:
    """The fields of ``part_inputs`` with what was typed into them."""
    found = []
    for block in fields_in(view, block_id):
        element = {key: value for key, value in block["element"].items() if key != "initial_value"}
        typed = view["state"]["values"].get(block["block_id"], {}).get(element["action_id"], {}).get("value")
        found.append({**block, "element": element | ({"initial_value": typed} if isinstance(typed, str) else {})})
    return found


def chosen(view: Mapping[str, Any], stem: str) -> tuple[str, str | None] | None:
    """The block whose id begins with ``stem:``, and what is chosen in it; None where there is no such block."""
    for block_id, value in entered(view).items():
        if block_id.startswith(f"{stem}:"):
            return block_id, value
    return None


def ticked(view: Mapping[str, Any], block_id: str, option: str) -> bool:
    """Whether a box is ticked.

    Raises:
        Invalid: the block holds no boxes.
    """
    try:
        boxes = view["state"]["values"].get(block_id, {}).values()
        return any(one.get("value") == option for box in boxes for one in box.get("selected_options") or ())
    except (AttributeError, TypeError) as error:
        raise from_another_version() from error


def prefilled(view: Mapping[str, Any], block_id: str) -> str:
    """The text that ``part_inputs`` was given: what ``joined`` is for as long as nobody has touched it.

    Raises:
        Invalid: as ``joined``.
    """
    shown = [
        (block["block_id"], {block["element"]["action_id"]: block["element"]})
        for block in view["blocks"]
        if block.get("type") == "input"
    ]
    return _joined((part, action_id, it.get("initial_value")) for part, action_id, it in _fields(shown, block_id))


def _fields(
    held: Iterable[tuple[str, Mapping[str, Any]]], block_id: str
) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """The fields of one text: which part, under which action id, holding what."""
    for name, elements in held:
        stem, _, number = name.partition(":")
        if stem == block_id:
            for action_id, element in elements.items():
                yield _id(number or "1"), action_id, element


def _joined(fields: Iterable[tuple[int, str, Any]]) -> str:
    pieces: list[str] = []
    for _, action_id, text in sorted(fields, key=itemgetter(0)):
        if not isinstance(text, str | None):
            raise from_another_version()
        try:
            before, after = edges(action_id)
        except (ValueError, OverflowError) as error:
            raise from_another_version() from error
        pieces += [before, text, after] if text else []
    return "".join(pieces)


def reason(name: str | None) -> Reason | None:
    """The reason that was chosen, if any.

    Raises:
        Invalid: it is not one that the form offers.
    """
    try:
        return Reason(name) if name else None
    except ValueError as error:
        raise from_another_version() from error


def _json(text: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
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
