"""What costs money, a line each in mrkdwn: runs that go on, models at endpoints, the month and its caps.

Pure. What is unknown is said to be unknown, and is in no sum.
"""

from __future__ import annotations

from bot.mrkdwn import escape
from bot.speech import Say
from training.backends.names import TITLES, BackendName
from training.bills import Bill, Deployed
from training.deployments import DeploymentStatus
from training.planning.parts import money

SHOWN = 10
"""Most runs, endpoints and names in one list."""


def provider(backend: str) -> str:
    """``Azure AI Foundry (foundry)``: whose place it is, and what is typed for it."""
    title = TITLES.get(BackendName(backend))
    return backend if title is None else f"{title} ({backend})"


def going(say: Say, bill: Bill) -> list[str]:
    """The paid runs that go on, and what each will come to."""
    if not bill.going:
        return [say("No run at a paid service is going on.")]
    told = say.many(
        "{count:,} run at a paid service is going on.",
        "{count:,} runs at paid services are going on.",
        len(bill.going),
    )
    lines = [
        say("{run}: about {dollars}", run=one.run_id, dollars=money(one.dollars))
        if one.dollars is not None
        else say("{run}: at a price that is unknown here", run=one.run_id)
        for one in bill.going[:SHOWN]
    ]
    return [told, *lines, *_more(say, len(bill.going))]


def endpoints(say: Say, bill: Bill) -> list[str]:
    """The models at a provider's endpoints, with what an hour costs, and what takes an idle one down."""
    return [*(_endpoint(say, one) for one in bill.deployed[:SHOWN]), *_more(say, len(bill.deployed))]


def month(say: Say, bill: Bill) -> list[str]:
    """What the month comes to so far, and what may be spent."""
    found = bill.month
    if found.dollars is not None:
        told = [say("*This month*: {dollars} spent or promised for runs.", dollars=money(found.dollars))]
    elif found.unknown[SHOWN:]:
        number = len(found.unknown)
        told = [say("*This month*: unknown, as nobody knows what {count:,} runs cost.", count=number)]
    else:
        told = [say("*This month*: unknown, as nobody knows what {runs:and} cost.", runs=found.unknown)]
    if bill.spend_run is not None:
        told.append(say("*Cap of a run*: {dollars}", dollars=money(bill.spend_run)))
    if bill.spend_month is not None:
        told.append(say("*Cap of a month*: {dollars}", dollars=money(bill.spend_month)))
    if bill.spend_run is None and bill.spend_month is None:
        told.append(say("No cap is set: whoever may train may spend without a limit."))
    return told


def _endpoint(say: Say, one: Deployed) -> str:
    named = {"run": one.run_id, "place": escape(provider(one.backend))}
    told = {
        DeploymentStatus.REQUESTED: say("*Endpoint*: {run} is coming up at {place}.", **named),
        DeploymentStatus.FAILING: say("*Endpoint*: {run} failed at {place}, and is being taken down.", **named),
        DeploymentStatus.RETIRING: say("*Endpoint*: {run} is being taken down at {place}.", **named),
    }.get(DeploymentStatus(one.status), say("*Endpoint*: {run} is live at {place}.", **named))
    if one.fleeting and not one.hourly:
        told += f" {say('It costs nothing by the hour; the provider takes it down after a day.')}"
    elif one.hourly is None:
        told += f" {say('It costs money by the hour; how much is unknown here.')}"
    elif one.dollars is None:
        told += f" {say('It costs {hourly} an hour.', hourly=money(one.hourly))}"
    else:
        spent = say(
            "It costs {hourly} an hour, {dollars} so far.", hourly=money(one.hourly), dollars=money(one.dollars)
        )
        told += f" {spent}"
    if not one.idle:
        return told
    command = f"`/errata undeploy {one.run_id}`"
    return f"{told} {say('It has answered nothing for a week; {command} takes it down.', command=command)}"


def _more(say: Say, number: int) -> list[str]:
    more = number - SHOWN
    return [say.many("… and {count:,} more", "… and {count:,} more", more)] if more > 0 else []
