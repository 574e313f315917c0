"""What a command has at hand: the store, who acts, the clock, and a place to print.

Owns the promises of the command line: results and JSON on stdout, notes and progress on stderr, no
control character of a customer's reaching the screen. Knows no settings: an entry point supplies
them by filling in ``Terminal``.
"""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from curation.errors import Invalid

if TYPE_CHECKING:
    from sqlmodel import Session

    from curation.checking.inspection import Inspection
    from curation.checking.windows import Gauge
    from curation.findings import Finding
    from curation.people import Actor
    from curation.privacy.treatment import Terms
    from curation.screening.harms import Watch
    from curation.screening.outliers import Limits
    from curation.store.engine import Store

PIPE_WIDTH = 10_000
"""Columns of a table that goes into a file or a pipe: there a row is a line, however long."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]

_Item = TypeVar("_Item")

_WIDEST = 160
_HALVES = range(0xD800, 0xE000)  # of surrogate pairs: a terminal of UTF-8 cannot show them
_CONTROLS = {code: None for code in (*range(32), *range(127, 160), *_HALVES) if chr(code) not in "\n\t"}
_ESCAPED = {code: f"\\u{code:04x}" for code in _HALVES}


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What came of an erasure outside of the database.

    Attributes:
        learned: sentences about runs whose models have learned from erased rows.
        removed: runs whose uploads were removed.
        left: sentences about what may still hold erased rows, with what removes it.
    """

    learned: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


class Terminal(ABC):
    """The surroundings of a command, found with ``at(ctx)``.

    Attributes:
        clock: gives the current time, aware.
    """

    clock: Callable[[], datetime]

    @property
    @abstractmethod
    def store(self) -> Store:
        """The database, opened and at its newest revision."""

    @property
    @abstractmethod
    def home(self) -> Path:
        """The folder for datasets and runs."""

    @property
    @abstractmethod
    def acting(self) -> str | None:
        """Who acts, as typed; None where nobody said."""

    @property
    @abstractmethod
    def solo(self) -> bool:
        """Whether one person may play both halves of the two-person rule."""

    @property
    @abstractmethod
    def team(self) -> str | None:
        """The workspace that ids on the command line belong to, where the settings name one."""

    @property
    @abstractmethod
    def production_model(self) -> str | None:
        """Path or hub id of the model in production, where Errata has deployed none and the settings name one."""

    @property
    @abstractmethod
    def services(self) -> Mapping[str, str]:
        """What the environment says of services elsewhere, by the variables' names; each reads its own."""

    @property
    @abstractmethod
    def author_limits(self) -> Limits:
        """What one author may write before reviewers are warned."""

    @property
    @abstractmethod
    def gauge(self) -> Gauge | None:
        """The gauge of the model that will be tuned; None, with a note, where its tokens cannot be counted."""

    @property
    @abstractmethod
    def privacy(self) -> Terms:
        """Under which terms examples leave the store."""

    @property
    @abstractmethod
    def retention_days(self) -> int | None:
        """After how many days captures and what nobody approved are removed; None where never."""

    @abstractmethod
    def forget_in_runs(self) -> Forgotten:
        """Take erased rows out of what runs keep, here and where they were trained."""

    def uploaded_for(self, datasets: Sequence[str]) -> list[str]:  # noqa: ARG002 (of an entry point that trains)
        """The runs for which rows of these datasets may lie with somebody who trains."""
        return []

    @property
    def watch(self) -> Watch | None:
        """What rates texts for harm; None where no such judge is set up."""
        return None

    @property
    @abstractmethod
    def endorsement_share(self) -> float:
        """The share of good replies under which a check warns, from 0 to 1."""

    @property
    @abstractmethod
    def review_channel(self) -> str | None:
        """The id of the channel in which corrections are reviewed; None where each is in the channel of its reply."""

    @property
    @abstractmethod
    def approvals(self) -> int:
        """How many people have to approve a correction, one or two."""

    def review_place(self, team: str | None = None) -> str | None:
        """Where rows that belong to no channel are reviewed; None where no channel is set, or its workspace not known.

        Args:
            team: the workspace, where it is known; else the one of the settings.
        """
        team = team or self.team
        return f"{team}/{self.review_channel}" if team and self.review_channel else None

    @abstractmethod
    def link_of(self, source: str) -> str | None:
        """The address at which a person can read a source; None where it has none, as a row of a file."""

    @abstractmethod
    def ask_team(self) -> str | None:
        """Ask the chat provider which workspace this is; None where it cannot be asked."""

    def inspection(self) -> Inspection:
        """What one submission is looked at with."""
        from curation.checking.inspection import Inspection  # noqa: PLC0415 (few commands look)

        return Inspection(self.gauge, self.privacy)

    def warn(self, findings: Iterable[Finding]) -> None:
        """Print what was found in what has been done all the same."""
        for finding in findings:
            self.note(f"{finding.severity.value.capitalize()}: {finding.sentence()}")

    def actor(self, session: Session) -> Actor:
        """The acting person.

        Raises:
            Invalid, NotFound: nobody was named; nobody is known by that name.
        """
        from curation import people  # noqa: PLC0415 (the tables load only where a command needs them)

        if self.acting is None:
            raise Invalid("Say who acts, with --as PERSON before the command or with ERRATA_ACTOR.")
        return people.Actor(people.resolve(session, self.acting), solo=self.solo)

    def say(self, text: str = "") -> None:
        """Print a line of the result."""
        typer.echo(plain(text))

    def note(self, text: str) -> None:
        """Print a line that is no result: on stderr, so that pipes stay clean."""
        typer.echo(plain(text), err=True)

    def give(self, value: Any, *, on_one_line: bool = False) -> None:
        """Print a result as JSON."""
        typer.echo(json.dumps(value, ensure_ascii=False, indent=None if on_one_line else 2).translate(_ESCAPED))

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print rows in columns; None is an empty cell. Without a heading anywhere there is no line of headings."""
        from rich.console import Console  # noqa: PLC0415 (a tenth of a second that --help need not wait for)
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        grid = Table(box=None, pad_edge=False, header_style="bold", show_header=any(headings))
        for heading in headings:
            grid.add_column(heading, overflow="fold", max_width=_WIDEST)  # one long topic must not widen every line
        for row in rows:
            grid.add_row(*(Text(plain("" if cell is None else str(cell))) for cell in row))
        console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_WIDTH)
        with console.capture() as captured:
            console.print(grid)
        for line in captured.get().splitlines():
            typer.echo(line.rstrip())

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show on stderr that something is under way that takes longer than a moment."""
        from rich.console import Console  # noqa: PLC0415

        console = Console(stderr=True)
        if not console.is_terminal:
            yield
            return
        with console.status(what):
            yield

    @contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None]]:
        """A bar on stderr, to be told what is being done, how much of it is done, and of how much; 0 is not known."""
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import Progress  # noqa: PLC0415

        console = Console(stderr=True)
        if not console.is_terminal:
            yield lambda _what, _done, _total: None
            return
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task("", total=None)
            yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total or None)

    def counted(self, what: str, items: Iterable[_Item], total: int) -> Iterator[_Item]:
        """The items as they are taken, with a bar on stderr that shows how many of ``total`` were."""
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import track  # noqa: PLC0415

        console = Console(stderr=True)
        yield from track(items, what, total, console=console, transient=True) if console.is_terminal else items


