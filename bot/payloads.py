"""The strict reading of what Slack sends, over HTTP and over Socket Mode.

Owns which kinds of payload Errata takes and which fields of each have which type. Refuses whatever
Bolt or a listener would trip over: Bolt 1.30 reads ``team``, ``view.callback_id`` or
``actions[0].action_id`` without looking, and raises on ``[1]``, ``null`` or ``{"team": 7}``. Who
sent the bytes is decided in ``bot.gate``; what the payload means is decided by the listeners.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from bot.decoding import PayloadError, check_values, read_form, read_json, read_text, refuse
from bot.shapes import NOT_IN_A_COMMAND, check_shape, member, objects, text

__all__ = ["EVENTS", "INTERACTIONS", "Kind", "Payload", "PayloadError", "parse", "parse_socket"]


class Kind(StrEnum):
    """What Slack tells us about; the values are Slack's own ``type``, but for the slash command, which has none."""

    EVENT = "event_callback"
    URL_VERIFICATION = "url_verification"
    BLOCK_ACTIONS = "block_actions"
    BLOCK_SUGGESTION = "block_suggestion"
    VIEW_SUBMISSION = "view_submission"
    VIEW_CLOSED = "view_closed"
    MESSAGE_ACTION = "message_action"
    SHORTCUT = "shortcut"
    COMMAND = "command"


EVENTS = frozenset({Kind.EVENT, Kind.URL_VERIFICATION})
COMMANDS = frozenset({Kind.COMMAND})
INTERACTIONS = frozenset(Kind) - EVENTS - COMMANDS

_ENVELOPES: Mapping[str, frozenset[Kind]] = {
    "events_api": EVENTS,
    "interactive": INTERACTIONS,
    "slash_commands": COMMANDS,
}


@dataclass(frozen=True, slots=True)
class Payload:
    """One payload that passed.

    Attributes:
        kind: what it is.
        team_id: the workspace; None for a URL verification and for some org-wide installs.
        enterprise_id: the grid organisation, if any.
        user_id: who acted; None for a URL verification and for events without a person.
        identity: the ``event_id``, equal in every redelivery of one event; None for everything else.
        body: the object as Slack sent it. Customers' words are in it, so it stays out of ``repr``.
    """

    kind: Kind
    team_id: str | None
    enterprise_id: str | None
    user_id: str | None
    identity: str | None
    body: dict[str, Any] = field(repr=False)


