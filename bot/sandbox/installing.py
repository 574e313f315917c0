"""One app in several workspaces: its secrets, and installing it over OAuth.

Owns what the workspaces that have the app share, and the codes given out where somebody allows it. Refuses a code
that was used, another redirect address than the code was given for, and a wrong client secret, with Slack's words.

Source: https://docs.slack.dev/authentication/installing-with-oauth and .../reference/methods/oauth.v2.access
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from bot.sandbox.arguments import Arguments
from bot.sandbox.errors import ApiRefusal, SandboxRefusal
from bot.sandbox.payloads import Identity, Json


@dataclass(frozen=True)
class Code:
    """A permission, given by a person in a workspace, that the app can exchange for a token once."""

    identity: Identity
    bot_token: str
    user_id: str
    scope: str
    redirect_uri: str


@dataclass
class App:
    """An app, wherever it is installed. Its ids and secrets come from ``rng``."""

    app_token: str
    signing_secret: str
    rng: random.Random
    client_id: str = ""
    client_secret: str = ""
    codes: dict[str, Code] = field(default_factory=dict)
    apis: dict[str, Any] = field(default_factory=dict)  # bot token → the Web API of its workspace

    def __post_init__(self) -> None:
        """Give it the ids that its installations go by."""
        self.client_id = f"{self.rng.getrandbits(40)}.{self.rng.getrandbits(40)}"
        self.client_secret = f"{self.rng.getrandbits(128):032x}"

    def allow(self, identity: Identity, bot_token: str, user_id: str, address: str) -> str:
        """Somebody opens the authorize page at this address and presses *Allow*; where their browser is sent then."""
        asked = dict(parse_qsl(urlsplit(address).query))
        if asked.get("client_id") != self.client_id:
            raise SandboxRefusal("Slack shows an error page: invalid client_id parameter.")
        if not asked.get("scope"):
            raise SandboxRefusal("Slack shows an error page: no scopes requested.")
        redirect_uri = asked.get("redirect_uri", "")
        code = f"{self.rng.getrandbits(48)}.{self.rng.getrandbits(160):040x}"
        self.codes[code] = Code(identity, bot_token, user_id, asked["scope"], redirect_uri)
        return f"{redirect_uri}?{urlencode({'code': code, 'state': asked.get('state', '')})}"

    def access(self, arguments: Arguments) -> Json:
        """``oauth.v2.access``: a code for the bot token of the workspace where it was given."""
        if arguments.get("client_id") != self.client_id:
            raise ApiRefusal("invalid_client_id")
        if arguments.get("client_secret") != self.client_secret:
            raise ApiRefusal("bad_client_secret")
        code = self.codes.pop(str(arguments.get("code")), None)  # it works once, even where it is refused
        if code is None:
            raise ApiRefusal("invalid_code")
        if code.redirect_uri != str(arguments.get("redirect_uri") or ""):
            raise ApiRefusal("bad_redirect_uri")
        identity = code.identity
        return {
            "access_token": code.bot_token,
            "token_type": "bot",
            "scope": code.scope,
            "bot_user_id": identity.bot_user_id,
            "app_id": identity.app_id,
            "team": {"id": identity.team_id, "name": identity.team_domain},
            "enterprise": None,
            "is_enterprise_install": False,
            "authed_user": {"id": code.user_id},
        }


def new_identity(rng: random.Random, *, like: Identity | None) -> Identity:
    """A new workspace with the app in it; the same app as in another one, where that is given."""

    def new_id(prefix: str) -> str:
        return f"{prefix}{rng.getrandbits(40):010X}"

    token = f"{rng.getrandbits(96):024x}"
    identity = Identity(new_id("T"), "sandbox", new_id("A"), new_id("U"), new_id("B"), token)
    if like is None:
        return identity
    domain, verification = f"{like.team_domain}-two", like.verification_token
    return replace(identity, app_id=like.app_id, verification_token=verification, team_domain=domain)
