"""``errata estimate``: whether to tune, and the five questions to be answered before anything is spent.

Owns how they are put into words for a terminal. The figures are ``training.planning.estimates``'s, the counsel
``training.planning.counsel``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from curation.errors import Invalid
from curation.terminal import AsJson, Terminal, at
from training.backends.names import BackendName

if TYPE_CHECKING:
    from training.planning.estimates import Estimate

estimate_commands = typer.Typer(rich_markup_mode=None)

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_SERVICES = (BackendName.FOUNDRY, BackendName.OPENAI)
_PRIVACY = {
    "redact": "Personal data were redacted before the rows were frozen",
    "review": "Personal data were decided about, one by one, before the rows were frozen",
    "off": "Nobody looked for personal data in these rows",
}


@estimate_commands.command(epilog="Example: errata estimate v1 --model phi-4-mini-instruct --gpu L4")
def estimate(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(metavar="NAME", help="A dataset's name, or how its digest begins.")],
    model: Annotated[
        str,
        typer.Option(
            "--model", metavar="MODEL", help="A name from errata models, production, or a checkpoint's path or hub id."
        ),
    ],
    recipe: Annotated[
        str | None, typer.Option("--recipe", metavar="RECIPE", help="A shipped recipe or a TOML file.")
    ] = None,
    backend: Annotated[BackendName, typer.Option("--backend", help="Where to train.")] = BackendName.LOCAL,
    gpu: Annotated[
        str | None,
        typer.Option("--gpu", metavar="GPU", help="As if this machine had that GPU: L4, H100, or gigabytes of memory."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail unless the answer is Tune.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say whether to tune, and what a run would take: tokens, time, memory, and what to change."""
    from training.backends.foundry.place import AzurePlace  # noqa: PLC0415
    from training.backends.local import devices  # noqa: PLC0415
    from training.planning import estimates, prices  # noqa: PLC0415 (the tables load only where a command needs them)
    from training.planning.counsel import Cure  # noqa: PLC0415

    terminal = at(ctx)
    if backend is not BackendName.LOCAL and gpu is not None:
        raise Invalid("--gpu is about this machine; leave it out with --backend {backend}.", backend=backend.value)
    place, table = AzurePlace.read(terminal.services), prices.read(terminal.home)
    machine = estimates.assumed(gpu) if gpu is not None else devices.here()
    with terminal.store.read() as session:
        found = estimates.of(
            session,
            dataset_name=dataset,
            model=model,
            recipe=recipe,
            home=terminal.home,
            machine=machine,
            backend=backend,
            place=place,
            table=table,
            production_model=terminal.production_model,
            endorsement_share=terminal.endorsement_share,
            today=terminal.clock().date(),
        )
    answered = answers(found)
    if as_json:
        named = [{"question": question, "answer": answer} for question, answer in answered]
        terminal.give({**found.as_json(), "answers": named})
    else:
        _show(terminal, found, answered, model, missing=place.missing(backend))
    if strict and found.counsel.cure is not Cure.TUNE:
        raise typer.Exit(1)


def answers(found: Estimate) -> list[tuple[str, str]]:
    """The five questions with their answers."""
    return [
        ("Which model, and for what?", _which(found)),
        ("What does it cost?", _cost(found)),
        ("How far can it be customised?", _custom(found)),
        ("How convenient is it?", _convenience(found)),
        ("What protects from harm?", _protection(found)),
    ]


def _show(
    terminal: Terminal, found: Estimate, answered: list[tuple[str, str]], model: str, *, missing: list[str]
) -> None:
    terminal.say(f"{found.counsel.cure.value}: {found.counsel.reason}")
    for number, (question, answer) in enumerate(answered, start=1):
        terminal.say()
        terminal.say(f"{number}. {question}")
        terminal.say(f"   {answer}")
    unsaid = [finding for finding in found.findings if finding.message not in found.counsel.reason]
    if unsaid:
        terminal.say()
        terminal.warn(unsaid)
    terminal.say()
    if missing:
        terminal.say(f"The backend {found.backend.value} is not set up here; it takes {', '.join(missing)}.")
        terminal.say("Next: errata doctor --foundry")
        return
    terminal.say(f"Next: {_next(found, model)}")


