"""Asking an endpoint for a reply, and hearing it as it grows.

Owns the part of OpenAI's streams that a terminal needs. Refuses redirects and proxies: the endpoints are this
machine's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from curation.errors import Unavailable
from training.backends.addresses import within

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 120.0
"""The longest wait for the first word, and between two."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Somebody to ask.

    Attributes:
        name: for people.
        url: base of the endpoint, such as ``http://127.0.0.1:8000/v1``.
        model: what the endpoint calls it.
    """

    name: str
    url: str
    model: str


@dataclass(frozen=True, slots=True)
class Ended:
    """How a reply ended: ``stop`` or ``length``, and its tokens where the endpoint counts them."""

    finish_reason: str
    tokens: int | None


def reply(speaker: Speaker, turns: Sequence[Mapping[str, str]], wish: Mapping[str, Any]) -> Iterator[str | Ended]:
    """The reply piece by piece, and at last how it ended; leaving early cancels it.

    Raises:
        Unavailable: no answer, or a refusal, whose sentence it repeats.
    """
    body = {**wish, "model": speaker.model, "messages": list(turns), "stream": True}
    body["stream_options"] = {"include_usage": True}
    timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    reason, tokens = "", None
    try:
        with (
            httpx.Client(timeout=timeout, trust_env=False) as client,
            client.stream("POST", within(speaker.url, "chat/completions"), json=body) as answer,
        ):
            if not answer.is_success:
                answer.read()
                raise Unavailable("{name}: {sentence}", name=speaker.name, sentence=_sentence(answer.text))
            for line in answer.iter_lines():
                if not line.startswith("data: {"):
                    continue
                row = json.loads(line.removeprefix("data: "))
                if "error" in row:
                    raise Unavailable("{name}: {sentence}", name=speaker.name, sentence=_sentence(json.dumps(row)))
                tokens = (row.get("usage") or {}).get("completion_tokens", tokens)
                for choice in row["choices"][:1]:
                    reason = choice.get("finish_reason") or reason
                    if piece := choice["delta"].get("content"):
                        yield piece
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(
            "{name} at {address} does not answer ({error}); see that it runs.",
            name=speaker.name,
            address=speaker.url,
            error=type(error).__name__,
        ) from error
    yield Ended(reason, tokens)


def _sentence(text: str) -> str:
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "it refused the question; see its log."
