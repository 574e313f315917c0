"""What the sandbox has received, with every secret taken out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from training.sandbox.wire import Request

HIDDEN = "hidden"

_SECRET_HEADERS = {"authorization", "api-key", "ocp-apim-subscription-key", "x-ms-copy-source", "cookie"}
_SECRET_FIELDS = {"client_secret", "client_assertion", "refresh_token", "sig"}


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request.

    Attributes:
        body: parsed JSON, or a form's fields; None for anything else, of which only ``size`` is kept.
        status: what was answered; None where nothing was: it was dropped or is still under way.
    """

    method: str
    host: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    size: int
    status: int | None

    @classmethod
    def of(cls, request: Request, status: int | None) -> Recorded:
        """What is kept of a request."""
        return cls(
            request.method,
            request.host,
            request.path,
            _without_secrets(request.query),
            {name: HIDDEN if name in _SECRET_HEADERS else value for name, value in request.headers.items()},
            _body(request),
            len(request.body),
            status,
        )

    def __str__(self) -> str:
        return f"{self.method} {self.host}{self.path} {self.status}"


def _without_secrets(values: Any) -> dict[str, str]:
    return {name: HIDDEN if name in _SECRET_FIELDS else value for name, value in dict(values).items()}


def _body(request: Request) -> Any:
    kind = request.headers.get("content-type", "")
    if "x-www-form-urlencoded" in kind:
        return _without_secrets(parse_qsl(request.body.decode("utf-8", "replace")))
    if "json" not in kind or not request.body:
        return None
    try:
        return json.loads(request.body)
    except ValueError:
        return None
