"""The workspace as a page in the browser: its files, what a person sees, and what they do there.

Owns the routes below ``/page/KEY/`` and who may use them: the key is in the address and nowhere else, the host must be
this server's own, and a post must come from the page itself. Any page of the web could otherwise have the
browser press buttons here, directly or under a name that it points at this machine (DNS rebinding). Refuses to
serve anything that the browser would run from elsewhere: the content security policy is ``default-src 'self'``.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import PurePosixPath

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from bot.sandbox import gestures
from bot.sandbox.errors import ApiRefusal
from bot.sandbox.payloads import Json
from bot.sandbox.people import Person
from bot.sandbox.sight import directory, may_see, sight
from bot.sandbox.workspace import Workspace
from curation.errors import ErrataError

LOOK_SECONDS = 20.0
"""How long a look waits for something new before it says that there is nothing."""

POLL_SECONDS = 0.03
BODY_BYTES = 1_000_000

Answering = Callable[[Request], Awaitable[Response]]

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_IMAGES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
_HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Seat:
    """Somebody whom whoever opens the page can be; ``role`` is the word shown beside the name."""

    person: Person
    role: str


@dataclass(frozen=True)
class Step:
    """Something worth trying, in order: as whom, and where it begins.

    ``does``, if given, is done when the step is pressed, and says in a sentence what came of it.
    """

    text: str
    seat: str
    channel: str
    thread: str | None = None
    does: Callable[[], str] | None = None


@dataclass(frozen=True)
class Setting:
    """What the page shows that Slack would know from the app's manifest and the workspace's settings.

    Attributes:
        shortcuts: (name, callback id) of the shortcuts in a message's menu.
        global_shortcuts: (name, callback id) of those that belong to no message.
        commands: the slash commands, such as ``/errata``.
        reactions: the reactions offered, by name.
    """

    title: str
    seats: Sequence[Seat]
    shortcuts: Sequence[tuple[str, str]] = ()
    commands: Sequence[str] = ()
    global_shortcuts: Sequence[tuple[str, str]] = ()
    reactions: Sequence[str] = ("triangular_flag_on_post", "+1", "eyes")
    steps: Sequence[Step] = field(default=())


def open_page(workspace: Workspace, setting: Setting, *, key: str) -> str:
    """Serve the page beside the workspace's Web API; its address, which holds the key.

    ``key`` must be hard to guess (``secrets.token_urlsafe``): whoever knows it can be everybody in the seats.
    """
    page = _Page(workspace, setting, key)
    workspace.add_route(Mount("/page/{key}", routes=page.routes()))
    for seat in setting.seats:
        workspace.state.direct_message(seat.person.user_id)  # so that there is one to write to
    return f"{workspace.state.origin}/page/{key}/"


class _Page:
    """The page's routes; every one of them begins with ``_admitted``."""

    def __init__(self, workspace: Workspace, setting: Setting, key: str) -> None:
        self._workspace = workspace
        self._setting = setting
        self._key = key
        self._helping = threading.Lock()
        self._seats = {seat.person.user_id: seat.person for seat in setting.seats}
        folder = files("bot.sandbox").joinpath("web")
        self._files = {
            one.name: one.read_bytes() for one in folder.iterdir() if PurePosixPath(one.name).suffix in _TYPES
        }

    def routes(self) -> list[Route]:
        """What the page and its scripts ask for."""
        return [
            Route("/setting", self._admitted(self._frame)),
            Route("/sight", self._admitted(self._look)),
            Route("/gesture", self._admitted(self._act), methods=["POST"]),
            Route("/steps/{number:int}", self._admitted(self._take), methods=["POST"]),
            Route("/files/{file_id}", self._admitted(self._file)),
            Route("/{name:path}", self._admitted(self._asset)),
        ]

    def _admitted(self, answer: Answering) -> Answering:
        async def admit(request: Request) -> Response:
            problem = self._problem(request)
            response = PlainTextResponse(problem, 403) if problem else await answer(request)
            response.headers.update(_HEADERS)
            return response

        return admit

    def _problem(self, request: Request) -> str | None:
        """Why this request is not the page's own; None where it is."""
        origin = self._workspace.state.origin
        if request.headers.get("host") != origin.removeprefix("http://"):
            return f"The page answers at {origin} only."
        if not hmac.compare_digest(request.path_params["key"].encode(), self._key.encode()):
            return "The key in the address is another one: take the address that errata demo has printed."
        if request.method == "POST" and request.headers.get("origin") != origin:
            return "Only the page itself may press buttons here."
        return None

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"] or "index.html"
        content = self._files.get(name)
        if content is None:
            return PlainTextResponse("There is no such file.", 404)
        return Response(content, media_type=_TYPES[PurePosixPath(name).suffix])

    async def _frame(self, _request: Request) -> Response:
        setting, state = self._setting, self._workspace.state
        with state.lock:
            return JSONResponse(
                {
                    "title": setting.title,
                    "seats": [{"id": seat.person.user_id, "role": seat.role} for seat in setting.seats],
                    "people": directory(state, {seat.person.user_id: seat.role for seat in setting.seats}),
                    "links": f"https://{state.identity.team_domain}.slack.com/archives/",
                    "shortcuts": _shortcuts(setting.shortcuts),
                    "global_shortcuts": _shortcuts(setting.global_shortcuts),
                    "commands": list(setting.commands),
                    "reactions": list(setting.reactions),
                    "steps": [
                        {
                            "text": step.text,
                            "seat": step.seat,
                            "channel": step.channel,
                            "thread": step.thread,
                            "acts": step.does is not None,
                        }
                        for step in setting.steps
                    ],
                }
            )

    async def _look(self, request: Request) -> Response:
        """What the person sees, as soon as it is newer than what they have; ``null`` where nothing happens."""
        person = self._seats.get(request.query_params.get("seat", ""))
        seen = request.query_params.get("seen", "")
        if person is None or not seen.lstrip("-").isdecimal():
            return PlainTextResponse("Nobody sits there.", 400)
        state = self._workspace.state
        deadline = time.monotonic() + LOOK_SECONDS
        while state.revision == int(seen):
            if state.closed or time.monotonic() > deadline or await request.is_disconnected():
                return JSONResponse(None)
            await asyncio.sleep(POLL_SECONDS)
        with state.lock:
            return Response(json.dumps(sight(self._workspace, person)), media_type="application/json")

    async def _act(self, request: Request) -> Response:
        body = await request.body()
        if len(body) > BODY_BYTES:
            return PlainTextResponse("This is more than a person types.", 413)
        try:
            asked = gestures.read(body)
            person = self._seats[asked.seat]
        except (msgspec.MsgspecError, KeyError, RecursionError):
            return PlainTextResponse("No gesture of the page's.", 400)
        return JSONResponse(await run_in_threadpool(_done, lambda: asked.gesture.by(person)))

    async def _take(self, request: Request) -> Response:
        steps = dict(enumerate(self._setting.steps))
        step = steps.get(request.path_params["number"])
        if step is None or step.does is None:
            return PlainTextResponse("There is no such step.", 404)
        if not self._helping.acquire(blocking=False):
            return JSONResponse({"problem": "They are at it already."})
        does = step.does
        try:
            return JSONResponse(await run_in_threadpool(_done, lambda: {"said": does()}))
        finally:
            self._helping.release()

    async def _file(self, request: Request) -> Response:
        person = self._seats.get(request.query_params.get("seat", ""))
        state, file_id = self._workspace.state, request.path_params["file_id"]
        with state.lock:
            if person is None or not may_see(state, person, file_id):
                return PlainTextResponse("There is no such file.", 404)
            content = state.files[file_id].content or b""
        kind = next((kind for start, kind in _IMAGES.items() if content.startswith(start)), None)
        if kind is None:  # never shown by the browser, whatever it holds
            return Response(
                content, media_type="application/octet-stream", headers={"content-disposition": "attachment"}
            )
        return Response(content, media_type=kind)


def _shortcuts(pairs: Sequence[tuple[str, str]]) -> list[Json]:
    return [{"name": name, "callback_id": callback_id} for name, callback_id in pairs]


def _done(does: Callable[[], Json]) -> Json:
    """What came of it. A refusal is an answer: Slack's client shows it, and nothing has gone wrong."""
    try:
        return {"problem": None, **does()}
    except (ErrataError, ApiRefusal) as refusal:
        sentence = refusal.sentence() if isinstance(refusal, ApiRefusal) else str(refusal)
        return {"problem": sentence}
