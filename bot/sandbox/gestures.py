"""What people do on the page, read from what the browser posts and done as the person in the seat.

Owns the shapes of these posts, one for each thing that Slack's client lets a person do. Refuses a shape it does
not know; what a person may not do is ``people``'s and ``viewers``' to refuse.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from bot.sandbox.errors import SandboxRefusal
from bot.sandbox.payloads import Json
from bot.sandbox.people import Person

MOST_CHARACTERS = 40_000  # of a message, as in Slack


class Gesture(msgspec.Struct, frozen=True, tag_field="do", forbid_unknown_fields=True):
    """Something a person does; ``by`` does it and gives what the page must know besides the workspace's change."""

    def by(self, person: Person) -> Json:
        """Do it as this person. Raises SandboxRefusal where Slack's client would not."""
        raise NotImplementedError


class Post(Gesture, frozen=True, tag="post"):
    """Say something in a channel or below a message."""

    channel: str
    text: str
    thread: str | None = None

    def by(self, person: Person) -> Json:
        """Post the text as it was typed; ``@Errata`` becomes a mention, as when it is chosen from Slack's list."""
        if not 0 < len(self.text) <= MOST_CHARACTERS:
            raise SandboxRefusal(f"A message has 1 to {MOST_CHARACTERS:,} characters; this one has {len(self.text):,}.")
        person.post(self.channel, _with_mentions(self.text, person), self.thread, raw=True)
        return {}


class Command(Gesture, frozen=True, tag="command"):
    """Type a slash command."""

    channel: str
    name: str
    text: str

    def by(self, person: Person) -> Json:
        """Send it; the bot's answer shows up as a message."""
        person.command(self.name, self.text, self.channel)
        return {}


class React(Gesture, frozen=True, tag="react"):
    """Put a reaction on a message, or take it back."""

    channel: str
    ts: str
    name: str
    added: bool = True

    def by(self, person: Person) -> Json:
        """React."""
        person.react(self.channel, self.ts, self.name, added=self.added)
        return {}


class Shortcut(Gesture, frozen=True, tag="shortcut"):
    """Choose a shortcut from a message's menu."""

    channel: str
    ts: str
    callback_id: str

    def by(self, person: Person) -> Json:
        """Choose it."""
        person.message_shortcut(self.channel, self.ts, self.callback_id)
        return {}


class GlobalShortcut(Gesture, frozen=True, tag="global_shortcut"):
    """Choose a shortcut from the global menu."""

    callback_id: str

    def by(self, person: Person) -> Json:
        """Choose it."""
        person.global_shortcut(self.callback_id)
        return {}


class Speak(Gesture, frozen=True, tag="speak"):
    """Choose another language in one's own preferences: one of a few of Slack's, which Errata need not speak."""

    locale: Literal["en-US", "en-GB", "de-DE", "fr-FR", "zh-CN"]

    def by(self, person: Person) -> Json:
        """Choose it; Errata hears of it."""
        person.speak(self.locale)
        return {}


class Click(Gesture, frozen=True, tag="click"):
    """Touch an element of a message, or of App Home or of the modal in front where ``where`` says so."""

    where: str  # "message", "home" or "modal"
    action_id: str
    block_id: str
    value: Any = None
    channel: str = ""
    ts: str = ""

    def by(self, person: Person) -> Json:
        """Touch it; a chosen option stays chosen."""
        if self.where == "home":
            person.click_in_home(self.action_id, self.block_id, self.value)
        elif self.where == "modal":
            person.click_in_modal(self.action_id, self.block_id, self.value)
        else:
            person.click(self.channel, self.ts, self.action_id, self.block_id, self.value)
        return {}


class Submit(Gesture, frozen=True, tag="submit"):
    """Press the modal's submit button; ``values`` by block id: a text, an option's value or a list of them."""

    values: dict[str, str | list[str] | None]

    def by(self, person: Person) -> Json:
        """Submit; the errors that the form shows, by block id."""
        return {"errors": person.submit(self.values)}


class Close(Gesture, frozen=True, tag="close"):
    """Close the modal in front."""

    def by(self, person: Person) -> Json:
        """Close it, if it is still there: the bot may have closed it at the same moment."""
        if person.modal is not None:
            person.close_modal()
        return {}


class OpenHome(Gesture, frozen=True, tag="open_home"):
    """Open Errata's App Home, or its messages."""

    tab: str = "home"

    def by(self, person: Person) -> Json:
        """Open it; Errata hears of it."""
        person.open_home(self.tab)
        return {}


AnyGesture = Post | Command | React | Shortcut | GlobalShortcut | Speak | Click | Submit | Close | OpenHome


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One post of the page: who does what."""

    seat: str
    gesture: AnyGesture


def _with_mentions(text: str, person: Person) -> str:
    """``@Errata & <co>`` → ``<@U…> &amp; &lt;co&gt;``, for everybody in the workspace by their whole name."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for user_id, name in person.acquaintances.items():
        escaped = re.sub(rf"(?<!\w)@{re.escape(name)}(?!\w)", f"<@{user_id}>", escaped)
    return escaped


def read(body: bytes) -> Asked:
    """What the browser posted; ``msgspec.MsgspecError`` where it has another shape."""
    return msgspec.json.decode(body, type=Asked)
