"""The loopback server: routes, the thread they run in, and answers that get lost on purpose.

Owns sockets and the event loop. Decides nothing about Slack: calls go to ``web_api``, posts to
``chat_methods.respond``, bytes to ``file_methods``, WebSockets to ``sockets``. Binds 127.0.0.1 only.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from uvicorn.protocols.http.h11_impl import H11Protocol

from bot.sandbox import chat_methods, file_methods
from bot.sandbox.arguments import Arguments
from bot.sandbox.errors import ApiRefusal
from bot.sandbox.sockets import SocketLine
from bot.sandbox.state import State
from bot.sandbox.web_api import WebApi

PING_SECONDS = 0.25
_TICK_SECONDS = 1.0  # uvicorn dates its answers


class Server:
    """uvicorn on a free loopback port, in a thread of its own."""

    def __init__(self, state: State, web_api: WebApi, sockets: SocketLine) -> None:
        self._state = state
        self._web_api = web_api
        routes = [
            Route("/api/{method}", self._call, methods=["GET", "POST"]),
            Route("/response/{key}", self._respond, methods=["POST"]),
            Route("/upload/{file_id}", self._upload, methods=["POST"]),
            WebSocketRoute("/link", sockets.serve),
        ]
        self._application = Starlette(routes=routes)
        config = uvicorn.Config(
            self._application,
            http=H11Protocol,  # the protocol whose connections ``_drop`` knows how to close
            lifespan="off",
            log_config=None,
            access_log=False,
            # slack_sdk's client notices its own close() only when a frame arrives or after three seconds.
            ws_ping_interval=PING_SECONDS,
            timeout_graceful_shutdown=1,
        )
        self._server = _Prompt(config)
        self._thread: threading.Thread | None = None

    def start(self) -> str:
        """Listen, and return the origin: ``http://127.0.0.1:PORT``."""
        listener = socket.create_server(("127.0.0.1", 0))  # from here on, early clients wait in the backlog
        serving = self._server.serve(sockets=[listener])
        self._thread = threading.Thread(target=asyncio.run, args=[serving], name="sandbox-server", daemon=True)
        self._thread.start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    def add(self, route: BaseRoute) -> None:
        """Serve one more route, such as the page's; also while the server runs."""
        self._application.router.routes.append(route)

    def stop(self) -> None:
        """Close every connection and wait for the thread to end."""
        self._state.closed = True
        self._server.leave()
        if self._thread is not None:
            self._thread.join()

    async def _call(self, request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:  # a bot that was killed in the middle of its call
            return Response()
        scheme, _, token = request.headers.get("authorization", "").partition(" ")

        def read() -> Arguments:
            arguments = Arguments.parse(request.headers.get("content-type", ""), body, request.url.query)
            return arguments.with_client(token) if scheme.lower() == "basic" else arguments

        bearer = token if scheme.lower() == "bearer" else None
        answer = self._web_api.whose(bearer).call(request.path_params["method"], bearer, read)
        if answer.delay_seconds:
            await asyncio.sleep(answer.delay_seconds)
        if answer.dropped:
            return _Nothing(self._drop)
        return JSONResponse(answer.content, answer.status, dict(answer.headers))

    async def _respond(self, request: Request) -> Response:
        try:
            content = json.loads(await request.body())
        except ValueError:
            return PlainTextResponse("invalid_payload", 400)
        with self._state.lock:
            try:
                chat_methods.respond(self._state, request.path_params["key"], content)
            except ApiRefusal as refusal:
                missing = refusal.code in {"expired_url", "used_url"}
                return PlainTextResponse(refusal.sentence(), 404 if missing else 400)
        return PlainTextResponse("ok")

    async def _upload(self, request: Request) -> Response:
        content = await request.body()
        with self._state.lock:
            try:
                file_methods.receive(self._state, request.path_params["file_id"], content)
            except ApiRefusal as refusal:
                return PlainTextResponse(refusal.sentence(), 400)
        return PlainTextResponse(f"OK - {len(content)}")

    def _drop(self, client: tuple[str, int]) -> None:
        for connection in list(self._server.server_state.connections):
            if isinstance(connection, H11Protocol) and connection.client == client:
                connection.transport.close()


class _Prompt(uvicorn.Server):
    """Ends at once: uvicorn looks ten times a second whether it should, and gives nobody another tenth to leave."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._asked = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def leave(self) -> None:
        """Let it end; from any thread."""
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._asked.set)

    async def main_loop(self) -> None:
        """Until somebody asks it to end."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), _TICK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Without anybody connected there is nothing to wait for."""
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()


class _Nothing(Response):
    """No answer at all: the connection closes, and the bot cannot tell whether its call took effect."""

    def __init__(self, drop: Callable[[tuple[str, int]], None]) -> None:
        super().__init__()
        self._drop = drop

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], _send: object) -> None:
        self._drop(scope["client"])
        while (await receive())["type"] != "http.disconnect":
            pass
