"""``/errata models`` and ``costs``: what can be tuned, and what costs money. No provider is asked.

The registry of a provider is asked from the host (``errata models --search``), as is what it still hosts
(``errata foundry costs``): both take seconds, which an answer in Slack has not.
"""

from __future__ import annotations

import shlex
from datetime import date

from sqlmodel import Session

from bot.blocks import commands as lists
from bot.blocks import costs as lines
from bot.blocks.commands import Line
from bot.listeners.commands.asked import Answer, Asked, Blocks
from bot.mrkdwn import escape, quote
from bot.speech import Say
from curation import people
from training import bills, catalogue, deployments, offers, recipe
from training.backends.names import PAID
from training.catalogue import BaseModel
from training.deployments import DeploymentStatus
from training.offers import Offer, Way

ENDPOINT_SHOWN, WORDS_SHOWN = 120, 60
MOST_OFFERS = 20


def models(_session: Session, asked: Asked) -> Answer:
    """What is known of each base model; with words, of those that have them in their names."""
    if asked.words:
        return _search(asked, " ".join(asked.words))
    say = asked.say
    title = say("These models can be tuned here, with adapters or as a whole:")
    lines = [Line(_model(say, one)) for one in catalogue.CATALOGUE]
    foot = say("Recipes: {recipes}", recipes=recipe.recipe_names())
    return Blocks(
        lists.in_words(title, lines, foot), lists.listing(title, [Line("\n".join(f"• {x.text}" for x in lines))], foot)
    )


def _model(say: Say, one: BaseModel) -> str:
    known = say("{window:,} tokens in one conversation", window=one.window)
    note = say("a toy, for rehearsals") if one.hub_id is None else escape(one.hub_id)
    return f"`{one.name}`: {known}, {note}"


def _search(asked: Asked, words: str) -> Answer:
    say, today = asked.say, asked.desk.clock().date()
    copy = offers.load(asked.desk.home)
    found, read_at = copy.found(words), copy.read_at(words)
    here = [_model(say, one) for one in catalogue.CATALOGUE if offers.matches(one.name, words)]
    told = [_offer(say, one, today) for one in found[:MOST_OFFERS]]
    typed = f"`errata models --search {quote(shlex.quote(words), WORDS_SHOWN)}`"
    anew = say("{command} on the host asks Azure.", command=typed)
    dated = (
        say("Azure's registry was never searched for this.")
        if read_at is None
        else say("Azure's registry as of {day}.", day=read_at.date().isoformat())
    )
    if not here and not told:
        return (
            f"{say('No model is known here with {words} in its name.', words=quote(words, WORDS_SHOWN))} {dated} {anew}"
        )
    lines = [*([f"*{say('On this machine')}*"] if here else []), *(f"• {one}" for one in here)]
    lines += [*([f"*{say('In Azure')}*"] if told else []), *(f"• {one}" for one in told)]
    return "\n".join([*lines, f"{dated} {anew}"])


def _offer(say: Say, one: Offer, today: date) -> str:
    ways = one.ways(today)
    can = {
        (Way.MANAGED, Way.OWN_GPU): say("as a service, and here"),
        (Way.MANAGED,): say("as a service"),
        (Way.OWN_GPU,): say("here, on a GPU"),
    }.get(ways, say("not with Errata"))
    caution = one.caution(today)
    parts = [
        can,
        *([say("{window:,} tokens in one conversation", window=one.context)] if one.context is not None else []),
        *(
            [say("tuned in {regions}", regions=list(one.tune_regions))]
            if Way.MANAGED in ways and one.tune_regions
            else []
        ),
        *([say(caution)] if caution is not None else []),
    ]
    return f"`{quote(one.name, WORDS_SHOWN)}`: {', '.join(parts)}"


def costs(session: Session, asked: Asked) -> Answer:
    """What costs money now, as far as Errata knows."""
    people.require_a_role(session, asked.actor)
    desk, say = asked.desk, asked.say
    bill = bills.of_records(session, desk.clock(), place=desk.azure, table=desk.prices())
    told = [
        say("*Training*: runs on this machine cost its electricity, which Errata does not know."),
        *lines.going(say, bill),
        *lines.endpoints(say, bill),
    ]
    paid = {one.run_id for one in bill.deployed}
    live = [one for one in deployments.with_status(session, DeploymentStatus.LIVE) if one.run_id not in paid]
    told += [
        say(
            "*Endpoint*: {run} answers at {address}, on this machine.",
            run=one.run_id,
            address=f"`{quote(one.url or '', ENDPOINT_SHOWN)}`",
        )
        for one in live
    ]
    if not live and not paid:
        told.append(say("*Endpoint*: no model of Errata's is live."))
    stands = bool(bill.going or bill.deployed)
    if not stands and all(desk.azure.missing(backend) for backend in PAID):
        told.append(say("*Azure* is not set up here: nothing of Errata's runs there, so it costs nothing there."))
    else:
        told += lines.month(say, bill)
        told.append(say("{command} on the host asks Azure, too.", command="`errata foundry costs`"))
    return "\n".join(f"• {line}" for line in told)
