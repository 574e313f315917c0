"""How a refusal that people run into is recognised: by the codes that Azure gives, else by words in its text.

Owns the words. Pure; what is said of each is ``pains``'.
"""

from __future__ import annotations

from collections.abc import Callable

from training.backends.foundry.access.shapes import Said

CONFLICT, TOO_MANY = 409, 429
_ASKED = frozenset({400, 404, CONFLICT, 422})
_FORBIDDEN = frozenset({401, 403})


def coded(*codes: str) -> Callable[[Said], bool]:
    """Whether one of these codes was given, to be asked of what was said."""
    return lambda said: said.has(*codes)


def retired(said: Said) -> bool:
    """Whether the model is no longer tuned, or offered at all."""
    if said.has("ServiceModelDeprecated", "ModelDeprecated", "ModelRetired", "ModelArchived"):
        return True
    words = ("archived", "retired", "deprecated")
    told = (f"{verb} {word}" for verb in ("is", "was", "been") for word in words)
    return said.status in _ASKED and said.mentions("model") and any(said.mentions(one) for one in told)


def region(said: Said) -> bool:
    """Whether nobody tunes the model in this region."""
    if said.has("LocationNotAvailableForResourceType", "UnsupportedRegion", "RegionNotSupported"):
        return True
    words = (
        ("not supported in", "region"),
        ("not available in", "region"),
        ("not supported in", "location"),
        ("not available in", "location"),
        ("workspace must be in", "region"),
    )
    return said.status in _ASKED and any(said.mentions(*pair) for pair in words)


def validation(said: Said) -> bool:
    """Whether there are no validation rows."""
    if said.silent or said.credential:
        return False
    named = said.mentions("validation_data") or said.mentions("validationdata")
    return named and (said.mentions("required") or said.mentions("nonetype"))


def not_tunable(said: Said) -> bool:
    """Whether the base model is said not to support fine-tuning."""
    return said.mentions("does not support fine-tuning") or said.mentions("does not support finetuning")


def key_auth(said: Said) -> bool:
    """Whether a storage takes no keys."""
    return said.has("KeyBasedAuthenticationNotPermitted", "AuthorizationPermissionMismatch") or said.mentions(
        "key based authentication is not permitted"
    )


def usages(said: Said) -> bool:
    """Whether the subscription's quota may not be read."""
    return said.status in _FORBIDDEN and said.mentions("microsoft.cognitiveservices/locations/usages/read")


def quota(said: Said) -> bool:
    """Whether the quota is used up."""
    return said.has("QuotaExceeded", "InsufficientQuota", "QuotaLimitReached", "OutOfQuota") or (
        said.status == CONFLICT and said.mentions("quota")
    )


def expired(said: Said) -> bool:
    """Whether a token is too old."""
    return said.has("ExpiredAuthenticationToken", "InvalidAuthenticationToken", "TokenExpired") or (
        said.status in _FORBIDDEN and said.mentions("token", "expired") and not said.mentions("aadsts")
    )


def rejected(said: Said) -> bool:
    """Whether the credential itself is refused."""
    return said.has("AuthenticationFailed", "invalid_client") or said.mentions("aadsts")


def no_network(said: Said) -> bool:
    """The credential is there, and what would prove it cannot be reached."""
    words = ("connect to proxy", "failed to establish", "max retries", "name resolution", "connection aborted")
    return (
        said.credential
        and said.mentions("environmentcredential: authentication failed")
        and any(said.mentions(word) for word in words)
    )


def role(said: Said) -> bool:
    """Whether a role is missing."""
    return said.has("AuthorizationFailed", "PermissionDenied", "LinkedAuthorizationFailed") or said.status in _FORBIDDEN
