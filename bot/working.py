"""The worker process: it advances runs and deployments and delivers what is owed, until told to stop."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from bot.assistant.answerer import Answerer
from bot.assistant.bench import Bench
from bot.connection import slack_client
from bot.health import listening
from bot.installations import Workspaces
from bot.membership import Roster
from bot.metrics import Metrics
from bot.notices import Deliverer
from bot.settings import Settings
from bot.thrift import few_arenas, small_caches
from bot.weekly import Weekly
from curation import expiry
from curation.datasets import requested
from curation.people import WORKER
from curation.privacy import retention
from curation.screening import worklist
from curation.screening.harms import Watch
from curation.store.engine import Store
from training import consents, slots
from training.backends import opening
from training.backends.base import Backend
from training.backends.foundry import registry, safety_screen
from training.backends.foundry.access.apart import kept_apart
from training.backends.names import BackendName
from training.foreground import BUSY_SECONDS, IDLE_SECONDS, sole_worker
from training.leases import Lease
from training.planning import prices
from training.suggesting import Suggesting
from training.visits import Visits
from training.worker import LONE_WORKER, Tick, Worker
from training.workplace import Workplace

if TYPE_CHECKING:
    from training.durable import DurableCarrier

log = logging.getLogger("errata.worker")

_LOOK_SECONDS = 0.5
_TAKE_UP_SECONDS = 2.0
_CATALOGUE_FIRST = timedelta(minutes=1)
"""After a worker's start, which has enough to do."""

DRAIN_SECONDS = 9.0
"""How long a process goes on after SIGTERM at most; supervisors send SIGKILL after ten."""


def work(
    settings: Settings,
    store: Store,
    clock: Callable[[], datetime],
    *,
    ready: Callable[[str], None],
    health: tuple[str, int] | None = None,
    backends: Mapping[BackendName, Backend] | None = None,
) -> None:
    """Work until SIGTERM or SIGINT, and answer at the address ``health``, if one is given, whether it does.

    Args:
        backends: those of the settings, unless others are given.

    Raises:
        Conflict: another worker has the home folder, or somebody the address.
    """
    from training.durable import DurableCarrier  # noqa: PLC0415 (the web process reads this module and needs no dbos)

    few_arenas()  # before there are threads
    small_caches()
    stopping, metrics = stop_event(), Metrics()
    answering = nullcontext() if health is None else listening(health, settings, store, metrics, clock)
    place = Workplace(store, backends or opening.backends(settings.azure), settings.home, clock, settings.azure)
    with (
        _duty(place) as duty,
        answering,
        kept_apart(),
        DurableCarrier(place, executor_id=duty.worker_id) as carrier,
        Visits() as visits,
    ):
        worker = Worker(place, carrier, visits.start)

        def delivers() -> bool:  # stopping ends it at once: the round below may be at something that takes its time
            return duty.leads() and not stopping.is_set()

        workspaces = Workspaces(settings, store)
        speaking = _speaking(settings, store, clock, workspaces, duty, delivers)
        for one in speaking:
            one.start()
        ready("The worker runs." if speaking else "The worker runs; without SLACK_BOT_TOKEN notices stay owed.")
        sweeping = _Sweeping(place, duty, settings.retention_days)
        watch = safety_screen.watch(settings.azure, place.home, consented=partial(consents.is_given, store))
        telling = Weekly(place.store, clock, settings, leads=duty.leads, workspaces=workspaces)
        renewing, cataloguing = _Renewing(place, duty, workspaces), _Cataloguing(place, duty)
        suggesting, taking_up = Suggesting(place), _TakingUp(carrier, duty)
        freezing = partial(_freeze, place, settings, watch)
        try:
            while not stopping.is_set():
                began = time.monotonic()
                busy = _round(worker, taking_up, duty) | _screens(place, duty, settings, watch)
                if duty.leads():
                    _start_visits(place, visits, suggesting, freezing)
                sweeping()
                renewing()
                cataloguing()
                telling()
                metrics.tick(time.monotonic() - began)
                stopping.wait(BUSY_SECONDS if busy else IDLE_SECONDS)
        finally:
            for one in reversed(speaking):
                one.stop()


def _speaking(
    settings: Settings,
    store: Store,
    clock: Callable[[], datetime],
    workspaces: Workspaces,
    duty: Lease | _Alone,
    delivers: Callable[[], bool],
) -> list[Deliverer | Roster | Answerer]:
    """Who speaks with Slack beside the rounds; without any token nobody does, and all of it stays owed."""
    if not (settings.bot_token or settings.client_id):
        return []
    deliverer = Deliverer(
        store,
        slack_client(settings),
        clock,
        leads=delivers,
        language=settings.language,
        clients=workspaces.client_for if settings.client_id else None,
        prices=partial(prices.shown, settings.home),
    )
    bench = Bench(store, slack_client(settings), clock, settings, leads=duty.leads, workspaces=workspaces)
    return [deliverer, Roster(store, workspaces, settings.groups, clock, leads=delivers), Answerer(bench)]


class _Alone:
    """The duty of the one worker of a home folder."""

    worker_id = LONE_WORKER

    def leads(self) -> bool:
        return True


@contextmanager
def _duty(place: Workplace) -> Iterator[Lease | _Alone]:
    """A lease among the workers of a shared database, or the place of the only one.

    Raises:
        Conflict: another worker has the home folder.
        StoreUnavailable: the shared database does not answer.
    """
    if place.store.shared:
        with Lease(place.store) as lease:
            yield lease
    else:
        with sole_worker(place.home):
            yield _Alone()


