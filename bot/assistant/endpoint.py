"""The model that Errata answers with: where it is asked, the request, and the answer as it grows.

Owns the part of OpenAI's chat completions that every compatible server has, and the sentence that people read where
one does not answer. httpx is in every installation anyway and cuts a stream into lines; the client of ``openai`` is
not, and would bring retries of its own between us and a half-told answer. Refuses to follow redirects, which would
take the key along, and to repeat a question once the first word of an answer has come.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from sqlmodel import Session

from bot.settings import Settings
from curation.conversation import Conversation
from curation.errors import NotFound, Unavailable
from training import catalogue, deployments, runs
from training.backends import base, opening
from training.backends.names import BackendName
from training.deployments import DeploymentStatus

log = logging.getLogger("errata.assistant")

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 60.0
"""The longest wait for the first word, and between two: a model on a processor reads a long thread for a while."""
ANSWER_SECONDS = 120.0
"""The longest an answer may take from question to end."""
ANSWER_TOKENS = 1024
ANSWER_CHARACTERS = 11_000
"""A message of Slack's holds about 13,200 characters in blocks, and the label below the answer needs some."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_VERSION_CHARACTERS = 100
_TOO_LONG = ("context_length", "context length", "maximum context", "too long", "window is")
_LIMIT, _NEWER_LIMIT = "max_tokens", "max_completion_tokens"
"""Every server knows the first; some newer models of OpenAI's refuse it, and name the second."""


