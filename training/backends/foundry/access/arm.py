"""Azure's resource manager (ARM): plain requests for what the provider's libraries do not offer.

Owns the way there, with its timeouts, retries and long-running operations, and the API versions asked for. Refuses
anything but paths of its own host: a token never goes elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from training.backends.foundry.access.credentials import ARM_SCOPE
from training.backends.foundry.access.patience import CONNECT_SECONDS, READ_SECONDS, retry_policy
from training.backends.foundry.access.refusals import meant, provider_errors, unfinished
from training.backends.foundry.access.sdks import azure_core
from training.backends.foundry.access.shapes import Said, wait_of
from training.backends.foundry.place import AzurePlace

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.rest import HttpResponse

HOST = "https://management.azure.com"
WAIT_SECONDS = 1800.0

SUBSCRIPTIONS = "2022-12-01"
RESOURCE_GROUPS = "2022-09-01"
PROVIDERS = "2022-09-01"
PERMISSIONS = "2022-04-01"
WORKSPACES = "2024-10-01"
SERVERLESS = "2024-10-01"
DATASTORES = "2024-10-01"
COGNITIVE = "2024-10-01"
STORAGE = "2023-05-01"

_GOING_ON = frozenset({"accepted", "creating", "updating", "deleting", "inprogress", "running", "provisioning"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the resource manager answered to a request that may go on after it.

    Attributes:
        status: the status code of HTTP.
        body: the resource as it stands; empty where nothing came.
        operation: where to ask how it goes on; None where it is done.
        resource: the address that was written to.
        after_seconds: when to ask for the first time.
    """

    status: int
    body: dict[str, Any]
    operation: str | None = None
    resource: str = ""
    after_seconds: float = 5.0

    @property
    def done(self) -> bool:
        """Whether nothing more will happen."""
        return self.operation is None


