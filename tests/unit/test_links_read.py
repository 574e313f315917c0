"""Addresses that people paste: every form in which Slack gives out a message's, and nothing else."""

from __future__ import annotations

import pytest

from bot.links import Linked, message_link, read_link

REPLY = Linked("C0123", "1700000000.000100", "1699999999.000200", None, "klarbris.slack.com")
BARE = Linked("C0123", "1700000000.000100", host="klarbris.slack.com")


@pytest.mark.parametrize(
    ("address", "linked"),
    [
        ("https://klarbris.slack.com/archives/C0123/p1700000000000100", BARE),
        (" <https://klarbris.slack.com/archives/C0123/p1700000000000100> ", BARE),
        ("<https://klarbris.slack.com/archives/C0123/p1700000000000100|what he said>", BARE),
        ("https://KLARBRIS.slack.com/archives/C0123/p1700000000000100/", BARE),
        ("https://klarbris.slack.com/archives/C0123/p1700000000000100?thread_ts=1699999999.000200&cid=C0123", REPLY),
        (
            "https://klarbris.slack.com/archives/C0123/p1700000000000100?thread_ts=1699999999.000200&amp;cid=C0123",
            REPLY,
        ),
        (
            "https://a.enterprise.slack.com/archives/G0123/p1700000000000100",
            Linked("G0123", "1700000000.000100", host="a.enterprise.slack.com"),
        ),
        (
            "slack://channel?team=T01&id=C0123&message=1700000000.000100&thread_ts=1699999999.000200",
            Linked("C0123", "1700000000.000100", "1699999999.000200", "T01"),
        ),
        (
            "https://app.slack.com/client/T01/C0123/thread/C0123-1700000000.000100",
            Linked("C0123", "1700000000.000100", "1700000000.000100", "T01"),
        ),
        (
            "https://app.slack.com/client/T01/C0123/p1700000000000100",
            Linked("C0123", "1700000000.000100", None, "T01"),
        ),
        (message_link("T01/C0123/1700000000.000100"), Linked("C0123", "1700000000.000100", None, "T01")),
    ],
)
def test_every_address_of_a_message_is_read(address: str, linked: Linked) -> None:
    assert read_link(address) == linked


@pytest.mark.parametrize(
    "address",
    [
        *("", "LINK", "https://", "https://[", "slack://", "slack://channel?id=C0123", "p1700000000000100"),
        "https://klarbris.slack.com.evil.test/archives/C0123/p1700000000000100",
        "https://evil.test/klarbris.slack.com/archives/C0123/p1700000000000100",
        "ftp://klarbris.slack.com/archives/C0123/p1700000000000100",
        "https://klarbris.slack.com/archives/C0123",
        "https://klarbris.slack.com/archives/C0123/p17000000",
        "https://klarbris.slack.com/archives/U0123/p1700000000000100",
        "https://klarbris.slack.com/archives/C0123/p1700000000000100/more/of/it",
        "https://klarbris.slack.com/archives/C0123/p١٧٠٠٠٠٠٠٠٠٠٠٠١٠٠",
        "https://klarbris.slack.com/?" + "&".join(f"a{number}=1" for number in range(500)),
    ],
)
def test_anything_else_is_no_address_of_a_message(address: str) -> None:
    assert read_link(address) is None
