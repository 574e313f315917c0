"""What Slack takes inside a block: texts, options, buttons, selects and inputs.

Pure. Owns the figures for elements, from https://docs.slack.dev/reference/block-kit/block-elements and
https://docs.slack.dev/reference/block-kit/composition-objects. Refuses element types that Errata does not use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from bot.sandbox.payloads import Json

ID_CHARACTERS = 255
OPTION_LIMITS = {"overflow": 5, "radio_buttons": 10, "checkboxes": 10}
DEFAULT_OPTION_LIMIT = 100
OPTION_TEXT_CHARACTERS = 75
OPTION_VALUE_CHARACTERS = 150
BUTTON_TEXT_CHARACTERS = 75
BUTTON_VALUE_CHARACTERS = 2000
PLACEHOLDER_CHARACTERS = 150
INPUT_CHARACTERS = 3000
ALT_TEXT_CHARACTERS = 2000
URL_CHARACTERS = 3000
BUTTON_STYLES = {"primary", "danger"}
CONFIRM_CHARACTERS = {"title": 100, "text": 300, "confirm": 30, "deny": 30}

OPTION_ELEMENTS = {"static_select", "multi_static_select", "radio_buttons", "checkboxes", "overflow"}
OPEN_SELECTS = {"users_select", "channels_select", "conversations_select", "external_select"}
TEXT_TYPES = {"plain_text", "mrkdwn"}


class Problems:
    """Reasons to refuse (``found``), each beginning with the path to what is wrong."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def note(self, reason: str) -> None:
        """Add one reason."""
        self.found.append(reason)

    def length(self, path: str, text: Any, most: int, *, least: int = 1) -> None:
        """Note a text that is missing, no string, too short or too long; lengths in characters."""
        if not isinstance(text, str):
            self.note(f"{path}: a text is required")
        elif len(text) < least:
            self.note(f"{path}: must not be empty")
        elif len(text) > most:
            self.note(f"{path}: {len(text):,} characters; Slack takes {most:,}")

    def count(self, path: str, items: Any, most: int, *, least: int = 1) -> list[Json]:
        """Note a list that is missing, too short or too long; return what of it can be looked at."""
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            self.note(f"{path}: a list of objects is required")
            return []
        if not least <= len(items) <= most:
            self.note(f"{path}: {len(items):,} items; Slack takes {least:,} to {most:,}")
        return items

    def one_of(self, path: str, value: Any, allowed: Collection[str]) -> bool:
        """Note a word that Slack does not know here; whether it is known."""
        if value in allowed:
            return True
        self.note(f"{path}: {value!r} is not one of {', '.join(sorted(allowed))}")
        return False

    def text(self, path: str, text: Any, most: int, *, plain: bool = False) -> None:
        """Note what is wrong with a text object; with ``plain``, only ``plain_text`` will do."""
        if not isinstance(text, dict):
            self.note(f"{path}: a text object is required")
        elif self.one_of(f"{path}.type", text.get("type"), {"plain_text"} if plain else TEXT_TYPES):
            self.length(f"{path}.text", text.get("text"), most)

    def unique(self, path: str, key: str, items: Collection[Json]) -> None:
        """Note an id that is too long or given twice among the items."""
        seen: set[str] = set()
        for item in items:
            value = item.get(key)
            if value is None:
                continue
            self.length(f"{path}.{key}", value, ID_CHARACTERS)
            if value in seen:
                self.note(f"{path}: {key} {value!r} is used twice")
            seen.add(value)


def check_element(problems: Problems, path: str, element: Json, allowed: Collection[str]) -> None:
    """Note everything that is wrong with one element of a block that takes ``allowed`` types."""
    kind = element.get("type")
    if not problems.one_of(f"{path}.type", kind, allowed):
        return
    if "action_id" in element:
        problems.length(f"{path}.action_id", element["action_id"], ID_CHARACTERS)
    if "placeholder" in element:
        problems.text(f"{path}.placeholder", element["placeholder"], PLACEHOLDER_CHARACTERS, plain=True)
    if "confirm" in element:
        for part, most in CONFIRM_CHARACTERS.items():
            problems.text(f"{path}.confirm.{part}", element["confirm"].get(part), most, plain=part != "text")
        if "style" in element["confirm"]:
            problems.one_of(f"{path}.confirm.style", element["confirm"]["style"], BUTTON_STYLES)
    CHECKS.get(str(kind), _check_nothing)(problems, path, element)


def check_image(problems: Problems, path: str, image: Json) -> None:
    """Note an image without alternative text or without a source."""
    problems.length(f"{path}.alt_text", image.get("alt_text"), ALT_TEXT_CHARACTERS)
    if "slack_file" not in image:
        problems.length(f"{path}.image_url", image.get("image_url"), URL_CHARACTERS)


def _check_button(problems: Problems, path: str, button: Json) -> None:
    problems.text(f"{path}.text", button.get("text"), BUTTON_TEXT_CHARACTERS, plain=True)
    if "value" in button:
        problems.length(f"{path}.value", button["value"], BUTTON_VALUE_CHARACTERS, least=0)
    if "url" in button:
        problems.length(f"{path}.url", button["url"], URL_CHARACTERS)
    if "style" in button:
        problems.one_of(f"{path}.style", button["style"], BUTTON_STYLES)
    if "accessibility_label" in button:
        problems.length(f"{path}.accessibility_label", button["accessibility_label"], BUTTON_TEXT_CHARACTERS)


