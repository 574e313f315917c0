"""POST /v1/chat/completions, as OpenAI's clients send it and read it.

Owns the shapes of a request and of an answer, whole or streamed, and that a reply ends when its asker hangs up.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from curation.conversation import Conversation, Message, Role
from training.backends.local.serving.drawing import Wish
from training.backends.local.serving.engine import Engine
from training.backends.local.serving.growing import Reply, Said
from training.backends.local.serving.http.problems import problem
from training.backends.local.serving.roster import Roster

HUNG_UP = 499
"""Nobody reads this status; it is for the figures."""


class Part(BaseModel):
    """A part of a message that is given in parts."""

    type: Literal["text"]
    text: str


class Turn(BaseModel):
    """One message of a request."""

    role: Role
    content: str | list[Part]

    def message(self) -> Message:
        """The turn as a conversation has it."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Message(self.role, text)


class StreamOptions(BaseModel):
    """What a stream has beside the reply."""

    include_usage: bool = False


Stop = Annotated[str, Field(min_length=1)]


class ChatRequest(BaseModel):
    """The part of OpenAI's chat-completions request that this server honours.

    More than one choice and content that is no text are refused; keys that are not listed here are ignored.
    """

    model_config = ConfigDict(extra="ignore")

    model: str
    messages: list[Turn] = Field(min_length=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: Stop | list[Stop] | None = None
    seed: int | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=None, ge=1, le=1)

    def conversation(self) -> Conversation:
        """The request's turns."""
        return Conversation(tuple(turn.message() for turn in self.messages))

    def wish(self) -> Wish:
        """How the reply is to be drawn: the most probable one where no temperature is named."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Wish(
            temperature=self.temperature or 0.0,
            top_p=self.top_p or 1.0,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            stop=tuple(stops),
            seed=self.seed,
        )

    @property
    def counts(self) -> bool:
        """Whether a stream ends with the number of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage


def router(roster: Roster, engine: Engine) -> APIRouter:
    """The route over these models."""
    routes = APIRouter()

    @routes.post("/v1/chat/completions", response_model=None)
    async def chat(asked: ChatRequest, request: Request) -> Response:
        voice = roster.find(asked.model)
        prompt = await run_in_threadpool(voice.host.prompt, asked.conversation())
        said: asyncio.Queue[Said] = asyncio.Queue()
        row = engine.submit(voice, prompt, asked.wish(), said.put_nowait)
        head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": asked.model}

        def hang_up() -> None:
            row.cancelled = True

        if asked.stream:
            events = _events(said, head, counts=asked.counts)
            return StreamingResponse(_until_left(events, hang_up), media_type="text/event-stream")
        return await _whole(said, head, request, hang_up)

    return routes


async def _whole(
    said: asyncio.Queue[Said], head: dict[str, Any], request: Request, hang_up: Callable[[], None]
) -> Response:
    """The reply in one; the asker may leave while it grows."""
    reply = asyncio.create_task(_end(said))
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({reply, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not reply.done():
            return Response(status_code=HUNG_UP)
        return JSONResponse(_completion(head, reply.result()))
    finally:
        hang_up()
        reply.cancel()
        gone.cancel()


async def _end(said: asyncio.Queue[Said]) -> Reply:
    while True:
        one = await said.get()
        if isinstance(one, Reply):
            return one
        if isinstance(one, Exception):
            raise one


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _until_left(events: AsyncIterator[str], hang_up: Callable[[], None]) -> AsyncIterator[str]:
    try:
        async for event in events:
            yield event
    finally:
        hang_up()


async def _events(said: asyncio.Queue[Said], head: dict[str, Any], *, counts: bool) -> AsyncIterator[str]:
    """Server-sent events: the role, the text piece by piece, the reason for the end, the count, ``[DONE]``."""
    row = {**head, "object": "chat.completion.chunk"} | ({"usage": None} if counts else {})

    def event(delta: dict[str, str], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return _event({**row, "choices": [choice]})

    yield event({"role": "assistant", "content": ""})
    while True:
        pieces, end = _gathered(await said.get(), said)
        if pieces:
            yield event({"content": pieces})
        if isinstance(end, Exception):
            yield _event(problem(end)[1])
            return
        if end is not None:
            yield event({}, end.finish_reason)
            if counts:
                yield _event({**row, "choices": [], "usage": _usage(end)})
            yield "data: [DONE]\n\n"
            return


def _gathered(first: Said, said: asyncio.Queue[Said]) -> tuple[str, Reply | Exception | None]:
    """Everything that is there already in one: whoever reads slower than the model writes gets larger pieces."""
    pieces, one = "", first
    while isinstance(one, str):
        pieces += one
        if said.empty():
            return pieces, None
        one = said.get_nowait()
    return pieces, one


def _event(row: dict[str, Any]) -> str:
    return f"data: {json.dumps(row, ensure_ascii=False)}\n\n"


def _completion(head: dict[str, Any], reply: Reply) -> dict[str, Any]:
    message = {"role": Role.ASSISTANT.value, "content": reply.text}
    choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason, "logprobs": None}
    return {**head, "object": "chat.completion", "choices": [choice], "usage": _usage(reply)}


def _usage(reply: Reply) -> dict[str, int]:
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
    }
