"""The slash command: one table of sub-commands, each with a line of help and an answer.

Owns parsing what follows ``/errata``. Every sub-command is the same use case as on the command line.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from slack_bolt import Ack, App
from sqlmodel import Session

from bot import replay
from bot.desk import Desk, place, team_of
from bot.mrkdwn import escape, quote
from curation import people, queue
from curation.datasets import dataset, requested
from curation.errors import ErrataError, Invalid
from curation.measures import stats
from curation.people import Actor
from curation.policies import Permission
from training import catalogue, deployments, runs
from training.recipe import recipe_names
from training.summaries import of_run

COMMAND = "/errata"
SHOWN = 10
EXCERPT = 80


@dataclass(frozen=True, slots=True)
class Asked:
    """One use of the command: who, where, with which words after the sub-command."""

    desk: Desk
    actor: Actor
    words: Sequence[str]
    channel: str

    def word(self, position: int) -> str | None:
        """The word at this position, from 0."""
        return self.words[position] if position < len(self.words) else None


def register(app: App, desk: Desk) -> None:
    """Listen to the slash command."""
    app.command(COMMAND)(partial(_answer, desk))


def _answer(desk: Desk, ack: Ack, body: dict[str, Any]) -> None:
    try:
        name, *words = _split(body.get("text") or "")
        known = SUBCOMMANDS.get(name)
        if known is None:
            raise Invalid(f"/errata does not know {name}. {_overview()}")
        with desk.store.write() as session:
            asked = Asked(desk, desk.meet(session, body), words, place(team_of(body), body.get("channel_id") or ""))
            text = known[0](session, asked)
            replay.expect(text)
    except ErrataError as error:
        text = escape(str(error))
    ack(text)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text) or ["help"]
    except ValueError as error:
        raise Invalid(f"A quotation mark is missing in {text!r}: close it and send the command again.") from error


def _help(_session: Session, _asked: Asked) -> str:
    return _overview()


def _queue(session: Session, asked: Asked) -> str:
    people.require(session, asked.actor, Permission.REVIEW)
    everything = queue.Filters()
    shown = queue.page(session, everything, limit=SHOWN).candidates
    if not shown:
        return "Nothing waits for review. Corrections come from the message shortcut *Correct this reply*."
    number = queue.waiting(session, everything)
    lines = [f"• #{one.id} {one.kind}, {one.language or 'unknown'}: {quote(one.reply, EXCERPT)}" for one in shown]
    more = f"\n… and {number - len(shown):,} more" if number > len(shown) else ""
    return f"{number:,} wait for review:\n" + "\n".join(lines) + more


def _stats(session: Session, asked: Asked) -> str:
    people.require(session, asked.actor, Permission.REVIEW)
    found = stats.overview(session)
    total = found.balance.total
    if not total:
        return "No example has been approved yet. Next: `/errata queue`"
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(found.balance.kinds.items()))
    advice = [f"• {escape(one.sentence())}" for one in found.advice[:SHOWN]]
    warned = [f"• {escape(one.sentence())}" for one in found.findings]
    examples = "example" if total == 1 else "examples"
    told = [f"*{total:,} approved {examples}*: {kinds}", *warned, *advice, "Next: `/errata freeze`"]
    return "\n".join(told)


def _freeze(session: Session, asked: Asked) -> str:
    """Only asked for here: a worker looks at every example and counts every token, and the channel hears of it."""
    name, share = asked.word(0), asked.word(1)
    requested.ask(
        session,
        asked.actor,
        asked.desk.clock(),
        name=name,
        validation_share=dataset.share_of(share) if share is not None else dataset.VALIDATION_SHARE,
        destination=asked.channel,
    )
    return f"*{name or 'The next dataset'}* is being frozen; this channel hears what came of it."


def _train(session: Session, asked: Asked) -> str:
    """Only names that ship with Errata: paths and hub ids are for the host's own command line."""
    name = asked.word(0)
    if name is None:
        versions = dataset.listed(session)
        if not versions:
            return "There is no dataset yet. Next: `/errata freeze`"
        listing = "\n".join(f"• `/errata train {version.name}`" for version in versions[:SHOWN])
        return f"Which dataset?\n{listing}"
    model, recipe = asked.word(1) or runs.REHEARSAL, asked.word(2)
    if model != runs.PRODUCTION:
        catalogue.find(model)
    if recipe is not None and recipe not in recipe_names():
        raise Invalid(f"{recipe} is no shipped recipe: choose one of {', '.join(recipe_names())}.")
    run = runs.request(
        session,
        asked.actor,
        asked.desk.clock(),
        dataset_name=name,
        model=model,
        recipe=recipe,
        production_model=asked.desk.production_model,
        asked_in=[asked.channel],
        privacy=asked.desk.privacy,
    )
    return f"*{run.id}* is requested; its status appears in this channel. Stop it with `/errata cancel {run.id}`"


def _runs(session: Session, _asked: Asked) -> str:
    listed = [of_run(session, run) for run in runs.listed(session)[:SHOWN]]
    if not listed:
        return "No run yet. Next: `/errata train DATASET`"
    return "\n".join(
        f"• {run.id}: {run.status}, {escape(run.model)} on {run.dataset}"
        + (f", {run.verdict}" if run.verdict else "")
        + (f", {run.deployment}" if run.deployment else "")
        for run in listed
    )


def _cancel(session: Session, asked: Asked) -> str:
    run = runs.cancel(session, asked.actor, asked.desk.clock(), run_id=_needed(asked, "cancel RUN"))
    return f"*{run.id}* is {run.status}."


def _deploy(session: Session, asked: Asked) -> str:
    deployment = deployments.request(session, asked.actor, asked.desk.clock(), run_id=_needed(asked, "deploy RUN"))
    return f"*{deployment.run_id}* will go live once it answers a test question; the channel hears of it."


def _undeploy(session: Session, asked: Asked) -> str:
    deployment = deployments.retire(session, asked.actor, asked.desk.clock(), run_id=_needed(asked, "undeploy RUN"))
    return f"*{deployment.run_id}* is being taken down."


def _needed(asked: Asked, usage: str) -> str:
    word = asked.word(0)
    if word is None:
        raise Invalid(f"Which one? Write /errata {usage}; /errata runs lists them.")
    return word


SUBCOMMANDS: dict[str, tuple[Callable[[Session, Asked], str], str]] = {
    "queue": (_queue, "what waits for review"),
    "stats": (_stats, "the approved examples, and which are missing"),
    "freeze": (_freeze, "[NAME] [10%] release the approved examples as a dataset, so much of it held out"),
    "train": (_train, "DATASET [MODEL] [RECIPE] start a run"),
    "runs": (_runs, "every run and where it stands"),
    "cancel": (_cancel, "RUN stop a run"),
    "deploy": (_deploy, "RUN put a run's model at the endpoint"),
    "undeploy": (_undeploy, "RUN take it from there"),
    "help": (_help, "this list"),
}


def _overview() -> str:
    return "Try one of these:\n" + "\n".join(
        f"• `/errata {name}` {summary}" for name, (_, summary) in SUBCOMMANDS.items()
    )
