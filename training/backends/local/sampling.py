"""One reply at a time, whole or piece by piece, drawn as the asker wishes.

Owns what the endpoint asks of a model: prompt, temperature, stop strings, streaming. Batched greedy
replies for evaluations belong to ``generation``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer

from curation.conversation import Conversation
from curation.errors import Invalid
from training.backends.local.chat import ChatFormat
from training.backends.local.checkpoint import Loaded
from training.backends.local.generation import decode


@dataclass(frozen=True, slots=True)
class Wish:
    """How a reply is drawn.

    Attributes:
        temperature: 0 takes the most probable token each time; up to 2.
        top_p: sample among the most probable tokens that hold this share of probability, above 0 to 1.
        max_tokens: a reply is cut there; None lets it run to the end of the window.
        stop: strings that end a reply and are not part of it.
        seed: repeats a sampled reply; None draws anew each time.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of it; ``finish_reason`` is ``stop`` or, where it was cut, ``length``."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


class Replier:
    """A loaded model that replies. Not safe for two threads at a time."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._chat = ChatFormat(loaded.tokenizer)

    def prompt(self, conversation: Conversation) -> list[int]:
        """Token ids of the conversation up to the reply.

        Raises:
            Invalid: the conversation fills the window, or its last turn is not the user's.
        """
        ids = self._chat.prompt(conversation)
        if len(ids) >= self._loaded.window:
            raise Invalid(
                "The conversation has {count:,} tokens; the model's window is {window:,} with the reply. Shorten the "
                "conversation.",
                count=len(ids),
                window=self._loaded.window,
            )
        return ids

    def reply(self, prompt: list[int], wish: Wish) -> Reply:
        """The whole reply."""
        ids = self._generate(prompt, wish)
        text, stopped = decode(self._loaded, ids), bool(ids) and ids[-1] in self._loaded.stop_tokens
        cuts = [position for stop in wish.stop if (position := text.find(stop)) >= 0]
        if cuts:
            text, stopped = text[: min(cuts)], True
        return Reply(text, "stop" if stopped else "length", len(prompt), len(ids))

    def pieces(self, prompt: list[int], wish: Wish) -> Iterator[str | Reply]:
        """The reply's text piece by piece as it is drawn, and at the end the whole of it."""
        streamer = TextIteratorStreamer(
            self._loaded.tokenizer, skip_prompt=True, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        halt, drawn, failed = threading.Event(), [], []

        def draw() -> None:
            try:
                drawn.extend(self._generate(prompt, wish, streamer=streamer, halt=halt))
            except Exception as error:  # noqa: BLE001 - carried over to the thread that waits for the pieces
                failed.append(error)
                streamer.end()

        thread = threading.Thread(target=draw)
        thread.start()
        try:
            yield from (piece for piece in streamer if piece)
        finally:
            # An asker who hangs up must not leave a reply running: the next one waits for it.
            halt.set()
            thread.join()
        if failed:
            raise failed[0]
        stopped = bool(drawn) and drawn[-1] in self._loaded.stop_tokens
        yield Reply(decode(self._loaded, drawn), "stop" if stopped else "length", len(prompt), len(drawn))

    def _generate(self, prompt: list[int], wish: Wish, *, streamer: Any = None, halt: Any = None) -> list[int]:
        loaded = self._loaded
        room = loaded.window - len(prompt)
        ids = torch.tensor([prompt], device=loaded.device)
        drawing: dict[str, Any] = {"do_sample": False}
        if wish.temperature > 0:
            # top_k=0 undoes the default of 50, which nobody asked for.
            drawing = {"do_sample": True, "temperature": wish.temperature, "top_p": wish.top_p, "top_k": 0}
            if wish.seed is not None:
                torch.manual_seed(wish.seed)
        if wish.stop:
            drawing |= {"stop_strings": list(wish.stop), "tokenizer": loaded.tokenizer}
        if halt is not None:
            drawing["stopping_criteria"] = StoppingCriteriaList([_Halt(halt)])
        with torch.no_grad():
            output = loaded.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=min(wish.max_tokens or room, room),
                eos_token_id=loaded.stop_tokens,
                pad_token_id=loaded.stop_tokens[0],
                streamer=streamer,
                **drawing,
            )
        new: list[int] = output[0, len(prompt) :].tolist()
        return new


class _Halt(StoppingCriteria):  # type: ignore[misc]  # transformers publishes types that mypy is told to skip
    """Ends a generation that nobody waits for any more."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def __call__(self, input_ids: torch.Tensor, _scores: Any, **_kwargs: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._event.is_set(), device=input_ids.device)
