"""Which keys Slack knows in each view, block and element; any other makes it refuse the whole message.

Pure. Owns the names, from the reference pages under https://docs.slack.dev/reference/block-kit; a test
holds them against the models of slack_sdk. Refuses to judge values, which is for ``limits`` and
``element_limits``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bot.sandbox.payloads import Json

VIEW_KEYS = frozenset(
    {
        *("type", "title", "blocks", "close", "submit", "private_metadata", "callback_id", "external_id"),
        *("clear_on_close", "notify_on_close", "submit_disabled"),
    }
)
BLOCK_KEYS = {
    "actions": {"elements"},
    "alert": {"text", "level"},
    "card": {"hero_image", "icon", "title", "subtitle", "body", "actions"},
    "context": {"elements"},
    "context_actions": {"elements"},
    "data_table": {"rows", "caption", "page_size", "row_header_column_index"},
    "data_visualization": {"title", "chart"},
    "divider": set[str](),
    "file": {"external_id", "source"},
    "header": {"text"},
    "image": {"image_url", "slack_file", "alt_text", "title"},
    "input": {"label", "element", "dispatch_action", "hint", "optional"},
    "markdown": {"text"},
    "plan": {"title", "tasks"},
    "rich_text": {"elements"},
    "section": {"text", "fields", "accessory", "expand"},
    "table": {"rows", "column_settings"},
    "task_card": {"task_id", "title", "details", "output", "sources", "status"},
}
_CHOICE = {"confirm", "focus_on_load", "placeholder"}
ELEMENT_KEYS = {
    "button": {"text", "url", "value", "style", "confirm", "accessibility_label"},
    "channels_select": {*_CHOICE, "initial_channel", "response_url_enabled"},
    "checkboxes": {"confirm", "focus_on_load", "options", "initial_options"},
    "conversations_select": {
        *(*_CHOICE, "initial_conversation", "default_to_current_conversation", "filter", "response_url_enabled"),
    },
    "external_select": {*_CHOICE, "initial_option", "min_query_length"},
    "datepicker": {*_CHOICE, "initial_date"},
    "feedback_buttons": {"positive_button", "negative_button"},
    "icon_button": {"icon", "text", "value", "confirm", "accessibility_label", "visible_to_user_ids"},
    "image": {"image_url", "slack_file", "alt_text"},
    "multi_static_select": {*_CHOICE, "options", "option_groups", "initial_options", "max_selected_items"},
    "number_input": {
        *("is_decimal_allowed", "initial_value", "min_value", "max_value", "placeholder", "focus_on_load"),
        "dispatch_action_config",
    },
    "overflow": {"options", "confirm"},
    "plain_text_input": {
        *("placeholder", "focus_on_load", "initial_value", "multiline", "min_length", "max_length"),
        "dispatch_action_config",
    },
    "radio_buttons": {"confirm", "focus_on_load", "options", "initial_option"},
    "static_select": {*_CHOICE, "options", "option_groups", "initial_option"},
    "users_select": {*_CHOICE, "initial_user"},
}
TEXT_KEYS = {"plain_text": {"type", "text", "emoji"}, "mrkdwn": {"type", "text", "verbatim"}}
# Objects without a type, by the key that holds them.
OBJECT_KEYS = {
    "confirm": {"title", "text", "confirm", "deny", "style"},
    "option_groups": {"label", "options"},
    "options": {"text", "value", "description", "url"},
    "negative_button": {"text", "value", "accessibility_label"},
    "positive_button": {"text", "value", "accessibility_label"},
    "slack_file": {"id", "url"},
}
# What is inside is looked at piece by piece in ``rich_limits``.
OPAQUE = frozenset({"data_table", "data_visualization", "plan", "rich_text", "table", "task_card"})


def unknown_keys(block: Json, path: str) -> Iterator[str]:
    """``blocks[0].elements[1]: invalid additional property: disabled``, for a block and all that is in it."""
    kind = str(block.get("type"))
    if kind not in BLOCK_KEYS:
        return
    yield from _unknown(block, BLOCK_KEYS[kind] | {"type", "block_id"}, path)
    if kind not in OPAQUE:
        for key, value in block.items():
            yield from _inside(value, key, f"{path}.{key}")


def unknown_in_view(view: Json) -> Iterator[str]:
    """The same for the keys of a view itself."""
    yield from _unknown(view, VIEW_KEYS, "view")


def _inside(value: Any, key: str, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for place, item in enumerate(value):
            yield from _inside(item, key, f"{path}[{place}]")
    elif isinstance(value, dict):
        kind = value.get("type")
        if kind in TEXT_KEYS:  # first: the button of a "confirm" is its "confirm" as well
            yield from _unknown(value, TEXT_KEYS[str(kind)], path)
        elif key in OBJECT_KEYS:
            yield from _unknown(value, OBJECT_KEYS[key], path)
        elif kind in ELEMENT_KEYS:
            yield from _unknown(value, ELEMENT_KEYS[str(kind)] | {"type", "action_id"}, path)
        for name, item in value.items():
            yield from _inside(item, name, f"{path}.{name}")


def _unknown(value: Json, known: set[str] | frozenset[str], path: str) -> Iterator[str]:
    for key in value:
        if key not in known:
            yield f"{path}: invalid additional property: {key}"
