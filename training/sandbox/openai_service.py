"""The v1 API of an Azure OpenAI account: files, models and chat; its fine-tuning jobs are in ``openai_jobs``.

Owns the account's files and which models it knows. Signs in by key or token, and answers errors in OpenAI's shape.
"""

from __future__ import annotations

import email
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import wraps
from typing import Any

from training.sandbox.accounts import ACCOUNT_KEY
from training.sandbox.cloud import TOKEN, Cloud
from training.sandbox.toys import Tuning
from training.sandbox.wire import Refusal, Request, Response, Route

HOST = "*.openai.azure.com"
ROOT = "/openai/v1"
_MOST_FILE_BYTES = 512 * 2**20
_PURPOSES = frozenset({"fine-tune", "batch", "assistants", "user_data", "evals"})


@dataclass(slots=True)
class StoredFile:
    """A file of the account; ``seen`` is how often it was asked for since: the first answer says ``uploaded``."""

    id: str
    name: str
    purpose: str
    content: bytes
    created: datetime
    seen: int = 0

    def as_json(self) -> dict[str, Any]:
        """The file object."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": int(self.created.timestamp()),
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed" if self.seen else "uploaded",
        }


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model that the account offers: its format for a deployment, and until when it can be tuned."""

    name: str
    version: str
    format: str = "OpenAI"
    tunes: bool = True
    tunes_until: str | None = None

    @property
    def id(self) -> str:
        """As the v1 API calls it."""
        return f"{self.name}-{self.version}" if "-" in self.version else self.name


MODELS = (
    BaseModel("gpt-4.1-mini", "2025-04-14", tunes_until="2027-04-14T00:00:00Z"),
    BaseModel("gpt-4.1", "2025-04-14", tunes_until="2027-04-14T00:00:00Z"),
    BaseModel("gpt-oss-20b", "11", format="Microsoft"),
    BaseModel("gpt-5-mini", "2025-08-07", tunes=False),
    BaseModel("gpt-35-turbo", "0125", tunes_until="2025-06-30T00:00:00Z"),
)
"""Names and dates in the form that the service has; which models it offers today is not what this list says."""


@dataclass(frozen=True, slots=True)
class TunedModel:
    """What a completed job has made."""

    name: str
    base: BaseModel
    work: Tuning
    created: datetime


@dataclass
class Account:
    """The files, and the tuned models by name."""

    files: dict[str, StoredFile] = field(default_factory=dict)
    tuned: dict[str, TunedModel] = field(default_factory=dict)

    def add(self, cloud: Cloud, name: str, purpose: str, content: bytes) -> StoredFile:
        """Keep a file."""
        made = StoredFile(f"file-{secrets.token_hex(16)}", name, purpose, content, cloud.clock())
        self.files[made.id] = made
        return made


def base_model(name: str) -> BaseModel | None:
    """A model that is offered, by its name with or without its version."""
    return next((model for model in MODELS if name in {model.name, model.id}), None)


