"""The doctor: every prerequisite looked at, with what was seen and what to do about it.

Owns the list of checks; those of Slack are ``bot.slack_checks``'. Changes nothing but a test notice that it takes
away again, and says what it could not look at instead of guessing.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from slack_sdk.errors import SlackApiError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bot import migrations, slack_checks
from bot.connection import client_for, identify
from bot.entry import Entry
from bot.installations import Workspaces
from bot.outcomes import TROUBLES
from bot.settings import Settings
from curation import assistants, audit, notices, people, replies
from curation.errors import ErrataError
from curation.prerequisites import Check, State
from curation.store.engine import Store, open_engine
from curation.terminal import Terminal
from training.foreground import worker_runs

LEAST_PYTHON = (3, 11)
LEAST_FREE_BYTES = 1_000_000_000
REMEMBERED = timedelta(days=7)
HISTORY_SCOPES = (
    "With the scopes channels:history, groups:history and, for direct messages, im:history, Errata looks for itself "
    "when an answer of Slack is lost."
)
NOT_COUNTED = (
    "They are from the moment Errata is in the assistant's channels: /invite @Errata there. An app from an older "
    "app-manifest.yaml lacks its events: take the new one over in the app's settings and install it again."
)
CHAT_SCOPES = (
    "An app from an older app-manifest.yaml lacks users:read and the events of a chat: take the new one over in the "
    "app's settings and install it again."
)
WIDTH = 100
"""Columns of the doctor's lines at most."""


def show(terminal: Terminal, checks: Sequence[Check]) -> None:
    """Print each check, its remedy on lines of its own: sentences, so wrapped in a pipe as on a screen."""
    columns = min(WIDTH, shutil.get_terminal_size((WIDTH, 0)).columns)
    first, second = (max(map(len, names)) + 2 for names in (list(State), [check.id for check in checks]))
    margin = " " * (first + second)
    for check in checks:
        head = f"{check.state.value:{first}}{check.id:{second}}"
        for begin, said in ((head, check.evidence), (f"{margin}→ ", check.remedy)):
            # A path or a command that is broken within a word could not be copied.
            wrapped = textwrap.TextWrapper(columns, begin, margin, break_long_words=False, break_on_hyphens=False)
            for line in wrapped.wrap(said):
                terminal.say(line)


def examine(entry: Entry, *, notice: bool = True) -> Iterator[Check]:
    """Every check, in the order in which one would mend things; with a test notice to the review channel."""
    yield _python()
    try:
        settings = entry.settings
    except ErrataError as error:
        yield Check("settings", State.FAILED, str(error), "Correct the environment or .env.")
        return
    yield Check("settings", State.OK, "The environment and .env can be read.")
    yield from _home(settings.home)
    yield from _database(settings, entry.clock())
    yield from _slack(settings, entry.clock(), notice=notice)
    yield _training()
    running = _worker_runs(entry, settings)
    yield Check(
        "worker",
        State.OK if running else State.WARNING,
        "A worker runs." if running else "No worker runs.",
        "" if running else "Start one with: errata serve, or errata work",
    )


def _worker_runs(entry: Entry, settings: Settings) -> bool:
    try:
        return worker_runs(settings.home, entry.store if settings.database_url.startswith("postgres") else None)
    except ErrataError:  # said where the database is looked at
        return False


def _python() -> Check:
    seen = f"Python {platform.python_version()}"
    if sys.version_info[:2] >= LEAST_PYTHON:
        return Check("python", State.OK, seen)
    return Check("python", State.FAILED, seen, "Install Python 3.11 or newer.")


def _home(home: Path) -> Iterator[Check]:
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        yield Check("home", State.OK, f"{home} can be written.")
    else:
        yield Check("home", State.FAILED, f"{home} cannot be written.", "Choose another folder with ERRATA_HOME.")
    free = shutil.disk_usage(nearest).free
    seen = f"{free / 1e9:,.1f} GB are free."
    if free >= LEAST_FREE_BYTES:
        yield Check("disk", State.OK, seen)
    else:
        yield Check("disk", State.FAILED, seen, "Make room for at least 1 GB, or move ERRATA_HOME.")


def _database(settings: Settings, now: datetime) -> Iterator[Check]:
    file = settings.database_url.removeprefix("sqlite:///")
    if file != settings.database_url and not Path(file).exists():
        yield Check("database", State.WARNING, "There is no database yet.", "Run: errata init")
        return
    try:
        engine = open_engine(settings.database_url)
        present = migrations.current(engine)
    except (ErrataError, DBAPIError) as error:
        reason = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        yield Check("database", State.FAILED, reason, "Check ERRATA_DATABASE_URL and ERRATA_HOME.")
        return
    try:
        if present != migrations.head():
            yield Check("database", State.FAILED, f"It is at revision {present}.", "Run: errata migrate")
            return
        yield Check("database", State.OK, f"It answers and is at revision {present}.")
        store = Store(engine)
        yield from _integrity(store)
        yield _audit(store)
        yield from _people(store)
        yield from _replies(store)
        yield from _notices(store, now)
        if settings.assistant:
            yield _endpoint(store, settings)
    finally:
        engine.dispose()


def _integrity(store: Store) -> Iterator[Check]:
    if store.engine.dialect.name != "sqlite":
        return
    with store.read() as session:
        found = str(session.connection().execute(text("PRAGMA quick_check")).scalar_one())
    if found == "ok":
        yield Check("database.integrity", State.OK, "SQLite finds no damage.")
    else:
        yield Check("database.integrity", State.FAILED, found, "Stop Errata, then run: errata restore FILE")


