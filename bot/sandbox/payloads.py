"""What Slack writes: accounts, events, interactions and commands, as plain dictionaries.

Owns the shapes, checked against Slack's reference pages for events and interaction payloads. Pure:
takes records and ids, returns JSON; nothing here looks anything up or sends anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the workspace and Errata's app are."""

    team_id: str
    team_domain: str
    app_id: str
    bot_user_id: str
    bot_id: str
    verification_token: str


@dataclass
class Account:
    """A person or a bot user. ``bot_id`` is set on bots only; a foreign ``team_id`` comes over Slack Connect.

    ``is_restricted`` is a guest, ``is_ultra_restricted`` (never without it) a guest of one channel only.
    """

    user_id: str
    name: str
    team_id: str
    locale: str = "en-US"
    is_admin: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    deleted: bool = False
    updated: int = 0  # epoch seconds of the last change
    bot_id: str | None = None
    app_id: str | None = None


def user(account: Account, *, home_team_id: str, is_stranger: bool = False, include_locale: bool = False) -> Json:
    """The user object of ``users.info``; somebody who left is told with few words, as Slack does.

    ``is_stranger`` is Slack's word for somebody of another workspace who shares no channel with Errata. A partner in
    a shared channel is none, and is known by the foreign ``team_id`` only.
    """
    profile = {"real_name": account.name, "display_name": account.name, "team": account.team_id}
    about: Json = {
        "id": account.user_id,
        "team_id": account.team_id,
        "name": username(account.name),
        "real_name": account.name,
        "deleted": account.deleted,
        "tz": "Etc/UTC",
        "tz_offset": 0,
        "profile": profile,
        "is_admin": account.is_admin,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": account.is_restricted,
        "is_ultra_restricted": account.is_ultra_restricted,
        "is_bot": account.bot_id is not None,
        "is_app_user": False,
        "updated": account.updated,
    }
    if account.team_id != home_team_id:
        about["is_stranger"] = is_stranger
    if account.deleted:
        told = ("id", "team_id", "name", "deleted", "profile", "is_bot", "is_app_user", "updated", "is_stranger")
        return {key: about[key] for key in told if key in about}
    if account.bot_id is not None:
        about["profile"] = {**profile, "bot_id": account.bot_id, "api_app_id": account.app_id}
    if include_locale:
        about["locale"] = account.locale
    return about


def username(name: str) -> str:
    """``Ana Silva`` → ``ana.silva``."""
    return ".".join(name.lower().split())


def event_callback(identity: Identity, event: Mapping[str, Any], *, event_id: str, event_time: int) -> Json:
    """The Events API envelope around one event; ``event_time`` in whole seconds."""
    authorization = {
        "enterprise_id": None,
        "team_id": identity.team_id,
        "user_id": identity.bot_user_id,
        "is_bot": True,
        "is_enterprise_install": False,
    }
    return {
        "token": identity.verification_token,
        "team_id": identity.team_id,
        "context_team_id": identity.team_id,
        "context_enterprise_id": None,
        "api_app_id": identity.app_id,
        "event": dict(event),
        "type": "event_callback",
        "event_id": event_id,
        "event_time": event_time,
        "authorizations": [authorization],
        "is_ext_shared_channel": False,
        "event_context": f"4-{event_id}",
    }


def interaction(identity: Identity, kind: str, account: Account) -> Json:
    """What every interaction payload carries, whatever its ``type``."""
    return {
        "type": kind,
        "team": {"id": identity.team_id, "domain": identity.team_domain},
        "user": {
            "id": account.user_id,
            "username": username(account.name),
            "name": username(account.name),
            "team_id": account.team_id,
        },
        "api_app_id": identity.app_id,
        "token": identity.verification_token,
        "enterprise": None,
        "is_enterprise_install": False,
    }


def message_action(
    base: Json, *, callback_id: str, trigger_id: str, response_url: str, channel: Json, message: Json, action_ts: str
) -> Json:
    """A message shortcut; ``base`` comes from ``interaction(…, "message_action", …)``."""
    return {
        **base,
        "callback_id": callback_id,
        "trigger_id": trigger_id,
        "response_url": response_url,
        "action_ts": action_ts,
        "message_ts": message["ts"],
        "channel": channel,
        "message": message,
    }


def shortcut(base: Json, *, callback_id: str, trigger_id: str, action_ts: str) -> Json:
    """A global shortcut; ``base`` comes from ``interaction(…, "shortcut", …)``."""
    return {**base, "callback_id": callback_id, "trigger_id": trigger_id, "action_ts": action_ts}


def message_actions(
    base: Json, *, action: Json, state: Json, trigger_id: str, response_url: str, channel: Json, message: Json
) -> Json:
    """``block_actions`` from a message; an ephemeral one is named by its container only, as in Slack."""
    ephemeral = bool(message.get("is_ephemeral"))
    container: Json = {
        "type": "message",
        "message_ts": message["ts"],
        "channel_id": channel["id"],
        "is_ephemeral": ephemeral,
    }
    if message.get("thread_ts"):
        container["thread_ts"] = message["thread_ts"]
    payload = {
        **base,
        "container": container,
        "trigger_id": trigger_id,
        "channel": channel,
        "state": {"values": state},
        "response_url": response_url,
        "actions": [action],
    }
    return payload if ephemeral else {**payload, "message": message}


def view_actions(base: Json, *, action: Json, trigger_id: str, view: Json) -> Json:
    """``block_actions`` from a modal or from App Home; ``view`` carries its state."""
    container = {"type": "view", "view_id": view["id"]}
    return {**base, "container": container, "trigger_id": trigger_id, "view": view, "actions": [action]}


def view_submission(base: Json, *, trigger_id: str, view: Json) -> Json:
    """The person pressed the modal's submit button."""
    return {**base, "trigger_id": trigger_id, "view": view, "response_urls": []}


def view_closed(base: Json, *, view: Json, is_cleared: bool) -> Json:
    """The person closed a modal that asked to be told (``notify_on_close``)."""
    return {**base, "view": view, "is_cleared": is_cleared}


def command(
    identity: Identity,
    account: Account,
    *,
    name: str,
    text: str,
    channel: Json,
    trigger_id: str,
    response_url: str,
) -> Json:
    """The form fields of a slash command."""
    return {
        "token": identity.verification_token,
        "team_id": identity.team_id,
        "team_domain": identity.team_domain,
        "channel_id": channel["id"],
        "channel_name": channel["name"],
        "user_id": account.user_id,
        "user_name": username(account.name),
        "command": name,
        "text": text,
        "api_app_id": identity.app_id,
        "is_enterprise_install": "false",
        "response_url": response_url,
        "trigger_id": trigger_id,
    }


def authored(identity: Identity, account: Account, text: str) -> Json:
    """The author keys and text of a message from a person or a foreign bot."""
    message: Json = {"user": account.user_id, "text": text, "team": account.team_id}
    if account.bot_id is not None:
        profile = {"id": account.bot_id, "name": account.name, "app_id": account.app_id, "team_id": account.team_id}
        return {**message, "bot_id": account.bot_id, "app_id": account.app_id, "bot_profile": profile}
    if account.team_id != identity.team_id:
        message["user_team"] = account.team_id
        message["source_team"] = account.team_id
    return message
