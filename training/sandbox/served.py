"""The tuned tiny models behind the sandbox's addresses: each is served by a process of its own, which is really asked.

Owns when one is up: what ARM calls ``Succeeded`` answers 404, then 503, until its process does and ``ready_after`` has
passed. Where nothing was trained, one fixed sentence says so in place of a reply.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from curation.errors import ErrataError
from training.backends.base import Endpoint
from training.backends.local.serving.entries import Entry
from training.backends.local.serving.standing import Standing
from training.sandbox.cloud import Cloud
from training.sandbox.safety import filtered
from training.sandbox.wire import Refusal, Request, Response

SIMULATED_REPLY = "This reply is simulated: the sandbox has trained no model."
_REPLY_SECONDS = 120.0


@dataclass(slots=True)
class Served:
    """One model that is served, or will be.

    Attributes:
        name: what its process calls it.
        model: its weights; None where nothing was trained.
        ready_at: it answers nobody before.
        endpoint: where its process answers; None while it loads.
        broken: why its process did not start.
        replies: when it was asked, for the limits of a deployment.
    """

    name: str
    model: Path | None
    directory: Path
    ready_at: datetime
    endpoint: Endpoint | None = None
    broken: str | None = None
    stopped: bool = False
    refused: int = 0
    replies: list[datetime] = field(default_factory=list)

    def up(self, now: datetime) -> bool:
        """Whether it answers."""
        return now >= self.ready_at and (self.model is None or self.endpoint is not None)


@dataclass
class Engines:
    """The models that are served.

    Attributes:
        ready_after: seconds of the sandbox's clock in which a new one answers nobody.
    """

    ready_after: float = 0.0
    _standing: Standing = field(default_factory=Standing)
    _all: list[Served] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def start(self, cloud: Cloud, name: str, model: Path | None) -> Served:
        """Begin to serve a model; it is loaded meanwhile."""
        if not self._all:
            cloud.closing.append(self._close)
        directory = cloud.folder / "served" / f"{name}-{next(self._numbers)}"
        served = Served(name, model, directory, cloud.clock() + timedelta(seconds=self.ready_after))
        self._all.append(served)
        if model is not None:
            threading.Thread(target=self._load, args=[served, model], name=f"serve-{name}", daemon=True).start()
        return served

    def stop(self, served: Served) -> None:
        """End its process."""
        served.stopped = True
        if served.model is not None:
            self._standing.stop(served.directory)

    def _load(self, served: Served, model: Path) -> None:
        try:
            served.endpoint = self._standing.start([Entry(served.name, str(model))], served.directory)
        except ErrataError as error:
            served.broken = str(error)
        if served.stopped:
            self._standing.stop(served.directory)

    def _close(self) -> None:
        for served in self._all:
            self.stop(served)


def reply(request: Request, served: Served, *, filters: bool) -> Response:
    """The model's answer to a chat request, streamed where that was asked for. Call it without the cloud's lock.

    Raises:
        Refusal: 404 and 503 while it is not up; 400 where the filter is on and the prompt meets it.
    """
    body = request.json()
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refusal(400, "BadRequest", "The field messages is required.")
    with request.cloud.lock:
        if not served.up(request.cloud.clock()):
            served.refused += 1
            first = served.refused == 1
            raise Refusal(404 if first else 503, "NotFound" if first else "ServiceUnavailable", "Not ready yet.")
    category = filtered(" ".join(_texts(messages))) if filters else None
    if category is not None:
        return _filtered(category)
    if served.model is None or served.endpoint is None:
        return _simulated(served.name, stream=bool(body.get("stream")))
    return _asked(served.endpoint, body | {"model": served.name})


def _texts(messages: list[Any]) -> Iterator[str]:
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        parts = content if isinstance(content, list) else [{"text": content}]
        yield from (str(part.get("text") or "") for part in parts if isinstance(part, dict))


def _filtered(category: str) -> Response:
    name = {"SelfHarm": "self_harm"}.get(category, category.lower())
    error = {
        "code": "content_filter",
        "message": "The response was filtered due to the prompt triggering the content management policy.",
        "param": "prompt",
        "type": None,
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {name: {"filtered": True, "severity": "medium"}},
        },
    }
    return Response.of({"error": error}, HTTPStatus.BAD_REQUEST)


def _simulated(name: str, *, stream: bool) -> Response:
    plain: dict[str, Any] = {"id": "chatcmpl-simulated", "created": 0, "model": name}
    said = {"role": "assistant", "content": SIMULATED_REPLY}
    if not stream:
        choice = {"index": 0, "message": said, "finish_reason": "stop"}
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        return Response.of(plain | {"object": "chat.completion", "choices": [choice], "usage": usage})
    choice = {"index": 0, "delta": said, "finish_reason": "stop"}
    event = json.dumps(plain | {"object": "chat.completion.chunk", "choices": [choice]})
    chunks = [f"data: {event}\n\n".encode(), b"data: [DONE]\n\n"]
    return Response(200, headers={"Content-Type": "text/event-stream"}, chunks=chunks)


def _asked(endpoint: Endpoint, body: dict[str, Any]) -> Response:
    client = httpx.Client(timeout=_REPLY_SECONDS, trust_env=False)
    try:
        answer = client.send(client.build_request("POST", f"{endpoint.url}/chat/completions", json=body), stream=True)
        headers = {"Content-Type": answer.headers.get("content-type", "application/json")}
        if headers["Content-Type"].startswith("text/event-stream"):
            return Response(answer.status_code, headers=headers, chunks=_chunks(client, answer))
        content = answer.read()
    except httpx.HTTPError:
        client.close()
        raise Refusal(503, "ServiceUnavailable", "The model does not answer.") from None
    client.close()
    return Response(answer.status_code, content, headers)


def _chunks(client: httpx.Client, answer: httpx.Response) -> Iterator[bytes]:
    with closing(client), closing(answer):
        yield from answer.iter_raw()
