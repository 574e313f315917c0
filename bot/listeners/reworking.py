"""Reworking: the author of a returned correction opens it and sends it again."""

from __future__ import annotations

from functools import partial
from typing import Any

from slack_bolt import Ack, App, BoltContext
from slack_sdk import WebClient

from bot.blocks import review as blocks
from bot.blocks.correct import CORRECTION
from bot.blocks.elements import Block, notice_view
from bot.desk import Desk
from bot.listeners import entries
from bot.listeners.answers import open_view, send_answer, spoken
from bot.listeners.correct import close_form
from curation import candidates, people, proposals
from curation.candidates import Step
from curation.errors import ErrataError
from curation.policies import Permission
from curation.summaries import of_candidate
from curation.wording import phrase


def register(app: App, desk: Desk) -> None:
    """Listen to the button *Rework* and to its form."""
    app.action(blocks.AMEND)(ack=partial(_open, desk), lazy=[send_answer])
    app.view(blocks.AMENDED)(partial(_amend, desk))


def _open(
    desk: Desk, ack: Ack, body: dict[str, Any], action: dict[str, Any], client: WebClient, context: BoltContext
) -> None:
    view: Block
    say = spoken(desk, body)
    try:
        with desk.store.read() as session:
            people.require(session, desk.actor(body), Permission.FLAG)
            candidate = candidates.find(session, entries.number(action))
            people.require_at_home(session, desk.actor(body), candidate.source)
            candidates.after(candidate, Step.AMEND)  # refused before anybody has written anything
            view = blocks.amend_view(say, of_candidate(session, candidate))
    except ErrataError as error:
        view = notice_view(say, say("Not possible"), say(error.sentence))
    open_view(context, client, body["trigger_id"], view, say)
    ack()


def _amend(desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any]) -> None:
    say, inspection = spoken(desk, body), desk.inspection()
    try:
        candidate_id, seen = entries.reworked(view)
        with desk.store.write() as session:
            proposals.amend(
                session,
                desk.meet(session, body),
                desk.clock(),
                candidate_id=candidate_id,
                correction=entries.joined(view, CORRECTION),
                seen=seen,
                inspection=inspection,
            )
    except ErrataError as error:
        ack(response_action="errors", errors={CORRECTION: say(error.sentence)})
        return
    close_form(say, ack, phrase("Your correction is saved and waits for review."), inspection)
