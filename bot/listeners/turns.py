"""Another reply of the same thread turns out to be the wrong one: the form of a correction shows that one instead.

Owns what becomes of what was typed: a text that somebody has touched is left alone, any other makes room for the reply
that is shown now. Nothing is written before Save, so a change that gets lost changes nothing.
"""

from __future__ import annotations

from typing import Any

from slack_bolt import Ack, App
from slack_sdk import WebClient

from bot.blocks import correct as blocks
from bot.desk import Desk
from bot.listeners import capturing, entries
from bot.speech import speaking
from curation import captures, people, proposals
from curation.errors import Conflict, ErrataError
from curation.policies import Permission


def register(app: App, desk: Desk) -> None:
    """Listen to the menu of replies."""

    def _show_other(body: dict[str, Any], client: WebClient) -> None:  # Bolt tells lazy functions by their names
        _show(desk, body, client)

    app.action(blocks.TURN)(ack=_acknowledge, lazy=[_show_other])


def _acknowledge(ack: Ack) -> None:
    ack()


def _show(desk: Desk, body: dict[str, Any], client: WebClient) -> None:
    """Lazy: show the chosen reply, what came before it, and what a colleague answered below it."""
    view, say = body["view"], speaking(desk.language)
    edition = str(view["hash"]).replace(":", "")
    try:
        capture_id, before = entries.shown(view)
        menu = entries.chosen(view, "turn")
        fields = entries.touched(view, "correction")
        with desk.store.read() as session:
            say, actor = desk.say(session, body), desk.actor(body)
            people.require(session, actor, Permission.FLAG)
            kept = captures.find(session, capture_id)
            if kept.captured_by != actor.person_id:
                raise Conflict("Somebody else opened this form; press the shortcut on the reply yourself.")
            shown = captures.of_reply(session, kept, before or kept.source)
            warning = None
            try:
                meant = captures.of_reply(session, kept, (menu[1] if menu else None) or shown.source)
                proposals.refuse_second(session, meant.source)
                shown = meant
            except ErrataError as error:
                warning, fields = say(error.sentence), entries.fields_in(view, "correction")
            begins = None if fields else shown.staff_reply or shown.reply
            form = capturing.form_of(
                desk, session, say, shown, prefill=begins, fields=fields, edition=edition, warning=warning
            )
    except ErrataError as error:
        capturing.log.info("another reply could not be shown: error=%s", type(error).__name__)
        return
    capturing.update(client, view_id=view["id"], view_hash=view["hash"], view=blocks.correct_view(say, form))