def guarded(handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """The handler behind the account's key or a token, its refusals in OpenAI's shape."""

    @wraps(handler)
    def answer(request: Request) -> Response:
        try:
            _sign_in(request)
            return handler(request)
        except Refusal as refusal:
            error = {"code": refusal.code, "message": refusal.message, "param": None, "type": None}
            return Response.of({"error": error}, refusal.status, **refusal.headers)

    return answer


def _sign_in(request: Request) -> None:
    with request.cloud.lock:
        account = request.cloud.resources.get(account_id(request).lower())
        signed_in = request.cloud.signed_in(request)
    if account is None:
        raise Refusal(404, "404", "Resource not found")
    by_key = request.headers.get("api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
    keyed = by_key.removesuffix("-2") == ACCOUNT_KEY and not account["properties"]["disableLocalAuth"]
    if not signed_in and not keyed and by_key.startswith(TOKEN):
        wanted = "https://cognitiveservices.azure.com"
        text = f"Access token is missing, invalid, audience is incorrect ({wanted}), or have expired."
        raise Refusal(401, "Unauthorized", text)
    if not signed_in and not keyed:
        raise Refusal(401, "401", "Access denied due to invalid subscription key or wrong API endpoint.")


def account_id(request: Request) -> str:
    """The ARM id of the account whose host was asked."""
    return request.cloud.names.id_of("Microsoft.CognitiveServices", "accounts", request.values["host"])


def page(rows: list[dict[str, Any]], request: Request, limit: int) -> dict[str, Any]:
    """A page of a list after the id ``after``."""
    after, most = request.query.get("after"), int(request.query.get("limit") or limit)
    ids = [row["id"] for row in rows]
    rest = rows[ids.index(after) + 1 :] if after in ids else rows
    shown = rest[:most]
    ends = {"first_id": shown[0]["id"] if shown else None, "last_id": shown[-1]["id"] if shown else None}
    return {"object": "list", "data": shown, "has_more": len(rest) > most} | ends


def _upload(request: Request) -> Response:
    parts = _form(request)
    purpose, file = parts.get("purpose", ("", b""))[1].decode(), parts.get("file")
    if purpose not in _PURPOSES:
        raise Refusal(400, "invalidPayload", "The purpose of the file is missing or unknown.")
    if file is None or not file[1]:
        raise Refusal(400, "invalidPayload", "The file is empty or missing.")
    if len(file[1]) > _MOST_FILE_BYTES:
        raise Refusal(413, "invalidPayload", "The file exceeds 512 MB.")
    made = request.cloud.part(Account).add(request.cloud, file[0], purpose, file[1])
    return Response.of(made.as_json(), 201)


def _form(request: Request) -> dict[str, tuple[str, bytes]]:
    """The parts of a multipart form by name: file name and content."""
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    parts: dict[str, tuple[str, bytes]] = {}
    for part in email.message_from_bytes(head + request.body).walk():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            parts[name] = (part.get_filename() or "", content)
    return parts


def _file(request: Request) -> StoredFile:
    found = request.cloud.part(Account).files.get(request.values["file"])
    if found is None:
        raise Refusal(404, "resourceNotFound", "The file could not be found.")
    found.seen += 1
    return found


def _files(request: Request) -> Response:
    files = list(request.cloud.part(Account).files.values())[::-1]
    purpose = request.query.get("purpose")
    return Response.of(page([one.as_json() for one in files if purpose in {None, one.purpose}], request, 10_000))


def _get_file(request: Request) -> Response:
    return Response.of(_file(request).as_json())


def _content(request: Request) -> Response:
    return Response(200, _file(request).content, {"Content-Type": "application/octet-stream"})


def _delete_file(request: Request) -> Response:
    found = _file(request)
    del request.cloud.part(Account).files[found.id]
    return Response.of({"id": found.id, "object": "file", "deleted": True})


def _shown(name: str, base: BaseModel | None, created: int) -> dict[str, Any]:
    able = base is not None and base.tunes
    state = {"status": "succeeded", "capabilities": {"fine_tune": able, "inference": True, "chat_completion": True}}
    return {"id": name, "object": "model", "created": created, "owned_by": "errata-sandbox"} | state


def _models(request: Request) -> Response:
    tuned = request.cloud.part(Account).tuned.values()
    rows = [_shown(model.id, model, 0) for model in MODELS]
    rows += [_shown(one.name, one.base, int(one.created.timestamp())) for one in tuned]
    return Response.of({"object": "list", "data": rows})


def _model(request: Request) -> Response:
    name = request.values["model"]
    tuned, base = request.cloud.part(Account).tuned.get(name), base_model(name)
    if tuned is not None:
        return Response.of(_shown(name, tuned.base, int(tuned.created.timestamp())))
    if base is None:
        raise Refusal(404, "resourceNotFound", "The model could not be found.")
    return Response.of(_shown(base.id, base, 0))


def _delete_model(request: Request) -> Response:
    cloud, name = request.cloud, request.values["model"]
    if name not in cloud.part(Account).tuned:
        raise Refusal(404, "resourceNotFound", "The model could not be found.")
    for held in cloud.under(account_id(request), "deployments"):
        if held["properties"]["model"]["name"] == name:
            raise Refusal(409, "conflict", f"The model has a deployment: {held['name']}. Delete it first.")
    del cloud.part(Account).tuned[name]
    return Response.of({"id": name, "object": "model", "deleted": True})


ROUTES = tuple(
    Route(method, HOST, f"{ROOT}{path}", guarded(handler), open=True)
    for method, path, handler in (
        ("POST", "/files", _upload),
        ("GET", "/files", _files),
        ("GET", "/files/{file}", _get_file),
        ("GET", "/files/{file}/content", _content),
        ("DELETE", "/files/{file}", _delete_file),
        ("GET", "/models", _models),
        ("GET", "/models/{model}", _model),
        ("DELETE", "/models/{model}", _delete_model),
    )
)
