"""The sandbox itself: ``with AzureSandbox(folder) as azure``; processes with ``azure.environ()`` find an Azure there.

Owns dispatch: whose request it is, whether it is signed in, which trouble it meets. What is answered is the services'.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from training.hyperparameters import Recipe
from training.sandbox.arm import check_version
from training.sandbox.authority import Authority
from training.sandbox.cloud import Cloud, Pace
from training.sandbox.described import check as check_body
from training.sandbox.login import SigningIn
from training.sandbox.names import Names
from training.sandbox.proxy import Arrival, Proxy
from training.sandbox.record import Recorded
from training.sandbox.services import furnish, routes
from training.sandbox.standing import Standing
from training.sandbox.toys import Toys
from training.sandbox.trouble import Kind, Trouble
from training.sandbox.wire import Refusal, Request, Response, Route

_MOST_RECORDED = 50_000


class AzureSandbox:
    """An Azure-shaped place on loopback.

    Args:
        folder: keeps certificates and what is uploaded; made where it is missing.
        port: of the proxy; 0: any that is free.
        clock: the time there; everything that takes time takes it by this clock.
        names: what the resources are called.
        pace: how long operations take and tokens live.
        empty: nothing has been made yet but the subscription: what ``errata foundry init`` meets.
        blobs: the address of a real Azurite, such as ``http://127.0.0.1:10000``, that stores what is uploaded.
        trains: whether a tiny model is trained where a job asks for one; otherwise jobs are simulated, and say so.
        recipe: of that tiny model; the shipped ``rehearsal`` where nobody gives one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        names: Names | None = None,
        pace: Pace | None = None,
        empty: bool = False,
        blobs: str | None = None,
        trains: bool = True,
        recipe: Recipe | None = None,
    ) -> None:
        self.cloud = Cloud(folder, names or Names(), clock, pace or Pace())
        self._trouble = Trouble()
        self._routes: tuple[Route, ...] = routes()
        self._recorded: deque[Recorded] = deque(maxlen=_MOST_RECORDED)
        self._authority = Authority(folder / "tls", datetime.now(UTC))  # its clients look at the machine's clock
        self._proxy = Proxy(self._authority, self._answer, port)
        furnish(self.cloud, empty=empty, blobs=blobs)
        self.toys.trains = trains
        self.toys.recipe = recipe or self.toys.recipe

    def __enter__(self) -> Self:
        self._proxy.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._proxy.stop()
        for close in reversed(self.cloud.closing):
            close()

    @property
    def toys(self) -> Toys:
        """What is trained in place of the provider's models, and what befalls it on request."""
        return self.cloud.part(Toys)

    @property
    def names(self) -> Names:
        """What things are called."""
        return self.cloud.names

    @property
    def standing(self) -> Standing:
        """What the signed-in principal finds in the subscription; see ``standing.Standing``."""
        return self.cloud.part(Standing)

    @property
    def requests(self) -> list[Recorded]:
        """Everything received so far, oldest first, without secrets."""
        return list(self._recorded)

    def forget_requests(self) -> None:
        """Begin the record anew."""
        self._recorded.clear()

    def environ(self) -> dict[str, str]:
        """What a process's environment needs beside its own to find the sandbox in place of Azure."""
        roots = str(self._authority.roots)
        away = {"HTTPS_PROXY": self._proxy.address, "NO_PROXY": "127.0.0.1,localhost"}
        return (
            away
            | {
                name.lower(): value for name, value in away.items()
            }  # requests prefers these where somebody has set them
            | {"REQUESTS_CA_BUNDLE": roots, "SSL_CERT_FILE": roots, "CURL_CA_BUNDLE": roots}
            | {"AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential", "AZURE_CORE_COLLECT_TELEMETRY": "0"}
            | self.names.environ()
        )

    def fail_next(
        self,
        match: str,
        how: int | Kind = 500,
        *,
        times: int = 1,
        skip: int = 0,
        code: str | None = None,
        message: str = "The sandbox was asked to refuse this.",
        seconds: float = 1.0,
        retry_after: float | None = None,
    ) -> None:
        """Let the next requests that match meet trouble: see ``trouble.Fault``.

        ``fail_next("PUT .*/jobs/", "drop")`` loses the answer of the next job's submission.
        """
        self._trouble.add(
            match,
            how,
            times=times,
            skip=skip,
            code=code,
            message=message,
            seconds=seconds,
            retry_after=retry_after,
        )

    def refuse_login(self, *, refused: bool = True) -> None:
        """From now on nobody gets a token, and those given so far are refused; or everybody does again."""
        with self.cloud.lock:
            self.cloud.part(SigningIn).refused = refused
        if refused:
            self.cloud.expire_tokens()

    def clear_faults(self) -> None:
        """Nothing more goes wrong."""
        self._trouble.clear()

    def _answer(self, arrival: Arrival) -> Response | None:
        parts = urlsplit(arrival.target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        request = Request(
            arrival.method,
            arrival.host,
            parts.path,
            query,
            arrival.headers,
            arrival.body,
            self.cloud,
            raw_query=parts.query,
        )
        answer = self._meet(request)
        self._recorded.append(Recorded.of(request, None if answer is None else answer.status))
        return answer

    def _meet(self, request: Request) -> Response | None:
        fault = self._trouble.hit(request)
        if fault is None:
            return self._dispatch(request)
        if isinstance(fault.how, int):
            return fault.refusal().response()
        if fault.how == "close":
            return None
        if fault.how == "slow":
            time.sleep(fault.seconds)
            return self._dispatch(request)
        self._dispatch(request)
        return None

    def _dispatch(self, request: Request) -> Response:
        with self.cloud.lock:
            self.cloud.advance()
        try:
            route, values = self._route(request)
            check_version(request)
            check_body(request)
            with nullcontext() if route.slow else self.cloud.lock:
                return route.handler(request.with_values(values))
        except Refusal as refusal:
            return refusal.response()

    def _route(self, request: Request) -> tuple[Route, dict[str, str]]:
        for route in self._routes:
            values = route.match(request.method, request.host, request.path)
            if values is None:
                continue
            if not route.open and not self.cloud.signed_in(request):
                text = "The access token is missing, unknown or has expired."
                challenge = 'Bearer error="invalid_token"'
                raise Refusal(401, "InvalidAuthenticationToken", text, WWW_Authenticate=challenge)
            return route, values
        raise Refusal(404, "NotFound", f"The sandbox knows nothing at {request.method} {request.url}.")
