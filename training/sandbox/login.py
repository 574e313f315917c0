"""Signing in, as Microsoft Entra ID lets a service principal: metadata for msal and tokens for the client's secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from training.sandbox.wire import Request, Response, Route

HOST = "login.microsoftonline.com"


@dataclass(slots=True)
class SigningIn:
    """Whether anybody gets in; ``code`` is the AADSTS number that a refusal names."""

    refused: bool = False
    code: int = 7000215
    text: str = "Invalid client secret provided."


def _metadata(request: Request) -> Response:
    root = f"https://{HOST}/{request.values['tenant']}"
    return Response.of(
        {
            "token_endpoint": f"{root}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "jwks_uri": f"{root}/discovery/v2.0/keys",
            "response_types_supported": ["code", "id_token"],
            "scopes_supported": ["openid", "profile"],
            "issuer": f"https://{HOST}/{request.values['tenant']}/v2.0",
            "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
            "tenant_region_scope": "NA",
            "cloud_instance_name": "microsoftonline.com",
        }
    )


def _instance(request: Request) -> Response:
    tenant = request.cloud.names.tenant
    hosts = [HOST, "login.windows.net", "login.microsoft.com", "sts.windows.net"]
    return Response.of(
        {
            "tenant_discovery_endpoint": f"https://{HOST}/{tenant}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": HOST, "preferred_cache": "login.windows.net", "aliases": hosts}],
        }
    )


def _token(request: Request) -> Response:
    form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
    names, gate = request.cloud.names, request.cloud.part(SigningIn)
    if gate.refused or form.get("client_secret") != names.secret:
        return _no("invalid_client", gate.code, gate.text)
    if form.get("client_id") != names.client or request.values["tenant"] != names.tenant:
        return _no("unauthorized_client", 700016, "Application was not found in the directory.")
    if form.get("grant_type") != "client_credentials" or not form.get("scope", "").endswith("/.default"):
        return _no("invalid_request", 1002012, "The provided value for scope is not valid.")
    seconds = int(request.cloud.pace.token_seconds)
    content: dict[str, Any] = {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds}
    return Response.of(content | {"access_token": request.cloud.issue_token()})


def _no(error: str, code: int, text: str) -> Response:
    content = {"error": error, "error_description": f"AADSTS{code}: {text}", "error_codes": [code]}
    return Response.of(content, 401 if error == "invalid_client" else 400)


ROUTES = (
    Route("GET", HOST, "/common/discovery/instance", _instance, open=True),
    Route("GET", HOST, "/{tenant}/v2.0/.well-known/openid-configuration", _metadata, open=True),
    Route("POST", HOST, "/{tenant}/oauth2/v2.0/token", _token, open=True),
)
