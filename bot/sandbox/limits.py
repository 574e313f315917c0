"""What Slack takes in one message, modal or App Home; everything beyond is refused with the path to it.

Pure. Owns the figures for messages, views and blocks, and which block may stand where, from
https://docs.slack.dev/reference/block-kit/blocks and https://docs.slack.dev/reference/views; those for elements are in
``element_limits``, those for tables, plans and their like in ``rich_limits``. Refuses block types that Errata does not
use, so that a new one is a decision here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bot.sandbox import rich_limits
from bot.sandbox.block_keys import unknown_in_view, unknown_keys
from bot.sandbox.element_limits import OPEN_SELECTS, OPTION_ELEMENTS, Problems, check_element, check_image
from bot.sandbox.errors import ApiRefusal
from bot.sandbox.inputs import elements
from bot.sandbox.payloads import Json

MESSAGE_CHARACTERS = 40_000
MESSAGE_BLOCKS = 50
MESSAGE_BLOCK_CHARACTERS = 13_200  # over all blocks; measured, Slack does not document it
MARKDOWN_CHARACTERS = 12_000  # over all markdown blocks of a message
VIEW_BLOCKS = 100
VIEW_BYTES = 250_000
VIEW_TITLE_CHARACTERS = 24
VIEW_TEXT_LIMITS = {"private_metadata": 3000, "callback_id": 255, "external_id": 255}
SECTION_CHARACTERS = 3000
FIELDS = 10
FIELD_CHARACTERS = 2000
HEADER_CHARACTERS = 150
LABEL_CHARACTERS = 2000
CONTEXT_CHARACTERS = 3000
ELEMENT_LIMITS = {"actions": 25, "context": 10, "context_actions": 5}
CARD_CHARACTERS = {"title": 150, "subtitle": 150, "body": 200}
CARD_NEEDS = {"hero_image", "title", "actions", "body"}

SELECTS = OPEN_SELECTS | {"static_select", "multi_static_select"}
TOUCHABLE = SELECTS | OPTION_ELEMENTS | {"button"}
TYPED = {"plain_text_input", "number_input", "datepicker"}
ELEMENT_TYPES = {
    "actions": TOUCHABLE - {"multi_static_select"},  # Slack takes multi-selects in section and input blocks only
    "context_actions": {"feedback_buttons", "icon_button"},
    "section": TOUCHABLE | {"image"},
    "input": SELECTS | TYPED | {"radio_buttons", "checkboxes"},
}
EVERYWHERE = {"section", "divider", "image", "actions", "context", "input", "header", "rich_text"}
BLOCK_TYPES = {
    "message": EVERYWHERE
    | {"context_actions", "markdown", "file", "table", "card", "plan", "task_card"}
    | {"data_table", "data_visualization"},
    "modal": EVERYWHERE | {"alert"},
    "home": EVERYWHERE,
}


def check_message(content: Json) -> None:
    """Raise ApiRefusal for a message (``text``, ``blocks``, ``metadata``) that Slack would refuse."""
    text, blocks = content.get("text") or "", content.get("blocks") or []
    if len(text) > MESSAGE_CHARACTERS:
        raise ApiRefusal("msg_too_long", [f"text: {len(text):,} characters; Slack takes {MESSAGE_CHARACTERS:,}"])
    _check_metadata(content.get("metadata"))
    if not blocks:
        return
    problems = Problems()
    _check_blocks(problems, blocks, surface="message", most=MESSAGE_BLOCKS)
    if not problems.found:
        markdown = sum(len(block["text"]) for block in blocks if block["type"] == "markdown")
        if markdown > MARKDOWN_CHARACTERS:
            problems.note(f"blocks: {markdown:,} characters of markdown; Slack takes {MARKDOWN_CHARACTERS:,}")
    if problems.found:
        raise ApiRefusal("invalid_blocks", problems.found)
    if sum(block["type"] in {"table", "data_table"} for block in blocks) > rich_limits.DATA_TABLES:
        raise ApiRefusal("invalid_attachments", ["only_one_table_allowed"])
    if sum(block["type"] == "data_visualization" for block in blocks) > rich_limits.CHARTS:
        raise ApiRefusal("invalid_blocks", [f"blocks: Slack takes {rich_limits.CHARTS} charts in a message"])
    if sum(_characters(block) for block in blocks if "rows" in block) > rich_limits.TABLE_CHARACTERS:
        raise ApiRefusal(
            "invalid_blocks", [f"blocks: Slack takes {rich_limits.TABLE_CHARACTERS:,} characters of table"]
        )
    written = _characters(blocks)
    if written > MESSAGE_BLOCK_CHARACTERS:
        reason = f"blocks: {written:,} characters altogether; Slack takes about {MESSAGE_BLOCK_CHARACTERS:,}"
        raise ApiRefusal("msg_blocks_too_long", [reason])


def check_view(view: Json, *, kind: str) -> None:
    """Raise ApiRefusal for a view that Slack would refuse as a ``modal`` or a ``home``."""
    size = len(json.dumps(view).encode())
    if size > VIEW_BYTES:
        raise ApiRefusal("view_too_large", [f"view: {size:,} bytes; Slack takes {VIEW_BYTES:,}"])
    problems = Problems()
    problems.found += unknown_in_view(view)
    problems.one_of("view.type", view.get("type"), {kind})
    for name, most in VIEW_TEXT_LIMITS.items():
        if view.get(name) is not None:
            problems.length(f"view.{name}", view[name], most, least=0)
    blocks = view.get("blocks")
    _check_blocks(problems, blocks, surface=kind, most=VIEW_BLOCKS, path="view.blocks")
    if not problems.found and sum(bool(each.get("focus_on_load")) for _, each in elements(blocks or [])) > 1:
        problems.note("view.blocks: focus_on_load: only one element may be focused")
    if kind == "modal":
        problems.text("view.title", view.get("title"), VIEW_TITLE_CHARACTERS, plain=True)
        for name in ("submit", "close"):
            if view.get(name) is not None:
                problems.text(f"view.{name}", view[name], VIEW_TITLE_CHARACTERS, plain=True)
        if not view.get("submit") and any(block.get("type") == "input" for block in blocks or []):
            problems.note("view.submit: required in a modal with input blocks")
    if problems.found:
        raise ApiRefusal("invalid_arguments", problems.found)


def _check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict) or not metadata.get("event_type"):
        raise ApiRefusal("invalid_metadata_format", ["metadata.event_type: required"])
    if not isinstance(metadata.get("event_payload"), dict):
        raise ApiRefusal("invalid_metadata_format", ["metadata.event_payload: an object is required"])


def _check_blocks(problems: Problems, blocks: Any, *, surface: str, most: int, path: str = "blocks") -> None:
    listed = problems.count(path, blocks, most, least=0)
    problems.unique(path, "block_id", listed)
    for place, block in enumerate(listed):
        where = f"{path}[{place}]"
        if problems.one_of(f"{where}.type", block.get("type"), BLOCK_TYPES[surface]):
            _check_block(problems, where, block)
            problems.found += unknown_keys(block, where)


def _check_block(problems: Problems, path: str, block: Json) -> None:
    kind = block["type"]
    if kind in ELEMENT_LIMITS:
        _check_elements(problems, path, block)
    elif kind == "markdown":
        problems.length(f"{path}.text", block.get("text"), MARKDOWN_CHARACTERS)
    elif kind == "header":
        problems.text(f"{path}.text", block.get("text"), HEADER_CHARACTERS, plain=True)
    elif kind != "divider":
        LARGER_BLOCKS[kind](problems, path, block)


def _check_elements(problems: Problems, path: str, block: Json) -> None:
    kind = block["type"]
    elements = problems.count(f"{path}.elements", block.get("elements"), ELEMENT_LIMITS[kind])
    problems.unique(path, "action_id", elements)
    for place, element in enumerate(elements):
        where = f"{path}.elements[{place}]"
        if kind != "context":
            check_element(problems, where, element, ELEMENT_TYPES[kind])
        elif element.get("type") == "image":
            check_image(problems, where, element)
        else:
            problems.text(where, element, CONTEXT_CHARACTERS)


def _check_input(problems: Problems, path: str, block: Json) -> None:
    problems.text(f"{path}.label", block.get("label"), LABEL_CHARACTERS, plain=True)
    if "hint" in block:
        problems.text(f"{path}.hint", block["hint"], LABEL_CHARACTERS, plain=True)
    check_element(problems, f"{path}.element", block.get("element") or {}, ELEMENT_TYPES["input"])


def _check_image_block(problems: Problems, path: str, block: Json) -> None:
    check_image(problems, path, block)
    if "title" in block:
        problems.text(f"{path}.title", block["title"], LABEL_CHARACTERS, plain=True)


def _check_file(problems: Problems, path: str, block: Json) -> None:
    problems.length(f"{path}.external_id", block.get("external_id"), VIEW_TEXT_LIMITS["external_id"])
    problems.one_of(f"{path}.source", block.get("source"), {"remote"})


def _check_section(problems: Problems, path: str, block: Json) -> None:
    if "text" not in block and "fields" not in block:
        problems.note(f"{path}: a section needs text or fields")
    if "text" in block:
        problems.text(f"{path}.text", block["text"], SECTION_CHARACTERS)
    for place, one in enumerate(problems.count(f"{path}.fields", block.get("fields", []), FIELDS, least=0)):
        problems.text(f"{path}.fields[{place}]", one, FIELD_CHARACTERS)
    if "accessory" in block:
        check_element(problems, f"{path}.accessory", block["accessory"], ELEMENT_TYPES["section"])


def _check_card(problems: Problems, path: str, block: Json) -> None:
    if not CARD_NEEDS & set(block):
        problems.note(f"{path}: a card needs at least one of {', '.join(sorted(CARD_NEEDS))}")
    for name, most in CARD_CHARACTERS.items():
        if name in block:
            problems.text(f"{path}.{name}", block[name], most)
    for name in ("hero_image", "icon"):
        if name in block:
            check_image(problems, f"{path}.{name}", block[name])
    buttons = problems.count(f"{path}.actions", block.get("actions", []), ELEMENT_LIMITS["actions"], least=0)
    for place, one in enumerate(buttons):
        check_element(problems, f"{path}.actions[{place}]", one, {"button"})


def _characters(value: Any) -> int:
    # Every string under a "text" key is text that a person reads; ids, values and urls are not counted.
    if isinstance(value, list):
        return sum(_characters(item) for item in value)
    if isinstance(value, dict):
        own = len(value["text"]) if isinstance(value.get("text"), str) else 0
        return own + sum(_characters(item) for item in value.values() if isinstance(item, (dict, list)))
    return 0


LARGER_BLOCKS: dict[str, Callable[[Problems, str, Json], None]] = {
    "section": _check_section,
    "input": _check_input,
    "image": _check_image_block,
    "file": _check_file,
    "card": _check_card,
    **rich_limits.CHECKS,
}
