"""The worker's part in the assistant: threads that take what is owed in hand, one task each, and settle it."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from slack_sdk.errors import SlackApiError

from bot.assistant import tasks
from bot.assistant.answering import answer
from bot.assistant.bench import Asked, Bench, Interrupted
from bot.assistant.endorsing import endorse
from bot.assistant.tasks import TaskKind, TaskStep
from curation.errors import ErrataError, Overtaken, StoreUnavailable

log = logging.getLogger("errata.assistant")

THREADS = 4
POLL_SECONDS = 0.25
TROUBLE_SECONDS = 5.0
"""Between two looks while Slack or the database does not answer."""

_SETTLE = {TaskKind.ANSWER: answer, TaskKind.ENDORSEMENT: endorse}


class Answerer:
    """Settles tasks in the background between ``start`` and ``stop``, or one at a time with ``settle_next``."""

    def __init__(self, bench: Bench, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._bench = bench
        self._poll_seconds = poll_seconds
        # Turned off, there may still be endorsements of what it said while it was on.
        number = THREADS if bench.settings.assistant else 1
        self._threads = [
            threading.Thread(target=self._run, name=f"errata-answers-{one}", daemon=True) for one in range(number)
        ]

    def start(self) -> None:
        """Answer in the background until ``stop``. What the only worker before this one had in hand is free at once."""
        if not self._bench.store.shared:
            with self._bench.store.write() as session:
                tasks.release(session, self._bench.clock())
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what is in hand, or put it back; one that waits for a silent model is left as by a kill."""
        self._bench.stop()
        for thread in self._threads:
            thread.join(self._bench.grace_left)

    def settle_next(self) -> bool:
        """Settle the oldest task that is due, or put it back; whether there was one.

        Raises:
            Unavailable: Slack or the database does not answer.
            Overtaken: another worker has it.
        """
        bench = self._bench
        if bench.settings.assistant:
            _ = bench.identity  # asked before anything is taken in hand
        with bench.store.look_up() as connection:
            if not tasks.any_owed(connection):
                return False
        with bench.store.read() as session:
            seen = tasks.next_due(session, bench.clock())
        if seen is None:
            return False
        with bench.store.write() as session:
            taken = tasks.take(session, bench.clock(), seen)
        if taken is not None:
            self._settle(Asked.of(taken))
        return True

    def _settle(self, asked: Asked) -> None:
        bench = self._bench
        try:
            _SETTLE[TaskKind(asked.task.kind)](bench, asked)
        except Interrupted:
            bench.put_back(asked, "interrupted", after=timedelta())
        except SlackApiError as error:
            bench.refused(asked, error)
        except (StoreUnavailable, Overtaken):
            raise  # says nothing about the task, which stays in hand until that runs out
        except Exception as error:  # a dropped connection, or a surprise that must not end the thread
            log.warning("a task was not settled: task=%s trouble=%s", asked.key, type(error).__name__)
            log.debug("a task was not settled: task=%s", asked.key, exc_info=error)
            if asked.task.attempts >= tasks.MAX_ATTEMPTS and not isinstance(error, OSError):
                bench.end(asked, TaskStep.FAIL, trouble=type(error).__name__)
            else:
                bench.put_back(asked, type(error).__name__)

    def _run(self) -> None:
        stopping = self._bench.stopping
        while not stopping.is_set():
            try:
                pause = 0.0 if self._bench.leads() and self.settle_next() else self._poll_seconds
            except ErrataError as error:
                log.warning("answering waits: error=%s", type(error).__name__)
                pause = TROUBLE_SECONDS
            except Exception:  # a thread's edge: answering must survive a surprise and go on later
                log.exception("answering")
                pause = TROUBLE_SECONDS
            stopping.wait(pause)
