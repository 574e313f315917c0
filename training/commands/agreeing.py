"""The second question in a terminal, before a command begins to cost money and customers' words go to a provider.

Owns what is shown first, and that nothing begins where nobody said yes. What is on this machine asks nothing. In Slack
the same is ``training.planning.confirmations``'s and the buttons'.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from curation import people
from curation.errors import Conflict, Invalid
from curation.policies import Permission
from training import deployments, orders, runs, spending
from training.backends.names import TITLES, BackendName
from training.commands.reports import duration
from training.planning import plans
from training.planning.costs import HOURS_A_DAY
from training.planning.parts import money
from training.summaries import RunSummary, of_run

if TYPE_CHECKING:
    from sqlmodel import Session

    from curation.terminal import Terminal
    from training.planning.plans import Plan
    from training.planning.prices import PriceTable

_DIGEST_SHOWN = 12
_STANDING = frozenset({"requested", "live"})


def agree(terminal: Terminal, told: Sequence[str], question: str, *, yes: bool, as_json: bool) -> None:
    """Go on where somebody has said yes, beforehand or now.

    Args:
        told: what is shown before the question.
        yes: whether ``--yes`` was given: then nothing is asked.

    Raises:
        Invalid: nobody can be asked.
        typer.Exit: somebody said no.
    """
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise Invalid(
            "This begins to cost money at a provider, and nobody can be asked without a terminal, or with --json: give "
            "--yes once you know what it costs."
        )
    for line in told:
        terminal.note(line)
    if not typer.confirm(question, err=True):
        terminal.note("Nothing was started.")
        raise typer.Exit(1)


def planned(session: Session, terminal: Terminal, table: PriceTable, wish: dict[str, Any]) -> Plan:
    """What a run of a provider's would be, if it may be.

    Args:
        wish: as for ``training.runs.request``.

    Raises:
        NotAllowed, NotFound, Invalid, Conflict: as ``training.runs.request``, and where the provider would refuse it.
    """
    now = terminal.clock()
    order = orders.ordered(session, terminal.actor(session), **wish)
    named = {name: wish[name] for name in ("model", "backend", "place")}
    plan = plans.of_order(session, order, **named, table=table, today=now.date(), counts=True)
    if plan.in_the_way:
        raise Conflict("{findings:sentences}", findings=[finding.sentence() for finding in plan.in_the_way])
    spending.require_room(session, now, plan.cost, place=wish["place"], table=table)
    return plan


def to_train(terminal: Terminal, plan: Plan, *, yes: bool, as_json: bool) -> None:
    """Ask about a run at a provider's. Raises as ``agree``."""
    warnings = [f"{one.severity.value.capitalize()}: {one.sentence()}" for one in plan.findings]
    agree(terminal, [*_about(plan), *warnings], "Start this run?", yes=yes, as_json=as_json)


def to_resume(terminal: Terminal, run: RunSummary, *, yes: bool, as_json: bool) -> None:
    """Ask about letting a run go on, where somebody sends a bill for it. Raises as ``agree``."""
    if run.backend not in TITLES:
        return
    told = [
        f"{run.id} goes to {_named(run.backend)} once more, with the rows of {run.dataset}.",
        f"The provider may send its whole bill once more: {run.estimated}.",
    ]
    agree(terminal, told, "Resume this run?", yes=yes, as_json=as_json)


def to_deploy(terminal: Terminal, table: PriceTable, run_id: str | None, *, yes: bool, as_json: bool) -> None:
    """Ask about a model that comes to a provider's endpoint; of one that stands there nobody is asked again.

    Args:
        run_id: whose it is; None for the one that a rollback brings back.

    Raises:
        NotAllowed, NotFound: may not deploy; no such run. Else as ``agree``.
    """
    with terminal.store.read() as session:
        people.require(session, terminal.actor(session), Permission.DEPLOY)
        if run_id is None:
            former = deployments.former_live(session)
            if former is None:
                return  # the use case says so
            run_id = former.run_id
        run = of_run(session, runs.find(session, run_id), table)
    if run.hosted and run.status == "completed" and run.deployment not in _STANDING:
        told = [
            f"{run.id} answers at an endpoint of {_named(run.backend)}, once it has answered a test question; what is",
            "live now goes then, and what people ask goes there.",
            _hourly(run),
        ]
        agree(terminal, told, "Deploy this model?", yes=yes, as_json=as_json)


def _about(plan: Plan) -> list[str]:
    cost = plan.cost
    dollars = cost.dollars if cost is not None else None
    region = {
        None: "the region of the project in Azure, which the settings here do not name",
        orders.ANYWHERE: "any of its regions",
    }.get(plan.region, f"the region {plan.region}")
    tokens = f"{plan.tokens * plan.epochs:,} tokens in all" if plan.tokens is not None else "tokens that nobody counted"
    passes = "1 pass" if plan.epochs == 1 else f"{plan.epochs:,} passes"
    rows = f"{plan.train:,} rows to train on, {plan.validation:,} to validate with"
    return [
        f"Dataset  {plan.dataset} ({plan.digest[:_DIGEST_SHOWN]}): {rows}",
        f"Model    {plan.model}" + (f", from {plan.base}" if plan.base not in {None, plan.model} else ""),
        f"Recipe   {plan.recipe}: {passes} over the data, {tokens}",
        f"Where    {_named(plan.backend)}: the rows go to {region}",
        f"Time     about {duration(plan.seconds)}, by the pace of earlier runs" if plan.seconds else "Time     unknown",
        f"Cost     about {money(dollars)}" if dollars is not None else "Cost     unknown here",
        *(f"- {sentence}" for sentence in (cost.sentences() if cost is not None else ())),
    ]


def _hourly(run: RunSummary) -> str:
    if run.fleeting and not run.hourly:
        return "Its endpoint costs nothing by the hour; the provider takes it down after a day."
    if run.hourly is None:
        return "Its endpoint costs money by the hour, also while nobody asks anything; how much is unknown here."
    day = money(run.hourly * HOURS_A_DAY)
    return f"Its endpoint costs {money(run.hourly)} an hour, {day} a day, also while nobody asks anything."


def _named(backend: str) -> str:
    """``Azure AI Foundry (foundry)``."""
    return f"{TITLES[BackendName(backend)]} ({backend})"