def parse(content_type: str, body: bytes) -> Payload:
    """Read the body of a request: JSON for events, a form for slash commands and for the interactions in ``payload``.

    Raises:
        PayloadError: bytes, syntax or a field that Slack would not send.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in {"application/json", "application/x-www-form-urlencoded"}:
        refuse("the content type is neither JSON nor a form")
    if media_type == "application/json":
        return _checked(read_json(body), EVENTS)
    form = read_form(body)
    if "payload" not in form:
        return _checked({name: read_text(value) for name, value in form.items()}, COMMANDS)
    if len(form) > 1:
        refuse("the form has other fields beside payload")
    return _checked(read_json(form["payload"]), INTERACTIONS)


def parse_socket(envelope: Mapping[str, Any]) -> Payload:
    """Read ``{"type": "interactive", "payload": {...}}``, the two keys of a Socket Mode envelope that matter here.

    Raises:
        PayloadError: an envelope of another type, or a payload that ``parse`` would refuse over HTTP.
    """
    envelope_type = envelope.get("type")
    kinds = _ENVELOPES.get(envelope_type) if isinstance(envelope_type, str) else None
    if kinds is None:
        refuse("the envelope's type is unknown")
    payload = envelope.get("payload")
    if not isinstance(payload, dict):
        refuse("the envelope's payload is not an object")
    check_values(payload)
    return _checked(payload, kinds)


def _checked(body: dict[str, Any], kinds: frozenset[Kind]) -> Payload:
    kind = _kind(body, kinds)
    _check_response_url(body)
    if kind is not Kind.EVENT and "event" in body:
        refuse("only an event may carry event")
    check_shape(body, "")
    match kind:
        case Kind.URL_VERIFICATION:
            text(body, "", "challenge")
            return Payload(kind, None, None, None, None, body)
        case Kind.EVENT:
            return _event(body)
        case Kind.COMMAND:
            return _command(body)
        case _:
            return _interaction(kind, body)


def _kind(body: dict[str, Any], kinds: frozenset[Kind]) -> Kind:
    """The kind, if it is one of those that may arrive this way; a payload of two kinds is none."""
    if kinds is COMMANDS:
        if strange := NOT_IN_A_COMMAND & body.keys():
            refuse(f"a slash command has no {min(strange)}")
        return Kind.COMMAND
    if "command" in body:
        refuse("only a slash command may carry command")
    declared = body.get("type")
    if not isinstance(declared, str) or declared not in kinds:
        refuse("its type is unknown here")
    return Kind(declared)


def _check_response_url(body: dict[str, Any]) -> None:
    """Bolt itself answers there when a workspace has not installed the app, and raises where that is no address."""
    url = body.get("response_url")
    if not isinstance(url, str) or not url:
        return  # what is no text is refused with the other shapes
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"https", "http"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        refuse("response_url is no address")


def _id_of(value: Any) -> str | None:
    """The id in ``"U1"`` or in ``{"id": "U1"}``; None where there is none."""
    return (value.get("id") if isinstance(value, dict) else value) or None


def _event(body: dict[str, Any]) -> Payload:
    text(body, "", "team_id", "event_id")
    event = member(body, "", "event")
    event_type = text(event, "event.", "type")
    if event_type == "message":
        text(event, "event.", "channel")
        if not isinstance(event.get("text", ""), str):
            refuse("event.text is not text")
    if event_type.startswith("assistant_thread_"):
        thread = member(event, "event.", "assistant_thread")
        text(thread, "event.assistant_thread.", "channel_id", "thread_ts")
        member(thread, "event.assistant_thread.", "context")
    user_id = _id_of(event.get("user")) or event.get("user_id") or None
    return Payload(Kind.EVENT, body["team_id"], body.get("enterprise_id") or None, user_id, body["event_id"], body)


def _command(body: dict[str, Any]) -> Payload:
    if not text(body, "", "command", "team_id", "user_id", "trigger_id").startswith("/"):
        refuse("command does not begin with a slash")
    if not isinstance(body.get("text", ""), str):
        refuse("text is not text")
    return Payload(Kind.COMMAND, body["team_id"], body.get("enterprise_id") or None, body["user_id"], None, body)


def _interaction(kind: Kind, body: dict[str, Any]) -> Payload:
    user = member(body, "", "user")
    user_id = text(user, "user.", "id")
    team, enterprise_id = body.get("team"), _id_of(body.get("enterprise"))
    if team is not None:
        text(member(body, "", "team"), "team.", "id")
        enterprise_id = enterprise_id or team.get("enterprise_id") or None
    elif enterprise_id is None:
        refuse("there is neither a team nor an enterprise")
    _INTERACTION_CHECKS[kind](body)
    # Bolt falls back to the person's own workspace as well where an org-wide install names none.
    team_id = team["id"] if team else user.get("team_id") or None
    return Payload(kind, team_id, enterprise_id, user_id, None, body)


def _check_block_actions(body: dict[str, Any]) -> None:
    text(body, "", "trigger_id")
    actions = objects(body, "", "actions")
    if not actions:
        refuse("actions is empty")
    for action in actions:
        text(action, "actions.", "type", "action_id", "block_id")
    if "view" in body:
        text(body["view"], "view.", "id", "hash")  # by these it is changed, once what was pressed is done
        _check_form(body["view"])
    elif "channel" not in body:
        refuse("it was pressed neither in a view nor in a channel")


def _check_block_suggestion(body: dict[str, Any]) -> None:
    text(body, "", "action_id", "block_id")
    if not isinstance(body.get("value"), str):
        refuse("value is not text")


def _check_view_closed(body: dict[str, Any]) -> None:
    text(member(body, "", "view"), "view.", "id", "callback_id", "type")


def _check_view_submission(body: dict[str, Any]) -> None:
    _check_view_closed(body)
    view = body["view"]
    if view["type"] == "workflow_step":  # Bolt would look for fields that no longer exist
        refuse("view.type is a retired workflow step")
    if not isinstance(view.get("private_metadata"), str):
        refuse("view.private_metadata is missing or not text")
    _check_form(view)


def _check_form(view: dict[str, Any]) -> None:
    """The blocks of a view, none where it names none, and what was entered into them."""
    view["blocks"] = objects(view, "view.", "blocks")
    for block in view["blocks"]:
        text(block, "view.blocks.", "type", "block_id")
    values = member(member(view, "view.", "state"), "view.state.", "values")
    for elements in values.values():
        if not isinstance(elements, dict) or not all(isinstance(element, dict) for element in elements.values()):
            refuse("view.state.values is not blocks of elements")


def _check_shortcut(body: dict[str, Any]) -> None:
    text(body, "", "callback_id", "trigger_id")


def _check_message_action(body: dict[str, Any]) -> None:
    _check_shortcut(body)
    text(member(body, "", "channel"), "channel.", "id")
    text(member(body, "", "message"), "message.", "ts")


_INTERACTION_CHECKS = {
    Kind.BLOCK_ACTIONS: _check_block_actions,
    Kind.BLOCK_SUGGESTION: _check_block_suggestion,
    Kind.VIEW_SUBMISSION: _check_view_submission,
    Kind.VIEW_CLOSED: _check_view_closed,
    Kind.MESSAGE_ACTION: _check_message_action,
    Kind.SHORTCUT: _check_shortcut,
}
