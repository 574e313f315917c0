"""Addresses of Slack messages: made of what Errata keeps about them, and read from what people paste.

Asks nothing of Slack. Whether there is such a message, and who may see it, is for whoever looks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

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


@dataclass(frozen=True, slots=True)
class Linked:
    """A message that somebody has the address of.

    Attributes:
        thread_ts: the thread that it stands in, where the address says so.
        team: the workspace's id, where the address says so.
        host: of the address, such as ``klarbris.slack.com``; empty where it names no workspace.
    """

    channel: str
    ts: str
    thread_ts: str | None = None
    team: str | None = None
    host: str = ""


_CHANNEL = re.compile(r"[CDG][A-Z0-9]{1,29}", re.ASCII)
_TEAM = re.compile(r"[TE][A-Z0-9]{1,29}", re.ASCII)
_TS = re.compile(r"[0-9]{10}\.[0-9]{6}", re.ASCII)
_PACKED_TS = re.compile(r"p(?P<seconds>[0-9]{10})(?P<rest>[0-9]{6})", re.ASCII)
_OF_NO_WORKSPACE = frozenset({"slack.com", "app.slack.com", "www.slack.com"})


def read_link(text: str) -> Linked | None:
    """The message that an address of Slack's leads to; None where it leads to none.

    Of permalinks, of the browser's own address, of the deep links of phones and of ``message_link``, bare or as
    Slack writes them into a message: ``<https://x.slack.com/archives/C1/p1700000000000100|a reply>``.
    """
    address = text.strip().removeprefix("<").removesuffix(">").partition("|")[0].replace("&amp;", "&")
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").lower()
        asked = {name: values[0] for name, values in parse_qs(parts.query, max_num_fields=20).items()}
    except ValueError:
        return None
    thread_ts, path = asked.get("thread_ts"), [one for one in parts.path.split("/") if one]
    slack = parts.scheme in {"http", "https"} and (host == "slack.com" or host.endswith(".slack.com"))
    if parts.scheme == "slack":
        return _linked(asked.get("id"), asked.get("message"), thread_ts, asked.get("team"))
    found = None
    match path if slack else []:
        case ["archives", channel, message]:
            found = _linked(channel, message, thread_ts, None, "" if host in _OF_NO_WORKSPACE else host)
        case ["client", team, channel, "thread", place]:
            root = place.rpartition("-")[2]
            found = _linked(channel, asked.get("message_ts") or root, root, team)
        case ["client", team, channel, message]:
            found = _linked(channel, message, thread_ts, team)
        case ["app_redirect"]:
            found = _linked(asked.get("channel"), asked.get("message_ts"), thread_ts, asked.get("team"))
    return found


def _linked(
    channel: str | None, message: str | None, thread_ts: str | None, team: str | None, host: str = ""
) -> Linked | None:
    packed = _PACKED_TS.fullmatch(message or "")
    ts = f"{packed['seconds']}.{packed['rest']}" if packed else message or ""
    if not _CHANNEL.fullmatch(channel or "") or not _TS.fullmatch(ts):
        return None
    thread = thread_ts if _TS.fullmatch(thread_ts or "") else None
    return Linked(channel or "", ts, thread, team if _TEAM.fullmatch(team or "") else None, host)