def _audit(store: Store) -> Check:
    with store.read() as session:
        found = audit.verify(session)
    if found.broken is None:
        return Check("audit", State.OK, f"The chain of {found.entries:,} entries holds.")
    return Check(
        "audit",
        State.FAILED,
        f"The chain is broken at entry {found.broken}: {found.why}.",
        "Look at it with errata audit search, ask who did it, or restore a backup from before: errata restore FILE",
    )


def _replies(store: Store) -> Iterator[Check]:
    with store.read() as session:
        counted = [
            (one.name, sum(figures.replies for figures in replies.per_version(session, one.key)))
            for one in assistants.listed(session)
        ]
    for name, number in counted:
        if number:
            yield Check("replies", State.OK, f"{number:,} replies of {name} are counted.")
        else:
            yield Check("replies", State.WARNING, f"No reply of {name} has been counted yet.", NOT_COUNTED)


def _people(store: Store) -> Iterator[Check]:
    with store.read() as session:
        owners = [people.name_of(session, owner) for owner in people.owners(session)]
        watched = [(one.name, assistants.current_prompt(session, one.key)) for one in assistants.listed(session)]
    if owners:
        yield Check("owner", State.OK, f"Owned by {', '.join(owners)}.")
    else:
        yield Check("owner", State.FAILED, "Nobody is an owner.", "Run: errata people grant YOU owner")
    if not watched:
        yield Check(
            "assistant", State.WARNING, "No assistant is watched.", "Run: errata assistants add NAME --bot USER_ID"
        )
    for name, prompt in watched:
        if prompt is not None:
            yield Check("assistant", State.OK, f"{name} runs with version {prompt.version} of its prompt.")
        else:
            remedy = f'Run: errata assistants prompt "{name}" --file prompt.txt'
            yield Check("assistant", State.FAILED, f"The system prompt of {name} is not known.", remedy)


def _notices(store: Store, now: datetime) -> Iterator[Check]:
    with store.read() as session:
        left = [(notice.destination, notice.trouble) for notice in notices.uncertain(session, since=now - REMEMBERED)]
    if not left:
        yield Check("notices", State.OK, "No notice was lost sight of.")
        return
    where = ", ".join(sorted({destination for destination, _ in left}))
    why = ", ".join(sorted({trouble or "unknown" for _, trouble in left}))
    seen = f"Of {len(left)} notices of the last week nobody knows whether they arrived in {where} ({why})."
    yield Check("notices", State.WARNING, f"{seen} They are not sent again.", f"Look there. {HISTORY_SCOPES}")


def _slack(settings: Settings, now: datetime, *, notice: bool) -> Iterator[Check]:
    try:
        settings.require_socket()
    except ErrataError as error:
        # HTTP needs no app-level token.
        serves_http = bool((settings.bot_token or settings.client_id) and settings.signing_secrets)
        state = State.OK if serves_http else State.WARNING
        yield Check("slack.tokens", state, "Ready for HTTP." if serves_http else str(error), "Run: errata init")
    else:
        yield Check("slack.tokens", State.OK, "Ready for Socket Mode.")
    if not settings.bot_token and not settings.client_id:
        return
    try:
        engine = open_engine(settings.database_url)
        ready = migrations.current(engine) == migrations.head()
    except (ErrataError, DBAPIError):
        return  # said about the database already
    try:
        if ready:
            store = Store(engine)
            yield from slack_checks.examine(Workspaces(settings, store), store, now, notice=notice)
        elif settings.bot_token:
            yield _reachable(settings)
    finally:
        engine.dispose()
    if settings.assistant and settings.bot_token:
        yield from _answers_people(settings)


def _reachable(settings: Settings) -> Check:
    try:
        identity = identify(settings)
    except ErrataError as error:
        return Check("slack.reachable", State.FAILED, str(error), "Check the token and the network.")
    return Check("slack.reachable", State.OK, f"{identity.bot} speaks in {identity.team} ({identity.team_id}).")


def _answers_people(settings: Settings) -> Iterator[Check]:
    try:
        yield _visitors(settings, identify(settings).bot_user_id)
    except ErrataError:
        return  # said above


def _endpoint(store: Store, settings: Settings) -> Check:
    """Whether the model answers that Errata, as the assistant, is to answer with."""
    from bot.assistant.asking import examine  # noqa: PLC0415 (where it is off, nobody asks)
    from bot.assistant.endpoint import Endpoint, keyed  # noqa: PLC0415
    from bot.assistant.troubles import EndpointTrouble  # noqa: PLC0415

    try:
        with store.read() as session:
            at = Endpoint.of(session, settings)
        return Check("chat.endpoint", State.OK, f"{at.url}: {examine(keyed(at, settings))}")
    except EndpointTrouble as trouble:
        return Check("chat.endpoint", State.FAILED, f"Nothing to answer with: {trouble.word}.", trouble.remedy)


def _visitors(settings: Settings, bot_user_id: str) -> Check:
    """Whether Slack says who is a guest: to those Errata, as the assistant, gives no answer."""
    try:
        client_for(settings).users_info(user=bot_user_id)
    except TROUBLES as error:
        code = error.response.get("error") if isinstance(error, SlackApiError) else type(error).__name__
        return Check("chat.people", State.FAILED, f"Errata cannot tell who is a guest: {code}.", CHAT_SCOPES)
    return Check("chat.people", State.OK, "Errata can tell who is a guest.")


def _training() -> Check:
    missing = [name for name in ("torch", "transformers", "peft") if importlib.util.find_spec(name) is None]
    if not missing:
        return Check("training", State.OK, "torch, transformers and peft are installed.")
    return Check("training", State.WARNING, f"Not installed: {', '.join(missing)}.", "pip install 'errata[train]'")