def stop_event() -> threading.Event:
    """An event that SIGTERM and SIGINT set, in place of ending the process at once.

    What is in hand then has ``DRAIN_SECONDS``. The alarm after them ends the process from outside the interpreter,
    whatever it waits for; that is as safe as a kill, which every step is made for.
    """
    stopping = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        if not stopping.is_set():
            signal.setitimer(signal.ITIMER_REAL, DRAIN_SECONDS)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping


def end_with_parent() -> None:
    """Send this process SIGTERM once the process that started it is gone, be it by kill -9."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="errata-parent", daemon=True).start()


class _TakingUp:
    """Runs that are carried by nobody any more, looked for now and then: it takes longer than the rest of a round."""

    def __init__(self, carrier: DurableCarrier, duty: Lease | _Alone) -> None:
        self._carrier, self._duty = carrier, duty
        self._next = float("-inf")

    def __call__(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _TAKE_UP_SECONDS
        self._carrier.take_up_lost()
        if isinstance(self._duty, Lease) and self._duty.leads():  # alone, there is nobody to take over from
            self._carrier.take_over(self._duty.alive())


def _round(worker: Worker, taking_up: _TakingUp, duty: Lease | _Alone) -> bool:
    """One round, most of it the leader's; whether the next one has to come soon.

    A surprise (a locked database, a full disk) is logged.
    """
    try:
        taking_up()
        return duty.leads() and worker.tick() is Tick.BUSY
    except Exception:  # the process edge: a worker that dies of one bad moment leaves every run standing still
        log.exception("the worker's round failed; it goes on")
        return False


class _Sweeping:
    """Retention, once a day, by the leader; a surprise is logged, and it is tried again the next day."""

    def __init__(self, place: Workplace, duty: Lease | _Alone, days: int | None) -> None:
        self._place, self._duty, self._days = place, duty, days
        self._next = place.clock()

    def __call__(self) -> None:
        now = self._place.clock()
        if self._days is None or now < self._next or not self._duty.leads():
            return
        self._next = now + timedelta(days=1)
        try:
            with self._place.store.write() as session:
                retention.sweep(session, WORKER, now, days=self._days)
        except Exception:  # the process edge, as above
            log.exception("retention failed; it is tried again tomorrow")


class _Renewing:
    """Examples that have expired go back into the queue, once an hour, by the leader; a surprise is logged."""

    def __init__(self, place: Workplace, duty: Lease | _Alone, workspaces: Workspaces) -> None:
        self._place, self._duty, self._workspaces = place, duty, workspaces
        self._next = place.clock()

    def __call__(self) -> None:
        now = self._place.clock()
        if now < self._next or not self._duty.leads():
            return
        self._next = now + timedelta(hours=1)
        try:
            places = self._workspaces.review_places()  # before the unit of work: it may ask Slack
            with self._place.store.write() as session:
                expiry.return_due(session, now, review_place=places)
        except Exception:  # the process edge, as above
            log.exception("expired examples could not be returned; it is tried again in an hour")


class _Cataloguing:
    """What Slack shows of the provider's models, read anew once a day by the leader, on a thread that no run waits for.

    Where the provider does not answer, what was read before stays, with its date.
    """

    def __init__(self, place: Workplace, duty: Lease | _Alone) -> None:
        self._place, self._duty = place, duty
        self._next = place.clock() + _CATALOGUE_FIRST

    def __call__(self) -> None:
        now = self._place.clock()
        if now < self._next or not self._duty.leads() or opening.available(self._place.azure) == (BackendName.LOCAL,):
            return
        self._next = now + timedelta(hours=1)
        threading.Thread(target=self._refresh, name="errata-catalogue", daemon=True).start()

    def _refresh(self) -> None:
        try:
            registry.refresh(self._place.home, self._place.clock)
        except Exception as error:  # noqa: BLE001 (a thread's edge; a provider's own words may be in it)
            log.info("the provider's models could not be read anew: error=%s", type(error).__name__)


def _screens(place: Workplace, duty: Lease | _Alone, settings: Settings, watch: Watch | None = None) -> bool:
    """Whether there was something to screen; a surprise is logged, and runs go on."""
    try:
        limits, regions = settings.author_limits, settings.phone_regions
        return duty.leads() and worklist.step(place.store, place.clock(), limits, regions=regions, watch=watch) > 0
    except Exception:  # the process edge, as above
        log.exception("screening failed; it is tried again")
        return False


def _start_visits(
    place: Workplace, visits: Visits, suggesting: Callable[[], object], freezing: Callable[[], object]
) -> None:
    """Start what takes its time, where there is something to do; a surprise is logged."""
    try:
        with place.store.look_up() as connection:
            classifies, waits = slots.any_classifies(connection), requested.any_waits(connection)
    except Exception:  # the process edge, as above
        log.exception("the worker could not see what waits; it looks again")
        return
    if classifies:
        visits.start("suggestions", suggesting)  # its endpoints may be silent, too
    if waits:
        visits.start("freezing", freezing)  # minutes, where many rows are looked at


def _freeze(place: Workplace, settings: Settings, watch: Watch | None = None) -> bool:
    """Freeze what was asked for first; whether anything was."""
    return requested.step(place.store, place.clock(), settings.privacy_terms, watch=watch)
