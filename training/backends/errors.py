"""How a provider says no. A backend raises these; its provider's own words never leave it.

curation.errors.Unavailable   exit code 3
├── Refused                   the provider said no: asked again, it says no again until somebody has mended something
│   ├── Forbidden             whoever Errata runs as lacks a role for it
│   └── Missing               what was asked for is not there (any more)
├── Unfit                     dataset, model or recipe stand in the way, which a run keeps: another run has to be made
└── Unreached                 no answer, or one that says *later*: nothing is known against what was asked for

curation.errors.Conflict      exit code 1
└── StillTraining             its job has to end first
"""

from __future__ import annotations

from curation.errors import Conflict, Unavailable


class Refused(Unavailable):
    """The provider said no; the sentence says what to do about it."""


class Forbidden(Refused):
    """Whoever Errata runs as may not: the sentence has the command that grants a role."""


class Missing(Refused):
    """The provider knows nothing by that name."""


class StillTraining(Conflict):
    """What a run's job has cannot be removed while it trains; asked to stop, it ends some time later."""


class Unfit(Unavailable):
    """What the run is made of cannot be trained there, found before anything was sent; resumed, it is refused again."""


class Unreached(Unavailable):
    """The provider did not answer, is throttling, or met a fault of its own; asked again later, it may answer.

    Attributes:
        wait_seconds: how long it wants to be left alone; None where it does not say.
    """

    wait_seconds: float | None = None
