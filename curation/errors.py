"""Every way in which curation says no.

ErrataError                 one sentence: what, where, what to do; ``exit_code`` for the command line
├── NotAllowed              the acting person may not do this
├── NotFound                nothing by that name
├── Conflict                somebody was faster, or the state does not permit it
│   ├── AlreadyDecided      a review arrived for a candidate that has its verdict
│   └── Overtaken           another change of the same rows was committed first
├── Invalid                 the input cannot be taken as it is
│   └── OverWindow          a dialogue that does not fit the model that will be tuned
└── Unavailable             disk, database or a provider said no; nothing was written
    └── StoreUnavailable    the database itself: it may answer again in a moment
"""

from __future__ import annotations

from curation.wording import Value, phrase, unpacked


class ErrataError(Exception):
    """An error whose text may be shown to a person as it stands.

    Made of a template and its values, ``NotFound("There is no run {run}.", run=run_id)``: ``str`` gives the English
    sentence, and ``sentence`` can be said in another language.
    """

    exit_code = 1

    def __init__(self, template: str, /, **values: Value) -> None:
        self.sentence = phrase(template, **values)
        super().__init__(self.sentence)

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross from one process to another; their values travel along, and what else is known of them."""
        known = {name: value for name, value in vars(self).items() if name != "sentence"}
        return _again, (type(self), self.sentence.packed()), known


def _again(kind: type[ErrataError], packed: str) -> ErrataError:
    return kind(unpacked(packed))


class NotAllowed(ErrataError):
    """The acting person lacks the role, or a rule such as the two-person rule forbids it."""


class NotFound(ErrataError):
    """No row by that name or id."""

    exit_code = 2


class Conflict(ErrataError):
    """The row's state does not permit the action, or it changed in between."""


class AlreadyDecided(Conflict):
    """The candidate was decided before; the sentence names by whom."""


class Overtaken(Conflict):
    """Another change of the same rows was committed first; nothing was written. Looking again shows the new state."""


class Invalid(ErrataError):
    """Input that cannot be taken: the sentence says what, where and what to do."""

    exit_code = 2


class OverWindow(Invalid):
    """A dialogue has more tokens than the model that will be tuned can take; the sentence says how many."""

    exit_code = 1


class Unavailable(ErrataError):
    """Disk, database or provider refused; nothing was written."""

    exit_code = 3


class StoreUnavailable(Unavailable):
    """The database refused; it says nothing about the work in hand, which may be tried again."""
