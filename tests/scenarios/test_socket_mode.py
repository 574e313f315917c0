"""Socket Mode through the handler that serves it: the same story as over HTTP, and what is not Slack's stays out."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import Office, furnish, new_workspace
from sqlmodel import select

from bot.app import build
from bot.connection import client_for
from bot.serving import CheckedSocketHandler
from curation.store.tables import Candidate, Example

QUESTION = "How long is the filter good for?"
WRONG = "The filter lasts for ever."
RIGHT = "A filter lasts six months."


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """An office whose bot is connected over Socket Mode, as ``errata serve`` connects it."""
    with new_workspace().serve() as workspace:
        opened = furnish(workspace, tmp_path)
        app_token = opened.settings.app_token
        handler = CheckedSocketHandler(
            build(opened.settings, opened.store), app_token, web_client=client_for(opened.settings, app_token)
        )
        handler.connect()  # type: ignore[no-untyped-call]  # slack_bolt annotates it by half
        assert workspace.socket_connected.wait(30)
        yield opened
        handler.close()  # type: ignore[no-untyped-call]
        opened.store.close()


def candidates(office: Office) -> list[Candidate]:
    with office.store.read() as session:
        return list(session.exec(select(Candidate)))


def test_a_correction_becomes_an_example_over_socket_mode(office: Office) -> None:
    _, reply = office.ask(QUESTION, WRONG, aside="I think that is nonsense.")
    assert office.correct(office.ana, reply, RIGHT, reason="wrong_fact", topic="filters") == {}
    assert "six months" in json.dumps(office.review(office.ben)["blocks"])
    assert office.approve(office.ben) == {}
    with office.store.read() as session:
        example = session.exec(select(Example)).one()
    assert example.messages == [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": RIGHT}]
    assert example.rejected == WRONG
    assert "1 was decided" in office.queue()["text"]
    assert office.ben.command("/errata", "queue", office.channel)["text"].startswith("Nothing waits")


def test_a_refused_form_keeps_its_text_over_socket_mode(office: Office) -> None:
    _, reply = office.ask(QUESTION, WRONG)
    office.ana.message_shortcut(office.channel, reply, "correct_reply")
    office.wait_for_thread(office.ana)
    errors = office.ana.submit({"correction": "  \n "})
    assert "The correction is empty" in errors["correction"]
    assert office.ana.submit({"correction": RIGHT}) == {}
    assert len(candidates(office)) == 1


SECRET = "words of a customer"


MALFORMED: list[tuple[str, dict[str, Any]]] = [
    ("interaction", {"type": "view_submission", "text": SECRET}),
    ("interaction", {"type": "block_actions", "user": {"id": "U1"}, "team": SECRET, "actions": []}),
    ("interaction", {"type": SECRET}),
    ("interaction", {}),
    ("command", {"command": "/errata", "text": SECRET}),
    ("command", {"command": "/errata", "text": SECRET, "team_id": 7, "user_id": "U1", "trigger_id": "1"}),
    ("event", {"type": "event_callback", "event": SECRET}),
]


def test_a_malformed_envelope_is_acknowledged_and_goes_no_further(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    for kind, payload in MALFORMED:
        caplog.clear()
        with caplog.at_level(logging.DEBUG, logger="errata"):
            assert office.workspace.hand_over(kind, payload) == {}, payload
        (record,) = [record for record in caplog.records if record.name.startswith("errata")]
        assert record.getMessage().startswith("refused: reason=payload detail=")
        assert SECRET not in record.getMessage()
    assert candidates(office) == []
    assert office.ana.command("/errata", "help", office.channel)["text"].startswith("Try one of these")
