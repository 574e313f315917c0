"""``/errata deploy``, ``undeploy`` and ``rollback``: what answers, and what could."""

from __future__ import annotations

from sqlmodel import Session

from bot.blocks import commands as lists
from bot.blocks.commands import Line
from bot.blocks.hosted import hosting
from bot.blocks.runs import undeploy_button
from bot.listeners.commands.asked import Answer, Asked, Blocks
from bot.listeners.commands.running import buttons, line_of, run_id
from curation import people
from curation.policies import Permission
from training import deployments, runs, slots
from training.backends.names import SERVICES
from training.deployments import DeploymentStatus
from training.runs import RunStatus
from training.summaries import RunSummary, of_run


def deploy(session: Session, asked: Asked) -> Answer:
    """Put a run's model at the endpoint; without a name, those that can be."""
    people.require(session, asked.actor, Permission.DEPLOY)
    say, word = asked.say, asked.word(0)
    if word is None:
        return _deployable(session, asked)
    deployment = deployments.request(session, asked.actor, asked.desk.clock(), run_id=run_id(session, word))
    told = say(
        "{run} will go live once it answers a test question; the channel hears of it.", run=f"*{deployment.run_id}*"
    )
    summary = of_run(session, runs.find(session, deployment.run_id), asked.desk.shown_prices())
    return " ".join([told, *_at_a_provider(asked, summary)])


def undeploy(session: Session, asked: Asked) -> Answer:
    """Take it from there; without a name, whatever is live."""
    people.require(session, asked.actor, Permission.DEPLOY)
    say, word = asked.say, asked.word(0)
    if word is None:
        return _live(session, asked)
    deployment = deployments.retire(session, asked.actor, asked.desk.clock(), run_id=run_id(session, word))
    told = say("{run} is being taken down.", run=f"*{deployment.run_id}*")
    if runs.find(session, deployment.run_id).backend not in SERVICES:
        return told
    return f"{told} {say('It costs money until the provider has done so; the channel hears of it.')}"


def rollback(session: Session, asked: Asked) -> Answer:
    """Put the model back that was live before."""
    deployment = deployments.rollback(session, asked.actor, asked.desk.clock())
    told = asked.say(
        "{run} was live before, and will be again once it answers a test question; the channel hears of it.",
        run=f"*{deployment.run_id}*",
    )
    summary = of_run(session, runs.find(session, deployment.run_id), asked.desk.shown_prices())
    return " ".join([told, *_at_a_provider(asked, summary)])


def _at_a_provider(asked: Asked, summary: RunSummary) -> list[str]:
    """How long it takes there, what it costs, and whether it is filtered; nothing of a model on this machine."""
    if not summary.hosted:
        return []
    return [asked.say("At the provider that takes some minutes."), *hosting(asked.say, summary)]


def _live(session: Session, asked: Asked) -> Answer:
    say, live = asked.say, [one.run for one in slots.live(session).values()]
    coming = [runs.find(session, one.run_id) for one in deployments.with_status(session, DeploymentStatus.REQUESTED)]
    if not live and not coming:
        return say("No model of Errata's is live.")
    table = asked.desk.shown_prices()
    shown = [of_run(session, run, table) for run in [*live, *coming][: lists.SHOWN]]
    title = say("Which model shall be taken down?")
    lines = [Line(line_of(say, one), [undeploy_button(say, one)]) for one in shown]
    return Blocks(lists.in_words(title, lines), lists.listing(title, lines))


def _deployable(session: Session, asked: Asked) -> Answer:
    say, table = asked.say, asked.desk.shown_prices()
    completed = [run for run in runs.listed(session) if run.status == RunStatus.COMPLETED.value]
    ended = [of_run(session, run, table) for run in completed]
    could = [one for one in ended if one.deployment not in {"live", "requested"}][: lists.SHOWN]
    live = runs.production(session)
    now = say("{run} is live now.", run=live.id) if live is not None else say("No model of Errata's is live.")
    if not could:
        return f"{now} " + say("No run can be deployed. Next: {command}", command="`/errata train`")
    title = say("Which model shall answer?")
    lines = [Line(line_of(say, one), buttons(say, one, trains=False, deploys=True)) for one in could]
    return Blocks(lists.in_words(title, lines, now), lists.listing(title, lines, now))
