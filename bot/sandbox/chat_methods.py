"""``chat.*``, ``reactions.*`` and ``response_url``: what the bot writes into channels.

Owns the answers of these methods. Refuses what ``limits`` refuses, to edit or delete what Errata did
not write, and a response_url used up or too old.
"""

from __future__ import annotations

from typing import Any

from bot.sandbox import limits
from bot.sandbox.arguments import Arguments
from bot.sandbox.errors import ApiRefusal
from bot.sandbox.payloads import Json
from bot.sandbox.records import RESPONSE_URL_SECONDS, RESPONSE_URL_USES, Channel
from bot.sandbox.state import State

CONTENT = ("text", "blocks", "attachments", "metadata")


def bot_message(state: State, content: Json) -> Json:
    """A message from Errata with ``text``, ``blocks`` and ``metadata`` as given, checked against the limits."""
    limits.check_message(content)
    identity = state.identity
    profile = {"id": identity.bot_id, "app_id": identity.app_id, "name": "errata", "team_id": identity.team_id}
    message: Json = {"text": "", **{key: content[key] for key in CONTENT if content.get(key)}}
    message |= {"user": identity.bot_user_id, "team": identity.team_id}
    message |= {"bot_id": identity.bot_id, "app_id": identity.app_id, "bot_profile": profile}
    if "blocks" in message:
        message["blocks"] = state.with_ids(message["blocks"])
    if content.get("username"):
        # A message under another name loses its user; that is how Slack marks chat:write.customize.
        del message["user"]
        message |= {"subtype": "bot_message", "username": content["username"]}
    return message


def content_of(arguments: Arguments) -> Json:
    """The parts of a message among the arguments; ``markdown_text`` becomes a markdown block, as in Slack."""
    content = {key: arguments.get(key) for key in (*CONTENT, "username")}
    if arguments.get("markdown_text"):
        if content["blocks"] or content["text"]:
            raise ApiRefusal("markdown_text_conflict")
        content["blocks"] = [{"type": "markdown", "text": arguments.get("markdown_text")}]
    return content


def _destination(state: State, channel_id: str) -> Channel:
    if channel_id in state.accounts:  # a user id opens the direct message
        return state.direct_message_to_open(channel_id)
    return state.channel_to_post(channel_id)


def _own_message(state: State, arguments: Arguments, *, refusal: str) -> tuple[Channel, Json]:
    channel = state.channel_with_bot(arguments.text("channel"))
    message = state.message(channel.channel_id, arguments.text("ts"))
    if message.get("bot_id") != state.identity.bot_id:
        raise ApiRefusal(refusal)
    return channel, message


def post_message(state: State, arguments: Arguments) -> Json:
    """``chat.postMessage``."""
    channel = _destination(state, arguments.text("channel"))
    content = content_of(arguments)
    if not any(content[key] for key in ("text", "blocks", "attachments")):
        raise ApiRefusal("no_text")
    message = bot_message(state, content)
    posted = state.post(channel, message, thread_ts=arguments.get("thread_ts"))
    state.thread_status.pop((channel.channel_id, str(arguments.get("thread_ts"))), None)
    return {"channel": channel.channel_id, "ts": posted["ts"], "message": dict(posted)}


def update(state: State, arguments: Arguments) -> Json:
    """``chat.update``: what is not given stays; an empty list takes blocks away."""
    channel, message = _own_message(state, arguments, refusal="cant_update_message")
    if channel.is_archived:
        raise ApiRefusal("is_inactive")  # Slack's word for an edit; a new message meets is_archived
    if (channel.channel_id, message["ts"]) in state.streams:
        raise ApiRefusal("streaming_state_conflict")
    content = content_of(arguments)
    changed = bot_message(state, content)
    changes = {key: changed[key] for key in CONTENT if content.get(key)}
    if arguments.get("blocks") == []:
        message.pop("blocks", None)
    state.edit(channel, message, changes)
    return {"channel": channel.channel_id, "ts": message["ts"], "text": message["text"], "message": dict(message)}


def delete(state: State, arguments: Arguments) -> Json:
    """``chat.delete``."""
    channel, message = _own_message(state, arguments, refusal="cant_delete_message")
    state.delete(channel, message)
    return {"channel": channel.channel_id, "ts": message["ts"]}


