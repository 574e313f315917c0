"""The front door: requests signed as Slack signs them, handed to the gate as a server's thread hands them over."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from builders import now

from bot.gate import Gate

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
PATH = "/slack/events"


@dataclass(frozen=True)
class Door:
    """A gate and the secret that opens it."""

    gate: Gate
    secret: str

    def stamped(self, body: bytes, *, secret: str | None = None, at: int | None = None) -> tuple[str, str]:
        """Timestamp and signature of a body, now or at this second; with another secret a forged one."""
        stamp = str(int(now().timestamp()) if at is None else at)
        key = self.secret if secret is None else secret
        digest = hmac.new(key.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
        return stamp, f"v0={digest}"

    def ask(
        self, body: bytes, content_type: str, stamp: str, signature: str | None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Knock; the status and the body of the answer."""
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "PATH_INFO": PATH,
            "QUERY_STRING": "",
            "CONTENT_TYPE": content_type,
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_X_SLACK_REQUEST_TIMESTAMP": stamp,
            "wsgi.input": io.BytesIO(body),
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in (headers or {}).items()},
        }
        if signature is not None:
            environ["HTTP_X_SLACK_SIGNATURE"] = signature
        statuses: list[str] = []

        def start_response(status: str, _headers: list[tuple[str, str]], _error: Any = None, /) -> Any:
            statuses.append(status)

        chunks = self.gate(environ, start_response)
        return int(statuses[0][:3]), b"".join(chunks)


def written(kind: str, payload: dict[str, Any]) -> tuple[bytes, str]:
    """An ``event``, ``interaction`` or ``command`` as the bytes of a request, and their type."""
    if kind == "event":
        return json.dumps(payload).encode(), JSON
    fields = payload if kind == "command" else {"payload": json.dumps(payload)}
    return urlencode(fields).encode(), FORM
