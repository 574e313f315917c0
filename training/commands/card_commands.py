"""``errata run card``: what is to be known of a tuned model, as a page that may travel with it."""

from __future__ import annotations

from typing import Annotated

import typer

from curation.errors import Conflict
from curation.terminal import AsJson, at


def mount(run_commands: typer.Typer) -> None:
    """Add the command to those of one run."""
    run_commands.command("card", epilog="Example: errata run card run-1a2b3c4d")(show_card)


def show_card(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or how it begins.")],
    adapter: Annotated[bool, typer.Option("--adapter", help="Of the adapter instead of the whole model.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the card of a run's model: what it learned from and how, what came of it, how to load it."""
    from training import runs  # noqa: PLC0415 (imports wait until a command needs them)
    from training.cards import facts_of, trained_of  # noqa: PLC0415
    from training.model_card import Part, card, metadata  # noqa: PLC0415

    terminal, part = at(ctx), Part.ADAPTER if adapter else Part.MODEL
    with terminal.store.read() as session:
        found = runs.find(session, run)
        facts = facts_of(session, found, trained_of(terminal.home, found))
    if adapter and facts.recipe.lora is None:
        raise Conflict("{run} trained every weight, so it has no adapter. Leave --adapter out.", run=found.id)
    page = card(facts, part)
    if as_json:
        terminal.give({"run": found.id, "metadata": metadata(facts, part), "text": page})
    else:
        terminal.say(page.rstrip())
