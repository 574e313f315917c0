"""The endpoint's application: what every endpoint has, and the routes for the kinds of models that it serves.

Owns health, the list of models and the figures. It asks nobody who they are, so it answers only whoever calls this
machine by its own name: a page in a browser that is sent here under another name is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from curation.exposition import CONTENT_TYPE
from training.backends.local.serving.http import problems
from training.backends.local.serving.http.figures import Figures

if TYPE_CHECKING:
    from training.backends.local.serving.engine import Engine, Heard

HOSTS = ("127.0.0.1", "localhost", "[::1]")

_UNCOUNTED = frozenset({"/health", "/metrics"})


def build_app(
    names: Callable[[], Sequence[str]], figures: Figures, *kinds: APIRouter, engine: Engine | None = None
) -> FastAPI:
    """The application.

    Args:
        names: of what can be asked for, as it stands now.
        figures: what is counted.
        kinds: routes for each kind of model.
        engine: of models that reply, started and stopped with the application; None where there are none.
    """

    @asynccontextmanager
    async def running(_app: FastAPI) -> AsyncIterator[None]:
        if engine is None:
            yield
            return
        loop, tell = asyncio.get_running_loop(), engine.deliver

        def deliver(heard: Heard) -> None:
            loop.call_soon_threadsafe(tell, heard)

        engine.deliver = deliver
        engine.start()
        yield
        engine.stop()

    app = FastAPI(title="Errata endpoint", docs_url=None, redoc_url=None, lifespan=running)
    problems.handle_problems(app)
    app.add_middleware(Counted, figures=figures)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS))

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "models": list(names())}

    @app.get("/metrics")
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(figures.exposition(), media_type=CONTENT_TYPE)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "errata"} for name in names()]
        return {"object": "list", "data": listed}

    for routes in kinds:
        app.include_router(routes)
    return app


class Counted:
    """Counts requests by the status of their answers."""

    def __init__(self, app: ASGIApp, figures: Figures) -> None:
        self._app, self._figures = app, figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or scope["path"] in _UNCOUNTED:
            await self._app(scope, receive, send)
            return
        statuses: list[int] = []

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(int(message["status"]))
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            self._figures.request(statuses[0] if statuses else 500)
