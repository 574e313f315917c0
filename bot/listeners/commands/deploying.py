"""``/errata deploy``, ``undeploy``, ``rollback``, ``models`` and ``costs``: what answers, what could, what it costs."""

from __future__ import annotations

from sqlmodel import Session

from bot.blocks import commands as lists
from bot.blocks.commands import Line
from bot.blocks.runs import undeploy_button
from bot.listeners.commands.asked import Answer, Asked, Blocks
from bot.listeners.commands.running import buttons, line_of, run_id
from bot.mrkdwn import escape, quote
from curation import people
from curation.policies import Permission
from training import catalogue, deployments, recipe, runs, slots
from training.deployments import DeploymentStatus
from training.runs import RunStatus
from training.summaries import of_run

ENDPOINT_SHOWN = 120


def deploy(session: Session, asked: Asked) -> Answer:
    """Put a run's model at the endpoint; without a name, those that can be."""
    people.require(session, asked.actor, Permission.DEPLOY)
    say, word = asked.say, asked.word(0)
    if word is None:
        return _deployable(session, asked)
    deployment = deployments.request(session, asked.actor, asked.desk.clock(), run_id=run_id(session, word))
    return say(
        "{run} will go live once it answers a test question; the channel hears of it.", run=f"*{deployment.run_id}*"
    )


def undeploy(session: Session, asked: Asked) -> Answer:
    """Take it from there; without a name, whatever is live."""
    people.require(session, asked.actor, Permission.DEPLOY)
    say, word = asked.say, asked.word(0)
    if word is None:
        return _live(session, asked)
    deployment = deployments.retire(session, asked.actor, asked.desk.clock(), run_id=run_id(session, word))
    return say("{run} is being taken down.", run=f"*{deployment.run_id}*")


def rollback(session: Session, asked: Asked) -> Answer:
    """Put the model back that was live before."""
    deployment = deployments.rollback(session, asked.actor, asked.desk.clock())
    return asked.say(
        "{run} was live before, and will be again once it answers a test question; the channel hears of it.",
        run=f"*{deployment.run_id}*",
    )


def models(_session: Session, asked: Asked) -> Answer:
    """What is known of each base model."""
    say = asked.say
    title = say("These models can be tuned here, with adapters or as a whole:")
    lines = []
    for one in catalogue.CATALOGUE:
        known = say("{window:,} tokens in one conversation", window=one.window)
        note = say("a toy, for rehearsals") if one.hub_id is None else escape(one.hub_id)
        lines.append(Line(f"`{one.name}`: {known}, {note}"))
    foot = say("Recipes: {recipes}", recipes=recipe.recipe_names())
    return Blocks(
        lists.in_words(title, lines, foot), lists.listing(title, [Line("\n".join(f"• {x.text}" for x in lines))], foot)
    )


def costs(session: Session, asked: Asked) -> Answer:
    """What costs money now, as far as Errata knows."""
    people.require_a_role(session, asked.actor)
    say = asked.say
    going = [run for run in runs.unfinished(session) if run.backend in runs.PAID]
    live = deployments.with_status(session, DeploymentStatus.LIVE)
    told = [
        say("*Training*: runs on this machine cost its electricity, which Errata does not know."),
        say.many(
            "{count:,} run at a paid service is going on.", "{count:,} runs at paid services are going on.", len(going)
        )
        if going
        else say("No run at a paid service is going on."),
    ]
    told += [
        say(
            "*Endpoint*: {run} answers at {address}, on this machine.",
            run=one.run_id,
            address=f"`{quote(one.url or '', ENDPOINT_SHOWN)}`",
        )
        for one in live
    ]
    if not live:
        told.append(say("*Endpoint*: no model of Errata's is live."))
    told.append(say("*Azure* is not set up here: nothing of Errata's runs there, so it costs nothing there."))
    return "\n".join(f"• {line}" for line in told)


def _live(session: Session, asked: Asked) -> Answer:
    say, live = asked.say, slots.live(session).values()
    if not live:
        return say("No model of Errata's is live.")
    shown = [of_run(session, one.run) for one in live]
    title = say("Which model shall be taken down?")
    lines = [Line(line_of(say, one), [undeploy_button(say, one)]) for one in shown]
    return Blocks(lists.in_words(title, lines), lists.listing(title, lines))


def _deployable(session: Session, asked: Asked) -> Answer:
    say = asked.say
    ended = [of_run(session, run) for run in runs.listed(session) if run.status == RunStatus.COMPLETED.value]
    could = [one for one in ended if one.deployment not in {"live", "requested"}][: lists.SHOWN]
    live = runs.production(session)
    now = say("{run} is live now.", run=live.id) if live is not None else say("No model of Errata's is live.")
    if not could:
        return f"{now} " + say("No run can be deployed. Next: {command}", command="`/errata train`")
    title = say("Which model shall answer?")
    lines = [Line(line_of(say, one), buttons(say, one, trains=False, deploys=True)) for one in could]
    return Blocks(lists.in_words(title, lines, now), lists.listing(title, lines, now))
