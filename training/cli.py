"""The part of the command line that belongs to training: models, runs, evaluations, endpoints.

Owns no decision: every command translates, calls one use case and prints.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from curation.commands.datasets import dataset_commands
from curation.errors import Conflict, Invalid
from curation.terminal import AsJson, Terminal, at
from training.backends.names import PAID, TITLES, BackendName
from training.commands import card_commands, costs_commands, model_commands, tracing
from training.commands.checking import check_commands
from training.commands.estimating import estimate_commands
from training.commands.foundry_commands import foundry_commands
from training.commands.serving_commands import serving_commands

commands = typer.Typer(rich_markup_mode=None)
run_commands = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="One run: show, logs, card, cancel, resume."
)

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask, where this begins to cost money at a provider's.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or how it begins.")]
_STOPPED = 130
_LOG_FOLDERS = ("job", "evaluation", "endpoint")


def mount(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.add_typer(check_commands)
    app.add_typer(estimate_commands)
    model_commands.mount(app)
    tracing.mount(dataset_commands)
    app.add_typer(commands)
    app.add_typer(serving_commands)
    card_commands.mount(run_commands)
    app.add_typer(run_commands, name="run")
    costs_commands.mount(foundry_commands)
    app.add_typer(foundry_commands, name="foundry")


@commands.command(epilog="Example: errata --as ana train v1 --model rehearsal")
def train(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(metavar="NAME", help="A dataset's name, or how its digest begins.")],
    backend: Annotated[BackendName, typer.Option("--backend", help="Where to train.")] = BackendName.LOCAL,
    model: Annotated[
        str,
        typer.Option(
            "--model", metavar="MODEL", help="A name from errata models, production, or a checkpoint's path or hub id."
        ),
    ] = "rehearsal",
    recipe: Annotated[
        str | None, typer.Option("--recipe", metavar="RECIPE", help="A shipped recipe or a TOML file.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Only ask for the run; a worker carries it out.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Tune a model on a dataset, evaluate it, and say what came of it."""
    from training import orders, runs  # noqa: PLC0415
    from training.backends.foundry.place import AzurePlace  # noqa: PLC0415
    from training.commands import agreeing  # noqa: PLC0415
    from training.planning import prices  # noqa: PLC0415
    from training.summaries import of_run  # noqa: PLC0415

    terminal = at(ctx)
    place, table = AzurePlace.read(terminal.services), prices.read(terminal.home)
    wish: dict[str, Any] = {"dataset_name": dataset, "model": model, "recipe": recipe}
    wish |= {"backend": backend, "place": place}
    wish |= {"production_model": terminal.production_model, "privacy": terminal.privacy}
    paid = backend in PAID
    if paid:
        with terminal.store.read() as session:
            plan = agreeing.planned(session, terminal, table, wish)
        agreeing.to_train(terminal, plan, yes=yes, as_json=as_json)
        with terminal.store.read() as session:  # they may have thought about it for an hour
            if agreeing.planned(session, terminal, table, wish).as_json() != plan.as_json():
                raise Conflict("What was shown of the run has changed since: give the command once more.")
    with terminal.store.write() as session:
        run_id = orders.request(session, terminal.actor(session), terminal.clock(), **wish, table=table).id
    if not detach:
        terminal.note(f"{run_id} trains {model} on {dataset}.")
    if paid:
        with terminal.store.read() as session:
            cost = of_run(session, runs.find(session, run_id), table).estimated
        terminal.note(f"It goes to {TITLES[backend]}, at a cost of: {cost}. Stop it with: errata run cancel {run_id}")
    _carry(terminal, run_id, detach=detach, as_json=as_json)


