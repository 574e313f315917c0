"""What an endpoint refuses, in OpenAI's error shape.

https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from curation.errors import Conflict, ErrataError, NotFound, OverWindow, Unavailable


class Busy(Unavailable):
    """Too many wait already; the sentence says to ask later."""


_STATUSES: tuple[tuple[type[ErrataError], HTTPStatus, str | None], ...] = (
    (NotFound, HTTPStatus.NOT_FOUND, "model_not_found"),
    (Conflict, HTTPStatus.CONFLICT, None),
    (Busy, HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_exceeded"),
    (Unavailable, HTTPStatus.INTERNAL_SERVER_ERROR, None),
    (OverWindow, HTTPStatus.BAD_REQUEST, "context_length_exceeded"),
    (ErrataError, HTTPStatus.BAD_REQUEST, None),
)


def handle_problems(app: FastAPI) -> None:
    """Answer with a sentence whatever goes wrong."""
    app.add_exception_handler(RequestValidationError, _refuse_shape)
    app.add_exception_handler(ErrataError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_route)


def problem(error: Exception) -> tuple[HTTPStatus, dict[str, Any]]:
    """The status and body for an error; a surprise keeps its details for the log."""
    for kind, status, code in _STATUSES:
        if isinstance(error, kind):
            return status, _body(status, str(error), code)
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return status, _body(status, "The endpoint failed at this; see its log.", None)


def _body(status: int, sentence: str, code: str | None) -> dict[str, Any]:
    kind = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    return {"error": {"message": sentence, "type": kind, "param": None, "code": code}}


def _refuse_shape(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
    return JSONResponse(_body(400, f"{where}: {first['msg']}. Correct the request.", None), HTTPStatus.BAD_REQUEST)


def _refuse(_request: Request, error: Exception) -> JSONResponse:
    status, body = problem(error)
    return JSONResponse(body, status)


def _refuse_route(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    sentence = f"{request.method} {request.url.path} is not served here; see GET /v1/models and the documentation."
    return JSONResponse(_body(error.status_code, sentence, None), error.status_code)
