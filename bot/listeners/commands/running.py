"""``/errata runs``, ``run``, ``cancel``, ``resume``: all runs with what can be done about each, and one in detail."""

from __future__ import annotations

from functools import partial
from typing import Any

from slack_bolt import Ack, App, BoltContext
from slack_sdk import WebClient
from sqlmodel import Session

from bot.blocks import commands as lists
from bot.blocks import runs as run_blocks
from bot.blocks import training as blocks
from bot.blocks.commands import Line
from bot.blocks.elements import Block, button, notice_view
from bot.blocks.stages import VERDICTS
from bot.desk import Desk
from bot.listeners import entries
from bot.listeners.answers import open_view, send_answer, spoken
from bot.listeners.commands.asked import Answer, Asked, Blocks, View, nearest
from bot.mrkdwn import escape, quote
from bot.speech import Say
from curation import people
from curation.errors import ErrataError, NotFound
from curation.policies import Permission, may
from curation.wording import called
from training import runs as lifecycle
from training.deployments import DeploymentStatus
from training.evaluation.evaluations import Verdict
from training.runs import RESUMABLE, UNFINISHED, RunStatus
from training.summaries import RunSummary, of_run

MODEL_SHOWN = 80


def register(app: App, desk: Desk) -> None:
    """Listen to the button of a run's details; its other buttons are those of its message (``bot.listeners.runs``)."""
    app.action(blocks.DETAILS)(ack=partial(_open_details, desk), lazy=[send_answer])


def runs(session: Session, asked: Asked) -> Answer:
    """Every run and where it stands, with what can be done about it."""
    people.require_a_role(session, asked.actor)
    say, listed = asked.say, lifecycle.listed(session)
    if not listed:
        return say("No run yet. Next: {command}", command="`/errata train`")
    table = asked.desk.shown_prices()
    shown = [of_run(session, run, table) for run in listed[: lists.SHOWN]]
    held = people.roles(session, asked.actor.person_id)
    lines = [
        Line(
            line_of(say, run),
            buttons(say, run, trains=may(held, Permission.TRAIN), deploys=may(held, Permission.DEPLOY)),
        )
        for run in shown
    ]
    title = say.many("{count:,} run, newest first:", "{count:,} runs, newest first:", len(listed))
    rest = len(listed) - len(shown)
    foot = say.many("… and {count:,} more", "… and {count:,} more", rest) if rest else ""
    return Blocks(lists.in_words(title, lines, foot), lists.listing(title, lines, foot))


def run(session: Session, asked: Asked) -> Answer:
    """One run, in a modal; without a name, the list."""
    word = asked.word(0)
    if word is None:
        return runs(session, asked)
    people.require_a_role(session, asked.actor)
    found = lifecycle.find(session, run_id(session, word))
    return View(blocks.run_view(asked.say, of_run(session, found, asked.desk.shown_prices())))


def cancel(session: Session, asked: Asked) -> Answer:
    """Stop a run; without a name, those that can be stopped."""
    people.require(session, asked.actor, Permission.TRAIN)
    say, word = asked.say, asked.word(0)
    if word is None:
        table = asked.desk.shown_prices()
        going = [of_run(session, one, table) for one in lifecycle.unfinished(session)[-lists.SHOWN :]]
        if not going:
            return say("No run is going on. {command} lists those that have ended.", command="`/errata runs`")
        title = say("Which run shall stop?")
        lines = [Line(line_of(say, one), buttons(say, one, trains=True, deploys=False)) for one in going]
        return Blocks(lists.in_words(title, lines), lists.listing(title, lines))
    stopped = lifecycle.cancel(session, asked.actor, asked.desk.clock(), run_id=run_id(session, word))
    return say("{run} is {status}.", run=f"*{stopped.id}*", status=called(RunStatus(stopped.status)))


def resume(session: Session, asked: Asked) -> Answer:
    """Let a run go on; without a name, those that can."""
    people.require(session, asked.actor, Permission.TRAIN)
    say, word = asked.say, asked.word(0)
    if word is None:
        stopped = [one for one in lifecycle.listed(session) if RunStatus(one.status) in RESUMABLE][: lists.SHOWN]
        if not stopped:
            return say("No run has failed or was cancelled. {command} lists them all.", command="`/errata runs`")
        table = asked.desk.shown_prices()
        title, shown = say("Which run shall go on?"), [of_run(session, one, table) for one in stopped]
        lines = [Line(line_of(say, one), buttons(say, one, trains=True, deploys=False)) for one in shown]
        return Blocks(lists.in_words(title, lines), lists.listing(title, lines))
    desk = asked.desk
    resumed = lifecycle.resume(
        session, asked.actor, desk.clock(), run_id=run_id(session, word), place=desk.azure, table=desk.prices()
    )
    return say("{run} goes on from where it was.", run=f"*{resumed.id}*")


def run_id(session: Session, word: str) -> str:
    """The id of the run that is meant: by its beginning, as the lifecycle finds it.

    Raises:
        NotFound: there is none; the sentence names the nearest.
    """
    try:
        return lifecycle.find(session, word).id
    except NotFound as error:
        meant = nearest(word, [one.id for one in lifecycle.listed(session)])
        if meant is None:
            raise
        raise NotFound("There is no run {run}. Did you mean {meant}?", run=word, meant=meant) from error


def line_of(say: Say, one: RunSummary) -> str:
    """``*run-1a2b*: completed, rehearsal on v1, better, live``."""
    parts = [
        say("{run}: {status}", run=f"*{one.id}*", status=called(RunStatus(one.status))),
        say("{model} on {dataset}", model=quote(one.model, MODEL_SHOWN), dataset=escape(one.dataset)),
    ]
    parts += [say(VERDICTS[Verdict(one.verdict)])] if one.verdict else []
    parts += [say(called(DeploymentStatus(one.deployment)))] if one.deployment else []
    return ", ".join(parts)


def buttons(say: Say, one: RunSummary, *, trains: bool, deploys: bool) -> list[Block]:
    """The buttons of a run in a list, for somebody who may do this."""
    found = [button(say("Details"), blocks.DETAILS, one.id)]
    state = RunStatus(one.status)
    if trains and state in UNFINISHED and state is not RunStatus.CANCELLING:
        found.append(run_blocks.cancel_button(say, one))
    if trains and state in RESUMABLE and not one.unfit:
        found.append(run_blocks.resume_button(say, one))
    if deploys and state is RunStatus.COMPLETED and one.deployment not in {"live", "requested"}:
        found.append(run_blocks.deploy_button(say, one))
    return found


def _open_details(
    desk: Desk, ack: Ack, body: dict[str, Any], action: dict[str, Any], client: WebClient, context: BoltContext
) -> None:
    say = spoken(desk, body)
    try:
        with desk.store.read() as session:
            people.require_a_role(session, desk.actor(body))
            found = lifecycle.find(session, entries.value(action))
            view = blocks.run_view(say, of_run(session, found, desk.shown_prices()))
    except ErrataError as error:
        view = notice_view(say, say("Not possible"), say(error.sentence))
    open_view(context, client, body["trigger_id"], view, say)
    ack()
