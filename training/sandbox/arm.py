"""What Azure Resource Manager does for every provider: versions, addresses of operations, any resource by its id."""

from __future__ import annotations

import re

from training.sandbox.cloud import ARM, Operation
from training.sandbox.wire import Refusal, Request, Response, Route

_VERSION = re.compile(r"20\d\d-\d\d-\d\d(-[a-z]+)?")
_LOCATION = "/subscriptions/{subscription}/providers/{provider}/locations/{location}"


def check_version(request: Request) -> None:
    """Let a request to the resource manager pass that names the version of the API which it means; any to others.

    Raises:
        Refusal: 400.
    """
    if request.host == ARM and not _VERSION.fullmatch(request.query.get("api-version", "")):
        text = "The api-version query parameter (?api-version=) is required for all requests."
        raise Refusal(400, "MissingApiVersionParameter", text)


def _operation(request: Request) -> Operation:
    operation = request.cloud.operations.get(request.values["name"])
    if operation is None:
        raise Refusal(404, "OperationNotFound", "There is no such operation.")
    return operation


def _operation_status(request: Request) -> Response:
    operation = _operation(request)
    headers = request.cloud.come_back() if operation.status == "InProgress" else {}
    return Response.of({"id": request.path} | operation.as_json(), 200, **headers)


def _operation_result(request: Request) -> Response:
    operation = _operation(request)
    if operation.status == "InProgress":
        again = f"{request.url}?{request.raw_query}"
        headers = request.cloud.come_back() | {"Location": again}
        return Response.of({"status": "InProgress"}, 202, **headers)
    if operation.error:
        raise Refusal(409, operation.error["code"], operation.error["message"])
    return Response(204) if operation.result is None else Response.of(operation.result)


def _resource(request: Request) -> Response:
    held = request.cloud.get(request.path)
    return Response.of(held, ETag=request.cloud.etags[held["id"].lower()])


def _resources(request: Request) -> Response:
    """Any list of a group's resources: children of one kind."""
    parent, _, kind = request.path.rstrip("/").rpartition("/")
    return Response.of({"value": request.cloud.under(parent, kind)})


def _either(request: Request) -> Response:
    tail = request.values["rest"].rstrip("/").split("/")
    return _resource(request) if len(tail) % 2 else _resources(request)


OPERATIONS = (
    Route("GET", ARM, f"{_LOCATION}/operationsStatus/{{name}}", _operation_status),
    Route("GET", ARM, f"{_LOCATION}/operationResults/{{name}}", _operation_result),
)
ANY_RESOURCE = (
    Route("GET", ARM, "/subscriptions/{subscription}/resourceGroups/{group}/providers/{rest:path}", _either),
)
"""Tried last: whatever has been put and has no route of its own can still be read."""
