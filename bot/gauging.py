"""Gauging: which model lengths are measured for, and when the counter of its tokens is loaded.

Owns that a process loads it as it starts, before the first request: it takes 0.3 to 0.5 seconds, which nobody who
waits for an ack should. Where the vocabulary has to be downloaded first, and the network swallows it, the process does
not wait longer than a moment: corrections are then taken unmeasured until it has arrived.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet

from bot.settings import Settings
from curation.checking.windows import Gauge
from curation.errors import Invalid, Unavailable
from curation.tokens.counters import TokenizerFamily, counter_for
from training import catalogue

log = logging.getLogger("errata.gauging")

PATIENCE_SECONDS = 5.0
"""Of the start of a process; loading from the disk takes a tenth of it."""


def gauge_of(settings: Settings) -> Gauge:
    """The gauge of the model that the settings name.

    Raises:
        Invalid: the tokenizer that they name is none of that model.
        Unavailable: its vocabulary is neither installed nor cached and cannot be downloaded.
    """
    model = catalogue.find(settings.model)
    family = TokenizerFamily(model.tokenizer)
    counter = counter_for(family, tokenizer_path=settings.tokenizer, hub_id=model.hub_id, vocabulary=model.vocabulary)
    return Gauge(model.name, model.window, counter)


def at_start(settings: Settings, *, patience_seconds: float = PATIENCE_SECONDS) -> Callable[[], Gauge | None]:
    """Load the gauge; what is returned gives it, or None as long as there is none.

    Raises:
        Invalid: as ``gauge_of``. A wrong setting is said at the start, and not at the first correction.
    """
    coming: Future[Gauge] = Future()
    # A daemon's thread: a download that hangs must not keep the process from ending.
    threading.Thread(target=_load, args=(settings, coming), name="errata-gauge", daemon=True).start()
    try:
        gauge = coming.result(patience_seconds)
    except NotYet:
        log.warning("corrections are not measured yet: what counts tokens is still being loaded")
    except Unavailable:
        pass  # the log says it already
    else:
        if not gauge.counter.exact:
            log.info("tokens are estimated; for exact counts set ERRATA_TOKENIZER: detail=%s", gauge.model)

    def gauge_now() -> Gauge | None:
        return coming.result() if coming.done() and coming.exception() is None else None

    return gauge_now


def _load(settings: Settings, coming: Future[Gauge]) -> None:
    try:
        coming.set_result(gauge_of(settings))
    except (Invalid, Unavailable) as error:
        log.warning("corrections are not measured: error=%s", type(error).__name__)
        coming.set_exception(error)
    except Exception as error:
        log.exception("corrections are not measured")
        coming.set_exception(Unavailable("What counts tokens failed ({error}).", error=type(error).__name__))
