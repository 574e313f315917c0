"""``errata``: the front door. Global options, the commands that serve, and every other story's, mounted.

Owns exit codes and how errors are shown: one sentence on stderr, a traceback only with ``--debug``.
Imports nothing heavy before a command runs, so that ``errata --help`` answers at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bot import logs
from bot.entry import Entry
from bot.importing import importing_commands
from bot.logs import LogFormat
from curation import cli as curation_cli
from curation.errors import ErrataError, Invalid, Unavailable
from curation.terminal import AsJson, kept_whole, plain, read_text
from training import cli as training_cli
from training.backends.names import BackendName

app = typer.Typer(
    name="errata",
    no_args_is_help=True,
    rich_markup_mode=None,  # Rich's help costs as long again as everything else
    pretty_exceptions_enable=False,  # ``run`` shows errors
    context_settings={"help_option_names": ["-h", "--help"]},
)
curation_cli.mount(app)
training_cli.mount(app)
app.add_typer(importing_commands)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0 fine, 1 failed, 2 wrong use, 3 a provider refused, 130 stopped."""
    debug = "--debug" in arguments  # known even where parsing the options fails
    try:
        app([kept_whole(argument) for argument in arguments], prog_name="errata")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except ErrataError as error:
        return _failed(error, str(error), error.exit_code, debug=debug)
    except KeyboardInterrupt as error:
        return _failed(error, "Stopped.", 130, debug=debug)
    except Exception as error:  # noqa: BLE001 (the process edge: a person reads a sentence)
        sentence = f"Something unforeseen happened ({type(error).__name__}); run again with --debug to see where."
        return _failed(error, sentence, 1, debug=debug)
    return 0


def _failed(error: BaseException, sentence: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    typer.echo(plain(sentence), err=True)
    return code


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415

        typer.echo(f"errata {version('errata')}")
        raise typer.Exit


@app.callback()
def errata(
    ctx: typer.Context,
    acting: Annotated[str | None, typer.Option("--as", metavar="PERSON", help="Who acts; else ERRATA_ACTOR.")] = None,
    home: Annotated[
        Path | None, typer.Option("--home", metavar="FOLDER", help="Folder for the database, datasets and runs.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and more log.")] = False,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and end.")
    ] = False,
) -> None:
    """Turn the mistakes that a support team catches in Slack into the next, better model."""
    given = {"ERRATA_ACTOR": acting, "ERRATA_HOME": str(home) if home is not None else None}
    entry = Entry({**os.environ, **{name: value for name, value in given.items() if value}}, debug=debug)
    ctx.obj = entry
    ctx.call_on_close(entry.close)


WithParent = Annotated[bool, typer.Option("--with-parent", hidden=True)]
"""For processes that another one starts and that must not outlive it."""

Health = Annotated[
    str | None,
    typer.Option("--health", metavar="HOST:PORT", help="Answer /healthz and /readyz there, for supervisors."),
]
LogLines = Annotated[
    LogFormat | None, typer.Option("--log-format", help="How the log is written; text on a terminal, else json.")
]


def _entry(ctx: typer.Context) -> Entry:
    entry = ctx.find_object(Entry)
    if entry is None:
        raise RuntimeError("the callback of the application makes the entry")
    return entry


def _log_to_stderr(entry: Entry, log_format: LogFormat | None) -> None:
    settings = entry.settings
    secrets = (settings.bot_token, settings.app_token, settings.assistant_key, *settings.signing_secrets)
    logs.configure(log_format, debug=entry.debug, secrets=secrets)


@app.command(epilog="Example: errata serve --http 127.0.0.1:8080")
def serve(
    ctx: typer.Context,
    http: Annotated[
        str | None,
        typer.Option("--http", metavar="HOST:PORT", help="Serve signed HTTP requests in place of Socket Mode."),
    ] = None,
    solo: Annotated[
        bool, typer.Option("--solo", help="Let one person approve what they wrote, to try it out.")
    ] = False,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Start no worker beside it.")] = False,
    health: Health = None,
    log_format: LogLines = None,
    with_parent: WithParent = False,
) -> None:
    """Serve Slack, over Socket Mode unless --http is given, with a worker beside it."""
    from contextlib import nullcontext  # noqa: PLC0415

    from bot import addresses, database_files, serving, working  # noqa: PLC0415 (loads Bolt and gunicorn)

    if with_parent:
        working.end_with_parent()
    entry = _entry(ctx)
    settings = replace(entry.settings, solo=entry.settings.solo or solo)
    address = addresses.parse_address(http) if http is not None else None
    if address is None:
        settings.require_socket()
    else:
        settings.require_http()
        addresses.require_free(address)
    watched = addresses.parse_address(health) if health is not None else None
    if watched is not None:
        addresses.require_free(watched)
    _log_to_stderr(entry, log_format)
    database_files.require_sound(settings.database_url)
    store = entry.store  # opened first: the worker beside must find its tables
    if settings.solo:
        entry.note("Solo: one person may correct and approve; such rows are marked self-approved.")
    passed_on = ["--log-format", log_format.value] if log_format is not None else []
    beside = nullcontext() if no_worker else serving.worker_beside(entry.environ, passed_on)
    with serving.sole_web_process(settings, store), beside:
        if address is None:
            serving.serve_socket(settings, store, ready=entry.say, health=watched)
        else:
            store.close()
            serving.serve_http(settings, address, ready=entry.say, health=watched)


