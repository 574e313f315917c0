"""What a provider's error says, whatever library raised it: status, codes, and words to recognise it by.

Owns the reading of errors by what they carry, so that no library is loaded for it. The text is for recognising only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_DEEPEST = 6
_LONGEST_CODE = 80
_SILENT = frozenset(
    {
        *("ServiceRequestError", "ServiceResponseError", "ServiceRequestTimeoutError", "ServiceResponseTimeoutError"),
        *(
            "APIConnectionError",
            "APITimeoutError",
            "ConnectionError",
            "Timeout",
            "TransportError",
            "IncompleteReadError",
        ),
    }
)
_CREDENTIAL = frozenset({"ClientAuthenticationError", "CredentialUnavailableError"})


@dataclass(frozen=True, slots=True)
class Said:
    """What was said.

    Attributes:
        status: the status code of HTTP; None where there was no answer.
        codes: the provider's codes, the outermost first: ``("BadRequest", "KeyBasedAuthenticationNotPermitted")``.
        silent: nobody answered.
        credential: it came from the search for a credential, before anything was asked for.
        wait_seconds: how long it wants to be left alone; None where it does not say.
        text: all words of it in lower case; never shown.
    """

    status: int | None = None
    codes: tuple[str, ...] = ()
    silent: bool = False
    credential: bool = False
    wait_seconds: float | None = None
    text: str = field(default="", repr=False)

    @property
    def code(self) -> str | None:
        """The innermost code that says more than *bad request*."""
        telling = [code for code in self.codes if code.lower() not in _VAGUE]
        return telling[-1] if telling else (self.codes[0] if self.codes else None)

    def has(self, *codes: str) -> bool:
        """Whether one of the codes was given, in whatever case."""
        return bool({code.lower() for code in codes} & {code.lower() for code in self.codes})

    def mentions(self, *words: str) -> bool:
        """Whether all of the words are in the text."""
        return all(word in self.text for word in words)

    @classmethod
    def of_body(cls, body: Any, status: int | None = None) -> Said:
        """Of the ``error`` of an answer, a mapping with code, message, details and innererror."""
        known = body if isinstance(body, Mapping) else {}
        return cls(status, tuple(_clean(_codes_in(known))), text=json.dumps(known, default=str).lower())


_VAGUE = frozenset({"badrequest", "usererror", "validationerror", "invalidrequest", "error", "conflict", "systemerror"})


def read(error: BaseException) -> Said:
    """What the error, or one that caused it, says."""
    status: int | None = None
    codes: list[str] = []
    silent = credential = False
    wait: float | None = None
    text: list[str] = []
    for one in causes(error):
        names = {kind.__name__ for kind in type(one).__mro__}
        if status is None:
            found = getattr(one, "status_code", None)
            status = found if isinstance(found, int) else None
        if wait is None:
            wait = wait_of(getattr(getattr(one, "response", None), "headers", None) or {})
        codes += _codes_of(one)
        silent = silent or bool(names & _SILENT)
        credential = credential or (bool(names & _CREDENTIAL) and getattr(one, "response", None) is None)
        text.append(str(one).lower())
    unique = tuple(dict.fromkeys(_clean(codes)))
    silent, credential = silent and status is None, credential and status is None
    return Said(status, unique, silent, credential, wait, "\n".join(text))


def wait_of(headers: Mapping[str, str]) -> float | None:
    """For how many seconds a provider wants to be left alone, by one of three headers; a date is none."""
    for name, unit in (("retry-after-ms", 1000), ("x-ms-retry-after-ms", 1000), ("Retry-After", 1)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if 0 <= seconds < math.inf:
            return seconds
    return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it, the nearest first."""
    one: BaseException | None = error
    seen: list[BaseException] = []
    while one is not None and one not in seen and len(seen) < _DEEPEST:
        seen.append(one)
        yield one
        one = getattr(one, "inner_exception", None) or one.__cause__ or one.__context__


def _codes_of(error: BaseException) -> Iterator[str]:
    body = getattr(error, "body", None)  # openai
    if isinstance(body, Mapping):
        yield from _codes_in(body.get("error") if isinstance(body.get("error"), Mapping) else body)
    response = getattr(error, "response", None)
    if response is not None and body is None:
        yield from _codes_in(_error_in(response))
    own = getattr(error, "error_code", None)  # azure-storage: an enum of strings
    if own is not None:
        yield str(getattr(own, "value", own))
    code = getattr(error, "code", None)
    if isinstance(code, str):
        yield code


def _error_in(response: Any) -> Any:
    headers = getattr(response, "headers", None) or {}
    try:
        found = json.loads(response.text())
    except Exception:  # noqa: BLE001 (a body that cannot be read says nothing, whatever the reason)
        found = {}
    inner = found.get("error", found) if isinstance(found, dict) else {}
    given = headers.get("x-ms-error-code")
    return {**(inner if isinstance(inner, dict) else {}), **({"innererror": {"code": given}} if given else {})}


def _codes_in(body: Any, depth: int = 0) -> Iterator[str]:
    """The codes of ``{"code", "details": [...], "innererror": {...}}``, the outermost first."""
    if not isinstance(body, Mapping) or depth > _DEEPEST:
        return
    if body.get("code"):
        yield str(body["code"])
    details = body.get("details")
    for detail in details if isinstance(details, list) else []:
        yield from _codes_in(detail, depth + 1)
    for name in ("innererror", "innerError", "inner_error"):
        yield from _codes_in(body.get(name), depth + 1)


def _clean(codes: Iterator[str] | list[str]) -> Iterator[str]:
    """Codes are words: whatever else stands in their place is not said on."""
    return (code for code in codes if len(code) <= _LONGEST_CODE and code.translate(_MARKS).isalnum())


_MARKS = dict.fromkeys(map(ord, "_.-"))
