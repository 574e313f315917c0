"""Asking the model that Errata answers with: the request, and the answer as it grows.

Owns the part of OpenAI's chat completions that every compatible server has. httpx is in every installation anyway and
cuts a stream into lines; the client of ``openai`` is not, and would bring retries of its own between us and a
half-told answer. Refuses to follow redirects, which would take the key along, and to repeat a question once the first
word of an answer has come.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from bot.assistant import troubles
from bot.assistant.endpoint import Endpoint
from bot.assistant.troubles import EndpointTrouble
from curation.conversation import Conversation
from training.backends.addresses import within

log = logging.getLogger("errata.assistant")

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 60.0
"""The longest wait for the first word, and between two: a model on a processor reads a long thread for a while."""
ANSWER_SECONDS = 120.0
"""The longest an answer may take from question to end."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_VERSION_CHARACTERS = 100
_LIMIT = "max_tokens"
"""Which every server knows."""


@dataclass
class Answer:
    """An answer that grows; complete once ``pieces`` has ended without an error.

    Attributes:
        model: what the endpoint says that it answered with.
        finish_reason: why it ended, in OpenAI's words; empty while it grows.
        pieces: the words, as they come.
    """

    model: str
    finish_reason: str = ""
    pieces: Iterator[str] = field(default_factory=lambda: iter(()))


@contextmanager
def asking(
    endpoint: Endpoint, conversation: Conversation, *, monotonic: Callable[[], float] = time.monotonic
) -> Iterator[Answer]:
    """Ask, and give the answer while it grows; leaving the block early cancels it.

    A connection that fails before the first word is tried once more.

    Raises:
        EndpointTrouble: also while the pieces are read.
    """
    body = {
        "model": endpoint.model,
        "messages": conversation.as_json(),
        _LIMIT: endpoint.answer_tokens,
        "stream": True,
    }
    end = monotonic() + ANSWER_SECONDS
    with _client(endpoint) as client:
        response = _sent(client, endpoint, body)
        try:
            answer = Answer(endpoint.model)
            answer.pieces = _pieces(response, answer, lambda: monotonic() > end)
            yield answer
        finally:
            response.close()


def examine(endpoint: Endpoint) -> str:
    """One sentence about the models that the endpoint says it has.

    Raises:
        EndpointTrouble: it does not answer, or does not have the model.
    """
    with _client(endpoint) as client:
        try:
            response = client.get(within(endpoint.url, "models"))
        except httpx.HTTPError as error:
            raise troubles.unreachable(error) from error
        if response.status_code in {httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED}:
            return "It answers, and does not list its models."
        _check(response, endpoint)
        try:
            names = [str(one["id"]) for one in response.json()["data"]]
        except (ValueError, TypeError, KeyError) as error:
            raise troubles.strange() from error
    if endpoint.model not in names:
        raise troubles.unknown_model(endpoint.model)
    return f"It answers and has {endpoint.model}."


def _client(endpoint: Endpoint) -> httpx.Client:
    headers = {"authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
    return httpx.Client(
        headers=headers,
        timeout=httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
        follow_redirects=False,
        # A proxy is for the way out, and cannot reach this machine's own addresses.
        trust_env=urlsplit(endpoint.url).hostname not in _LOOPBACK,
    )


def _sent(client: httpx.Client, endpoint: Endpoint, body: dict[str, Any]) -> httpx.Response:
    """The response whose body is still to come."""
    for last in (False, True):
        request = client.build_request("POST", within(endpoint.url, "chat/completions"), json=body)
        try:
            response = client.send(request, stream=True)
        except httpx.TimeoutException as error:
            raise troubles.slow() from error
        except httpx.HTTPError as error:
            if last:
                raise troubles.unreachable(error) from error
            log.info("the model's endpoint is asked once more: error=%s", type(error).__name__)
            continue
        try:
            _check(response, endpoint)
        except EndpointTrouble as trouble:
            response.close()
            if trouble.wants_newer_limit and _LIMIT in body:
                return _sent(client, endpoint, {**body, troubles.NEWER_LIMIT: body.pop(_LIMIT)})
            raise
        return response
    raise AssertionError  # the loop returns or raises


def _pieces(response: httpx.Response, answer: Answer, late: Callable[[], bool]) -> Iterator[str]:
    """The words of the response, whether it streams or comes in one."""
    try:
        if "text/event-stream" not in response.headers.get("content-type", ""):
            yield from _whole(response, answer)
            return
        ended = False
        for line in response.iter_lines():
            if late():
                raise troubles.slow()
            if not line.startswith("data:"):
                continue
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                ended = True
                break
            yield from _piece(data, answer)
    except httpx.TimeoutException as error:
        raise troubles.slow() from error
    except httpx.HTTPError as error:
        raise troubles.broken_off() from error
    if not ended and not answer.finish_reason:
        raise troubles.broken_off()


def _whole(response: httpx.Response, answer: Answer) -> Iterator[str]:
    try:
        row = json.loads(response.read())
        text = row["choices"][0]["message"]["content"] or ""
        if not isinstance(text, str):
            raise troubles.strange()
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise troubles.strange() from error
    _note(row, row["choices"][0], answer)
    yield text


def _piece(data: str, answer: Answer) -> Iterator[str]:
    try:
        row = json.loads(data)
        if "error" in row:
            raise troubles.failed("in the middle of an answer")
        if not row.get("choices"):
            return  # counts of tokens, or a filter's verdict on the question
        choice = row["choices"][0]
        text = (choice.get("delta") or {}).get("content") or ""
        if not isinstance(text, str):
            raise troubles.strange()
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise troubles.strange() from error
    _note(row, choice, answer)
    if text:
        yield text


def _note(row: dict[str, Any], choice: dict[str, Any], answer: Answer) -> None:
    if isinstance(row.get("model"), str) and row["model"].strip():
        answer.model = " ".join(row["model"].split())[:_VERSION_CHARACTERS]
    answer.finish_reason = str(choice.get("finish_reason") or answer.finish_reason)


def _check(response: httpx.Response, endpoint: Endpoint) -> None:
    """Raise for everything but a success."""
    status = response.status_code
    if response.is_success:
        return
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise EndpointTrouble(
            "The model refuses Errata's key, so nobody can answer at the moment: tell whoever looks after Errata.",
            f"refused {status}",
            "Check ERRATA_ASSISTANT_KEY.",
        )
    if status == httpx.codes.NOT_FOUND:
        raise troubles.unknown_model(endpoint.model)
    if status == httpx.codes.TOO_MANY_REQUESTS:
        raise EndpointTrouble(
            "The model has too much to do at the moment. Ask again in a minute.",
            "busy",
            "Raise the rate limit of the endpoint, or ask for less.",
        )
    if status in {httpx.codes.BAD_REQUEST, httpx.codes.REQUEST_ENTITY_TOO_LARGE, httpx.codes.UNPROCESSABLE_ENTITY}:
        raise EndpointTrouble(
            "The model does not take this question. Ask it in fewer or other words, or in a new thread.",
            f"refused {status}",
            "See what the endpoint's own log says.",
            said=_beginning(response).lower(),
        )
    raise troubles.failed(str(status))


def _beginning(response: httpx.Response) -> str:
    """The beginning of a refusal; only looked at, as it may quote people."""
    try:
        return response.read()[:4000].decode(errors="replace")
    except httpx.HTTPError:
        return ""
