"""The serving process: ``python -m training.backends.local.endpoint DIRECTORY``.

Owns a small OpenAI-compatible server over one model, on the loopback interface only: it asks nobody
who they are. One reply is generated at a time; for many users, serve the merged model with vLLM.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from curation.conversation import Conversation, Message, Role
from curation.errors import ErrataError, Invalid, NotFound, Unavailable
from training.backends.local import checkpoint, folder, process
from training.backends.local.sampling import Replier, Reply, Wish


class Turn(BaseModel):
    """One message of a request."""

    role: Role
    content: str


class ChatRequest(BaseModel):
    """The part of OpenAI's chat-completions request that this server honours.

    https://platform.openai.com/docs/api-reference/chat/create; more than one choice and stop strings
    with streaming are refused, keys that are not listed here are ignored.
    """

    model_config = ConfigDict(extra="ignore")

    model: str
    messages: list[Turn] = Field(min_length=1)
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: str | list[str] | None = None
    seed: int | None = None
    stream: bool = False
    n: int = Field(default=1, ge=1, le=1)

    def conversation(self) -> Conversation:
        """The request's turns."""
        return Conversation(tuple(Message(turn.role, turn.content) for turn in self.messages))

    def wish(self) -> Wish:
        """How the reply is to be drawn."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Wish(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            stop=tuple(stops),
            seed=self.seed,
        )


def build_app(replier: Replier, model_name: str) -> FastAPI:
    """The server's routes over one model."""
    app = FastAPI(title="Errata endpoint", docs_url=None, redoc_url=None)
    app.add_exception_handler(RequestValidationError, _refuse_shape)
    app.add_exception_handler(ErrataError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_route)
    # Generation takes all cores already; a second one at the same time would slow both down.
    busy = threading.Lock()

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok", "model": model_name}

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": model_name, "object": "model", "created": 0, "owned_by": "errata"}]}

    @app.post("/v1/chat/completions", response_model=None)
    def chat(request: ChatRequest) -> JSONResponse | StreamingResponse:
        if request.model != model_name:
            raise NotFound(
                "This endpoint serves {model}, not {wanted}; change the request's model.",
                model=model_name,
                wanted=request.model,
            )
        if request.stream and request.stop:
            raise Invalid("This endpoint cannot stream with stop strings; leave out `stop` or `stream`.")
        prompt = replier.prompt(request.conversation())
        head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": model_name}
        if request.stream:
            return StreamingResponse(
                _events(replier, prompt, request.wish(), head, busy), media_type="text/event-stream"
            )
        with busy:
            reply = replier.reply(prompt, request.wish())
        return JSONResponse(_completion(head, reply))

    return app


def _completion(head: dict[str, Any], reply: Reply) -> dict[str, Any]:
    return {
        **head,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": reply.text},
                "finish_reason": reply.finish_reason,
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": reply.completion_tokens,
            "total_tokens": reply.prompt_tokens + reply.completion_tokens,
        },
    }


def _events(
    replier: Replier, prompt: list[int], wish: Wish, head: dict[str, Any], busy: threading.Lock
) -> Iterator[str]:
    """Server-sent events: the role, the text piece by piece, the reason for the end, ``[DONE]``."""

    def event(delta: dict[str, str], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        row = {**head, "object": "chat.completion.chunk", "choices": [choice]}
        return f"data: {json.dumps(row, ensure_ascii=False)}\n\n"

    yield event({"role": "assistant", "content": ""})
    with busy:
        for piece in replier.pieces(prompt, wish):
            yield event({"content": piece}) if isinstance(piece, str) else event({}, piece.finish_reason)
    yield "data: [DONE]\n\n"


def _problem(status: int, sentence: str) -> JSONResponse:
    """OpenAI's error shape."""
    kind = "invalid_request_error" if status < 500 else "server_error"  # noqa: PLR2004 - HTTP's own border
    error = {"message": sentence, "type": kind, "param": None, "code": None}
    return JSONResponse({"error": error}, status_code=status)


def _refuse_shape(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
    return _problem(400, f"{where}: {first['msg']}. Correct the request.")


def _refuse(_request: Request, error: Exception) -> JSONResponse:
    return _problem(404 if isinstance(error, NotFound) else 400, str(error))


def _refuse_route(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    return _problem(
        error.status_code,
        f"{request.method} {request.url.path} is not served here; use POST /v1/chat/completions or GET /v1/models.",
    )


def serve(directory: Path) -> dict[str, Any]:
    """Load the model named in the directory's request and answer until told to stop."""
    row = folder.read_json(directory / folder.REQUEST)
    if row is None:
        raise Invalid(
            "{folder} holds no {file}; start an endpoint with `errata deploy`.", folder=directory, file=folder.REQUEST
        )
    loaded = checkpoint.load(Path(row["path"]))
    app = build_app(Replier(loaded), row["model"])
    with socket.socket() as listener:
        # Without this the port stays taken for a minute after the endpoint before it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            # Port 0 lets the system choose a free one; loopback only, because nobody is asked who they are.
            listener.bind(("127.0.0.1", row["port"]))
        except OSError as error:
            raise Unavailable(
                "Port {port} cannot be used ({cause}); choose another.", port=row["port"], cause=error.strerror
            ) from error
        listener.listen()
        ready = {**row, "port": listener.getsockname()[1], "pid": os.getpid()}
        folder.write_json(directory / folder.READY, ready)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
        server.run(sockets=[listener])
    return {}


if __name__ == "__main__":
    sys.exit(process.carry_out(process.directory_argument(), serve))
