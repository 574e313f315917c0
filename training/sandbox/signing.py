"""Who may touch a storage account: shared keys and account SAS, signed and checked as Azure Storage documents it.

Owns the string to sign of both. A service SAS (``sr=``) is taken as it comes: the sandbox gives none away.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime, timedelta
from urllib.parse import unquote, urlencode

from training.sandbox.wire import Request

STORAGE_KEY = base64.b64encode(b"the sandbox's storage key opens nothing elsewhere").decode()
"""Of every storage account in the sandbox; a real Azurite behind it must know the same: ``AZURITE_ACCOUNTS``."""

_VERSION = "2022-11-02"
_PLAIN = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


def account_sas(account: str, now: datetime, seconds: float = 3600.0) -> str:
    """A token for the blobs of an account, as the datastores' secrets hold it: ``sv=…&sig=…``."""
    until = (now + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = {"sv": _VERSION, "ss": "b", "srt": "sco", "sp": "rwdlac", "se": until, "spr": "https,http"}
    return urlencode(fields | {"sig": _signature(_sas_string(account, fields))})


def signed(request: Request) -> str | None:
    """How the request to ``ACCOUNT.blob.core.windows.net`` is signed: ``key``, ``sas``, ``token``; None: not at all."""
    account = request.values["host"]
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme == "SharedKey":
        return "key" if hmac.compare_digest(given, f"{account}:{_signature(_key_string(account, request))}") else None
    if "sig" in request.query:
        if "ss" not in request.query:
            return "sas"
        good = hmac.compare_digest(request.query["sig"], _signature(_sas_string(account, dict(request.query))))
        ended = request.query["se"] < request.cloud.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        return "sas" if good and not ended else None
    return "token" if request.cloud.signed_in(request) else None


def _signature(text: str) -> str:
    digest = hmac.new(base64.b64decode(STORAGE_KEY), text.encode(), hashlib.sha256)
    return base64.b64encode(digest.digest()).decode()


def _sas_string(account: str, fields: dict[str, str]) -> str:
    """https://learn.microsoft.com/rest/api/storageservices/create-account-sas, version 2020-12-06 and later."""
    names = ("sp", "ss", "srt", "st", "se", "sip", "spr", "sv", "ses")
    return "\n".join([account, *(fields.get(name, "") for name in names), ""])


def _key_string(account: str, request: Request) -> str:
    """https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key."""
    plain = [request.headers.get(name, "") for name in _PLAIN]
    plain[2] = "" if plain[2] == "0" else plain[2]
    own = sorted((name, value) for name, value in request.headers.items() if name.startswith("x-ms-"))
    headers = [f"{name}:{' '.join(value.split())}" for name, value in own]
    query = sorted((name.lower(), value) for name, value in request.query.items())
    resource = [f"/{account}{request.path}", *(f"{name}:{unquote(value)}" for name, value in query)]
    return "\n".join([request.method, *plain, *headers, *resource])
