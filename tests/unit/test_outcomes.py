"""What a failed call tells about its effect."""

from __future__ import annotations

import errno
import socket
from datetime import timedelta
from http.client import IncompleteRead, RemoteDisconnected
from urllib.error import URLError

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from bot.outcomes import certainly_not_taken, retry_after


def answer(code: str, status: int = 200, **headers: str) -> SlackApiError:
    response = SlackResponse(
        client=WebClient(), http_verb="POST", api_url="", req_args={}, data={"ok": False, "error": code},
        headers={name.replace("_", "-"): value for name, value in headers.items()}, status_code=status,
    )  # fmt: skip
    return SlackApiError("refused", response)


@pytest.mark.parametrize(
    "error",
    [
        answer("invalid_blocks"),
        answer("ratelimited", 429),
        answer("token_revoked"),
        ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
        URLError(ConnectionRefusedError(errno.ECONNREFUSED, "refused")),
        URLError(socket.gaierror(-2, "name or service not known")),
        URLError(OSError(errno.ENETUNREACH, "network is unreachable")),
    ],
    ids=repr,
)
def test_a_clear_no_and_a_slack_that_was_never_reached_leave_no_doubt(error: Exception) -> None:
    assert certainly_not_taken(error)


@pytest.mark.parametrize(
    "error",
    [
        answer("internal_error", 500),
        answer("invalid_blocks", 502),
        answer("fatal_error"),
        answer("Received a response in a non-JSON format: <html>"),
        TimeoutError("timed out"),
        URLError(TimeoutError("timed out")),
        RemoteDisconnected("closed"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        IncompleteRead(b"{"),
        ValueError("a surprise"),
    ],
    ids=repr,
)
def test_everything_else_may_have_taken_effect(error: Exception) -> None:
    assert not certainly_not_taken(error)


@pytest.mark.parametrize(("said", "seconds"), [("30", 30), ("", 1), ("soon", 1)])
def test_a_rate_limit_is_waited_out_as_long_as_it_says(said: str, seconds: int) -> None:
    assert retry_after(answer("ratelimited", 429, Retry_After=said)) == timedelta(seconds=seconds)
