"""The entry: where the command line reads its environment and opens its database, once and late.

Owns when a database is made or refused. Commands that need neither settings nor database, such as
``--help``, pay for neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from curation.errors import Conflict, ErrataError, Unavailable
from curation.terminal import Forgotten, Terminal

if TYPE_CHECKING:
    from bot.settings import Settings
    from curation.checking.windows import Gauge
    from curation.privacy.treatment import Terms
    from curation.screening.harms import Watch
    from curation.screening.outliers import Limits
    from curation.store.engine import Store


class Entry(Terminal):
    """The terminal of ``errata``.

    Attributes:
        environ: the environment with the global options of the command line in it, for child processes.
        debug: whether surprises show their traceback.
    """

    def __init__(self, environ: Mapping[str, str], *, debug: bool) -> None:
        self.environ = environ
        self.debug = debug
        self.clock = lambda: datetime.now(UTC)

    @cached_property
    def settings(self) -> Settings:
        """The settings of this environment.

        Raises:
            Invalid: a value, or a line of .env, that can't be taken.
        """
        from bot.settings import Settings  # noqa: PLC0415 (--help reads no settings)

        return Settings.from_environment(self.environ)

    @cached_property
    def store(self) -> Store:
        """The database of the settings."""
        return open_store(self.settings)

    @property
    def home(self) -> Path:
        """ERRATA_HOME or ``--home``."""
        return self.settings.home

    @property
    def acting(self) -> str | None:
        """ERRATA_ACTOR or ``--as``."""
        return self.settings.actor

    @property
    def solo(self) -> bool:
        """ERRATA_SOLO."""
        return self.settings.solo

    @property
    def team(self) -> str | None:
        """ERRATA_TEAM."""
        return self.settings.team

    @property
    def production_model(self) -> str | None:
        """ERRATA_PRODUCTION_MODEL."""
        return self.settings.production_model

    @property
    def services(self) -> Mapping[str, str]:
        """ERRATA_AZURE_…, ERRATA_SPEND_… and AZURE_SUBSCRIPTION_ID."""
        return self.settings.services

    @property
    def author_limits(self) -> Limits:
        """ERRATA_AUTHOR_SHARE and ERRATA_AUTHOR_PER_HOUR."""
        return self.settings.author_limits

    @cached_property
    def watch(self) -> Watch | None:
        """ERRATA_AZURE_SAFETY_URL and ERRATA_AZURE_SAFETY_KEY."""
        from training import consents  # noqa: PLC0415 (few commands screen)
        from training.backends.foundry import safety_screen  # noqa: PLC0415

        def consented(region: str) -> bool:
            return consents.is_given(self.store, region)

        return safety_screen.watch(self.settings.azure, self.home, consented=consented)

    @property
    def endorsement_share(self) -> float:
        """ERRATA_ENDORSEMENT_SHARE."""
        return self.settings.endorsement_share

    @property
    def review_channel(self) -> str | None:
        """ERRATA_REVIEW_CHANNEL."""
        return self.settings.review_channel

    @property
    def approvals(self) -> int:
        """ERRATA_APPROVALS."""
        return self.settings.approvals

    def review_place(self, team: str | None = None) -> str | None:
        """ERRATA_REVIEW_CHANNEL, where it is a channel of that workspace."""
        team = team or self.team
        if team is None or not self.settings.client_id or not self.settings.review_channel:
            return super().review_place(team)
        from bot.installations import Workspaces  # noqa: PLC0415 (only where there may be several workspaces)

        return Workspaces(self.settings, self.store).review_places()(team)

    def link_of(self, source: str) -> str | None:
        """The address of a Slack message."""
        from bot.links import message_link  # noqa: PLC0415 (few commands show one)

        return message_link(source)

    @cached_property
    def gauge(self) -> Gauge | None:
        """Of ERRATA_MODEL, counted with ERRATA_TOKENIZER."""
        from bot.gauging import gauge_of  # noqa: PLC0415 (half a second, for the few commands that measure)

        try:
            return gauge_of(self.settings)
        except Unavailable as error:
            self.note(f"The length is not checked: {error}")
            return None

    @property
    def privacy(self) -> Terms:
        """ERRATA_PRIVACY and ERRATA_PHONE_REGIONS."""
        return self.settings.privacy_terms

    @property
    def retention_days(self) -> int | None:
        """ERRATA_RETENTION_DAYS."""
        return self.settings.retention_days

    def forget_in_runs(self) -> Forgotten:
        """Take erased rows out of the files of runs and out of what was uploaded for them."""
        from training import forgetting, uploads  # noqa: PLC0415 (training's tables load only here)
        from training.commands.watching import workplace_of  # noqa: PLC0415

        learned = forgetting.forget(self.store, self.home)
        with self.store.read() as session:
            actor = self.actor(session)
        return replace(uploads.forget(workplace_of(self), actor), learned=learned)

    def uploaded_for(self, datasets: Sequence[str]) -> list[str]:
        """The runs for which rows of these datasets may lie at a provider."""
        from training import uploads  # noqa: PLC0415 (as above)

        with self.store.read() as session:
            return uploads.holding(session, datasets)

    def ask_team(self) -> str | None:
        """The workspace that the bot token belongs to; None without a token, or where Slack says nothing."""
        if not self.settings.bot_token:
            return None
        from bot.connection import identify  # noqa: PLC0415 (loads slack_sdk)

        try:
            return identify(self.settings).team_id
        except ErrataError:
            return None

    def close(self) -> None:
        """Give the database's connections back, if it was opened."""
        if "store" in self.__dict__:
            self.store.close()


def open_store(settings: Settings) -> Store:
    """The store of these settings; an SQLite database that does not exist yet is made.

    Raises:
        Conflict: the database is older or newer than this program.
        Unavailable: it cannot be opened, or its server does not answer.
    """
    from filelock import FileLock  # noqa: PLC0415 (--help needs no database)
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    from bot import migrations  # noqa: PLC0415
    from curation.store.engine import Store, open_engine  # noqa: PLC0415
    from curation.store.refusals import refusal  # noqa: PLC0415

    engine = open_engine(settings.database_url)
    try:
        present = migrations.current(engine)
        if present is None and engine.dialect.name == "sqlite":
            settings.home.mkdir(parents=True, exist_ok=True)
            # Of two processes that start together on a new folder, one makes the tables.
            with FileLock(settings.home / migrations.LOCK, timeout=migrations.PATIENCE_SECONDS):
                present = migrations.current(engine) or migrations.upgrade(engine)
    except DBAPIError as error:
        if engine.dialect.name != "sqlite":
            raise refusal(error) from error
        raise Unavailable(
            f"The database cannot be opened ({str(error.orig).splitlines()[0]}); "
            "check ERRATA_HOME and ERRATA_DATABASE_URL, or run: errata doctor"
        ) from error
    if present is not None:
        migrations.require_known(present)
    if present != migrations.head():
        older = f"is at revision {present}" if present is not None else "has no tables yet"
        raise Conflict(f"The database {older}, and this program needs {migrations.head()}. Run: errata migrate")
    return Store(engine)
