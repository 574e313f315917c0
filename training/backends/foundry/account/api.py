"""Plain requests to the openai API, for what is asked again and again: a worker looks at many jobs for long.

Owns the way there and that a refusal says as much as the openai library's own would. The library, which keeps 20 MB and
more of whoever has loaded it, is for everything that changes something (``requests``). Nothing is repeated here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from training.backends.foundry.access import plain
from training.backends.foundry.access.clients import openai_url
from training.backends.foundry.access.credentials import COGNITIVE_SCOPE, fetch_token
from training.backends.foundry.access.refusals import provider_errors
from training.backends.foundry.place import AzurePlace


class _No(httpx.HTTPStatusError):
    """An answer that is none, with what is read of a refusal: its status and its ``error``."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__("refused", request=response.request, response=response)
        self.status_code = response.status_code
        self.body = _object(response)


def told(place: AzurePlace, path: str, doing: str, **query: int) -> dict[str, Any]:
    """The object at a path such as ``fine_tuning/jobs/ftjob-1a2b``.

    Args:
        doing: what is being done, for the sentence of a refusal.

    Raises:
        Missing, Refused, Unreached: it is not there; the provider says no, or nothing.
    """
    return _object(_answer("GET", place, path, doing, query=query))


def content(place: AzurePlace, file_id: str, doing: str) -> bytes:
    """What a file holds; raises as ``told``."""
    return _answer("GET", place, f"files/{file_id}/content", doing).content


def asked(place: AzurePlace, path: str, doing: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """What a POST such as to ``chat/completions`` answers; raises as ``told``."""
    return _object(_answer("POST", place, path, doing, body=body))


def _answer(
    method: str,
    place: AzurePlace,
    path: str,
    doing: str,
    *,
    query: Mapping[str, int] | None = None,
    body: Mapping[str, Any] | None = None,
) -> httpx.Response:
    headers = {"authorization": f"Bearer {fetch_token(COGNITIVE_SCOPE)}"}
    with provider_errors(doing, place):
        response = plain.client().request(
            method, f"{openai_url(place)}{path}", params=dict(query or {}), json=body, headers=headers
        )
        if not response.is_success:
            raise _No(response)
    return response


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
