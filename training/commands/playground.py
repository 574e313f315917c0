"""A conversation in the terminal with one model, or with two that are asked the same.

Owns the turns: each speaker remembers the questions and its own replies. What is loaded, and where, is ``beside``'s.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from curation.errors import Unavailable
from curation.terminal import Terminal, plain
from training.commands.speaking import Ended, Speaker, reply

HELP = "/system TEXT sets the system prompt and begins anew, /reset begins anew, /quit ends."
_PER_SECOND = 12


class Playground:
    """Reads lines and shows replies until the lines end.

    Attributes:
        system: the system prompt; empty for none.
    """

    def __init__(
        self, terminal: Terminal, speakers: Sequence[Speaker], *, system: str, wish: Mapping[str, Any], as_json: bool
    ) -> None:
        self.system = system
        self._terminal, self._speakers, self._wish, self._as_json = terminal, speakers, dict(wish), as_json
        self._turns: list[list[dict[str, str]]] = []
        self._begin()

    def talk(self, lines: Iterable[str]) -> None:
        """Answer every line; one that begins with a slash is a command."""
        for line in lines:
            words = line.strip()
            if words == "/quit":
                return
            if words == "/reset":
                self._begin()
                self._terminal.note("A new conversation.")
            elif words.startswith("/system"):
                self.system = words.removeprefix("/system").strip()
                self._begin()
                self._terminal.note("A new conversation with this prompt." if self.system else "Without a prompt.")
            elif words.startswith("/"):
                self._terminal.note(HELP)
            elif words:
                self._ask(words)

    def _begin(self) -> None:
        system = [{"role": "system", "content": self.system}] if self.system else []
        self._turns = [list(system) for _ in self._speakers]

    def _ask(self, question: str) -> None:
        for turns in self._turns:
            turns.append({"role": "user", "content": question})
        told = ["" for _ in self._speakers]
        ends: list[Ended | None] = [None for _ in self._speakers]
        try:
            if self._as_json or len(self._speakers) > 1:
                self._hear_all(told, ends)
            else:
                self._hear_one(told, ends)
        except (Unavailable, KeyboardInterrupt) as error:
            for turns in self._turns:
                turns.pop()  # a question without a reply would stand before the next one
            said = error.sentence if isinstance(error, Unavailable) else "Left unsaid."
            self._terminal.note(f"{said} /reset begins a new conversation.")
            return
        for turns, text in zip(self._turns, told, strict=True):
            turns.append({"role": "assistant", "content": text})
        if self._as_json:
            self._terminal.give(self._row(question, told, ends), on_one_line=True)

    def _row(self, question: str, told: Sequence[str], ends: Sequence[Ended | None]) -> dict[str, Any]:
        replies = [
            {
                "model": speaker.name,
                "content": text,
                "finish_reason": end and end.finish_reason,
                "tokens": end and end.tokens,
            }
            for speaker, text, end in zip(self._speakers, told, ends, strict=True)
        ]
        return {"question": question, "replies": replies}

    def _hear_one(self, told: list[str], ends: list[Ended | None]) -> None:
        """Print the words of the only speaker as they come."""
        for piece in reply(self._speakers[0], self._turns[0], self._wish):
            if isinstance(piece, Ended):
                ends[0] = piece
            else:
                told[0] += piece
                typer.echo(plain(piece), nl=False)
        typer.echo()

    def _hear_all(self, told: list[str], ends: list[Ended | None]) -> None:
        """Ask every speaker at once and show them side by side, or one after the other where nobody looks."""
        left = threading.Event()

        def hear(number: int) -> None:
            for piece in reply(self._speakers[number], self._turns[number], self._wish):
                if left.is_set():
                    return
                if isinstance(piece, Ended):
                    ends[number] = piece
                else:
                    told[number] += piece

        console = Console(file=sys.stdout)
        looks = console.is_terminal and not self._as_json
        with ThreadPoolExecutor(len(self._speakers)) as askers:
            asked = [askers.submit(hear, number) for number in range(len(self._speakers))]
            try:
                if looks:
                    with Live(console=console, get_renderable=lambda: self._grid(told), refresh_per_second=_PER_SECOND):
                        for one in asked:
                            one.result()
                for one in asked:
                    one.result()
            finally:
                left.set()  # after Ctrl-C nobody waits for the rest
        if not looks and not self._as_json:
            for speaker, text in zip(self._speakers, told, strict=True):
                self._terminal.say(f"{speaker.name}: {text}")

    def _grid(self, told: Sequence[str]) -> Table:
        grid = Table(expand=True, header_style="bold")
        for speaker in self._speakers:
            grid.add_column(speaker.name, ratio=1, overflow="fold")
        grid.add_row(*(Text(plain(text)) for text in told))
        return grid


def typed() -> Iterator[str]:
    """Lines as somebody types them, or those of a pipe; until end of file, or Ctrl-C at the prompt."""
    asks = sys.stdin.isatty()
    while True:
        try:
            if asks:
                typer.echo("> ", nl=False, err=True)
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            return
        if not line:
            return
        yield line
