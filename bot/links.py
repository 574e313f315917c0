"""Addresses of Slack messages, made of what Errata keeps about them, without asking Slack."""

from __future__ import annotations

import re

_SOURCE = re.compile(r"(?:E[0-9A-Z]+/)?(?P<team>T[0-9A-Z]+)/(?P<channel>[CDG][0-9A-Z]+)/(?P<ts>\d+\.\d+)", re.ASCII)


def message_link(source: str) -> str | None:
    """``T1/C1/1700000000.000100`` → an address that opens the message; None where the source is no message.

    A permalink proper begins with the workspace's own domain, which only Slack can tell; this form names the
    workspace by its id and redirects. Source: docs.slack.dev, "Deep linking into Slack".
    """
    found = _SOURCE.fullmatch(source)
    if found is None:
        return None
    team, channel, ts = found["team"], found["channel"], found["ts"]
    return f"https://slack.com/app_redirect?team={team}&channel={channel}&message_ts={ts}"
