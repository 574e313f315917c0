"""The types that a payload's fields must have before Bolt may look at them.

Owns the list of what Bolt reads, found in slack_bolt 1.30 in ``request/internals.py``,
``request/payload_utils.py``, ``listener_matcher/builtins.py`` and the built-in middleware. Refuses
only what Bolt would raise on; what Errata itself needs of each kind is asked for in ``bot.payloads``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.decoding import refuse

_TEXTS = (
    *("app_installed_team_id", "bot_access_token", "bot_id", "callback_id", "channel_id", "enterprise_id", "event_id"),
    *("function_execution_id", "response_url", "subtype", "team_id", "thread_ts", "user_id"),
)
_TEXT_OR_OBJECT = ("channel", "enterprise", "team", "user")
_CHECKED = frozenset({*_TEXTS, *_TEXT_OR_OBJECT})
_OBJECTS = ("assistant_thread", "function_data", "item", "message", "previous_message")
_OBJECTS_NEVER_NULL = ("event", "function", "view")
_LISTS = ("authorizations", "response_urls")

NOT_IN_A_COMMAND = frozenset({*_OBJECTS, *_OBJECTS_NEVER_NULL, *_LISTS, "actions", "payload", "type"})
"""Fields that would make Bolt take a slash command, all of whose values are texts, for something else."""


def check_shape(holder: Mapping[str, Any], where: str = "") -> None:
    """Every field that Bolt may look at has a type it can look at, here and in the objects below.

    ``where`` is the path of ``holder``, such as ``event.``. Absent fields are fine, and null ones
    where Bolt asks before it looks.

    Raises:
        PayloadError: naming the first field that is not.
    """
    for key, value in holder.items():
        if isinstance(value, str) or key not in _CHECKED:
            continue
        if key in _TEXTS and value is not None:
            refuse(f"{where}{key} is not text")
        if key in _TEXT_OR_OBJECT:
            _check_text_or_object(value, where, key)
    for key in (*_OBJECTS, *_OBJECTS_NEVER_NULL):
        if holder.get(key) is not None or (key in _OBJECTS_NEVER_NULL and key in holder):
            check_shape(member(holder, where, key), f"{where}{key}.")
    for key in _LISTS:
        for value in objects(holder, where, key):
            check_shape(value, f"{where}{key}.")
    # Bolt 1.30 wants to log that there are two before it has a logger; no modal of ours asks for two.
    if len(holder.get("response_urls", ())) > 1:
        refuse(f"{where}response_urls has more than one")


def text(holder: Mapping[str, Any], where: str, *keys: str) -> str:
    """The first of these texts, once all of them are known to be there and not empty."""
    for key in keys:
        if not isinstance(holder.get(key), str) or not holder[key]:
            refuse(f"{where}{key} is missing, empty or not text")
    return str(holder[keys[0]])


def member(holder: Mapping[str, Any], where: str, key: str) -> dict[str, Any]:
    """The object under this key, which has to be there."""
    value = holder.get(key)
    if not isinstance(value, dict):
        refuse(f"{where}{key} is missing or not an object")
    return value


def objects(holder: Mapping[str, Any], where: str, key: str) -> list[dict[str, Any]]:
    """The list of objects under this key; an absent one is empty, and so is ``authorizations: null``."""
    values = holder.get(key, [])
    if values is None and key == "authorizations":
        return []
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        refuse(f"{where}{key} is not a list of objects")
    return values


def _check_text_or_object(value: Any, where: str, key: str) -> None:
    if isinstance(value, dict):
        for inner in ("id", "team_id", "enterprise_id"):
            if value.get(inner) is not None and not isinstance(value[inner], str):
                refuse(f"{where}{key}.{inner} is not text")
    elif value is not None:
        refuse(f"{where}{key} is neither text nor an object")