@app.command(epilog="Example: errata work")
def work(
    ctx: typer.Context, with_parent: WithParent = False, health: Health = None, log_format: LogLines = None
) -> None:
    """Run the worker alone: it advances runs and deployments and delivers notices."""
    from bot import addresses, database_files, working  # noqa: PLC0415 (loads the tables; nothing that serves Slack)

    if with_parent:
        working.end_with_parent()
    entry = _entry(ctx)
    watched = addresses.parse_address(health) if health is not None else None
    _log_to_stderr(entry, log_format)
    database_files.require_sound(entry.settings.database_url)
    working.work(entry.settings, entry.store, entry.clock, ready=entry.note, health=watched)


@app.command(epilog="Example: errata migrate")
def migrate(ctx: typer.Context) -> None:
    """Bring the database to the tables of this program; a copy of it as it was is kept beside it."""
    from bot import upgrading  # noqa: PLC0415

    entry = _entry(ctx)
    done = upgrading.migrate(entry.settings.database_url, entry.home, entry.clock())
    if done.before == done.after:
        entry.say(f"The database is at {done.after}.")
        return
    entry.say(f"The database went from {done.before or 'nothing'} to {done.after}.")
    if done.copy is not None:
        entry.say(f"As it was before, it is in {done.copy}")


@app.command(epilog="Example: errata backup --out /mnt/elsewhere/errata.db")
def backup(
    ctx: typer.Context,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="A new file; else one in backups, in the home folder.")
    ] = None,
) -> None:
    """Copy the database as it stands at this moment, while Errata runs."""
    from bot import backups  # noqa: PLC0415

    entry = _entry(ctx)
    with entry.waiting("Copying the database …"):
        copy = backups.back_up(entry.settings.database_url, entry.home, entry.clock(), out=out)
    entry.say(f"{copy} holds the database, {copy.stat().st_size / 1e6:,.1f} MB. Restore it with: errata restore {copy}")


@app.command(epilog="Example: errata restore /mnt/elsewhere/errata.db")
def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What errata backup or errata migrate has written.")],
) -> None:
    """Put a backup in the place of the database, with Errata stopped; what it replaces is kept."""
    from bot import backups, migrations  # noqa: PLC0415

    entry = _entry(ctx)
    with entry.waiting("Restoring the database …"):
        kept, revision = backups.restore(entry.settings.database_url, entry.home, entry.clock(), file)
    entry.say(f"The database is the one of {file}, at revision {revision}.")
    if kept is not None:
        entry.say(f"What it replaced is in {kept}")
    if migrations.is_older(revision):
        entry.say("Next: errata migrate")


@app.command(epilog="Example: errata doctor --json")
def doctor(
    ctx: typer.Context,
    as_json: AsJson = False,
    notice: Annotated[
        bool,
        typer.Option("--notice/--no-notice", help="Send a test notice to the review channel, and take it away again."),
    ] = True,
    foundry: Annotated[bool, typer.Option("--foundry", help="Look at Azure AI Foundry instead.")] = False,
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="With --foundry: the model that is to be tuned.")
    ] = None,
) -> None:
    """Look at every prerequisite and say what to do about those that fail."""
    from bot.doctor import examine, show  # noqa: PLC0415
    from curation.prerequisites import State  # noqa: PLC0415
    from training.commands import foundry_commands  # noqa: PLC0415

    entry = _entry(ctx)
    with entry.waiting("Looking …"):
        checks = list(foundry_commands.examine(entry, model=model) if foundry else examine(entry, notice=notice))
    if as_json:
        found = [check.as_json() for check in checks]
        entry.give({"checks": found} if foundry else found)
    else:
        show(entry, checks)
    if any(check.state is State.FAILED for check in checks):
        raise typer.Exit(1)


