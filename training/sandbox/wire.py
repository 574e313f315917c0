"""What crosses the wire of the sandbox: a request, an answer, a refusal, and the route that joins them to a service.

Owns matching (host, method, path) and nothing about any service. Paths match like ARM's: regardless of case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from training.sandbox.cloud import Cloud


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a service sees it.

    Attributes:
        method: ``GET`` and so on.
        host: lower case, without a port.
        path: undecoded, beginning with ``/``.
        query: decoded; the last value of a name that is given twice.
        headers: names in lower case.
        body: as it came, chunks joined.
        cloud: the place and all its state.
        values: what the route's placeholders matched, decoded; ``host`` is the host's first label.
        raw_query: the query string as it came, for signatures.
    """

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    cloud: Cloud
    values: Mapping[str, str] = field(default_factory=dict)
    raw_query: str = ""

    def with_values(self, values: Mapping[str, str]) -> Request:
        """The same with what its route's placeholders have matched."""
        return replace(self, values=values)

    @property
    def url(self) -> str:
        """The address without its query."""
        return f"https://{self.host}{self.path}"

    def json(self) -> dict[str, Any]:
        """The body, which must be a JSON object; an empty one reads as ``{}``.

        Raises:
            Refusal: 400, it is something else.
        """
        if not self.body:
            return {}
        try:
            row = json.loads(self.body)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise Refusal(400, "InvalidRequestContent", "The request content was not a JSON object.")
        return row


@dataclass(frozen=True, slots=True)
class Response:
    """One answer; ``chunks`` are sent one by one as they come (server-sent events), in place of ``body``."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: Iterable[bytes] | None = None

    @classmethod
    def of(cls, content: Any, status: int = 200, **headers: str) -> Response:
        """An answer in JSON; ``Retry_After="1"`` becomes the header ``Retry-After``."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, json.dumps(content).encode(), {"Content-Type": "application/json; charset=utf-8"} | given)


class Refusal(Exception):
    """A service says no, in ARM's shape: ``{"error": {"code", "message"}}``."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers

    def response(self) -> Response:
        """The refusal as an answer; ``x-ms-error-code`` is what storage clients read."""
        content = {"error": {"code": self.code, "message": self.message}}
        return Response.of(content, self.status, **({"x_ms_error_code": self.code} | self.headers))


Handler = Callable[[Request], Response]


@dataclass(frozen=True, slots=True)
class Route:
    """One kind of request and who answers it.

    Attributes:
        method: ``GET``; ``*`` for any.
        host: a pattern such as ``*.blob.core.windows.net``; a ``*`` matches dots, too.
        path: ``/models/{name}/versions/{version}``; a placeholder is one segment, ``{name:path}`` the rest.
        handler: gives the answer, or raises Refusal.
        open: no bearer token is asked for; the handler looks at keys and signatures itself.
        slow: it may take long and takes the cloud's lock itself; others run under it.
    """

    method: str
    host: str
    path: str
    handler: Handler
    open: bool = False
    slow: bool = False
    _shape: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = re.split(r"\{(\w+)(:path)?\}", self.path)
        literal, names, rests = parts[::3], parts[1::3], parts[2::3]
        shape = re.escape(literal[0])
        for name, rest, after in zip(names, rests, literal[1:], strict=True):
            shape += f"(?P<{name}>{'.*' if rest else '[^/]+'}){re.escape(after)}"
        object.__setattr__(self, "_shape", re.compile(shape + "/?", re.IGNORECASE))

    def match(self, method: str, host: str, path: str) -> dict[str, str] | None:
        """The placeholders' values; None where the request is somebody else's."""
        if self.method not in {"*", method} or not fnmatchcase(host, self.host):
            return None
        found = self._shape.fullmatch(path)
        if found is None:
            return None
        return {"host": host.partition(".")[0]} | {name: unquote(value) for name, value in found.groupdict().items()}
