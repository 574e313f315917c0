"""Arguments of a Web API call as Slack reads them: JSON, form fields or query string.

Owns the parsing. Refuses what cannot be parsed, with the error word Slack uses for it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from bot.sandbox.errors import ApiRefusal

# Form fields that hold JSON, and the error for one that does not.
JSON_FIELDS = {
    "blocks": "invalid_blocks_format",
    "view": "invalid_arguments",
    "metadata": "invalid_metadata_format",
    "attachments": "invalid_attachments",
    "files": "invalid_arguments",
}


class Arguments:
    """The named arguments of one call."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    @classmethod
    def parse(cls, content_type: str, body: bytes, query: str) -> Arguments:
        """Read a request; JSON-encoded strings become what they hold, as Slack allows either."""
        values: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
        if content_type.startswith("application/json"):
            try:
                content = json.loads(body or b"{}")
            except ValueError as error:
                raise ApiRefusal("invalid_json") from error
            if not isinstance(content, dict):
                raise ApiRefusal("json_not_object")
            values |= content
        else:
            values |= dict(parse_qsl(body.decode(), keep_blank_values=True))
        for name, code in JSON_FIELDS.items():
            if isinstance(values.get(name), str) and values[name]:
                try:
                    values[name] = json.loads(values[name])
                except ValueError as error:
                    raise ApiRefusal(code, [f"{name}: not valid JSON"]) from error
        return cls(values)

    def with_client(self, credentials: str) -> Arguments:
        """The same with the client id and secret of HTTP's Basic authorization, as ``oauth.v2.access`` takes them."""
        try:
            client_id, _, secret = base64.b64decode(credentials).decode().partition(":")
        except ValueError as error:
            raise ApiRefusal("invalid_client_id") from error
        return Arguments({**self._values, "client_id": client_id, "client_secret": secret})

    def get(self, name: str) -> Any:
        """The argument, or None where it is missing, null or empty."""
        value = self._values.get(name)
        return None if value == "" else value

    def text(self, name: str) -> str:
        """A required argument as text; ``invalid_arguments`` where it is missing."""
        value = self.get(name)
        if value is None:
            raise ApiRefusal("invalid_arguments", [f"missing required field: {name}"])
        return str(value)

    def integer(self, name: str, default: int) -> int:
        """A whole number of at least 0; ``invalid_arguments`` for anything else."""
        value = self.get(name)
        if value is None:
            return default
        if not str(value).isdecimal():
            raise ApiRefusal("invalid_arguments", [f"{name}: {value!r} is no whole number"])
        return int(value)

    def flag(self, name: str) -> bool:
        """A yes or no, however it was written; no where it is missing."""
        return str(self.get(name)).lower() in {"1", "true"}

    def has(self, name: str) -> bool:
        """Whether the caller gave the argument at all, empty or not."""
        return name in self._values
