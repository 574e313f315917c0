"""``errata endpoint``, ``errata chat`` and ``errata delete``: what a run's files are good for, and their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation.errors import Conflict
from curation.terminal import AsJson, Terminal, at
from training.backends.names import BackendName

if TYPE_CHECKING:
    from training.backends.local.serving.entries import Entry
    from training.commands.speaking import Speaker

serving_commands = typer.Typer(rich_markup_mode=None)

PRODUCTION = "production"
_VLLM_PORT = 8000
_ELSEWHERE = {
    BackendName.FOUNDRY: " Azure has archived the model.",
    BackendName.OPENAI: " Azure has deleted the model.",
    BackendName.AZUREML: " So is what the job kept in Azure.",
}
"""What became of the provider's part of a run that has a model."""


@serving_commands.command(epilog="Example: errata endpoint run-1a2b3c4d --port 8000")
def endpoint(
    ctx: typer.Context,
    named: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs' ids, or how they begin.")],
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="0 lets the system choose a free one.")
    ] = 0,
    with_base: Annotated[
        bool, typer.Option("--with-base", help="Serve the base as well; adapters can then be loaded beside it.")
    ] = False,
    vllm: Annotated[
        bool, typer.Option("--vllm", help="Serve nothing: print the commands by which vLLM serves these runs.")
    ] = False,
) -> None:
    """Serve completed runs' models from this terminal until Ctrl-C, whatever is live meanwhile."""
    import threading  # noqa: PLC0415 (imports wait until a command needs them)
    from contextlib import suppress  # noqa: PLC0415

    from training.commands.beside import artefacts, serve_beside  # noqa: PLC0415

    terminal = at(ctx)
    found = artefacts(terminal, named)
    if vllm:
        _show_vllm(terminal, list(found), port or _VLLM_PORT)
        return
    _end_as_by_hand()
    with serve_beside(terminal, list(found), port=port, with_base=with_base) as url:
        terminal.say(f"{', '.join(found)} answers at {url}; stop it with Ctrl-C.")
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    terminal.note("Stopped.")


@serving_commands.command(epilog="Example: errata chat run-1a2b3c4d --beside production")
def chat(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or how it begins.")],
    beside: Annotated[
        str | None,
        typer.Option("--beside", metavar="RUN", help="Ask another run the same, or production: what is live."),
    ] = None,
    system: Annotated[
        str | None,
        typer.Option("--system", metavar="TEXT", help="The system prompt; without it the one that the run learned."),
    ] = None,
    temperature: Annotated[
        float, typer.Option("--temperature", metavar="T", min=0, max=2, help="0 takes the most probable words.")
    ] = 0.0,
    tokens: Annotated[int, typer.Option("--tokens", metavar="N", min=1, help="Most tokens of a reply.")] = 512,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON for each question.")] = False,
) -> None:
    """Talk with a run's model in the terminal, or with two at once; lines of a pipe are questions as well."""
    from training.commands.beside import artefacts, require_replies, serve_beside  # noqa: PLC0415
    from training.commands.playground import HELP, Playground, typed  # noqa: PLC0415
    from training.commands.speaking import Speaker  # noqa: PLC0415
    from training.commands.watching import probe_question_of, summary_of  # noqa: PLC0415

    terminal = at(ctx)
    run_id = summary_of(terminal, run).id
    live, entry = _production(terminal, run_id) if beside == PRODUCTION else (None, None)
    other = summary_of(terminal, beside).id if beside not in {None, PRODUCTION} else None
    asked = [run_id, *([other] if other else [])]
    require_replies(artefacts(terminal, asked))
    first = probe_question_of(terminal, run_id).messages[0]
    learned = first.content if first.role.value == "system" else ""
    _end_as_by_hand()
    with serve_beside(terminal, asked, also=[entry] if entry else []) as url:
        speakers = [Speaker(run_id, url, run_id)]
        if live is not None:
            speakers.append(live)
        elif beside is not None:
            speakers.append(Speaker(other or PRODUCTION, url, other or PRODUCTION))
        terminal.note(HELP)
        wish: dict[str, Any] = {"temperature": temperature, "max_tokens": tokens}
        room = Playground(terminal, speakers, system=learned if system is None else system, wish=wish, as_json=as_json)
        room.talk(typed())


@serving_commands.command(epilog="Example: errata --as ana delete run-1a2b3c4d")
def delete(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or how it begins.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a run's files, its model among them; what is said about the run stays. It cannot be undone."""
    from training import removal  # noqa: PLC0415
    from training.commands.watching import summary_of, workplace_of  # noqa: PLC0415
    from training.runs import RunStatus  # noqa: PLC0415

    terminal = at(ctx)
    run_id = summary_of(terminal, run).id
    if not yes and not typer.confirm(f"Delete the model and all files of {run_id} for good?", err=True):
        terminal.note("Nothing was deleted.")
        raise typer.Exit(1)
    with terminal.store.write() as session:
        found = removal.delete(session, terminal.actor(session), terminal.clock(), run_id=run_id)
        backend, made = BackendName(found.backend), found.status == RunStatus.COMPLETED
    with terminal.waiting("Deleting …"):
        removed = removal.remove(workplace_of(terminal), found)
    if as_json:
        terminal.give({"run": run_id, "bytes": removed.size, "stays": removed.stays})
        return
    elsewhere = _ELSEWHERE.get(backend, "") if made else ""
    terminal.say(f"The files of {run_id} are deleted: {removed.size / 1e6:,.1f} MB.{elsewhere}")
    for name, others in removed.stays.items():
        terminal.say(f"{name} stays in Azure, as its rows are those of {', '.join(others)}; the last of them takes it.")


def _production(terminal: Terminal, run_id: str) -> tuple[Speaker | None, Entry | None]:
    """Who is live, or what the settings name as production and is to be served."""
    from training import deployments, runs  # noqa: PLC0415
    from training.backends.local.serving.entries import Entry  # noqa: PLC0415
    from training.commands.speaking import Speaker  # noqa: PLC0415

    with terminal.store.read() as session:
        live = runs.production(session)
        url = deployments.require_live(session, live.id).url if live is not None else None
    if live is not None and live.id == run_id:
        raise Conflict("{run} is production itself; name another run with --beside.", run=run_id)
    if live is not None and url:
        return Speaker(f"production ({live.id})", url, live.id), None
    if terminal.production_model is None:
        raise Conflict(
            "No model is live: deploy a run, name the model in production with ERRATA_PRODUCTION_MODEL, or name a run "
            "with --beside."
        )
    return None, Entry(PRODUCTION, terminal.production_model)


def _show_vllm(terminal: Terminal, run_ids: list[str], port: int) -> None:
    from training import runs  # noqa: PLC0415
    from training.commands.beside import artefacts, require_replies, vllm_commands  # noqa: PLC0415

    with terminal.store.read() as session:
        loras = {run_id: runs.recipe_of(runs.find(session, run_id)).lora for run_id in run_ids}
    found = artefacts(terminal, run_ids)
    require_replies(found)
    for command in vllm_commands(found, loras, port=port):
        terminal.say(command)


def _end_as_by_hand() -> None:
    """Whoever ends the command in another way than Ctrl-C, as by closing the terminal, ends it as tidily."""
    import signal  # noqa: PLC0415

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, signal.default_int_handler)
