"""``errata foundry``: what has to be in Azure before a run can go there, and an owner's consent that data does.

Owns no decision: every command translates, calls one use case and prints.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from curation.errors import ErrataError, Invalid
from curation.terminal import AsJson, Terminal, at
from training.commands import filter_commands

if TYPE_CHECKING:
    from curation.prerequisites import Check
    from training.backends.foundry.doctor.founding import Part
    from training.backends.foundry.place import AzurePlace

foundry_commands = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Azure AI Foundry: hub and project, consent, costs."
)


def place_of(terminal: Terminal) -> AzurePlace:
    """The place that the environment names.

    Raises:
        Invalid: a variable that cannot be taken.
    """
    from training.backends.foundry.place import AzurePlace  # noqa: PLC0415 (imports wait until a command needs them)

    return AzurePlace.read(terminal.services)


def examine(terminal: Terminal, *, model: str | None) -> Iterator[Check]:
    """Every check of the place, as it is made."""
    from training.backends.foundry.doctor.diagnosis import diagnose  # noqa: PLC0415
    from training.offers import load  # noqa: PLC0415
    from training.planning import prices  # noqa: PLC0415

    yield from diagnose(
        place_of(terminal),
        model=model,
        clock=terminal.clock,
        prices=partial(prices.read, terminal.home),
        consented=_consented(terminal),
        known=load(terminal.home),
    )


def _consented(terminal: Terminal) -> frozenset[str]:
    """The regions that an owner has consented to; none where there is no database to ask, which errata doctor says."""
    from training import consents  # noqa: PLC0415

    try:
        with terminal.store.read() as session:
            return frozenset(consent.region for consent in consents.listed(session))
    except ErrataError:
        return frozenset()


@foundry_commands.command(epilog="Example: errata foundry init --region eastus2 --yes")
def init(
    ctx: typer.Context,
    group: Annotated[str | None, typer.Option("--group", metavar="NAME", help="Else ERRATA_AZURE_GROUP.")] = None,
    region: Annotated[str | None, typer.Option("--region", metavar="REGION", help="Else ERRATA_AZURE_REGION.")] = None,
    hub: Annotated[str | None, typer.Option("--hub", metavar="NAME", help="Else ERRATA_AZURE_HUB.")] = None,
    project: Annotated[str | None, typer.Option("--project", metavar="NAME", help="Else ERRATA_AZURE_PROJECT.")] = None,
    account: Annotated[str | None, typer.Option("--account", metavar="NAME", help="Else ERRATA_AZURE_ACCOUNT.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing; make what is not there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make resource group, AI Services account, hub and project where they are not there; what is there stays."""
    from training.backends.foundry.doctor import founding  # noqa: PLC0415

    terminal = at(ctx)
    place = _chosen(terminal, group=group, region=region, hub=hub, project=project, account=account)
    with terminal.waiting("Looking at what is there …"):
        parts = founding.planned(place)
    new = [part for part in parts if not part.there]
    for part in parts:
        if part.there:
            terminal.note(f"The {part.kind} {part.name} is there, in {part.region}.")
    if new and not yes:
        names = ", ".join(f"{part.kind} {part.name}" for part in new)
        if not typer.confirm(f"Make in {place.region}: {names}?", err=True):
            terminal.note("Nothing was made.")
            raise typer.Exit(1)
    made = []
    steps = founding.make(place, parts)
    with terminal.progress() as tell:
        for number, part in enumerate(steps):
            tell(f"Making the {part.kind} {part.name}", number, len(new) + 1)
            made.append(part)
    _tell(terminal, place, made, as_json=as_json)


def _tell(terminal: Terminal, place: AzurePlace, made: list[Part], *, as_json: bool) -> None:
    from training.backends.foundry.doctor import founding  # noqa: PLC0415

    if as_json:
        names = [{"kind": part.kind, "name": part.name, "region": place.region} for part in made]
        terminal.give({"made": names, "env": founding.lines(place)})
        return
    for part in made:
        terminal.note(f"The {part.kind} {part.name} was made in {place.region}.")
    if not made:
        terminal.note("Everything is there: nothing was changed.")
    terminal.note("These lines belong into .env:")
    for line in founding.lines(place):
        terminal.say(line)
    terminal.note("Next: errata doctor --foundry")


def _chosen(terminal: Terminal, **options: str | None) -> AzurePlace:
    """The place of the environment, with the options in the place of its names; each is checked alike.

    Raises:
        Invalid: one cannot be taken.
    """
    from training.backends.foundry.place import AzurePlace  # noqa: PLC0415

    given = {f"ERRATA_AZURE_{name.upper()}": value for name, value in options.items() if value is not None}
    place = AzurePlace.read({**terminal.services, **given})
    return replace(place, account=place.account or (f"{place.hub}-ai" if place.hub else None))


@foundry_commands.command(epilog="Example: errata --as olga foundry consent swedencentral")
def consent(
    ctx: typer.Context,
    region: Annotated[
        str, typer.Argument(metavar="REGION", help="Such as eastus2; contentsafety for wherever Content Safety is.")
    ],
    as_json: AsJson = False,
) -> None:
    """Let the rows of datasets go to a region outside ERRATA_AZURE_GEOGRAPHY; takes an owner."""
    from training import consents  # noqa: PLC0415

    terminal = at(ctx)
    if len(region) > _LONGEST_REGION:
        raise Invalid("That is no region such as eastus2: az account list-locations --output table")
    with terminal.store.write() as session:
        given = consents.record(session, terminal.actor(session), terminal.clock(), region=region)
        row = {
            "region": given.region,
            "geography": given.geography,
            "given_by": given.given_by,
            "given_at": given.given_at.isoformat(),
        }
    if as_json:
        terminal.give(row)
    elif row["region"] == consents.CONTENT_SAFETY:
        terminal.say(f"Content Safety may rate what is said, wherever it is, as {row['given_by']} has consented.")
    else:
        terminal.say(f"Rows may go to {row['region']} ({row['geography']}), as {row['given_by']} has consented.")


filter_commands.mount(foundry_commands)

_LONGEST_REGION = 40
