"""``errata models``: what a run may start from, here and in a provider's registry.

Owns when the registry is asked: for words that nobody looked for within a day, or when somebody insists. Without a
network what was read before is shown, with its day.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation.errors import Invalid, NotFound, Unavailable
from curation.terminal import AsJson, Terminal, at

if TYPE_CHECKING:
    from datetime import datetime

    from training.catalogue import BaseModel
    from training.offers import Copy, Offer

model_commands = typer.Typer(rich_markup_mode=None)

_MINUTES = 16


def mount(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.add_typer(model_commands)


@model_commands.command(epilog="Example: errata models --search phi-3")
def models(
    ctx: typer.Context,
    search: Annotated[
        str | None,
        typer.Option("--search", metavar="WORDS", help="Look for these words here and in Azure's registry of models."),
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask the registry, however fresh what is known of it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the models that a run may start from, here or with --search in Azure as well."""
    from training.catalogue import CATALOGUE  # noqa: PLC0415 (imports wait until a command needs them)

    terminal = at(ctx)
    if search is not None and not search.strip():
        raise Invalid("--search takes words of a model's name, such as phi-3.")
    if search is None:
        if refresh:
            raise Invalid("--refresh asks Azure's registry: say what for, with --search phi-3.")
        _show(terminal, list(CATALOGUE), as_json=as_json)
        return
    _search(terminal, search, refresh=refresh, as_json=as_json)


def _show(terminal: Terminal, found: list[BaseModel], *, as_json: bool) -> None:
    if as_json:
        terminal.give([model.as_json() for model in found])
        return
    terminal.table(
        ["Name", "Weights", "Window", "Tokenizer", "Recipes", "From"],
        [
            (
                model.name,
                f"{model.shape.parameters / 1e9:.1f} B" if model.hub_id else f"{model.shape.parameters / 1e6:.1f} M",
                f"{model.window:,}",
                model.tokenizer,
                ", ".join(model.recipes),
                model.hub_id or "built on the spot",
            )
            for model in found
        ],
    )


def _search(terminal: Terminal, words: str, *, refresh: bool, as_json: bool) -> None:
    from training.catalogue import CATALOGUE  # noqa: PLC0415
    from training.offers import matches  # noqa: PLC0415

    copy, why = _known(terminal, words, refresh=refresh)
    here = [model for model in CATALOGUE if matches(model.name, words)]
    offers, read_at, today = copy.found(words), copy.read_at(words), terminal.clock().date()
    if as_json:
        registry = [_row(offer, today) for offer in offers]
        as_of = read_at.isoformat() if read_at is not None else None
        terminal.give(
            {"here": [model.as_json() for model in here], "registry": registry, "as_of": as_of, "not_asked": why}
        )
    elif here or offers:
        _tell(terminal, words, here, offers, today)
        if why is not None:
            terminal.note(why if read_at is None else f"As of {_moment(read_at)}: {why}")
    if not here and not offers:
        if why is not None:
            terminal.note(why)
            raise typer.Exit(Unavailable.exit_code)
        raise NotFound("No model has {words} in its name, here or in Azure's registry.", words=words)


def _known(terminal: Terminal, words: str, *, refresh: bool) -> tuple[Copy, str | None]:
    """What is known of the registry, asked anew where it is older than a day; and why it was not, where it was not."""
    from training import offers  # noqa: PLC0415

    copy, now = offers.load(terminal.home), terminal.clock()
    read_at = copy.read_at(words)
    if not refresh and read_at is not None and read_at <= now < read_at + offers.FRESH:
        return copy, None
    try:
        found = _asked(terminal, words)
    except Unavailable as error:
        return copy, str(error)
    copy = offers.load(terminal.home).with_(words, now, found)  # anew: asking takes minutes, others ask as well
    try:
        offers.save(terminal.home, copy)
    except OSError as error:
        terminal.note(
            f"{offers.file_of(terminal.home)} cannot be written ({error.strerror}): it is asked anew next time."
        )
    return copy, None


def _asked(terminal: Terminal, words: str) -> list[Offer]:
    from training.backends.foundry import registry  # noqa: PLC0415 (it loads Azure's library)

    with terminal.progress() as tell:
        return registry.search(words, tell=tell)


def _tell(terminal: Terminal, words: str, here: list[BaseModel], offers: tuple[Offer, ...], today: date) -> None:
    if here:
        _show(terminal, here, as_json=False)
    else:
        terminal.say(f"No model that can be tuned on this machine has {words} in its name.")
    if not offers:
        return
    terminal.say()
    terminal.table(
        ["In Azure's registry", "Version", "Context", "Tuned for", "Where", "Fine-tuning", "Licence", "Errata can"],
        [
            (
                offer.name,
                offer.version,
                f"{offer.context:,}" if offer.context is not None else None,
                ", ".join(offer.tuned),
                ", ".join(offer.tune_regions),
                _lifetime(offer, today),
                offer.licence,
                " and ".join(offer.ways(today)) or "do nothing with it",
            )
            for offer in offers
        ],
    )


def _lifetime(offer: Offer, today: date) -> str:
    caution = offer.caution(today)
    if caution is not None:
        return str(caution)
    return "offered" if offer.tuned_as_a_service else "not offered"


def _row(offer: Offer, today: date) -> dict[str, Any]:
    return {**offer.as_json(), "ways": list(offer.ways(today))}


def _moment(at: datetime) -> str:
    return at.isoformat(" ")[:_MINUTES]
