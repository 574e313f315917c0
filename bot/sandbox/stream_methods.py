"""``chat.*Stream`` and ``assistant.threads.*``: answers that grow, and what stands around a thread with Errata.

Owns the answers of these methods and how streamed markdown reads as a message. Refuses a stream outside of a
thread, without its reader in a channel, or after its end.

Source: https://docs.slack.dev/reference/methods/chat.startStream and its neighbours
"""

from __future__ import annotations

import re
from typing import Any

from bot.sandbox import chat_methods, limits
from bot.sandbox.arguments import Arguments
from bot.sandbox.errors import ApiRefusal
from bot.sandbox.payloads import Json
from bot.sandbox.state import State

LOADING_MESSAGES = 10
SUGGESTED_PROMPTS = 4

_LINK = re.compile(r"\[([^\]\n]*)\]\(([^)\s]+)\)")
# What Slack would take for a mention, a broadcast or a link; every other angle bracket is somebody's text.
_TOKEN = re.compile(r"<([@#!][^<>\s][^<>]*|(?:https?:|mailto:|tel:)[^<>]*)>")


def start(state: State, arguments: Arguments) -> Json:
    """``chat.startStream``: in a channel it names the person who reads along."""
    channel = state.channel_to_post(arguments.text("channel"))
    thread_ts = arguments.text("thread_ts")
    for name in ("recipient_user_id", "recipient_team_id"):
        if not channel.is_im and not arguments.get(name):
            raise ApiRefusal(f"missing_{name}")
    markdown = _markdown(arguments)
    message = chat_methods.bot_message(state, _content(markdown))
    posted = state.post(channel, message, thread_ts=thread_ts)
    state.streams[channel.channel_id, posted["ts"]] = markdown
    state.thread_status.pop((channel.channel_id, thread_ts), None)
    return {"channel": channel.channel_id, "ts": posted["ts"]}


def append(state: State, arguments: Arguments) -> Json:
    """``chat.appendStream``."""
    message, key = _streaming(state, arguments)
    markdown = _markdown(arguments)
    if not markdown:
        raise ApiRefusal("no_text")
    state.streams[key] += markdown
    message |= _content(state.streams[key])
    state.mark_changed()
    return {"channel": key[0], "ts": key[1]}


def stop(state: State, arguments: Arguments) -> Json:
    """``chat.stopStream``: what is left to say, then the blocks below it."""
    message, key = _streaming(state, arguments)
    markdown = state.streams[key] + _markdown(arguments)
    content = _content(markdown)
    content["blocks"] = [*content["blocks"], *(arguments.get("blocks") or [])]
    content["metadata"] = arguments.get("metadata")
    whole = chat_methods.bot_message(state, content)
    message |= {name: whole[name] for name in chat_methods.CONTENT if name in whole}
    del state.streams[key]
    state.mark_changed()
    return {"channel": key[0], "ts": key[1], "message": dict(message)}


def set_status(state: State, arguments: Arguments) -> Json:
    """``assistant.threads.setStatus``: shown until Errata says something in the thread; an empty one takes it away."""
    key = _thread(state, arguments)
    if len(arguments.get("loading_messages") or []) > LOADING_MESSAGES:
        raise ApiRefusal("invalid_arguments", [f"loading_messages: Slack takes {LOADING_MESSAGES}"])
    if not arguments.has("status"):
        raise ApiRefusal("invalid_arguments", ["missing required field: status"])
    state.thread_status[key] = str(arguments.get("status") or "")
    state.mark_changed()
    return {}


def set_title(state: State, arguments: Arguments) -> Json:
    """``assistant.threads.setTitle``."""
    state.thread_titles[_thread(state, arguments)] = arguments.text("title")
    return {}


def set_suggested_prompts(state: State, arguments: Arguments) -> Json:
    """``assistant.threads.setSuggestedPrompts``: for an app with the agent view a thread makes it fail silently."""
    channel = state.channel_with_bot(arguments.text("channel_id"))
    prompts = arguments.get("prompts")
    if not isinstance(prompts, list) or not all(_is_prompt(prompt) for prompt in prompts):
        raise ApiRefusal("invalid_arguments", ["prompts: each takes a title and a message"])
    if not 1 <= len(prompts) <= SUGGESTED_PROMPTS:
        raise ApiRefusal("invalid_arguments", [f"prompts: Slack takes 1 to {SUGGESTED_PROMPTS}"])
    if not arguments.get("thread_ts"):
        state.suggested_prompts[channel.channel_id] = prompts
        state.mark_changed()
    return {}


def _is_prompt(prompt: Any) -> bool:
    return isinstance(prompt, dict) and all(isinstance(prompt.get(name), str) for name in ("title", "message"))


def _thread(state: State, arguments: Arguments) -> tuple[str, str]:
    channel = state.channel_with_bot(arguments.text("channel_id"))
    thread_ts = arguments.text("thread_ts")
    if not any(message["ts"] == thread_ts for message in channel.messages):
        raise ApiRefusal("invalid_thread_ts")
    return channel.channel_id, thread_ts


def _streaming(state: State, arguments: Arguments) -> tuple[Json, tuple[str, str]]:
    """The message that grows, and its key; ``message_not_in_streaming_state`` where it does not."""
    channel, ts = state.channel_with_bot(arguments.text("channel")), arguments.text("ts")
    message = state.message(channel.channel_id, ts)
    if (channel.channel_id, ts) not in state.streams:
        raise ApiRefusal("message_not_in_streaming_state")
    return message, (channel.channel_id, ts)


def _markdown(arguments: Arguments) -> str:
    """The text of ``markdown_text`` or of the chunks; Errata sends no other chunks than text."""
    chunks = arguments.get("chunks") or []
    if any(chunk.get("type") != "markdown_text" for chunk in chunks):
        raise ApiRefusal("invalid_chunks")
    markdown = str(arguments.get("markdown_text") or "") + "".join(chunk["text"] for chunk in chunks)
    if len(markdown) > limits.MARKDOWN_CHARACTERS:
        reason = f"markdown_text: {len(markdown):,} characters; Slack takes {limits.MARKDOWN_CHARACTERS:,}"
        raise ApiRefusal("msg_too_long", [reason])
    return markdown


def _content(markdown: str) -> Json:
    """``[here](https://x.test) <b>`` → the text ``<https://x.test|here> &lt;b&gt;`` and a block of the markdown."""
    linked = _LINK.sub(r"<\2|\1>", markdown)
    pieces, end = [], 0
    for found in _TOKEN.finditer(linked):
        pieces += [_escaped(linked[end : found.start()]), found[0]]
        end = found.end()
    text = "".join([*pieces, _escaped(linked[end:])])
    return {"text": text, "blocks": [{"type": "markdown", "text": markdown}] if markdown else []}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
