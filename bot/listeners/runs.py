"""The buttons on a run's messages: cancel, resume, deploy, take down, roll back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from slack_bolt import Ack, App, BoltContext
from sqlmodel import Session

from bot.blocks import runs as blocks
from bot.desk import Desk
from bot.listeners import entries
from bot.listeners.answers import answer, send_answer, spoken
from curation.errors import ErrataError
from curation.people import Actor
from training import deployments, runs

Press = Callable[[Session, Actor, datetime, str], object]


def register(app: App, desk: Desk) -> None:
    """Listen to these buttons."""
    for action_id, press in (_PRESSES | {blocks.RESUME: partial(_resume, desk)}).items():
        app.action(action_id)(ack=partial(_press, desk, press), lazy=[send_answer])


def _press(
    desk: Desk, press: Press, ack: Ack, body: dict[str, Any], action: dict[str, Any], context: BoltContext
) -> None:
    try:
        with desk.store.write() as session:
            press(session, desk.meet(session, body), desk.clock(), entries.value(action))
    except ErrataError as error:
        answer(context, spoken(desk, body)(error.sentence))
    ack()


def _deploy(session: Session, actor: Actor, now: datetime, run_id: str) -> None:
    deployments.request(session, actor, now, run_id=run_id)


def _cancel(session: Session, actor: Actor, now: datetime, run_id: str) -> None:
    runs.cancel(session, actor, now, run_id=run_id)


def _resume(desk: Desk, session: Session, actor: Actor, now: datetime, run_id: str) -> None:
    runs.resume(session, actor, now, run_id=run_id, place=desk.azure, table=desk.prices())


def _undeploy(session: Session, actor: Actor, now: datetime, run_id: str) -> None:
    deployments.retire(session, actor, now, run_id=run_id)


def _roll_back(session: Session, actor: Actor, now: datetime, run_id: str) -> None:
    """The button stands below a model that is live; pressed when another one is, it would bring back a third."""
    deployments.require_live(session, run_id)
    deployments.rollback(session, actor, now)


_PRESSES: dict[str, Press] = {
    blocks.DEPLOY: _deploy,
    blocks.CANCEL: _cancel,
    blocks.UNDEPLOY: _undeploy,
    blocks.ROLLBACK: _roll_back,
}