class EndpointTrouble(Unavailable):
    """No answer, or not a whole one; the sentence is for whoever asked.

    Attributes:
        word: what happened, for the log; never what people wrote.
        remedy: what an operator does about it.
        said: the beginning of a refusal, in small letters, to tell what it is about; it may quote people.
    """

    def __init__(self, sentence: str, word: str, remedy: str, *, said: str = "") -> None:
        super().__init__(sentence)
        self.word = word
        self.remedy = remedy
        self._said = said

    @property
    def too_long(self) -> bool:
        """Whether the endpoint took the question for longer than its window."""
        return any(words in self._said for words in _TOO_LONG)

    @property
    def wants_newer_limit(self) -> bool:
        """Whether it asks for the length of an answer under its newer name."""
        return _NEWER_LIMIT in self._said


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is asked.

    Attributes:
        url: base, without a final slash.
        model: what the endpoint calls it.
        window: most tokens of question and answer together.
        run_id: the run that made it; None where Errata did not.
        base: what the run started from, for people.
        backend: which has the model; a provider's wants a key, see ``keyed``.
    """

    url: str
    model: str
    window: int
    key: str = field(default="", repr=False)
    run_id: str | None = None
    base: str | None = None
    backend: BackendName = BackendName.LOCAL

    @classmethod
    def of(cls, session: Session, settings: Settings) -> Self:
        """The endpoint of the settings, or that of the model which is live now.

        Raises:
            EndpointTrouble: none is live.
        """
        if settings.assistant_url is not None:
            return cls(
                settings.assistant_url, settings.assistant_model, settings.assistant_window, settings.assistant_key
            )
        live = deployments.replying(session, DeploymentStatus.LIVE)
        if not live or not live[-1].url:
            raise EndpointTrouble(
                "No model is live at the moment, so there is nobody to answer: tell whoever looks after Errata.",
                "nothing live",
                "Deploy a completed run with errata deploy RUN, or set ERRATA_ASSISTANT_URL.",
            )
        run = runs.find(session, live[-1].run_id)
        try:
            window = catalogue.find(run.model).window
        except NotFound:  # a checkpoint of one's own
            window = settings.assistant_window
        url, backend = str(live[-1].url).rstrip("/"), BackendName(run.backend)
        return cls(url, run.id, window, run_id=run.id, base=run.model, backend=backend)

    @property
    def answer_tokens(self) -> int:
        """Most tokens of an answer: a quarter of a small window, so that the question has room."""
        return min(ANSWER_TOKENS, self.window // 4)


def keyed(at: Endpoint, settings: Settings) -> Endpoint:
    """The endpoint with the key that its provider gives for it, in memory only.

    It may ask the provider: never call it while Slack waits for an answer.

    Raises:
        EndpointTrouble: the provider does not give the key.
    """
    if at.backend is BackendName.LOCAL or at.key:
        return at
    try:
        key = opening.key_of(settings.azure, at.backend, base.Endpoint(at.url, None, at.model))
    except Unavailable as error:
        raise EndpointTrouble(
            "The provider of the model refuses Errata, so nobody can answer at the moment: tell whoever looks after "
            "Errata.",
            f"no key: {type(error).__name__}",
            "Look with errata doctor --foundry.",
        ) from error
    return replace(at, key=key)


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
            response = client.get(f"{endpoint.url}/models")
        except httpx.HTTPError as error:
            raise _unreachable(error) from error
        if response.status_code in {httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED}:
            return "It answers, and does not list its models."
        _check(response, endpoint)
        try:
            names = [str(one["id"]) for one in response.json()["data"]]
        except (ValueError, TypeError, KeyError) as error:
            raise _strange() from error
    if endpoint.model not in names:
        raise _unknown_model(endpoint)
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
        request = client.build_request("POST", f"{endpoint.url}/chat/completions", json=body)
        try:
            response = client.send(request, stream=True)
        except httpx.TimeoutException as error:
            raise _slow() from error
        except httpx.HTTPError as error:
            if last:
                raise _unreachable(error) from error
            log.info("the model's endpoint is asked once more: error=%s", type(error).__name__)
            continue
        try:
            _check(response, endpoint)
        except EndpointTrouble as trouble:
            response.close()
            if trouble.wants_newer_limit and _LIMIT in body:
                return _sent(client, endpoint, {**body, _NEWER_LIMIT: body.pop(_LIMIT)})
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
                raise _slow()
            if not line.startswith("data:"):
                continue
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                ended = True
                break
            yield from _piece(data, answer)
    except httpx.TimeoutException as error:
        raise _slow() from error
    except httpx.HTTPError as error:
        raise _broken_off() from error
    if not ended and not answer.finish_reason:
        raise _broken_off()


def _whole(response: httpx.Response, answer: Answer) -> Iterator[str]:
    try:
        row = json.loads(response.read())
        text = row["choices"][0]["message"]["content"] or ""
        if not isinstance(text, str):
            raise _strange()
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise _strange() from error
    _note(row, row["choices"][0], answer)
    yield text


def _piece(data: str, answer: Answer) -> Iterator[str]:
    try:
        row = json.loads(data)
        if "error" in row:
            raise _failed("in the middle of an answer")
        if not row.get("choices"):
            return  # counts of tokens, or a filter's verdict on the question
        choice = row["choices"][0]
        text = (choice.get("delta") or {}).get("content") or ""
        if not isinstance(text, str):
            raise _strange()
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise _strange() from error
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
        raise _unknown_model(endpoint)
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
    raise _failed(str(status))


def _beginning(response: httpx.Response) -> str:
    """The beginning of a refusal; only looked at, as it may quote people."""
    try:
        return response.read()[:4000].decode(errors="replace")
    except httpx.HTTPError:
        return ""


def _unreachable(error: Exception) -> EndpointTrouble:
    return EndpointTrouble(
        "The model does not answer at the moment. Ask again in a little while.",
        f"unreachable: {type(error).__name__}",
        "See that the endpoint runs and ERRATA_ASSISTANT_URL leads to it.",
    )


def _slow() -> EndpointTrouble:
    return EndpointTrouble(
        "The model took too long. Ask again in a little while, or ask for less.",
        "too slow",
        "See what the endpoint is busy with.",
    )


def _broken_off() -> EndpointTrouble:
    return EndpointTrouble(
        "The model broke off in the middle of its answer. Ask again.", "broke off", "See the endpoint's own log."
    )


def _strange() -> EndpointTrouble:
    return EndpointTrouble(
        "The model's answer could not be read: tell whoever looks after Errata.",
        "not chat completions",
        "ERRATA_ASSISTANT_URL has to be the base of an OpenAI-compatible endpoint, mostly one that ends in /v1.",
    )


def _failed(word: str) -> EndpointTrouble:
    return EndpointTrouble(
        "The model failed at this question. Ask again in a little while.", f"failed {word}", "See the endpoint's log."
    )


def _unknown_model(endpoint: Endpoint) -> EndpointTrouble:
    return EndpointTrouble(
        "The model that Errata is to answer with is not there: tell whoever looks after Errata.",
        "unknown model",
        f"The endpoint does not know {endpoint.model}: check ERRATA_ASSISTANT_MODEL and ERRATA_ASSISTANT_URL.",
    )
