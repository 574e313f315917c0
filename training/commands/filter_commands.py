"""Switching a provider's filter of harmful words, from a terminal: ``errata foundry filter``."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from curation.terminal import AsJson, at


class Switch(StrEnum):
    """Whether the filter stands before the model."""

    ON = "on"
    OFF = "off"


def mount(app: typer.Typer) -> None:
    """Add the command to a group."""
    app.command(
        "filter",
        epilog='Example: errata --as ana foundry filter run-3f2a91c4 off --reason "It takes order numbers for harm."',
    )(switch)


def switch(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or how it begins.")],
    to: Annotated[Switch, typer.Argument(metavar="ON|OFF", help="Whether the filter stands before its model.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever asks later.")],
    as_json: AsJson = False,
) -> None:
    """Switch Azure's content filter before a run's model off, or on again. It is on unless an owner says otherwise."""
    from training import filters  # noqa: PLC0415 (the command line starts without a database)

    terminal = at(ctx)
    with terminal.store.write() as session:
        decision = filters.decide(
            session,
            terminal.actor(session),
            datetime.now(UTC),
            run_id=run,
            filtered=to is Switch.ON,
            reason=reason,
        )
        told = {
            "run": decision.run_id,
            "filtered": decision.filtered,
            "reason": decision.reason,
            "by": decision.decided_by,
            "at": decision.decided_at.isoformat(),
        }
    if as_json:
        terminal.give(told)
        return
    word = "stands" if told["filtered"] else "no longer stands"
    terminal.say(
        f"Azure's content filter {word} before the model of {told['run']}: the worker sees to it, at once where the "
        "model is live, else when it is deployed."
    )