def _which(found: Estimate) -> str:
    from training.hyperparameters import Objective  # noqa: PLC0415

    subject, listed = found.subject, found.subject.listed
    about = []
    if subject.shape is not None:
        about.append(f"{_count(subject.shape.parameters)} weights")
    if subject.window is not None:
        about.append(f"a window of {subject.window:,} tokens")
    if listed is not None and listed.licence is not None and listed.name == subject.name:
        about.append(f"licence {listed.licence}")
    purpose = {
        Objective.REPLIES: "to write replies as they were corrected and endorsed",
        Objective.PREFERENCES: "to prefer the corrected reply to the flagged one",
        Objective.LABELS: "to label conversations, beside whatever writes the replies",
    }[found.recipe.objective]
    known = f"{subject.name} ({', '.join(about)})" if about else subject.name
    if found.backend in _SERVICES:
        return f"{known}, {purpose}. Whether Azure tunes it there, the run asks before anything is uploaded."
    unknown = f" {subject.unknown}" if subject.unknown is not None else ""
    where = "here" if found.backend is BackendName.LOCAL else f"by {found.backend.value}"
    return f"{known} can be tuned {where} {purpose}.{unknown}"


def _cost(found: Estimate) -> str:
    from training.backends.local.fit import disk_bytes  # noqa: PLC0415

    epochs, rows = found.recipe.epochs, found.rows
    counted = {True: "counted", False: "at most, as estimated", None: "guessed from the text's length"}[found.exact]
    tokens = f"{_times(epochs)} over {rows.tokens:,} tokens ({counted}) make {found.tokens:,}"
    time = f"{_duration(found.seconds)} of training" if found.seconds is not None else "a time that nobody knows"
    if found.backend is not BackendName.LOCAL:
        return f"{tokens}: {time} ({found.basis}). {_bill(found)}"
    disk = disk_bytes(found.subject.shape, found.recipe) / 1e9
    room = f" and up to {disk:,.1f} GB of disk" if found.subject.shape is not None else ""
    return (
        f"{tokens}: {time} ({found.basis}){room}. Nobody sends a bill: it takes your machine and its electricity, "
        "whose price Errata does not know."
    )


def _bill(found: Estimate) -> str:
    """What somebody sends a bill for."""
    from training.planning.parts import money  # noqa: PLC0415

    cost = found.cost
    if cost is None:
        return ""
    dollars = f"About {money(cost.dollars)} in all." if cost.dollars is not None else "How much it costs is unknown."
    return " ".join([dollars, *cost.sentences()])


def _custom(found: Estimate) -> str:
    from training.planning import memory  # noqa: PLC0415

    recipe, shape = found.recipe, found.subject.shape
    if found.backend in _SERVICES:
        pairs = f", or learn preferences ({found.grounds.pairs:,} pairs here)"
        return (
            "The provider chooses which weights it trains, and keeps them. A recipe of yours may change epochs, batch "
            f"size and learning rate{pairs if found.backend is BackendName.OPENAI else ''}; it can neither weigh "
            "corrections against good replies nor train a head that labels."
        )
    trained = memory.trained_weights(shape, recipe) if shape is not None else None
    share = f", {trained / shape.parameters:.2%} of the weights" if trained is not None and shape is not None else ""
    whole = (
        f" and all of {' and '.join(recipe.lora.modules_to_save)}"
        if recipe.lora and recipe.lora.modules_to_save
        else ""
    )
    what = "every weight" if recipe.lora is None else f"adapters of rank {recipe.lora.rank}{whole}{share}"
    longest = found.rows.longest
    cut = (
        f" The longest conversation has {longest:,} tokens: above {recipe.max_length:,} it loses its oldest turns."
        if longest > recipe.max_length
        else f" The longest conversation has up to {longest:,} of {recipe.max_length:,} tokens, so nothing is cut."
    )
    return (
        f"The recipe {recipe.name} trains {what}; one of your own may train every weight, preferences "
        f"({found.grounds.pairs:,} pairs here) or a classification head, and weigh corrections against good replies."
        f"{cut}"
    )


