"""Events: none is of interest yet. Each is acknowledged, so that Slack does not bring it again."""

from __future__ import annotations

import re

from slack_bolt import Ack, App

from bot.desk import Desk


def register(app: App, _desk: Desk) -> None:
    """Listen to every event."""
    app.event(re.compile(""))(_acknowledge)


def _acknowledge(ack: Ack) -> None:
    ack()
