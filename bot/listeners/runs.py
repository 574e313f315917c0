"""The buttons on a run's messages: deploy and cancel."""

from __future__ import annotations

from functools import partial
from typing import Any

from slack_bolt import Ack, App, BoltContext

from bot.blocks import runs as blocks
from bot.desk import Desk
from bot.listeners import entries
from bot.listeners.answers import answer, send_answer
from curation.errors import ErrataError
from training import deployments, runs


def register(app: App, desk: Desk) -> None:
    """Listen to both buttons."""
    for action_id, use_case in ((blocks.DEPLOY, deployments.request), (blocks.CANCEL, runs.cancel)):
        app.action(action_id)(ack=partial(_press, desk, use_case), lazy=[send_answer])


def _press(
    desk: Desk, use_case: Any, ack: Ack, body: dict[str, Any], action: dict[str, Any], context: BoltContext
) -> None:
    try:
        with desk.store.write() as session:
            use_case(session, desk.meet(session, body), desk.clock(), run_id=entries.value(action))
    except ErrataError as error:
        answer(context, str(error))
    ack()
