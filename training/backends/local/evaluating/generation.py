"""The most probable replies to many prompts, grown together by the engine that serves an endpoint.

Owns what is asked of that engine; how replies grow and when they end is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from training.backends.local.checkpoint import Loaded
from training.backends.local.serving.drawing import Wish
from training.backends.local.serving.engine import Engine
from training.backends.local.serving.growing import Reply, Row, Said
from training.backends.local.serving.http.figures import Figures
from training.backends.local.serving.roster import Host, Voice

_SLOTS = 64  # nobody waits for a first token here, so more grow at once than where somebody does


@dataclass(frozen=True, slots=True)
class Drawn:
    """One reply.

    Attributes:
        text: its words.
        ids: its tokens, without the stop token.
        stopped: whether the model ended it; otherwise it was cut.
    """

    text: str
    ids: tuple[int, ...]
    stopped: bool


def greedy_replies(
    loaded: Loaded, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, done: Callable[[int], None]
) -> list[Drawn]:
    """The most probable reply to each prompt, in the order of the prompts.

    Args:
        loaded: the model, with the attention that it was loaded with.
        prompts: token ids up to where the reply begins; each shorter than the window.
        max_new_tokens: a reply is cut there, or where the window ends.
        done: called with 1 as each reply ends.
    """
    engine = Engine(Figures(), slots=_SLOTS, most_waiting=len(prompts))
    voice, wish = Voice("", Host("", loaded)), Wish(max_tokens=max_new_tokens)
    replies: dict[int, Reply] = {}

    def hear(place: int, said: Said) -> None:
        if isinstance(said, Exception):
            raise said.__cause__ or said
        if isinstance(said, Reply):
            replies[place] = said
            done(1)

    # Those of similar length grow together: less padding.
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    rows = {place: engine.submit(voice, prompts[place], wish, partial(hear, place)) for place in order}
    engine.drain()
    return [_drawn(rows[place], replies[place]) for place in range(len(prompts))]


def _drawn(row: Row, reply: Reply) -> Drawn:
    stopped = reply.finish_reason == "stop"
    return Drawn(reply.text, tuple(row.ids[reply.prompt_tokens : -1 if stopped else None]), stopped)
