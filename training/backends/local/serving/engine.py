"""Who replies when: a thread that lets replies grow together, new ones joining between two tokens.

Owns the queue, how many replies grow at once, and that whoever has waited longest is taken first. Refuses more than it
will ever get to. A reply that nobody listens to any more gives its place up at the next token.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

import torch

from curation.errors import Unavailable
from training.backends.local.serving.drawing import Wish
from training.backends.local.serving.growing import Group, Reply, Row, Said
from training.backends.local.serving.http.figures import Figures
from training.backends.local.serving.http.problems import Busy
from training.backends.local.serving.roster import Voice

log = logging.getLogger("errata.endpoint")

SLOTS = 16
"""Replies that grow at once."""
MOST_TOKENS = 32_768
"""Of all replies that grow, padding counted: their keys and values stay in memory, 0.4 MB a token of a Phi-3-mini."""
READ_TOKENS = 8_192
"""Of prompts read in one go, padding counted."""
MOST_WAITING = 256
TURN_STEPS = 8
"""Tokens of each reply before another adapter has its turn: switching takes as long as a token."""

_Result = TypeVar("_Result")
Heard = list[tuple[Row, list[Said]]]
_Key = tuple[Voice, bool]


class Engine:
    """Lets voices reply in a thread of its own, between ``start`` and ``stop``.

    Attributes:
        figures: what it has done so far.
    """

    def __init__(
        self,
        figures: Figures,
        *,
        deliver: Callable[[Heard], None] | None = None,
        slots: int = SLOTS,
        most_tokens: int = MOST_TOKENS,
        most_waiting: int = MOST_WAITING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make one at rest.

        Args:
            deliver: calls each row's ``hear``; it is called in the engine's thread, once for all that a step says.
            clock: seconds, for the figures.
        """
        self.figures = figures
        self.deliver = deliver or hear_all
        self._slots, self._most_tokens, self._most_waiting, self._clock = slots, most_tokens, most_waiting, clock
        self._changed = threading.Condition()
        self._waiting: deque[Row] = deque()
        self._chores: list[tuple[Voice | None, Callable[[], Any], Future[Any]]] = []
        self._groups: dict[_Key, Group] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="errata-engine", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the token in hand; replies in the making are left unsaid."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def drain(self) -> None:
        """Let whoever waits reply, in the caller's thread and instead of ``start``; returns once nobody does."""
        while self._waiting or self._groups:
            self._round()

    def submit(self, voice: Voice, prompt: Sequence[int], wish: Wish, hear: Callable[[Said], None]) -> Row:
        """Ask for a reply; what is said goes to ``hear``, the whole ``Reply`` or an exception last.

        Raises:
            Busy: too many wait.
        """
        row = Row(voice, prompt, wish, hear, self._clock())
        with self._changed:
            if len(self._waiting) >= self._most_waiting:
                raise Busy("The endpoint has {count:,} replies to give already; ask later.", count=len(self._waiting))
            self._waiting.append(row)
            self._note_load()
            self._changed.notify()
        return row

    def between_tokens(self, chore: Callable[[], _Result], *, silent: Voice | None = None) -> Future[_Result]:
        """Do something to the models while nobody replies, or once this voice has said all that it was asked for."""
        future: Future[_Result] = Future()
        with self._changed:
            self._chores.append((silent, chore, future))
            self._changed.notify()
        return future

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._stopping or self._waiting or self._chores or self._groups):
                    self._changed.wait()
                if self._stopping:
                    return
            self._round()

    def _round(self) -> None:
        self._do_chores()
        self._let_in()
        for key in list(self._groups):
            self._turn(key)

    def _do_chores(self) -> None:
        with self._changed:
            speaking = {row.voice for group in self._groups.values() for row in group.rows}
            speaking |= {row.voice for row in self._waiting}
            due = [one for one in self._chores if one[0] not in speaking]
            self._chores = [one for one in self._chores if one not in due]
        for _, chore, future in due:
            try:
                future.set_result(chore())
            except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for the chore
                future.set_exception(error)

    def _let_in(self) -> None:
        """Take in who waits, in their order, as far as there is room; read their prompts."""
        joining: dict[_Key, list[Row]] = {}
        with self._changed:
            sizes = {key: (len(group.rows), group.columns) for key, group in self._groups.items()}
            while self._waiting and sum(rows for rows, _ in sizes.values()) < self._slots:
                row = self._waiting[0]
                key = (row.voice, row.long)
                rows, columns = sizes.get(key, (0, 0))
                larger = {**sizes, key: (rows + 1, max(columns, len(row.ids)))}
                if sizes and _tokens(larger) > self._most_tokens:
                    break
                self._waiting.popleft()
                if not row.cancelled:
                    joining.setdefault(key, []).append(row)
                    sizes = larger
            self._note_load()
        for key, some_rows in joining.items():
            group = self._groups.setdefault(key, Group(key[0]))
            for some in _in_goes(some_rows):
                self._grow(key, group, some, partial(group.admit, some))

    def _turn(self, key: _Key) -> None:
        """Some tokens for every row of a group, one only where no other group waits for its turn."""
        group = self._groups[key]
        for _ in range(TURN_STEPS if len(self._groups) > 1 else 1):
            self._rearrange(key, group)
            if not group.rows:
                break
            self._grow(key, group, group.rows, group.step)
        if not group.rows:
            self._groups.pop(key, None)
        self._note_load()

    def _rearrange(self, key: _Key, group: Group) -> None:
        """Let go whoever nobody listens to, is on the wrong side of longrope's border, or makes the others too many."""
        staying = [row for row in group.rows if not row.cancelled]
        crossed = [row for row in staying if row.long != key[1]]
        staying = [row for row in staying if row not in crossed]
        late: list[Row] = []
        while len(staying) > 1 and len(staying) * max(len(row.ids) for row in staying) > self._most_tokens:
            late.append(staying.pop())
        group.keep(staying)
        with self._changed:
            # First in the queue again: they have waited before.
            self._waiting.extendleft([*late, *reversed(crossed)])

    def _grow(self, key: _Key, group: Group, rows: Sequence[Row], step: Callable[[], list[int]]) -> None:
        """Take a step with these rows and say what came of it."""
        try:
            tokens = step()
        except Exception as error:  # the model's edge: one batch fails, the endpoint goes on
            log.exception("a batch failed: replies=%s", len(rows))
            failed = list(rows) if group.sound else [*rows, *group.rows]
            if not group.sound:
                del self._groups[key]
                group.rows = []
            failure = _failure(error)
            failure.__cause__ = error
            self.deliver([(row, [failure]) for row in failed])
            return
        now, heard, ended = self._clock(), [], set()
        for row, token in zip(list(rows), tokens, strict=True):
            if row.first_at is None:
                row.first_at = now
                self.figures.first_token(now - row.asked_at)
            said = row.take(token)
            if said:
                heard.append((row, said))
                if isinstance(said[-1], Reply):
                    ended.add(row)
                    reply = said[-1]
                    self.figures.replied(reply.prompt_tokens, reply.completion_tokens, now - row.asked_at)
        if heard:
            self.deliver(heard)
        if ended:
            group.keep([row for row in group.rows if row not in ended])

    def _note_load(self) -> None:
        self.figures.load(len(self._waiting), sum(len(group.rows) for group in self._groups.values()))


def hear_all(heard: Heard) -> None:
    """Tell every row's listener what its row says."""
    for row, said in heard:
        for one in said:
            row.hear(one)


def _tokens(sizes: dict[_Key, tuple[int, int]]) -> int:
    return sum(rows * columns for rows, columns in sizes.values())


def _in_goes(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows to be read together, neither too many tokens nor much padding in one go."""
    goes: list[list[Row]] = []
    for row in sorted(rows, key=lambda one: len(one.ids)):
        if goes and (len(goes[-1]) + 1) * len(row.ids) <= READ_TOKENS and len(row.ids) <= 2 * len(goes[-1][0].ids):
            goes[-1].append(row)
        else:
            goes.append([row])
    return goes


def _failure(error: Exception) -> Exception:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return Unavailable("The machine ran out of memory; ask for less at once, or in fewer words.")
    return Unavailable("The model failed at this; see the endpoint's log.")
