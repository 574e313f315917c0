"""Trouble on demand: refusals, answers that get lost, slowness.

Owns which request it hits. A test or a demonstration asks for it; nothing here happens by chance.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Literal

from training.sandbox.wire import Refusal, Request

Kind = Literal["drop", "close", "slow"]

_CODES = {
    401: "InvalidAuthenticationToken",
    403: "AuthorizationFailed",
    404: "ResourceNotFound",
    409: "Conflict",
    429: "TooManyRequests",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}


@dataclass(slots=True)
class Fault:
    """One kind of trouble.

    Attributes:
        match: a regular expression, searched in ``METHOD host/path``, regardless of case.
        how: a status to refuse with; ``drop``: carried out, and the connection closes before the answer; ``close``: it
            closes before anything is done; ``slow``: answered after ``seconds``.
        times: how many requests it hits; -1: all, until ``clear``.
        skip: how many matching requests pass before.
    """

    match: re.Pattern[str]
    how: int | Kind
    times: int
    skip: int
    code: str
    message: str
    seconds: float
    retry_after: float | None

    def refusal(self) -> Refusal:
        """What a status answers."""
        headers = {} if self.retry_after is None else {"Retry_After": f"{self.retry_after:g}"}
        return Refusal(int(self.how), self.code, self.message, **headers)


@dataclass(slots=True)
class Trouble:
    """What will go wrong next, in the order in which it was asked for."""

    _faults: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(
        self,
        match: str,
        how: int | Kind,
        *,
        times: int = 1,
        skip: int = 0,
        code: str | None = None,
        message: str = "The sandbox was asked to refuse this.",
        seconds: float = 1.0,
        retry_after: float | None = None,
    ) -> None:
        """Ask for trouble: see ``Fault``."""
        named = code or (_CODES.get(how, "BadRequest") if isinstance(how, int) else "")
        shape = re.compile(match, re.IGNORECASE)
        with self._lock:
            self._faults.append(Fault(shape, how, times, skip, named, message, seconds, retry_after))

    def clear(self) -> None:
        """No more of it."""
        with self._lock:
            self._faults.clear()

    def hit(self, request: Request) -> Fault | None:
        """The trouble that this request meets, used up by one."""
        line = f"{request.method} {request.host}{request.path}"
        with self._lock:
            for fault in self._faults:
                if fault.times == 0 or not fault.match.search(line):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                return fault
        return None