class Arm:
    """The resource manager, asked with one credential. Safe for threads."""

    def __init__(
        self,
        credential: TokenCredential,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        azure_core()  # quiets the libraries' loggers
        from azure.core import PipelineClient  # noqa: PLC0415 (loaded with the first client)
        from azure.core.pipeline.policies import (  # noqa: PLC0415
            BearerTokenCredentialPolicy,
            HeadersPolicy,
            UserAgentPolicy,
        )

        self._sleep, self._clock = sleep, clock
        self._client = PipelineClient(
            HOST,
            policies=[
                HeadersPolicy({"Accept": "application/json"}),
                UserAgentPolicy("errata"),
                retry_policy(),
                BearerTokenCredentialPolicy(credential, ARM_SCOPE),
            ],
            connection_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
        )

    def get(self, path: str, api_version: str, **query: str) -> dict[str, Any]:
        """The resource at a path such as ``/subscriptions/…``.

        Raises:
            Missing, Refused, Unreached: it is not there; the provider says no, or nothing.
        """
        return _json(self._send("GET", path, api_version, query))

    def listed(self, path: str, api_version: str, **query: str) -> list[dict[str, Any]]:
        """Every item of a collection, page after page; raises as ``get``."""
        page = self.get(path, api_version, **query)
        items = list(page.get("value") or [])
        while link := page.get("nextLink"):
            page = _json(self._send("GET", str(link)))
            items += page.get("value") or []
        return items

    def put(self, path: str, api_version: str, body: Mapping[str, Any], **query: str) -> Answer:
        """Create or replace the resource; raises as ``get``."""
        return self._written("PUT", path, api_version, query, body)

    def post(self, path: str, api_version: str, body: Mapping[str, Any] | None = None, **query: str) -> Answer:
        """Ask for an action such as ``…/listKeys``; raises as ``get``."""
        return self._written("POST", path, api_version, query, body)

    def delete(self, path: str, api_version: str, **query: str) -> Answer:
        """Remove the resource; nothing happens where it is gone. Raises Refused and Unreached as ``get``."""
        return self._written("DELETE", path, api_version, query, None)

    def wait(self, answer: Answer, *, within_seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """The resource, once what was asked for has ended.

        Raises:
            Refused: it failed or was cancelled.
            Unreached: it had not ended in time, or nobody answered.
        """
        until, pause = self._clock() + within_seconds, answer.after_seconds
        while not answer.done:
            if self._clock() + pause > until:
                raise unfinished(within_seconds)
            self._sleep(pause)
            answer = self.look(answer)
            pause = answer.after_seconds
        return answer.body

    def look(self, answer: Answer) -> Answer:
        """How the operation stands now, asked once; raises as ``wait``, without waiting."""
        if answer.operation is None:
            return answer
        response = self._send("GET", answer.operation)
        state = _state(response)
        if response.status_code == _ACCEPTED or state in _GOING_ON or state == "notstarted":
            return Answer(response.status_code, answer.body, answer.operation, answer.resource, _after(response))
        if state in {"failed", "canceled", "cancelled"}:
            raise meant(Said.of_body(_json(response).get("error")))
        return Answer(response.status_code, self._outcome(answer, response))

    def _outcome(self, answer: Answer, response: HttpResponse) -> dict[str, Any]:
        """The resource after its operation; what the operation itself gave where there is none to ask for."""
        if not answer.resource:
            given = _json(response)
            return dict(given.get("properties") or {}) if "status" in given else given
        return _json(self._send("GET", answer.resource))

    def _written(
        self,
        method: str,
        path: str,
        api_version: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
    ) -> Answer:
        response = self._send(method, path, api_version, query, body)
        if method == "DELETE" and response.status_code == _NOT_FOUND:
            return Answer(response.status_code, {})
        headers, made = response.headers, _json(response)
        address = str(response.request.url) if method == "PUT" else ""
        operation = headers.get("Azure-AsyncOperation") or headers.get("Location")
        running = response.status_code == _ACCEPTED or _state(response) in _GOING_ON
        if not running and not (response.status_code == _CREATED and headers.get("Azure-AsyncOperation")):
            operation = None
        elif operation is None and address:
            operation = address  # it says in its own provisioningState how it stands
        return Answer(response.status_code, made, operation, address, _after(response))

    def _send(
        self,
        method: str,
        path: str,
        api_version: str | None = None,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> HttpResponse:
        from azure.core.exceptions import (  # noqa: PLC0415 (loaded with the first client)
            HttpResponseError,
            ResourceNotFoundError,
        )
        from azure.core.rest import HttpRequest  # noqa: PLC0415

        if not path.startswith(("/", f"{HOST}/")):
            raise ValueError("a path of the resource manager begins with a slash")
        request = HttpRequest(
            method,
            path if path.startswith(HOST) else f"{HOST}{path}",
            params=dict(query or {}) | ({"api-version": api_version} if api_version else {}),
            json=body,
        )
        with provider_errors(place=AzurePlace.of_path(path)):
            response = self._client.send_request(request)
            if response.status_code == _NOT_FOUND and method != "DELETE":
                raise ResourceNotFoundError(response=response)
            if response.status_code >= _FIRST_ERROR and response.status_code != _NOT_FOUND:
                raise HttpResponseError(response=response)
        return response


_CREATED, _ACCEPTED, _NOT_FOUND, _FIRST_ERROR = 201, 202, 404, 400


def _json(response: HttpResponse) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _state(response: HttpResponse) -> str:
    """``succeeded``, ``inprogress`` …, of an operation or of a resource; empty where it does not say."""
    found = _json(response)
    properties = found.get("properties")
    inner = properties.get("provisioningState") if isinstance(properties, dict) else None
    return str(found.get("status") or inner or "").replace(" ", "").lower()


def _after(response: HttpResponse) -> float:
    """When to ask again, in seconds."""
    wait = wait_of(response.headers)
    return _PAUSE_SECONDS if wait is None else wait


_PAUSE_SECONDS = 5.0
