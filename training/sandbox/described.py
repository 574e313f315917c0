"""Whether a request's body is what Microsoft and OpenAI describe: the sandbox refuses any other, as their services do.

Owns the excerpts of their descriptions, ``described_*.json``. Enumerations are compared without regard to case, as ARM
does: azure-ai-ml sends ``chatCompletion`` where the description says ``ChatCompletion``. Refuses more than Azure where
a name is unknown, which Azure may pass over: whoever sends it has meant another. What no excerpt has is not judged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import Any

from training.sandbox.wire import Refusal, Request

_FILES = ("described_ml.json", "described_openai.json", "described_safety.json")
_MOST_TOLD = 3


@dataclass(frozen=True, slots=True)
class Body:
    """A body that is described.

    Attributes:
        kind: its name in the description.
        code: with which the service refuses another.
        shape: a validator of jsonschema's.
    """

    kind: str
    code: str
    shape: Any

    def wrong(self, body: Any) -> list[str]:
        """What is wrong with it, one ``place: sentence`` each and never a value; empty for a good one."""
        return sorted(f"{error.json_path}: {_said(error)}" for error in self.shape.iter_errors(body))


def found(method: str, host: str, path: str) -> Body | None:
    """What is described of the body of such a request; None where nothing is."""
    for row in _excerpts():
        if not fnmatchcase(host, row["host"]):
            continue
        for tail, kinds in row["bodies"].items():
            shape = re.sub(r"\\\{\w*\\\}", "[^/]+", re.escape(row["prefix"] + (f"/{tail}" if tail else "")))
            if re.fullmatch(f"{shape}/?", path, re.IGNORECASE):
                kind = kinds.get(method.lower())
                return None if kind is None else _body(row["file"], kind)
    return None


def check(request: Request) -> None:
    """Let a request pass whose body is described so, or not at all.

    Raises:
        Refusal: 400.
    """
    described = found(request.method, request.host, request.path)
    if described is None:
        return
    if wrong := described.wrong(request.json()):
        raise Refusal(400, described.code, f"{described.kind}: {'; '.join(wrong[:_MOST_TOLD])}")


def _said(error: Any) -> str:
    if error.validator in {"additionalProperties", "required"}:
        return str(error.message)
    return f"it does not keep to {error.validator} {error.validator_value}"


@cache
def _excerpts() -> tuple[dict[str, Any], ...]:
    folder = resources.files("training.sandbox")
    return tuple(json.loads(folder.joinpath(name).read_text(encoding="utf-8")) | {"file": name} for name in _FILES)


@cache
def _body(file: str, kind: str) -> Body:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 (azure-ai-ml brings it: only the sandbox needs it)
    from jsonschema.validators import extend  # noqa: PLC0415

    (row,) = (one for one in _excerpts() if one["file"] == file)
    schema = {"$ref": f"#/$defs/{kind}", "$defs": row["$defs"]}
    validator: Any = extend(Draft202012Validator, {"enum": _enum_in_any_case})  # type: ignore[no-untyped-call]  # theirs
    return Body(kind, row["code"], validator(schema))


def _enum_in_any_case(_validator: Any, allowed: list[Any], value: Any, _schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError  # noqa: PLC0415 (as above)

    if str(value).lower() not in {str(each).lower() for each in allowed}:
        yield ValidationError("unknown")