@commands.command(epilog="Example: errata runs run-1a2b3c4d run-5e6f7a8b --plot losses.png")
def runs(
    ctx: typer.Context,
    named: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Two or more runs to compare; none for the list.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Write their loss curves there, as one PNG.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show every run, newest first; or compare some: what they were made of where it differs, and what came of it."""
    from training import runs as lifecycle  # noqa: PLC0415
    from training.commands.reports import show_runs  # noqa: PLC0415
    from training.planning import prices  # noqa: PLC0415
    from training.summaries import of_run  # noqa: PLC0415

    terminal = at(ctx)
    if named or plot is not None:
        _compare(terminal, named or [], plot, as_json=as_json)
        return
    with terminal.store.read() as session:
        table = prices.shown(terminal.home)
        summaries = [of_run(session, run, table) for run in lifecycle.listed(session)]
    if as_json:
        terminal.give([summary.as_json() for summary in summaries])
    else:
        show_runs(terminal, summaries)


@run_commands.command("show", epilog="Example: errata run show run-1a2b3c4d")
def show_run(ctx: typer.Context, run: RunArgument, as_json: AsJson = False) -> None:
    """Show one run: where it stands, its loss, its evaluation, its deployment."""
    _show(at(ctx), run, as_json=as_json)


@run_commands.command("logs", epilog="Example: errata run logs run-1a2b3c4d")
def show_logs(ctx: typer.Context, run: RunArgument) -> None:
    """Print what the processes of a run have printed."""
    from training.backends.local.folder import LOG  # noqa: PLC0415
    from training.commands.watching import summary_of  # noqa: PLC0415

    terminal = at(ctx)
    summary = summary_of(terminal, run)
    folder = terminal.home / "runs" / summary.id
    logs = [path for name in _LOG_FOLDERS if (path := folder / name / LOG).is_file()]
    for path in logs:
        terminal.say(f"== {path}")
        terminal.say(path.read_text(encoding="utf-8", errors="replace").rstrip())
    if not logs:
        terminal.say(f"{summary.id} has no log on this machine; it is {summary.status}.")
    if summary.reason:
        terminal.say(f"Reason: {summary.reason}")


@run_commands.command("cancel", epilog="Example: errata --as ana run cancel run-1a2b3c4d")
def cancel_run(ctx: typer.Context, run: RunArgument) -> None:
    """Stop a run; a worker that runs carries it out."""
    from training import runs as lifecycle  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.write() as session:
        cancelled = lifecycle.cancel(session, terminal.actor(session), terminal.clock(), run_id=run)
    terminal.say(f"{cancelled.id} is {cancelled.status}.")
    if cancelled.status != "cancelled":
        terminal.note("The worker stops it; if none runs, start one with: errata work")


@run_commands.command("resume", epilog="Example: errata --as ana run resume run-1a2b3c4d")
def resume_run(
    ctx: typer.Context,
    run: RunArgument,
    detach: Annotated[bool, typer.Option("--detach", help="Only ask for it; a worker carries it out.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Let a run that failed or was cancelled go on from where it was, and say what came of it."""
    from training.commands import agreeing  # noqa: PLC0415
    from training.commands.watching import go_on  # noqa: PLC0415

    terminal = at(ctx)
    found = go_on(terminal, run, agreed=partial(agreeing.to_resume, terminal, yes=yes, as_json=as_json))
    terminal.note(
        {
            "resuming": f"{found.id} goes on.",
            "cancelling": f"{found.id} is still being stopped: resume it once it is cancelled.",
        }.get(found.status, f"{found.id} is {found.status}: it goes on by itself.")
    )
    _carry(terminal, found.id, detach=detach, as_json=as_json)


@commands.command(epilog="Example: errata evaluate run-1a2b3c4d --markdown report.md --plot report.png")
def evaluate(
    ctx: typer.Context,
    run: RunArgument,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write the report there, as a page of Markdown.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the shares and losses there, as a PNG.")
    ] = None,
    curve: Annotated[
        Path | None, typer.Option("--curve", metavar="FILE", help="Draw the loss curve there, as a PNG.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write there what --json prints.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run's evaluation found: the verdict, what it rests on, and every case before and after."""
    from training.commands.reports import show_evaluation  # noqa: PLC0415
    from training.commands.watching import summary_of  # noqa: PLC0415
    from training.evaluation.handouts import Handouts, write  # noqa: PLC0415
    from training.evaluation.handouts import as_json as found  # noqa: PLC0415

    terminal = at(ctx)
    summary = summary_of(terminal, run)
    if summary.report is None:
        raise Conflict(
            "{run} is {status}; it has no evaluation yet. See: errata run show {run}",
            run=summary.id,
            status=summary.status,
        )
    for told in write(summary, Handouts(markdown, plot, curve, report)):
        terminal.note(told)
    if as_json:
        terminal.give(found(summary))
    else:
        show_evaluation(terminal, summary)


@commands.command(epilog="Example: errata --as ana deploy run-1a2b3c4d")
def deploy(ctx: typer.Context, run: RunArgument, yes: Yes = False, as_json: AsJson = False) -> None:
    """Put a run's model at an endpoint; what is live now goes once the new one answers."""
    from training import deployments  # noqa: PLC0415
    from training.commands import agreeing  # noqa: PLC0415
    from training.planning import prices  # noqa: PLC0415

    terminal = at(ctx)
    agreeing.to_deploy(terminal, prices.shown(terminal.home), run, yes=yes, as_json=as_json)
    with terminal.store.write() as session:
        run_id = deployments.request(session, terminal.actor(session), terminal.clock(), run_id=run).run_id
    _until_live(terminal, run_id, as_json=as_json)


@commands.command(epilog="Example: errata --as ana rollback")
def rollback(ctx: typer.Context, yes: Yes = False, as_json: AsJson = False) -> None:
    """Put the model back that was live before."""
    from training import deployments  # noqa: PLC0415
    from training.commands import agreeing  # noqa: PLC0415
    from training.planning import prices  # noqa: PLC0415

    terminal = at(ctx)
    agreeing.to_deploy(terminal, prices.shown(terminal.home), None, yes=yes, as_json=as_json)
    with terminal.store.write() as session:
        run_id = deployments.rollback(session, terminal.actor(session), terminal.clock()).run_id
    _until_live(terminal, run_id, as_json=as_json)


def _until_live(terminal: Terminal, run_id: str, *, as_json: bool) -> None:
    """Wait until the model answers, and show what it answered; exit code 1 where it does not."""
    from training.commands.reports import show_deployment  # noqa: PLC0415
    from training.commands.watching import probe_question_of, summary_of, until_switched  # noqa: PLC0415

    _finish(terminal, lambda: until_switched(terminal), "The deployment goes on once a worker runs: errata work")
    summary = summary_of(terminal, run_id)
    if as_json:
        terminal.give(summary.as_json())
    elif summary.deployment == "live":
        show_deployment(terminal, summary, probe_question_of(terminal, run_id))
    if summary.deployment != "live":
        terminal.note(f"{run_id} is not live: {summary.deployment_reason or summary.deployment}")
        raise typer.Exit(1)


@commands.command(epilog="Example: errata --as ana undeploy run-1a2b3c4d")
def undeploy(ctx: typer.Context, run: RunArgument) -> None:
    """Take a run's model from its endpoint."""
    from training import deployments  # noqa: PLC0415
    from training.commands.watching import until_switched  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.write() as session:
        run_id = deployments.retire(session, terminal.actor(session), terminal.clock(), run_id=run).run_id
    _finish(terminal, lambda: until_switched(terminal), "It is taken down once a worker runs: errata work")
    terminal.say(f"{run_id} is no longer live.")


def _show(terminal: Terminal, run_id: str, *, as_json: bool) -> None:
    from training.commands.reports import show_run  # noqa: PLC0415
    from training.commands.watching import summary_of  # noqa: PLC0415

    summary = summary_of(terminal, run_id)
    if as_json:
        terminal.give(summary.as_json())
    else:
        show_run(terminal, summary)


def _compare(terminal: Terminal, named: list[str], plot: Path | None, *, as_json: bool) -> None:
    """Show the runs of these names beside each other."""
    from training.commands.comparing import compared, figures, made_of  # noqa: PLC0415

    with terminal.store.read() as session:
        found = compared(session, named)
    if plot is not None:
        from training.plots import loss_curves  # noqa: PLC0415

        curves = {one.summary.id: one.summary.curve for one in found if one.summary.curve}
        if not curves or not plot.absolute().parent.is_dir():
            raise Invalid(
                "The loss curves cannot be written to {file}: name runs that have trained, and a file in a folder that "
                "exists.",
                file=plot,
            )
        terminal.note(loss_curves(curves, plot, "Loss"))
    if as_json:
        terminal.give([one.as_json() for one in found])
        return
    headings = ["", *(one.summary.id for one in found)]
    differences = made_of(found)
    if differences:
        terminal.table(["Made of", *headings[1:]], differences)
    else:
        terminal.say("They are made of the same: dataset, base and recipe do not differ.")
    terminal.say()
    terminal.table(["Came to", *headings[1:]], figures(found))


def _carry(terminal: Terminal, run_id: str, *, detach: bool, as_json: bool) -> None:
    """Follow the run to its end, or leave it to a worker and say so where none runs."""
    if not detach:
        _watch(terminal, run_id, as_json=as_json)
        return
    from training.foreground import worker_runs  # noqa: PLC0415

    _show(terminal, run_id, as_json=as_json)
    if not worker_runs(terminal.home, terminal.store):
        terminal.note("No worker runs here. Start one with: errata work")


def _watch(terminal: Terminal, run_id: str, *, as_json: bool) -> None:
    """Follow the run to its end and show it; a run that did not complete fails the command."""
    from training.commands.reports import headline  # noqa: PLC0415
    from training.commands.watching import summary_of, until_ended  # noqa: PLC0415

    leaving = f"{run_id} goes on by itself. Finish it with: errata work; stop it with: errata run cancel {run_id}"
    _finish(terminal, lambda: until_ended(terminal, run_id), leaving)
    _show(terminal, run_id, as_json=as_json)
    summary = summary_of(terminal, run_id)
    if summary.status != "completed":
        if as_json:
            terminal.note(headline(summary))
        raise typer.Exit(1)


def _finish(terminal: Terminal, wait: Callable[[], object], leaving: str) -> None:
    """Wait; whoever leaves with Ctrl-C hears how it goes on."""
    try:
        wait()
    except KeyboardInterrupt as stopped:
        terminal.note(leaving)
        raise typer.Exit(_STOPPED) from stopped
