"""Whether a request to Azure Resource Manager says what Microsoft's description of its API allows.

What is known lies in ``contract/schemas/azure_ml.json``. Enumerations are compared without regard to case, as ARM does:
azure-ai-ml sends ``chatCompletion`` where the description says ``ChatCompletion``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

_FILE = Path(__file__).parent / "contract" / "schemas" / "azure_ml.json"
_NAME = "[^/]+"


def described(method: str, path: str) -> bool:
    """Whether the body of such a request is one of those described here."""
    return _kind(method, path) is not None


def conforms(method: str, path: str, body: Any) -> list[str]:
    """What is wrong with a request's body, one ``place: sentence`` each; empty for a good one.

    Raises:
        LookupError: no body of this method and path is described here.
    """
    kind = _kind(method, path)
    if kind is None:
        raise LookupError(f"{method} {path}")
    return sorted(f"{error.json_path}: {error.message}" for error in _validator(kind).iter_errors(body))


@cache
def _described() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return content


def _kind(method: str, path: str) -> str | None:
    for tail, kinds in _described()["bodies"].items():
        shape = re.sub(r"\{\w*\}", _NAME, _described()["prefix"] + (f"/{tail}" if tail else ""))
        if re.fullmatch(shape, path, re.IGNORECASE):
            kind: str | None = kinds.get(method.lower())
            return kind
    return None


@cache
def _validator(kind: str) -> Any:
    schema = {"$ref": f"#/$defs/{kind}", "$defs": _described()["$defs"]}
    return extend(Draft202012Validator, {"enum": _enum_in_any_case})(schema)


def _enum_in_any_case(
    _validator: Any, allowed: list[Any], value: Any, _schema: Any
) -> Iterator[ValidationError]:  # jsonschema's own signature
    known = {str(each).lower() for each in allowed}
    if str(value).lower() not in known:
        yield ValidationError(f"{value!r} is none of {allowed}")
