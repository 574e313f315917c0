"""Review: the buttons of a card, the modals behind them, and reworking what came back."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from slack_bolt import Ack, App, BoltContext
from slack_sdk import WebClient

from bot.blocks import review as blocks
from bot.blocks.elements import Block, notice_view
from bot.desk import Desk
from bot.listeners.answers import answer, open_view, send_answer
from curation import candidates, people, reviews
from curation.errors import ErrataError
from curation.people import Actor
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
    app.action(blocks.APPROVE)(ack=partial(_approve, desk), lazy=[send_answer])
    for action_id, verdict in MODALS.items():
        app.action(action_id)(partial(_open, desk, verdict))
    app.view(blocks.VERDICT)(partial(_decide, desk))
    app.action(blocks.AMEND)(partial(_open_amend, desk))
    app.view(blocks.AMENDED)(partial(_amend, desk))


def _approve(desk: Desk, ack: Ack, body: dict[str, Any], action: dict[str, Any], context: BoltContext) -> None:
    candidate_id, seen = _named(action)
    try:
        with desk.store.write() as session:
            actor = _meet(desk, session, body)
            reviews.decide(session, actor, desk.clock(), candidate_id=candidate_id, verdict=Verdict.APPROVE, seen=seen)
    except ErrataError as error:
        answer(context, str(error))
    ack()


def _open(
    desk: Desk, verdict: Verdict, ack: Ack, body: dict[str, Any], action: dict[str, Any], client: WebClient
) -> None:
    candidate_id, _ = _named(action)
    view: Block
    try:
        with desk.store.read() as session:
            people.require(session, desk.actor(body), Permission.REVIEW)
            view = blocks.verdict_view(_summary(session, candidate_id), verdict)
    except ErrataError as error:
        view = notice_view("Not possible", str(error))
    open_view(client, body["trigger_id"], view)
    ack()


def _decide(desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any]) -> None:
    asked = json.loads(view["private_metadata"])
    verdict = Verdict(asked["verdict"])
    field = "edited" if verdict is Verdict.EDIT_AND_APPROVE else "comment"
    entered = view["state"]["values"][field]["value"]["value"]
    try:
        with desk.store.write() as session:
            reviews.decide(
                session,
                _meet(desk, session, body),
                desk.clock(),
                candidate_id=asked["candidate"],
                verdict=verdict,
                seen=asked["seen"],
                **{field: entered},
            )
    except ErrataError as error:
        ack(response_action="errors", errors={field: str(error)})
        return
    ack()


def _open_amend(desk: Desk, ack: Ack, body: dict[str, Any], action: dict[str, Any], client: WebClient) -> None:
    view: Block
    try:
        with desk.store.read() as session:
            people.require(session, desk.actor(body), Permission.FLAG)
            view = blocks.amend_view(_summary(session, int(action["value"])))
    except ErrataError as error:
        view = notice_view("Not possible", str(error))
    open_view(client, body["trigger_id"], view)
    ack()


def _amend(desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any]) -> None:
    try:
        with desk.store.write() as session:
            candidates.amend(
                session,
                _meet(desk, session, body),
                desk.clock(),
                candidate_id=int(view["private_metadata"]),
                correction=view["state"]["values"]["correction"]["value"]["value"] or "",
            )
    except ErrataError as error:
        ack(response_action="errors", errors={"correction": str(error)})
        return
    ack()


def _meet(desk: Desk, session: Any, body: dict[str, Any]) -> Actor:
    actor = desk.actor(body)
    people.meet(session, desk.clock(), actor.person_id, display_name=desk.name_in(body))
    return actor


def _summary(session: Any, candidate_id: int) -> CandidateSummary:
    return of_candidate(session, candidates.find(session, candidate_id))


def _named(action: dict[str, Any]) -> tuple[int, int]:
    """``12:34`` → candidate 12, shown with version 34 of its correction."""
    candidate, seen = action["value"].split(":")
    return int(candidate), int(seen)
