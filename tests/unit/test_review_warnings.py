"""The card's warnings with the worst that people write: Slack takes it, nobody is pinged, nothing becomes a link."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from test_blocks import CANDIDATE, TEXTS, hostile_candidate

from bot.blocks import review
from bot.sandbox.limits import check_message
from curation.findings import Finding, Severity


def finding(message: str, severity: Severity = Severity.WARNING) -> Finding:
    return Finding("screen.new_link", severity, message, "Look at it.")


@pytest.mark.parametrize("name", TEXTS)
def test_slack_takes_a_card_whose_warnings_quote_anything(name: str) -> None:
    text = TEXTS[name]
    summary = replace(hostile_candidate(text, "pending", "correction"), findings=(finding(text),) * 12)
    blocks = review.card(summary)
    check_message({"text": review.card_text(summary), "blocks": blocks})
    (shown,) = [block["text"]["text"] for block in blocks if "Look twice" in json.dumps(block)]
    assert "<!" not in shown
    assert "<@" not in shown
    assert shown.endswith("and 9 more: `errata review 7`")


def test_warnings_come_before_what_is_only_worth_knowing() -> None:
    found = (finding("It is new.", Severity.INFO), finding("It is odd."), finding("It is odder."))
    blocks = review.card(replace(CANDIDATE, findings=found))
    (shown,) = [block["text"]["text"] for block in blocks if "Look twice" in json.dumps(block)]
    assert shown.splitlines() == [
        "*Look twice*",
        ":warning: It is odd.",
        ":warning: It is odder.",
        ":information_source: It is new.",
    ]


def test_a_decided_card_warns_of_nothing_any_more() -> None:
    decided = replace(CANDIDATE, status="approved", verdict="approve", reviewer="Ben", findings=(finding("Odd."),))
    assert "Look twice" not in json.dumps(review.card(decided))