def post_ephemeral(state: State, arguments: Arguments) -> Json:
    """``chat.postEphemeral``: to one member of the channel."""
    channel = state.channel_to_post(arguments.text("channel"))
    user_id = arguments.text("user")
    state.account(user_id)
    if user_id not in channel.members:
        raise ApiRefusal("user_not_in_channel")
    message = {**bot_message(state, content_of(arguments)), "channel": channel.channel_id}
    if arguments.get("thread_ts"):
        message["thread_ts"] = arguments.get("thread_ts")
    return {"message_ts": state.show_only_to(user_id, message)["ts"]}


def get_permalink(state: State, arguments: Arguments) -> Json:
    """``chat.getPermalink``: ``https://example.slack.com/archives/C…/p1700000000000100``."""
    channel_id = arguments.text("channel")
    message = state.message(channel_id, arguments.text("message_ts"))
    link = f"https://{state.identity.team_domain}.slack.com/archives/{channel_id}/p{message['ts'].replace('.', '')}"
    if message.get("thread_ts", message["ts"]) != message["ts"]:
        link += f"?thread_ts={message['thread_ts']}&cid={channel_id}"
    return {"channel": channel_id, "permalink": link}


def add_reaction(state: State, arguments: Arguments) -> Json:
    """``reactions.add``."""
    return _react(state, arguments, added=True)


def remove_reaction(state: State, arguments: Arguments) -> Json:
    """``reactions.remove``."""
    return _react(state, arguments, added=False)


def _react(state: State, arguments: Arguments, *, added: bool) -> Json:
    channel = state.channel_to_post(arguments.text("channel"))
    message = state.message(channel.channel_id, arguments.text("timestamp"))
    state.react(channel, message, state.identity.bot_user_id, arguments.text("name"), added=added)
    return {}


def get_reactions(state: State, arguments: Arguments) -> Json:
    """``reactions.get``."""
    channel = state.channel_with_bot(arguments.text("channel"))
    message = state.message(channel.channel_id, arguments.text("timestamp"))
    return {"type": "message", "channel": channel.channel_id, "message": dict(message)}


def respond(state: State, key: str, content: Json) -> None:
    """A post to a response_url: replace or delete the message it came from, or say something new.

    Raises ApiRefusal with ``expired_url`` or ``used_url``, which Slack answers with status 404.
    """
    link = state.response_urls.get(key)
    if link is None or (state.now() - link.issued_at).total_seconds() > RESPONSE_URL_SECONDS:
        raise ApiRefusal("expired_url")
    if link.uses >= RESPONSE_URL_USES:
        raise ApiRefusal("used_url")
    link.uses += 1
    if content.get("delete_original") or content.get("replace_original"):
        _change_original(state, link.user_id, link.channel_id, link.message_ts, content)
        return
    say(state, link.user_id, link.channel_id, content, thread_ts=link.thread_ts)


def say(state: State, user_id: str, channel_id: str, content: Json, *, thread_ts: str | None = None) -> None:
    """Post an answer for everybody (``response_type: in_channel``) or, by default, for one person only.

    A response_url needs no membership: Slack posts on the person's behalf.
    """
    channel = state.channel(channel_id)
    thread_ts = content.get("thread_ts") or thread_ts
    message = bot_message(state, content)
    if content.get("response_type") == "in_channel":
        state.post(channel, message, thread_ts=thread_ts)
        return
    place: dict[str, Any] = {"channel": channel_id} | ({"thread_ts": thread_ts} if thread_ts else {})
    state.show_only_to(user_id, {**message, **place})


def _change_original(state: State, user_id: str, channel_id: str, ts: str | None, content: Json) -> None:
    private = state.ephemerals.get(user_id, [])
    channel = state.channel(channel_id)
    for shown, kept in ((private, False), (channel.messages, True)):
        message = next((message for message in shown if message["ts"] == ts), None)
        if message is None:
            continue
        if content.get("delete_original"):
            state.delete(channel, message) if kept else private.remove(message)
        else:
            changes = bot_message(state, content)
            message.pop("blocks", None)
            state.edit(channel, message, changes) if kept else message.update(changes)
        state.mark_changed()
        return
    raise ApiRefusal("message_not_found")
