"""Blob storage: block blobs in a folder, behind keys, SAS and tokens.

Owns the requests that azure-storage-blob sends for uploads, downloads, lists and metadata, and their XML. With the
address of a real Azurite each request is also sent there, and its answer is the one that counts.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree as ET  # it is written here, never parsed: only the block list is read

from training.sandbox.azurite import OWN_CONTAINER, Azurite
from training.sandbox.cloud import Cloud
from training.sandbox.signing import signed
from training.sandbox.wire import Refusal, Request, Response, Route

HOST = "*.blob.core.windows.net"


@dataclass(slots=True)
class Blob:
    """What is known of a blob beside its bytes; header names in lower case."""

    etag: str
    modified: datetime
    kind: str = "application/octet-stream"
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Storage:
    """All blobs by path, the blocks that wait for their list, and the real Azurite where there is one."""

    blobs: dict[Path, Blob] = field(default_factory=dict)
    blocks: dict[Path, dict[str, bytes]] = field(default_factory=dict)
    azurite: Azurite | None = None


def furnish(cloud: Cloud, azurite: str | None) -> None:
    """Remember where a real Azurite listens."""
    cloud.part(Storage).azurite = None if azurite is None else Azurite(azurite)


def _path(cloud: Cloud, account: str, path: str) -> Path:
    names = [part for part in path.split("/") if part]
    if any(name in {".", ".."} or "\0" in name for name in names):
        raise Refusal(400, "InvalidUri", "The requested URI does not represent any resource on the server.")
    return cloud.blobs.joinpath(account, *names)


def _serve(request: Request) -> Response:
    how = signed(request)
    if how is None:
        raise Refusal(403, "AuthenticationFailed", "Server failed to authenticate the request.")
    account = request.cloud.names.id_of("Microsoft.Storage", "storageAccounts", request.values["host"])
    with request.cloud.lock:
        if how != "token" and not request.cloud.get(account)["properties"]["allowSharedKeyAccess"]:
            text = "Key based authentication is not permitted on this storage account."
            raise Refusal(403, "KeyBasedAuthenticationNotPermitted", text)
        azurite = request.cloud.part(Storage).azurite
        if azurite is None:
            return _handle(request)
    answer = azurite.answer(request, how)
    good = answer.status < HTTPStatus.BAD_REQUEST
    listed = request.method == "GET" and request.query.get("comp") == "list"
    with request.cloud.lock:
        if request.method in {"PUT", "DELETE"} and good:
            _handle(request)  # the sandbox's own jobs read what they train on from its folder
        elif listed or (request.method in {"GET", "HEAD"} and answer.status == HTTPStatus.NOT_FOUND):
            return _handle(request)  # and write what they leave there
    return answer


def _handle(request: Request) -> Response:
    query, method = request.query, request.method
    what = query.get("comp", "")
    path = _path(request.cloud, request.values["host"], unquote(request.path))
    if query.get("restype") == "container":
        return _container(request, path)
    handlers = {
        ("PUT", ""): _put,
        ("PUT", "block"): _put_block,
        ("PUT", "blocklist"): _put_block_list,
        ("PUT", "metadata"): _put_metadata,
        ("GET", ""): _get,
        ("HEAD", ""): _get,
        ("DELETE", ""): _delete,
    }
    handler = handlers.get((method, what))
    if handler is None:
        raise Refusal(400, "UnsupportedQueryParameter", f"The sandbox does not know {method} comp={what}.")
    return handler(request, path)


def _container(request: Request, path: Path) -> Response:
    if request.method == "PUT":
        if path.is_dir():
            raise Refusal(409, "ContainerAlreadyExists", "The specified container already exists.")
        path.mkdir(parents=True)
        return Response(201, b"", {"ETag": '"0x1"'})
    if request.query.get("comp") != "list":
        if not path.is_dir() and not path.name.endswith(OWN_CONTAINER):
            raise Refusal(404, "ContainerNotFound", "The specified container does not exist.")
        return Response(200, b"", {"ETag": '"0x1"'})
    return _list(request, path)


def _list(request: Request, container: Path) -> Response:
    prefix = request.query.get("prefix", "")
    root = ET.Element("EnumerationResults", ContainerName=container.name)
    ET.SubElement(root, "Prefix").text = prefix
    rows = ET.SubElement(root, "Blobs")
    found = sorted(path for path in container.rglob("*") if path.is_file())
    for path in found:
        name = path.relative_to(container).as_posix()
        if not name.startswith(prefix):
            continue
        blob = _known(request.cloud, path)
        row = ET.SubElement(rows, "Blob")
        ET.SubElement(row, "Name").text = name
        properties = ET.SubElement(row, "Properties")
        values = {
            "Last-Modified": format_datetime(blob.modified, usegmt=True),
            "Etag": blob.etag,
            "Content-Length": str(path.stat().st_size),
            "Content-Type": blob.kind,
            "BlobType": "BlockBlob",
        }
        for key, value in values.items():
            ET.SubElement(properties, key).text = value
        metadata = ET.SubElement(row, "Metadata")
        for key, value in blob.metadata.items():
            ET.SubElement(metadata, key).text = value
    ET.SubElement(root, "NextMarker")
    body = b"\xef\xbb\xbf" + ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return Response(200, body, {"Content-Type": "application/xml"})


def _known(cloud: Cloud, path: Path) -> Blob:
    """What is known of a blob; one that a job of the sandbox has written is met here for the first time."""
    blobs = cloud.part(Storage).blobs
    if path not in blobs:
        blobs[path] = Blob(_etag(path.read_bytes()), cloud.clock())
    return blobs[path]


def _etag(content: bytes) -> str:
    return f'"0x{hashlib.sha256(content).hexdigest()[:16].upper()}"'


def _keep(request: Request, path: Path, content: bytes) -> Response:
    if request.headers.get("if-none-match") == "*" and path.is_file():
        raise Refusal(409, "BlobAlreadyExists", "The specified blob already exists.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    kind = request.headers.get("x-ms-blob-content-type") or "application/octet-stream"
    blob = Blob(_etag(content), request.cloud.clock(), kind, _metadata(request))
    request.cloud.part(Storage).blobs[path] = blob
    return Response(201, b"", _stamps(blob) | {"Content-MD5": _md5(content), "x-ms-request-server-encrypted": "true"})


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def _metadata(request: Request) -> dict[str, str]:
    prefix = "x-ms-meta-"
    return {name.removeprefix(prefix): value for name, value in request.headers.items() if name.startswith(prefix)}


def _stamps(blob: Blob) -> dict[str, str]:
    return {"ETag": blob.etag, "Last-Modified": format_datetime(blob.modified, usegmt=True)}


def _put(request: Request, path: Path) -> Response:
    if request.headers.get("x-ms-blob-type") != "BlockBlob":
        raise Refusal(400, "InvalidHeaderValue", "The sandbox keeps block blobs alone.")
    return _keep(request, path, request.body)


def _put_block(request: Request, path: Path) -> Response:
    blocks = request.cloud.part(Storage).blocks.setdefault(path, {})
    blocks[request.query["blockid"]] = request.body
    return Response(201, b"", {"Content-MD5": _md5(request.body), "x-ms-request-server-encrypted": "true"})


def _put_block_list(request: Request, path: Path) -> Response:
    blocks = request.cloud.part(Storage).blocks.pop(path, {})
    try:
        wanted = [row.text or "" for row in ET.fromstring(request.body)]  # noqa: S314 (sent by our own side, no entities)
        content = b"".join(blocks[name] for name in wanted)
    except (ET.ParseError, KeyError) as error:
        raise Refusal(400, "InvalidBlockList", "The specified block list is invalid.") from error
    return _keep(request, path, content)


def _put_metadata(request: Request, path: Path) -> Response:
    _there(path)
    blob = _known(request.cloud, path)
    blob.metadata = _metadata(request)
    return Response(200, b"", _stamps(blob))


def _there(path: Path) -> None:
    if not path.is_file():
        raise Refusal(404, "BlobNotFound", "The specified blob does not exist.")


def _get(request: Request, path: Path) -> Response:
    _there(path)
    blob, content = _known(request.cloud, path), path.read_bytes()
    headers = {
        "Content-Type": blob.kind,
        "Accept-Ranges": "bytes",
        "x-ms-blob-type": "BlockBlob",
        "x-ms-creation-time": format_datetime(blob.modified, usegmt=True),
    }
    headers |= _stamps(blob) | {f"x-ms-meta-{name}": value for name, value in blob.metadata.items()}
    asked = request.headers.get("x-ms-range") or request.headers.get("range")
    if request.method == "HEAD":
        return Response(200, b"", headers | {"Content-Length": str(len(content))})
    if asked is None:
        return Response(200, content, headers)
    first, _, last = asked.removeprefix("bytes=").partition("-")
    begin_at, end_at = int(first), min(int(last or len(content) - 1), len(content) - 1)
    if begin_at >= len(content):
        raise Refusal(416, "InvalidRange", "The range specified is invalid.", Content_Range=f"bytes */{len(content)}")
    span = {"Content-Range": f"bytes {begin_at}-{end_at}/{len(content)}"}
    return Response(206, content[begin_at : end_at + 1], headers | span)


def _delete(request: Request, path: Path) -> Response:
    _there(path)
    path.unlink()
    request.cloud.part(Storage).blobs.pop(path, None)
    return Response(202)


ROUTES = (Route("*", HOST, "/{name:path}", _serve, open=True, slow=True),)
