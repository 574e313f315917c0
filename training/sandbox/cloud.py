"""What all services of the sandbox share: the resources, the clock, tokens and long-running operations.

Owns the state and its lock. Knows no service; each keeps its own tables in ``part``.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from training.sandbox.names import Names
from training.sandbox.wire import Refusal, Request, Response

_Part = TypeVar("_Part")

ARM = "management.azure.com"
TOKEN = "sandbox."  # noqa: S105 (the beginning of every one)
"""How every token begins that the sandbox gives; a key does not."""


@dataclass(slots=True)
class Pace:
    """How fast things go, in seconds of the sandbox's clock; ``retry_after`` is what pollers are told to wait."""

    operation_seconds: float = 0.0
    retry_after: float = 0.02
    token_seconds: float = 3600.0


@dataclass(slots=True)
class Operation:
    """Something that ARM has accepted and not yet done.

    Attributes:
        ready: when it will be done.
        finish: does it, once, and returns the result; may raise Refusal, and the operation has failed.
        status: ``InProgress``, ``Succeeded``, ``Failed`` or ``Canceled``.
    """

    name: str
    began: datetime
    ready: datetime
    finish: Callable[[], dict[str, Any] | None]
    status: str = "InProgress"
    result: dict[str, Any] | None = None
    error: dict[str, str] | None = None

    def as_json(self) -> dict[str, Any]:
        """What the operation's address answers."""
        row: dict[str, Any] = {"name": self.name, "status": self.status, "startTime": stamp(self.began)}
        if self.status != "InProgress":
            row |= {"endTime": stamp(self.ready), "percentComplete": 100}
        return row | ({"error": self.error} if self.error else {"properties": self.result} if self.result else {})


