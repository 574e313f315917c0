"""Replies that grow together, one token each at a time.

Owns the step: which rows are fed, where their positions are, and when a reply has ended. Who joins and when is
``engine``'s.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from training.backends.local.serving.drawing import Wish, draw
from training.backends.local.serving.roomy import RoomyCache
from training.backends.local.serving.roster import Voice
from training.backends.local.serving.words import Words


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply; ``finish_reason`` is ``stop`` or, where it was cut, ``length``."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


Said = str | Reply | Exception
"""A piece of a reply; or its end, well or badly."""


class Row:
    """One reply in the making.

    Attributes:
        voice: who replies.
        ids: tokens of the prompt and of the reply so far.
        hear: gets what is said, piece by piece.
        cancelled: whether nobody listens any more; any thread may set it.
        asked_at: when it was asked for.
        first_at: when its first token came; None before.
    """

    def __init__(
        self, voice: Voice, prompt: Sequence[int], wish: Wish, hear: Callable[[Said], None], asked_at: float
    ) -> None:
        loaded = voice.host.loaded
        room = loaded.window - len(prompt)
        self.voice, self.hear, self.wish = voice, hear, wish
        self.ids = list(prompt)
        self.chance = random.Random(wish.seed)
        self.cancelled = False
        self.asked_at = asked_at
        self.first_at: float | None = None
        self._prompt_tokens = len(prompt)
        self._limit = min(wish.max_tokens or room, room)
        self._stops = frozenset(loaded.stop_tokens)
        self._words = Words(loaded.tokenizer, wish.stop)

    @property
    def long(self) -> bool:
        """Whether it is beyond longrope's border, where every position of a row is scaled anew."""
        border = self.voice.host.border
        return border is not None and len(self.ids) > border

    def take(self, token: int) -> list[Said]:
        """Go on by a token; what there is to say, the whole reply last where it ends with it."""
        self.ids.append(token)
        drawn = len(self.ids) - self._prompt_tokens
        ends = token in self._stops
        piece = "" if ends else self._words.add(token)
        stopped = ends or self._words.stopped
        if not stopped and drawn < self._limit:
            return [piece] if piece else []
        piece += self._words.end()
        reason = "stop" if stopped or self._words.stopped else "length"
        reply = Reply(self._words.text, reason, self._prompt_tokens, drawn)
        return [piece, reply] if piece else [reply]


class Group:
    """Rows of one voice on one side of longrope's border, fed in one batch.

    Attributes:
        rows: who grows.
        sound: whether they can go on; a step that failed half-way leaves nothing to go on with.
    """

    def __init__(self, voice: Voice) -> None:
        self.rows: list[Row] = []
        self.sound = True
        self._voice = voice
        self._model = voice.host.loaded.model
        self._device = voice.host.loaded.device
        self._cache = RoomyCache()
        self._takes_positions = "position_ids" in inspect.signature(self._model.forward).parameters

    @property
    def columns(self) -> int:
        """Tokens of the longest row."""
        return max((len(row.ids) for row in self.rows), default=0)

    def admit(self, rows: Sequence[Row]) -> list[int]:
        """Read the rows' tokens and let them grow with the others; the next token of each."""
        width = max(len(row.ids) for row in rows)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        for place, row in enumerate(rows):
            ids[place, width - len(row.ids) :] = torch.tensor(row.ids)
        cache = RoomyCache()
        tokens = self._fed(ids, rows, cache)
        if self.rows:
            self.sound = False
            self._cache.join(cache)
            self.sound = True
        else:
            self._cache = cache
        self.rows += rows
        return tokens

    def step(self) -> list[int]:
        """The next token of every row."""
        self.sound = False
        tokens = self._fed(torch.tensor([[row.ids[-1]] for row in self.rows]), self.rows, self._cache)
        self.sound = True
        return tokens

    def keep(self, rows: Sequence[Row]) -> None:
        """Let the others go. Between two steps only: each row has one token then that was not fed yet."""
        if len(rows) == len(self.rows):
            return
        before, places = self.columns, [place for place, row in enumerate(self.rows) if row in rows]
        self.rows = [self.rows[place] for place in places]
        if self.rows:
            self._cache.keep(places, before - self.columns)

    def _fed(self, ids: torch.Tensor, rows: Sequence[Row], cache: RoomyCache) -> list[int]:
        """Feed the last columns of these rows and draw what follows."""
        lengths = torch.tensor([len(row.ids) for row in rows])
        width = int(lengths.max())
        # Columns before a row's first token: hidden, and of no position.
        before = (width - lengths)[:, None]
        columns = torch.arange(width)[None]
        arguments: dict[str, Any] = {}
        if int(before.max()):
            arguments["attention_mask"] = (columns >= before).long().to(self._device)
        if self._takes_positions:
            positions = (columns[:, width - ids.shape[1] :] - before).clamp(min=0)
            arguments["position_ids"] = positions.to(self._device)
        self._voice.speak()
        with torch.no_grad():
            logits = self._model(
                input_ids=ids.to(self._device), past_key_values=cache, use_cache=True, logits_to_keep=1, **arguments
            ).logits[:, -1]
            return draw(logits, [row.wish for row in rows], [row.chance for row in rows])
