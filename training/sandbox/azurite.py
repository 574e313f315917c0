"""A real Azurite behind the sandbox's storage: the same requests, sent on.

Owns nothing but which containers it has made there. Azurite knows an account by the Host header, so that signatures
stay good; a bearer token, which it takes over TLS alone, becomes a signature of the sandbox's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from training.sandbox import passing
from training.sandbox.signing import account_sas
from training.sandbox.wire import Request, Response

OWN_CONTAINER = "-azureml-blobstore"
"""How a workspace's own container ends; it is there before anybody asks for it."""

_VERSION = "2022-11-02"


@dataclass(slots=True)
class Azurite:
    """One that listens at ``address``, such as ``http://127.0.0.1:10000``; ``ready`` are the containers made there."""

    address: str
    ready: set[str] = field(default_factory=set)

    def answer(self, request: Request, how: str) -> Response:
        """What it says to a request that was signed so: ``key``, ``sas`` or ``token``."""
        self._make_ready(request)
        if how != "token":
            return self._ask(request)
        headers = {name: value for name, value in request.headers.items() if name != "authorization"}
        return self._ask(self._resigned(replace(request, headers=headers)))

    def _make_ready(self, request: Request) -> None:
        container = request.path.split("/")[1]
        with request.cloud.lock:
            if container in self.ready or not container.endswith(OWN_CONTAINER):
                return
            headers = {"host": request.host, "x-ms-version": _VERSION}
            made = replace(request, method="PUT", path=f"/{container}", body=b"", headers=headers)
            self._ask(self._resigned(replace(made, raw_query="restype=container")))
            self.ready.add(container)

    def _resigned(self, request: Request) -> Request:
        token = account_sas(request.host.partition(".")[0], request.cloud.clock())
        return replace(request, raw_query="&".join(part for part in (request.raw_query, token) if part))

    def _ask(self, request: Request) -> Response:
        target = request.path + (f"?{request.raw_query}" if request.raw_query else "")
        return passing.send(urlsplit(self.address).netloc, request.method, target, request.headers, request.body)