def _check_feedback_buttons(problems: Problems, path: str, element: Json) -> None:
    for name in ("positive_button", "negative_button"):
        _check_button(problems, f"{path}.{name}", element.get(name) or {})


def _check_icon_button(problems: Problems, path: str, element: Json) -> None:
    problems.length(f"{path}.icon", element.get("icon"), ID_CHARACTERS)
    problems.text(f"{path}.text", element.get("text"), BUTTON_TEXT_CHARACTERS, plain=True)


def _check_text_input(problems: Problems, path: str, element: Json) -> None:
    least, most = element.get("min_length", 0), element.get("max_length", INPUT_CHARACTERS)
    for name, figure, floor in (("min_length", least, 0), ("max_length", most, 1)):
        if not floor <= figure <= INPUT_CHARACTERS:
            problems.note(f"{path}.{name}: {figure:,}; Slack takes {floor:,} to {INPUT_CHARACTERS:,}")
    if least > most:
        problems.note(f"{path}.min_length: {least:,} is more than max_length {most:,}")
    if "initial_value" in element:
        problems.length(f"{path}.initial_value", element["initial_value"], min(most, INPUT_CHARACTERS), least=0)


def _check_number_input(problems: Problems, path: str, element: Json) -> None:
    if not isinstance(element.get("is_decimal_allowed"), bool):
        problems.note(f"{path}.is_decimal_allowed: true or false is required")
        return
    figures = {name: element[name] for name in ("min_value", "max_value", "initial_value") if name in element}
    for name, figure in figures.items():
        if not isinstance(figure, str) or number(figure, decimal=element["is_decimal_allowed"]) is None:
            problems.note(f"{path}.{name}: {figure!r} is no number written as a text")
            return
    least, most = float(figures.get("min_value", "-inf")), float(figures.get("max_value", "inf"))
    if least > most:
        problems.note(f"{path}.min_value: {least:g} is more than max_value {most:g}")
    elif "initial_value" in figures and not least <= float(figures["initial_value"]) <= most:
        problems.note(f"{path}.initial_value: {figures['initial_value']} is out of range")


def number(text: str, *, decimal: bool) -> float | None:
    """``"12"`` → 12.0; None for a text that is no number, or a decimal where none is allowed."""
    pattern = r"-?\d+(\.\d+)?" if decimal else r"-?\d+"
    return float(text) if re.fullmatch(pattern, text, re.ASCII) else None


def _check_options(problems: Problems, path: str, element: Json) -> None:
    kind = element["type"]
    most = OPTION_LIMITS.get(kind, DEFAULT_OPTION_LIMIT)
    if "option_groups" in element:
        options = []
        for place, group in enumerate(problems.count(f"{path}.option_groups", element["option_groups"], most)):
            where = f"{path}.option_groups[{place}]"
            problems.text(f"{where}.label", group.get("label"), OPTION_TEXT_CHARACTERS, plain=True)
            options += problems.count(f"{where}.options", group.get("options"), most)
    else:
        options = problems.count(f"{path}.options", element.get("options"), most)
    plain = kind not in {"radio_buttons", "checkboxes"}
    for place, option in enumerate(options):
        where = f"{path}.options[{place}]"
        problems.text(f"{where}.text", option.get("text"), OPTION_TEXT_CHARACTERS, plain=plain)
        problems.length(f"{where}.value", option.get("value"), OPTION_VALUE_CHARACTERS)
        if "description" in option:
            problems.text(f"{where}.description", option["description"], OPTION_TEXT_CHARACTERS, plain=plain)
    values = [option.get("value") for option in options]
    problems.found += [f"{path}.options: value {value!r} is used twice" for value in _repeated(values)]
    chosen = [*element.get("initial_options", []), *filter(None, [element.get("initial_option")])]
    if "initial_options" in element and not element["initial_options"]:
        problems.note(f"{path}.initial_options: must not be empty; leave it out")
    if "max_selected_items" in element and element["max_selected_items"] < 1:
        problems.note(f"{path}.max_selected_items: must be at least 1")
    problems.found += [
        f"{path}: initial option {one.get('value')!r} is not on offer" for one in chosen if one not in options
    ]


def _repeated(values: list[Any]) -> list[Any]:
    return [value for place, value in enumerate(values) if value in values[:place]]


def _check_nothing(_problems: Problems, _path: str, _element: Json) -> None:
    """Selects of people and channels have no limits beyond the placeholder's."""


def _check_date(problems: Problems, path: str, element: Json) -> None:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", element.get("initial_date", "2026-01-01")):
        problems.note(f"{path}.initial_date: a day is YYYY-MM-DD")


CHECKS: dict[str, Callable[[Problems, str, Json], None]] = {
    "button": _check_button,
    "datepicker": _check_date,
    "feedback_buttons": _check_feedback_buttons,
    "icon_button": _check_icon_button,
    "image": check_image,
    "number_input": _check_number_input,
    "plain_text_input": _check_text_input,
    **dict.fromkeys(OPTION_ELEMENTS, _check_options),
}