def _convenience(found: Estimate) -> str:
    if found.backend in _SERVICES:
        return "Neither code nor a machine of yours is needed: the provider trains, and hosts what comes of it."
    if found.backend is not BackendName.LOCAL:
        return (
            "No code of yours is needed, but machines in the cloud: whether the model fits them, the run's own check "
            f"says. {_command_of_rehearsal(found)}"
        )
    code = "No code of yours is needed, but your own compute"
    if found.fit is None or found.room is None:
        return f"{code}; how much memory that takes is not known. {_command_of_rehearsal(found)}"
    needed, room = found.fit.needed.total / 1e9, found.room
    where = room.device if room.device != "this machine" else "this machine's memory"
    told = f"{code}: about {needed:,.1f} GB of {where}, which has {room.free / 1e9:,.1f} GB free"
    if found.fit.fits:
        return f"{told}. It fits."
    change = found.fit.change or f"No recipe makes it fit: {found.fit.least / 1e9:,.1f} GB are the least."
    return f"{told}. It does not fit, and the run would be refused. {change}"


def _command_of_rehearsal(found: Estimate) -> str:
    return f"Prove the pipeline first: errata train {found.version.name} --model rehearsal"


def _protection(found: Estimate) -> str:
    manifest, grounds = found.version.manifest, found.grounds
    privacy = _PRIVACY.get(str(manifest.get("privacy")), "What was done about personal data is not known")
    alone, imported = int(manifest.get("self_approved", 0)), int(manifest.get("imported", 0))
    approved = [
        *([f"{imported:,} rows were attested by whoever imported them"] if imported else []),
        *([f"{alone:,} were approved by nobody but their author"] if alone else []),
        *(["a second person approved the others"] if imported + alone < int(manifest["rows"]) else []),
    ]
    return (
        f"{privacy}; {', '.join(approved)}. The tuned model is compared with production on {grounds.validation:,} rows "
        "that it never saw, fixed and kept apart, and goes live only when a person says so. "
        + (
            "The provider's content filter stands before its endpoint."
            if found.backend in _SERVICES
            else "Nothing filters what a local endpoint says."
        )
    )


def _next(found: Estimate, model: str) -> str:
    from training.planning.counsel import Cure  # noqa: PLC0415

    if found.counsel.cure is Cure.FIX_THE_SOURCE:
        return "errata knowledge-gaps"
    if found.fit is not None and not found.fit.fits and found.fit.other is not None:
        return f"errata estimate {found.version.name} --model {model} --recipe {found.fit.other}"
    if found.counsel.cure is Cure.NOT_YET:
        return (
            f"errata check {found.version.name} --model {found.subject.listed.name if found.subject.listed else model}"
        )
    where = "" if found.backend is BackendName.LOCAL else f" --backend {found.backend.value}"
    return f"errata train {found.version.name} --model {model} --recipe {found.recipe.name}{where}"


def _count(weights: int) -> str:
    """``3.8 billion``, ``0.9 million``."""
    large = 10**9
    return f"{weights / large:,.1f} billion" if weights >= large else f"{weights / 10**6:,.1f} million"


def _times(epochs: int) -> str:
    return "1 epoch" if epochs == 1 else f"{epochs:,} epochs"


def _duration(seconds: float) -> str:
    """In the unit that a person would choose: ``about 20 minutes``."""
    for size, unit in ((_DAY, "days"), (_HOUR, "hours"), (_MINUTE, "minutes")):
        if seconds >= 2 * size:
            return f"about {seconds / size:,.0f} {unit}"
    return "about a minute" if seconds >= _MINUTE else "less than a minute"
