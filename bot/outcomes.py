"""What a failed call to Slack tells: whether it may have taken effect, and whether to try it again.

Pure. Owns Slack's error words as the outbox reads them. Refuses to guess: what is not certainly without
effect counts as unknown.
"""

from __future__ import annotations

import errno
import socket
import ssl
from datetime import timedelta
from http import HTTPStatus
from http.client import HTTPException
from urllib.error import URLError

from slack_sdk.errors import SlackApiError, SlackClientError

TROUBLES = (SlackClientError, OSError, HTTPException)
"""Slack refuses, does not answer, or its answer is torn."""
HOPELESS = frozenset(
    {
        *("channel_not_found", "is_archived", "not_in_channel", "missing_scope", "restricted_action"),
        *("user_not_found", "message_not_found", "cant_update_message", "thread_not_found", "cannot_reply_to_message"),
        *("user_disabled", "user_not_visible", "cannot_dm_bot", "messages_tab_disabled"),
        "is_inactive",
    }
)
"""With these the destination will never take it."""
LOST = frozenset({"message_not_found", "cant_update_message"})
"""With these there is nothing to edit: the message was deleted, or another app wrote it."""
SHUT_OUT = frozenset({"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"})
"""A new token mends these; until then every notice waits."""
UNCLEAR = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable"})
"""With these Slack does not say whether it did what it was asked to."""
_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})
_USUAL_WAIT = timedelta(seconds=1)


def certainly_not_taken(error: Exception) -> bool:
    """Whether the call had no effect for sure: Slack said no, or was never reached."""
    if isinstance(error, SlackApiError):
        code = str(error.response.get("error"))  # for a body that is no JSON, slack_sdk puts a sentence there
        said_no = code.isidentifier() and code not in UNCLEAR
        return said_no and error.response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError)):
        return True
    return isinstance(cause, OSError) and cause.errno in _UNREACHABLE


def retry_after(error: SlackApiError) -> timedelta:
    """How long a 429 asks to wait; a second where it does not say."""
    asked = str(error.response.headers.get("Retry-After", ""))
    return timedelta(seconds=int(asked)) if asked.isdecimal() else _USUAL_WAIT
