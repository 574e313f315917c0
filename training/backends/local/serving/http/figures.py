"""What an endpoint has done, in the text format that Prometheus reads.

Owns the metrics' names. No label is a word of anybody's.
"""

from __future__ import annotations

import threading
from collections import Counter

from curation.exposition import Histogram, head, line

REPLY_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
FIRST_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Figures:
    """Of one process; any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[int] = Counter()
        self._tokens: Counter[str] = Counter()
        self._seconds = Histogram(REPLY_SECONDS)
        self._first = Histogram(FIRST_SECONDS)
        self._waiting = self._growing = 0

    def request(self, status: int) -> None:
        """Count a request by the HTTP status of its answer; 499 is one whose asker hung up."""
        with self._lock:
            self._requests[status] += 1

    def first_token(self, seconds: float) -> None:
        """Count the wait for the first token of a reply."""
        with self._lock:
            self._first.observe(seconds)

    def replied(self, prompt_tokens: int, completion_tokens: int, seconds: float) -> None:
        """Count a whole reply."""
        with self._lock:
            self._tokens["in"] += prompt_tokens
            self._tokens["out"] += completion_tokens
            self._seconds.observe(seconds)

    def load(self, waiting: int, growing: int) -> None:
        """Note how many replies wait to begin, and how many grow."""
        with self._lock:
            self._waiting, self._growing = waiting, growing

    def exposition(self) -> str:
        """Every metric as text."""
        with self._lock:
            lines = [
                *head("errata_endpoint_requests_total", "counter", "Requests by HTTP status."),
                *(
                    line("errata_endpoint_requests_total", {"status": str(status)}, count)
                    for status, count in sorted(self._requests.items())
                ),
                *head("errata_endpoint_tokens_total", "counter", "Tokens of prompts (in) and of replies (out)."),
                *(line("errata_endpoint_tokens_total", {"direction": way}, self._tokens[way]) for way in ("in", "out")),
                *head("errata_endpoint_reply_seconds", "histogram", "Seconds from a request to the end of its reply."),
                *self._seconds.lines("errata_endpoint_reply_seconds", {}),
                *head("errata_endpoint_first_token_seconds", "histogram", "Seconds from a request to its first token."),
                *self._first.lines("errata_endpoint_first_token_seconds", {}),
                *head("errata_endpoint_waiting", "gauge", "Replies that wait to begin."),
                line("errata_endpoint_waiting", {}, self._waiting),
                *head("errata_endpoint_growing", "gauge", "Replies that grow."),
                line("errata_endpoint_growing", {}, self._growing),
            ]
        return "\n".join([*lines, ""])
