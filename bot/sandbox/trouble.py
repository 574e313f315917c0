"""A workspace on a bad day: what a test or the demo may let go wrong.

Owns how trouble is ordered; which call meets which fault is in ``faults``, how often a method may be
called in ``rates``. Nothing goes wrong unless it was ordered here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bot.sandbox.delivery import Deliverer
from bot.sandbox.faults import Fault
from bot.sandbox.rates import Rates
from bot.sandbox.state import State
from bot.sandbox.web_api import WebApi

LATE_SECONDS = 3.0


class Trouble:
    """The half of a workspace that makes things go wrong."""

    state: State
    _web_api: WebApi
    _deliverer: Deliverer

    def fail_next(
        self,
        method: str,
        error: str | int,
        retry_after: int | None = None,
        times: int = 1,
        *,
        seconds: float = LATE_SECONDS,
    ) -> None:
        """Let the next calls of a method fail.

        ``error`` is ``ratelimited`` (429 with Retry-After in seconds), an HTTP status such as 500,
        ``drop_answer`` (the effect takes place, the answer is lost), ``timeout`` (the effect takes place,
        the answer comes ``seconds`` late), or one of Slack's error words.
        """
        late = seconds if error == "timeout" else 0.0
        fault = Fault(error, 1 if retry_after is None else retry_after, late, error in {"drop_answer", "timeout"})
        with self.state.lock:
            self._web_api.fail_next(method, fault, times=times)

    def chaos(self, seed: int, *, share_429: float = 0.0, share_500: float = 0.0, share_lost: float = 0.0) -> None:
        """Let steady shares of all calls fail, drawn from the seed; without shares, no more.

        Half of the 500s and every lost answer take effect.
        """
        with self.state.lock:
            self._web_api.faults.set_shares(seed, share_429=share_429, share_500=share_500, share_lost=share_lost)

    @property
    def faults_met(self) -> int:
        """How many calls went wrong on purpose so far."""
        return self._web_api.faults.met

    @property
    def rate_limits(self) -> bool:
        """Whether calls that come too fast are answered with 429, as Slack does; off at first."""
        return self._web_api.rates is not None

    @rate_limits.setter
    def rate_limits(self, on: bool) -> None:
        with self.state.lock:
            self._web_api.rates = Rates() if on else None

    @contextmanager
    def events_out_of_order(self, *, copies: int = 1) -> Iterator[None]:
        """Hold events back while the block runs, then deliver them newest first, each ``copies`` times.

        Slack promises neither order nor a single delivery; a copy has the same ``event_id``.
        """
        with self._deliverer.held(copies=copies):
            yield