@app.command(epilog="Example: errata init")
def init(
    ctx: typer.Context,
    bot_token: Annotated[str | None, typer.Option("--bot-token", metavar="TOKEN", help="xoxb-…")] = None,
    app_token: Annotated[
        str | None, typer.Option("--app-token", metavar="TOKEN", help="xapp-…, for Socket Mode.")
    ] = None,
    signing_secret: Annotated[
        str | None, typer.Option("--signing-secret", metavar="TEXT", help="For serve --http.")
    ] = None,
    review_channel: Annotated[
        str | None, typer.Option("--review-channel", metavar="ID", help="Channel for notices.")
    ] = None,
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="PERSON", help="The first owner: a Slack user id, or a name.")
    ] = None,
    assistant: Annotated[str | None, typer.Option("--assistant", metavar="NAME", help="The assistant's name.")] = None,
    bots: Annotated[list[str] | None, typer.Option("--bot", metavar="ID", help="User or bot id it posts as.")] = None,
    prompt_file: Annotated[
        Path | None, typer.Option("--prompt-file", metavar="FILE", help="Its system prompt, in UTF-8.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing; take the options as they are.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what .env says otherwise.")] = False,
) -> None:
    """Set up an installation: .env, the database, the first owner, the assistant."""
    from bot import initialising  # noqa: PLC0415
    from bot.env_file import DOTENV  # noqa: PLC0415

    entry = _entry(ctx)

    def ask(given: str | None, question: str, *, hide: bool = False) -> str:
        if given is not None or yes:
            return given or ""
        return str(typer.prompt(question, default="", show_default=False, hide_input=hide)).strip()

    bot_token = ask(bot_token, "Bot token (xoxb-…; leave it empty for the link that creates the Slack app)", hide=True)
    app_token = ask(app_token, "App-level token (xapp-…)", hide=True)
    review_channel = ask(review_channel, "Id of the review channel")
    assistant = ask(assistant, "The assistant's name")
    posts_as = tuple(bots or ask(None, "The user id it posts as").split())
    named = ask(None if prompt_file is None else str(prompt_file), "A file with its system prompt")
    owner = ask(owner, "The first owner (Slack user id, or a name)")
    answers = initialising.Answers(
        variables={
            "SLACK_BOT_TOKEN": bot_token,
            "SLACK_APP_TOKEN": app_token,
            "SLACK_SIGNING_SECRET": signing_secret or "",
            "ERRATA_REVIEW_CHANNEL": review_channel,
        },
        owner=owner or None,
        assistant=assistant or None,
        bots=posts_as,
        prompt=read_text(Path(named)) if named else None,
    )
    for sentence in initialising.initialise(entry, answers, DOTENV, force=force):
        entry.say(sentence)
    others = "errata people grant U… reviewer for whoever approves, then " if owner else ""
    entry.say(f"Next: {others}errata doctor and errata serve")


@app.command(epilog="Example: errata demo --headless --out demo")
def demo(
    headless: Annotated[
        bool, typer.Option("--headless", help="Play the loop without pauses, ask nothing and open nothing.")
    ] = False,
    browser: Annotated[
        bool | None,
        typer.Option(
            "--browser/--no-browser",
            help="Serve the workspace as a page on this machine, for you to try; else play the loop. "
            "On a terminal, the page.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="A new folder for what the demo makes.")] = Path(
        "errata-demo"
    ),
    correction: Annotated[
        str | None, typer.Option("--correction", metavar="TEXT", help="Your own better reply, in the loop played.")
    ] = None,
    sample: Annotated[Path | None, typer.Option("--sample", metavar="FOLDER", help="Another sample workspace.")] = None,
    backend: Annotated[
        BackendName,
        typer.Option(
            "--backend",
            help="Where the loop played trains: local, or foundry, a sandbox here that is shaped like Azure.",
        ),
    ] = BackendName.LOCAL,
) -> None:
    """The whole loop on a sample workspace, to try in a browser or to watch: no account, no network, a few minutes."""
    from rich.console import Console  # noqa: PLC0415

    plays = headless or correction is not None or backend is not BackendName.LOCAL
    if browser and plays:
        raise Invalid(
            "--browser does not go with --headless, --correction or --backend: in the page you do everything yourself."
        )
    if browser or (browser is None and not plays and sys.stdin.isatty() and sys.stdout.isatty()):
        from bot.demo.browser import run_page  # noqa: PLC0415

        run_page(out=out, sample=sample, console=Console())
        return
    if backend is BackendName.FOUNDRY:
        try:
            from bot.demo.elsewhere import run_in_azure  # noqa: PLC0415
        except ModuleNotFoundError as error:  # the sandbox's certificates take a library of that extra
            raise Unavailable(
                "{package} is not installed on this machine: pip install 'errata[azure]'", package=error.name or ""
            ) from None
        run_in_azure(out=out, correction=correction, sample=sample, headless=headless, console=Console())
        return
    if backend is not BackendName.LOCAL:
        raise Invalid(f"No loop is played with {backend}: --backend takes local or foundry.")
    from bot.demo.story import run_demo  # noqa: PLC0415

    run_demo(headless=headless, out=out, correction=correction, sample=sample, console=Console())


if __name__ == "__main__":
    main()
