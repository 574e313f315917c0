"""What a person fills in: elements of blocks, their initial values, and ``view.state.values``.

Pure. Refuses, as Slack's client does before anything is sent, a required input left empty, a text
that is too short or too long, and an option that is not offered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from bot.sandbox.element_limits import number
from bot.sandbox.errors import SandboxRefusal
from bot.sandbox.payloads import Json

# Element type → (key of its state entry, key of its initial value). Elements not named here keep no state.
STATE_KEYS = {
    "plain_text_input": ("value", "initial_value"),
    "number_input": ("value", "initial_value"),
    "datepicker": ("selected_date", "initial_date"),
    "static_select": ("selected_option", "initial_option"),
    "external_select": ("selected_option", "initial_option"),
    "radio_buttons": ("selected_option", "initial_option"),
    "multi_static_select": ("selected_options", "initial_options"),
    "checkboxes": ("selected_options", "initial_options"),
    "users_select": ("selected_user", "initial_user"),
    "channels_select": ("selected_channel", "initial_channel"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
}

Entered = dict[str, dict[str, Json]]  # block_id → action_id → state entry


def elements(blocks: Iterable[Json]) -> Iterator[tuple[Json, Json]]:
    """Every element a person can touch, with the block that holds it."""
    for block in blocks:
        held = block.get("elements", []) if block["type"] in {"actions", "context_actions"} else []
        if block["type"] == "input":
            held = [block["element"]]
        elif block["type"] == "section" and "accessory" in block:
            held = [block["accessory"]]
        elif block["type"] == "card":
            held = block.get("actions", [])
        for element in held:
            yield block, element


def entry(element: Json, content: Any) -> Json:
    """``{"type": "plain_text_input", "value": "Hello"}``: the state entry that holds ``content``."""
    return {"type": element["type"], STATE_KEYS[element["type"]][0]: content}


def state_values(blocks: Iterable[Json], entered: Mapping[str, Mapping[str, Json]]) -> Entered:
    """``view.state.values``: what was entered, and initial values where nothing was touched.

    An old entry counts only where block_id, action_id and type are still the same, which is why a
    text survives ``views.update`` under an unchanged block_id (bolt-js #290).
    """
    values: Entered = {}
    for block, element in elements(blocks):
        if element["type"] not in STATE_KEYS:
            continue
        old = entered.get(block["block_id"], {}).get(element["action_id"])
        if old is None or old["type"] != element["type"]:
            key, initial = STATE_KEYS[element["type"]]
            old = entry(element, element.get(initial, [] if key == "selected_options" else None))
        values.setdefault(block["block_id"], {})[element["action_id"]] = old
    return values


def fill(blocks: Iterable[Json], entered: Entered, values: Mapping[str, Any]) -> Entered:
    """The entries after the person has filled in ``values`` (block_id → text, option value or list).

    ``{"reason": "wrong_fact"}`` → ``{"reason": {"choice": {"type": "static_select", "selected_option": {…}}}}``.
    Raises SandboxRefusal for a block that is not there or an option that is not offered.
    """
    by_block = {block["block_id"]: element for block, element in elements(blocks) if element["type"] in STATE_KEYS}
    for block_id, value in values.items():
        if block_id not in by_block:
            raise SandboxRefusal(f"There is no input {block_id!r} in this view; it has {sorted(by_block)}.")
        entered = choose(entered, block_id, by_block[block_id], value)
    return entered


def choose(entered: Entered, block_id: str, element: Json, value: Any) -> Entered:
    """The entries after one element was given a value; a row may hold several, each with an entry of its own.

    Raises SandboxRefusal for an option that is not offered.
    """
    chosen = {element["action_id"]: entry(element, _content(block_id, element, value))}
    return {**entered, block_id: {**entered.get(block_id, {}), **chosen}}


def _content(block_id: str, element: Json, value: Any) -> Any:
    key = STATE_KEYS[element["type"]][0]
    if key == "selected_options":
        most = element.get("max_selected_items", len(value or []))
        if len(value or []) > most:
            raise SandboxRefusal(f"{block_id}: {len(value)} options were chosen; this field takes {most}.")
        return [option_by_value(element, one, where=block_id) for one in value or []]
    if value is None or value == "":
        return None
    return option_by_value(element, value, where=block_id) if key == "selected_option" else value


def option_by_value(element: Json, value: str, *, where: str) -> Json:
    """The option that carries ``value``; SandboxRefusal naming those on offer where none does."""
    groups = [group["options"] for group in element.get("option_groups", [])]
    options = [option for group in [element.get("options", []), *groups] for option in group]
    for option in options:
        if option.get("value") == value:
            return dict(option)
    raise SandboxRefusal(
        f"{where}: {value!r} is not on offer; choose one of {[each.get('value') for each in options]}."
    )


def check(blocks: Iterable[Json], values: Entered) -> None:
    """Raise SandboxRefusal for the first input that Slack's client would mark red."""
    for block, element in elements(blocks):
        if block["type"] != "input" or element["type"] not in STATE_KEYS:
            continue
        block_id = block["block_id"]
        content = values[block_id][element["action_id"]][STATE_KEYS[element["type"]][0]]
        if not content and not block.get("optional", False):
            raise SandboxRefusal(f"{block_id}: please complete this required field ({block['label']['text']}).")
        if content and element["type"] == "plain_text_input":
            least, most = element.get("min_length", 0), element.get("max_length", 3000)
            if not least <= len(content) <= most:
                raise SandboxRefusal(
                    f"{block_id}: {len(content):,} characters; this field takes {least:,} to {most:,} characters."
                )
        if content and element["type"] == "datepicker" and not _is_day(content):
            raise SandboxRefusal(f"{block_id}: {content!r} is no day of the calendar, such as 2026-11-21.")
        if content and element["type"] == "number_input":
            _check_number(block_id, element, content)


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _check_number(block_id: str, element: Json, content: str) -> None:
    figure = number(content, decimal=element["is_decimal_allowed"])
    least, most = float(element.get("min_value", "-inf")), float(element.get("max_value", "inf"))
    if figure is None or not least <= figure <= most:
        raise SandboxRefusal(f"{block_id}: {content!r} is no number from {least:g} to {most:g} that this field takes.")


def is_quiet(block: Json) -> bool:
    """Whether choosing in this block is told on submit only: an input block without ``dispatch_action``."""
    return block["type"] == "input" and not block.get("dispatch_action")


def action(block: Json, element: Json, *, value: Any, action_ts: str) -> Json:
    """The entry of ``actions`` for touching ``element``: which option, button or person was chosen."""
    done: Json = {"type": element["type"], "action_id": element["action_id"], "block_id": block["block_id"]}
    done["action_ts"] = action_ts
    kind, where = element["type"], element["action_id"]
    if kind == "button":
        return {**done, **{key: element[key] for key in ("text", "value", "style", "url") if key in element}}
    if kind == "feedback_buttons":
        for choice in (element["positive_button"], element["negative_button"]):
            if choice["value"] == value:
                return {**done, "text": choice["text"], "value": value}
        raise SandboxRefusal(f"{where}: neither feedback button carries the value {value!r}.")
    if kind == "overflow":
        return {**done, "selected_option": option_by_value(element, value, where=where)}
    if kind in STATE_KEYS:
        return {**done, STATE_KEYS[kind][0]: _content(where, element, value)}
    return done


def find(blocks: Iterable[Json], action_id: str, block_id: str | None) -> tuple[Json, Json]:
    """The element by action id, and by block id where several blocks use the same action."""
    blocks = list(blocks)
    hits = [
        (block, element)
        for block, element in elements(blocks)
        if element.get("action_id") == action_id and block_id in {None, block["block_id"]}
    ]
    if len(hits) == 1:
        return hits[0]
    offered = sorted({f"{block['block_id']}/{element.get('action_id')}" for block, element in elements(blocks)})
    problem = "more than one element; name its block_id" if hits else "no such element"
    raise SandboxRefusal(f"{action_id!r} in block {block_id!r}: {problem}. On offer: {offered}.")
