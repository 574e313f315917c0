"""``/errata foundry``: what owners decide about Azure: where rows may go, and whether Azure filters a model.

Owns no decision: each word is one use case. What takes the host's own login at Azure (to make a project, to ask what it
hosts) is for the host's command line, and the answer says so.
"""

from __future__ import annotations

from sqlmodel import Session

from bot.listeners.commands.asked import Answer, Asked
from bot.listeners.commands.running import run_id
from bot.mrkdwn import escape, quote
from curation import people
from curation.errors import Invalid
from training import consents, filters

CONSENT, FILTER = "consent", "filter"
ON, OFF = "on", "off"
_FILTER_WORDS = 3
_REGION_SHOWN = 60


def foundry(session: Session, asked: Asked) -> Answer:
    """Consent to a region, switch a filter; without either, how things stand."""
    match asked.word(0):
        case None:
            return _standing(session, asked)
        case word if word.lower() == CONSENT:
            return _consent(session, asked)
        case word if word.lower() == FILTER:
            return _filter(session, asked)
    raise Invalid("Write /errata foundry consent REGION, or /errata foundry filter RUN on|off REASON.")


def _standing(session: Session, asked: Asked) -> str:
    people.require_a_role(session, asked.actor)
    say, place = asked.say, asked.desk.azure
    regions = [escape(one.region) for one in consents.listed(session)]
    if place.geography is None:
        told = [say("*Regions*: rows may go to any, as no geography is set (ERRATA_AZURE_GEOGRAPHY).")]
    else:
        told = [
            say("*Regions*: rows may go to those of {geography} without asking.", geography=escape(place.geography))
        ]
        consented = say("*Consent*: an owner lets them go to {regions:and} as well.", regions=regions)
        told.append(consented if regions else say("*Consent*: none was given for a region elsewhere."))
    told += [
        say("{command} consents to a region; it takes an owner.", command="`/errata foundry consent REGION`"),
        say(
            "{command} switches Azure's content filter before a model; it is on unless somebody decides otherwise.",
            command="`/errata foundry filter RUN on|off REASON`",
        ),
        say(
            "{first} and {second} are typed on the host, as they take its login at Azure.",
            first="`errata foundry init`",
            second="`errata foundry costs`",
        ),
    ]
    return "\n".join(f"• {line}" for line in told)


def _consent(session: Session, asked: Asked) -> str:
    region = asked.word(1)
    if region is None:
        raise Invalid("Name the region, such as eastus2: /errata foundry consent eastus2")
    if len(region) > _REGION_SHOWN:
        raise Invalid("That is no region such as eastus2: az account list-locations --output table")
    given = consents.record(session, asked.actor, asked.desk.clock(), region=region)
    person = quote(people.name_of(session, given.given_by), _REGION_SHOWN)
    if given.region == consents.CONTENT_SAFETY:
        return asked.say(
            "Content Safety may rate what is said, wherever it is, as {person} has consented.", person=person
        )
    return asked.say(
        "Rows may go to {region} ({geography}), as {person} has consented.",
        region=escape(given.region),
        geography=asked.say("unknown") if given.geography == consents.UNKNOWN else escape(given.geography),
        person=person,
    )


def _filter(session: Session, asked: Asked) -> str:
    words = asked.words[1:]
    if len(words) < _FILTER_WORDS or words[1].lower() not in {ON, OFF}:
        raise Invalid("Name the run, on or off, and the reason: /errata foundry filter RUN on|off REASON")
    decision = filters.decide(
        session,
        asked.actor,
        asked.desk.clock(),
        run_id=run_id(session, words[0]),
        filtered=words[1].lower() == ON,
        reason=" ".join(words[2:]),
    )
    if decision.filtered:
        return asked.say(
            "Azure's content filter stands before {run}: at once where it is live, else when it is deployed.",
            run=f"*{decision.run_id}*",
        )
    return asked.say(
        "Azure's content filter no longer stands before {run}: at once where it is live, else when it is deployed.",
        run=f"*{decision.run_id}*",
    )
