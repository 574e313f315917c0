"""What a provider's refusal means, in one sentence of ours with its remedy.

Owns the recognition of refusals: by the codes that the provider gives, where it gives none by words in its text. The
text itself is read and never shown: it may hold keys, addresses, and customers' words. What nobody recognises is one
honest sentence with the provider's code and status.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from curation.errors import ErrataError
from curation.wording import Phrase, phrase
from training.backends.errors import Forbidden, Missing, Refused, Unreached
from training.backends.foundry.access.pains import EXPIRED, NO_CREDENTIAL, NO_NETWORK, PAINS, ROLE
from training.backends.foundry.access.recognised import TOO_MANY
from training.backends.foundry.access.shapes import Said, causes, read
from training.backends.foundry.place import NOWHERE, AzurePlace

_BEING_UPLOADED = "BlobAlreadyExists"
"""Somebody else hands over the same bytes at this moment, and has not named them yet: a run on the same dataset."""
_SERVER_FAULT, _NOT_FOUND, _TIMED_OUT = 500, 404, 408
_PROVIDERS = frozenset({"azure", "openai", "msal", "requests", "urllib3", "httpx", "httpx2", "httpcore2"})


@contextmanager
def provider_errors(doing: str | None = None, place: AzurePlace = NOWHERE) -> Iterator[None]:
    """Turn what a provider's library raises into one sentence; what is no provider's passes.

    Args:
        doing: what was being done, such as ``phrase("The upload of the dataset")``; it begins the sentence of a refusal
            that nobody recognises.
        place: fills in the names of the commands that mend it.

    Raises:
        Refused, Missing: the provider says no.
        Unreached: it says nothing, or *later*.
    """
    try:
        yield
    except Exception as error:
        if not _of_a_provider(error):
            raise
        raise refused(error, doing, place) from None


def refused(error: BaseException, doing: str | None = None, place: AzurePlace = NOWHERE) -> ErrataError:
    """One sentence for an error of azure-core, azure-identity, azure-ai-ml, msal or openai."""
    return meant(read(error), doing, place)


def meant(said: Said, doing: str | None = None, place: AzurePlace = NOWHERE) -> ErrataError:
    """One sentence for what was said, such as for the ``error`` of a job or of an operation that has failed.

    Example:
        ``meant(Said.of_body({"code": "QuotaExceeded", "message": "…"}))`` → ``Refused("The quota of this …")``
    """
    for pain in PAINS:
        if pain.recognised(said):
            if pain is EXPIRED:
                _renew()
            if pain is ROLE:
                return Forbidden(pain.sentence(place, said))
            return _raised(said, pain.sentence(place, said), again=pain.again)
    return _raised(said, _unknown(said, doing), again=_later(said))


def unfinished(seconds: float) -> ErrataError:
    """For an operation that has not ended in time."""
    return Unreached(
        phrase("Azure had not finished after {minutes:,.0f} minutes; it goes on there.", minutes=seconds / 60)
    )


def no_credential_in_time() -> ErrataError:
    """For a search for a credential that has found none in the time that anybody waits for it."""
    return Refused(NO_CREDENTIAL.sentence(NOWHERE, Said()))


def no_answer_in_time() -> ErrataError:
    """For something that Azure has not answered in the time that anybody waits for it."""
    return Unreached(NO_NETWORK.sentence(NOWHERE, Said()))


def _raised(said: Said, sentence: Phrase, *, again: bool) -> ErrataError:
    if again:
        later = Unreached(sentence)
        later.wait_seconds = said.wait_seconds
        return later
    return Missing(sentence) if said.status == _NOT_FOUND else Refused(sentence)


def _renew() -> None:
    from training.backends.foundry.access.credentials import renew  # noqa: PLC0415 (it imports this module)

    renew()


def _later(said: Said) -> bool:
    faulty = said.status in {TOO_MANY, _TIMED_OUT} or (said.status or 0) >= _SERVER_FAULT
    return faulty or said.code == _BEING_UPLOADED


def _unknown(said: Said, doing: str | None) -> Phrase:
    code, status = said.code or "no code", said.status or "no status"
    if _later(said):
        return phrase("Azure says: later ({code}, {status}). Errata asks again.", code=code, status=status)
    if doing is None:
        return phrase("Azure refused ({code}, {status}). Look with errata doctor --foundry.", code=code, status=status)
    return phrase(
        "{doing} was refused by Azure ({code}, {status}). Look with errata doctor --foundry.",
        doing=doing,
        code=code,
        status=status,
    )


def _of_a_provider(error: BaseException) -> bool:
    """Whether a provider's library raised it: an error of its own, or a stumble of its own over one.

    azure-ai-ml, told that a project may not be made, ends with an AttributeError.
    """
    if _made_by_one(error):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    stumbled = trace is not None and _root(str(trace.tb_frame.f_globals.get("__name__"))) in _PROVIDERS
    return stumbled and any(_made_by_one(one) for one in causes(error))


def _made_by_one(error: BaseException) -> bool:
    return any(_root(kind.__module__) in _PROVIDERS for kind in type(error).__mro__)


def _root(module: str) -> str:
    return module.partition(".")[0]
