"""``/errata freeze`` and ``check``: releasing what is approved, and what should be known about it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from slack_bolt import Ack, App
from sqlmodel import Session

from bot.blocks import commands as lists
from bot.blocks import training as blocks
from bot.blocks.commands import Line
from bot.blocks.elements import Block, button
from bot.desk import Desk
from bot.listeners import entries
from bot.listeners.answers import spoken
from bot.listeners.commands.asked import Answer, Asked, Blocks, View
from bot.listeners.commands.starting import dataset_named
from bot.mrkdwn import escape, quote
from bot.speech import Say
from curation import people
from curation.datasets import dataset, freezing, requested
from curation.errors import ErrataError
from curation.people import Actor
from curation.policies import Permission, may
from training.planning import plans

NAME_SHOWN = 80
SENTENCE = 300


def register(app: App, desk: Desk) -> None:
    """Listen to the form of a freeze."""
    app.view(blocks.FREEZE)(partial(_form_sent, desk))


def freeze(session: Session, asked: Asked) -> Answer:
    """Only asked for here: a worker looks at every example and counts every token, and the channel hears of it."""
    name, share = asked.word(0), asked.word(1)
    if name is None:
        return View(_form(session, asked.actor, asked.say, asked.destination))
    requested.ask(
        session,
        asked.actor,
        asked.desk.clock(),
        name=name,
        validation_share=dataset.share_of(share) if share is not None else dataset.VALIDATION_SHARE,
        destination=asked.destination,
    )
    return _asked_for(asked.say, name)


def check(session: Session, asked: Asked) -> Answer:
    """What should be known about a dataset before it is trained on; without a name, about the newest."""
    people.require(session, asked.actor, Permission.REVIEW)
    say, name = asked.say, asked.word(0)
    known = dataset.listed(session)
    if name is None and not known:
        return say("There is no dataset yet. Next: {command}", command="`/errata freeze`")
    version = dataset_named(session, name) if name is not None else known[0]
    sides = version.manifest["sides"]
    title = say(
        "*{name}*: {train:,} rows to train on, {validation:,} to validate with (digest {digest})",
        name=escape(version.name),
        train=sides["train"],
        validation=sides["validation"],
        digest=version.digest[:12],
    )
    found = plans.look(session, version)
    told = [f"{quote(say(one.message), SENTENCE)} {quote(say(one.fix), SENTENCE)}" for one in found[: lists.SHOWN]]
    lines = [Line(text) for text in told or [say("Nothing speaks against training on it.")]]
    if may(people.roles(session, asked.actor.person_id), Permission.TRAIN):
        following = say("Next: {command}", command=f"`/errata train {version.name}`")
        lines.append(Line(following, [button(say("Train"), blocks.OPEN_TRAIN, version.name, style="primary")]))
    rest = len(found) - len(told)
    foot = say.many("… and {count:,} more", "… and {count:,} more", rest) if rest > 0 else ""
    return Blocks(lists.in_words(title, lines, foot), lists.listing(title, lines, foot))


def _asked_for(say: Say, name: str | None) -> str:
    if name is None:
        return say("*The next dataset* is being frozen; this channel hears what came of it.")
    return say("*{name}* is being frozen; this channel hears what came of it.", name=quote(name, NAME_SHOWN))


def _form(session: Session, actor: Actor, say: Say, destination: str) -> Block:
    freezing.require_possible(session, actor, name=None, validation_share=dataset.VALIDATION_SHARE)
    return blocks.freeze_form(say, place=destination, share=dataset.VALIDATION_SHARE)


def _form_sent(desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any]) -> None:
    say = spoken(desk, body)
    field = blocks.SHARE
    try:
        values = entries.entered(view)
        name = (values.get(blocks.NAME) or "").strip() or None
        share = dataset.share_of((values.get(blocks.SHARE) or "").strip())
        field = blocks.NAME
        since = values.get(blocks.SINCE)
        with desk.store.write() as session:
            requested.ask(
                session,
                desk.meet(session, body),
                desk.clock(),
                name=name,
                validation_share=share,
                destination=view["private_metadata"],
                since=datetime.fromisoformat(since).replace(tzinfo=UTC) if since else None,
            )
    except ErrataError as error:
        ack(response_action="errors", errors={field: say(error.sentence)})
        return
    ack(response_action="update", view=blocks.done_view(say, say("Requested"), _asked_for(say, name)))