@dataclass(slots=True)
class Cloud:
    """The place. Everything is read and changed under ``lock``, which dispatch holds for ordinary routes.

    Attributes:
        resources: ARM bodies by their id in lower case: ARM's ids know no case. Change them by ``put``.
        blobs: the folder with what was uploaded, ``STORAGE/CONTAINER/NAME``.
        operations: by name.
        etags: of the resources, whose bodies do not tell them, by their id in lower case.
        closing: called, last first, when the sandbox ends.
    """

    folder: Path
    names: Names
    clock: Callable[[], datetime]
    pace: Pace
    lock: threading.RLock = field(default_factory=threading.RLock)
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    closing: list[Callable[[], None]] = field(default_factory=list)
    _parts: dict[type, object] = field(default_factory=dict)
    _tokens: dict[str, datetime] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def blobs(self) -> Path:
        """The folder with what was uploaded, ``STORAGE/CONTAINER/NAME``."""
        return self.folder / "blobs"

    def part(self, kind: type[_Part]) -> _Part:
        """The one object of this kind, made without arguments when it is first asked for: a service's own tables."""
        with self.lock:
            found = self._parts.setdefault(kind, kind()) if kind not in self._parts else self._parts[kind]
        if not isinstance(found, kind):
            raise TypeError(kind)
        return found

    def get(self, resource_id: str) -> dict[str, Any]:
        """A resource by its id.

        Raises:
            Refusal: 404 ResourceNotFound.
        """
        found = self.resources.get(resource_id.lower().rstrip("/"))
        if found is None:
            raise Refusal(404, "ResourceNotFound", f"The Resource '{resource_id}' was not found.")
        return found

    def put(self, resource_id: str, body: dict[str, Any], kind: str | None = None) -> dict[str, Any]:
        """Keep a resource: id, name and type are added, and it has a new etag; what it said before is gone."""
        key = resource_id.lower().rstrip("/")
        named = {"id": resource_id, "name": resource_id.rpartition("/")[2]}
        whole = body | named | {"type": kind or body.get("type") or type_of(resource_id)}
        stamps = self.resources.get(key, {}).get("systemData") or {"createdAt": stamp(self.clock())}
        self.resources[key] = whole | {"systemData": stamps | {"lastModifiedAt": stamp(self.clock())}}
        self.etags[key] = f'"{next(self._numbers):08x}"'
        return self.resources[key]

    def check_etag(self, request: Request, resource_id: str) -> None:
        """Hold a request's If-Match and If-None-Match against the resource.

        Raises:
            Refusal: 412.
        """
        key = resource_id.lower().rstrip("/")
        held = self.etags.get(key) if key in self.resources else None
        wanted, unwanted = request.headers.get("if-match"), request.headers.get("if-none-match")
        changed = wanted is not None and (held is None or wanted not in {"*", held})
        if changed or (unwanted == "*" and held is not None):
            raise Refusal(412, "PreconditionFailed", "The resource has changed since it was read.")

    def delete(self, resource_id: str) -> bool:
        """Forget a resource and everything under it; whether it was there."""
        key = resource_id.lower().rstrip("/")
        for inner in [held for held in self.resources if held.startswith(key + "/")]:
            del self.resources[inner]
        return self.resources.pop(key, None) is not None

    def under(self, parent_id: str, kind: str) -> list[dict[str, Any]]:
        """The direct children of one kind, such as ``under(workspace_id, "models")``, in the order they were made."""
        prefix = f"{parent_id}/{kind}/".lower()
        return [row for key, row in self.resources.items() if key.startswith(prefix) and "/" not in key[len(prefix) :]]

    def accept(
        self,
        request: Request,
        finish: Callable[[], dict[str, Any] | None],
        *,
        content: dict[str, Any] | None = None,
        status: int = 202,
        seconds: float | None = None,
    ) -> Response:
        """Promise to do something: ``status`` with Azure-AsyncOperation, Location and Retry-After.

        Args:
            request: what asked for it; its provider and subscription make up the operation's address.
            finish: does it when it is due; see ``Operation.finish``.
            content: the answer's body, such as the resource in the state ``Creating``.
            status: 201 where ARM creates, 202 otherwise.
            seconds: how long it takes; ``pace.operation_seconds`` where nobody says.
        """
        name = secrets.token_hex(8)
        takes = self.pace.operation_seconds if seconds is None else seconds
        now = self.clock()
        self.operations[name] = Operation(name, now, now + timedelta(seconds=takes), finish)
        provider = (
            type_of(request.path).partition("/")[0] if "/providers/" in request.path.lower() else "Microsoft.Resources"
        )
        root = (
            f"https://{ARM}/subscriptions/{self.names.subscription}/providers/{provider}/locations/{self.names.region}"
        )
        version = f"?api-version={request.query.get('api-version', '')}"
        headers = {
            "Azure_AsyncOperation": f"{root}/operationsStatus/{name}{version}",
            "Location": f"{root}/operationResults/{name}{version}",
        } | self.come_back()
        if content is None and status == HTTPStatus.ACCEPTED:
            return Response(status, b"", {key.replace("_", "-"): value for key, value in headers.items()})
        return Response.of(content, status, **headers)

    def come_back(self) -> dict[str, str]:
        """The header that tells a poller how long to wait; Retry-After itself knows whole seconds alone."""
        seconds = self.pace.retry_after
        if seconds >= 1:
            return {"Retry_After": f"{seconds:.0f}"}
        return {"x_ms_retry_after_ms": f"{max(1, seconds * 1000):.0f}"}

    def advance(self) -> None:
        """Do what has become due; dispatch calls it before every request."""
        now = self.clock()
        for operation in list(self.operations.values()):
            if operation.status != "InProgress" or now < operation.ready:
                continue
            try:
                operation.result = operation.finish()
            except Refusal as refusal:
                operation.status, operation.error = "Failed", {"code": refusal.code, "message": refusal.message}
            else:
                operation.status = "Succeeded"

    def issue_token(self) -> str:
        """A new bearer token, good for ``pace.token_seconds``."""
        token = f"{TOKEN}{secrets.token_urlsafe(24)}"
        self._tokens[token] = self.clock() + timedelta(seconds=self.pace.token_seconds)
        return token

    def expire_tokens(self) -> None:
        """From now on every token given so far is refused."""
        with self.lock:
            self._tokens.clear()

    def signed_in(self, request: Request) -> bool:
        """Whether the request carries a token that is still good."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        until = self._tokens.get(token)
        return scheme.lower() == "bearer" and until is not None and self.clock() < until


def stamp(moment: datetime) -> str:
    """A moment as ARM writes it: ``2026-11-21T12:00:00.000000+00:00``."""
    return moment.isoformat(timespec="microseconds")


def type_of(resource_id: str) -> str:
    """``/…/providers/Microsoft.X/ys/name/zs/other`` is a ``Microsoft.X/ys/zs``."""
    tail = resource_id[resource_id.lower().rfind("/providers/") + len("/providers/") :].split("/")
    return "/".join([tail[0], *tail[1::2]])