def at(ctx: typer.Context) -> Terminal:
    """The terminal that the entry point put into the context."""
    terminal = ctx.find_object(Terminal)  # type: ignore[type-abstract]  # any implementation will do
    if terminal is None:
        raise RuntimeError("a command runs under an entry point that supplies a Terminal")
    return terminal


def plain(text: str) -> str:
    """Without control characters other than newline and tab: a quoted message must not steer the screen."""
    return text.translate(_CONTROLS)


def kept_whole(text: str) -> str:
    """What somebody typed or named, if a database and a file of UTF-8 can hold it.

    Python reads bytes of an argument that are not UTF-8 as halves of surrogate pairs.

    Raises:
        Invalid: it holds such a half, or a NUL.
    """
    sound = text.encode(errors="ignore").decode().replace("\0", "")
    if sound != text:
        raise Invalid("A text is not UTF-8 or holds a NUL: {text!r}. Type it again.", text=excerpt(plain(sound), 60))
    return text


def excerpt(text: str, length: int) -> str:
    """At most ``length`` characters on one line; an ellipsis where something is cut."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"


def text_of(text: str | None, file: Path | None, *, what: str) -> str:
    """What somebody gave with ``--text`` or ``--file``.

    Raises:
        Invalid: neither or both were given, or the file cannot be read.
    """
    if text is not None and file is None:
        return text
    if file is not None and text is None:
        return read_text(file)
    raise Invalid("Give the {what} once: with --file FILE or with --text TEXT.", what=what)


def read_text(path: Path) -> str:
    """The text of a UTF-8 file that somebody named.

    Raises:
        Invalid: it cannot be read, or holds what ``kept_whole`` refuses.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid("{path} cannot be read; give a UTF-8 text file that you may read.", path=path) from error
    return kept_whole(text)
