"""Clients of the Slack Web API, and asking Slack who this bot is, with one sentence where it does not say."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cache

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler

from bot.settings import Settings
from curation.errors import Unavailable

TIMEOUT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a bot token speaks for."""

    team_id: str
    team: str
    enterprise_id: str | None
    bot: str
    bot_id: str | None
    bot_user_id: str


def trust(base_url: str) -> ssl.SSLContext | None:
    """Whose certificates this process believes, for the clients of an address; None where it takes none.

    Without one, Python reads all of them anew for each request, which takes four times as long as all else about it.
    """
    return _trust() if base_url.startswith("https:") else None


@cache
def _trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])  # as http.client does with its own
    return context


def client_for(settings: Settings, token: str | None = None) -> WebClient:
    """A client for a few quick questions; the bot token unless another is given."""
    base_url = settings.api_url or WebClient.BASE_URL
    return WebClient(token=token or settings.bot_token, base_url=base_url, timeout=TIMEOUT_SECONDS, ssl=trust(base_url))


def slack_client(settings: Settings) -> WebClient:
    """A client for calls that may be repeated: it waits and tries again where Slack asks for patience."""
    base_url = settings.api_url or WebClient.BASE_URL
    client = WebClient(token=settings.bot_token, base_url=base_url, ssl=trust(base_url))
    client.retry_handlers.append(RateLimitErrorRetryHandler(max_retry_count=2))
    return client


def without_retries(client: WebClient, timeout: int | None = None) -> WebClient:
    """The same client, which sends nothing twice by itself; it waits as long for an answer, or so many seconds."""
    waits = client.timeout if timeout is None else timeout
    return WebClient(token=client.token, base_url=client.base_url, timeout=waits, ssl=client.ssl, retry_handlers=[])


def identify(settings: Settings) -> Identity:
    """What ``auth.test`` says about the bot token.

    Raises:
        Unavailable: Slack refuses the token, or cannot be reached.
    """
    try:
        answer = client_for(settings).auth_test()
    except SlackApiError as error:
        code = error.response.get("error")
        raise Unavailable(
            "Slack refuses SLACK_BOT_TOKEN ({code}): reinstall the app and copy the token again.", code=code
        ) from error
    except OSError as error:
        raise Unavailable(
            "Slack cannot be reached ({error}): check the network and try again.", error=type(error).__name__
        ) from error
    return Identity(
        team_id=str(answer["team_id"]),
        team=str(answer.get("team", "")),
        enterprise_id=answer.get("enterprise_id"),
        bot=str(answer.get("user", "")),
        bot_id=answer.get("bot_id"),
        bot_user_id=str(answer["user_id"]),
    )
