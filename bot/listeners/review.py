"""Review: the buttons of a card, the modals behind them, and reworking what came back."""

from __future__ import annotations

from functools import partial
from typing import Any

from slack_bolt import Ack, App, BoltContext, Respond
from slack_sdk import WebClient

from bot.blocks import review as blocks
from bot.blocks.elements import Block, notice_view
from bot.desk import Desk
from bot.listeners import entries
from bot.listeners.answers import answer_aside, open_view, send_answer
from bot.listeners.correct import close_form
from bot.speech import ENGLISH_SPOKEN
from curation import candidates, people, proposals, reviews
from curation.errors import ErrataError
from curation.policies import Permission
from curation.reviews import Verdict
from curation.summaries import CandidateSummary, of_candidate

MODALS = {
    blocks.EDIT: Verdict.EDIT_AND_APPROVE,
    blocks.RETURN: Verdict.RETURN,
    blocks.REJECT: Verdict.REJECT,
}


def register(app: App, desk: Desk) -> None:
    """Listen to the card's buttons and to the modals they open."""
    app.action(blocks.APPROVE)(partial(_approve, desk))
    for action_id, verdict in MODALS.items():
        app.action(action_id)(ack=partial(_open, desk, verdict), lazy=[send_answer])
    app.view(blocks.VERDICT)(partial(_decide, desk))
    app.action(blocks.AMEND)(ack=partial(_open_amend, desk), lazy=[send_answer])
    app.view(blocks.AMENDED)(partial(_amend, desk))


def _approve(
    desk: Desk,
    ack: Ack,
    body: dict[str, Any],
    action: dict[str, Any],
    context: BoltContext,
    client: WebClient,
    respond: Respond,
) -> None:
    try:
        candidate_id, seen = entries.named(action)
        with desk.store.write() as session:
            actor = desk.meet(session, body)
            reviews.decide(session, actor, desk.clock(), candidate_id=candidate_id, verdict=Verdict.APPROVE, seen=seen)
    except ErrataError as error:
        answer_aside(desk.executor, context, client, respond, body, str(error))
    ack()


def _open(
    desk: Desk,
    verdict: Verdict,
    ack: Ack,
    body: dict[str, Any],
    action: dict[str, Any],
    client: WebClient,
    context: BoltContext,
) -> None:
    view: Block
    try:
        candidate_id, _ = entries.named(action)
        with desk.store.read() as session:
            people.require(session, desk.actor(body), Permission.REVIEW)
            view = blocks.verdict_view(_summary(session, candidate_id), verdict)
    except ErrataError as error:
        view = notice_view(ENGLISH_SPOKEN, "Not possible", str(error))
    open_view(context, client, body["trigger_id"], view)
    ack()


def _decide(desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any]) -> None:
    field = "edited" if "edited" in view["state"]["values"] else "comment"
    inspection = desk.inspection()
    try:
        candidate_id, seen, verdict = entries.asked(view)
        values = entries.entered(view)
        with desk.store.write() as session:
            reviews.decide(
                session,
                desk.meet(session, body),
                desk.clock(),
                candidate_id=candidate_id,
                verdict=verdict,
                seen=seen,
                edited=values.get("edited"),
                comment=values.get("comment"),
                inspection=inspection,
            )
    except ErrataError as error:
        ack(response_action="errors", errors={field: str(error)})
        return
    close_form(ack, "Your edit is saved and approved.", inspection)


def _open_amend(
    desk: Desk, ack: Ack, body: dict[str, Any], action: dict[str, Any], client: WebClient, context: BoltContext
) -> None:
    view: Block
    try:
        with desk.store.read() as session:
            people.require(session, desk.actor(body), Permission.FLAG)
            view = blocks.amend_view(_summary(session, entries.number(action)))
    except ErrataError as error:
        view = notice_view(ENGLISH_SPOKEN, "Not possible", str(error))
    open_view(context, client, body["trigger_id"], view)
    ack()


def _amend(desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any]) -> None:
    inspection = desk.inspection()
    try:
        with desk.store.write() as session:
            proposals.amend(
                session,
                desk.meet(session, body),
                desk.clock(),
                candidate_id=entries.captured(view),
                correction=entries.entered(view).get("correction") or "",
                inspection=inspection,
            )
    except ErrataError as error:
        ack(response_action="errors", errors={"correction": str(error)})
        return
    close_form(ack, "Your correction is saved and waits for review.", inspection)


def _summary(session: Any, candidate_id: int) -> CandidateSummary:
    return of_candidate(session, candidates.find(session, candidate_id))
