"""A message of Errata's that somebody deleted, a channel that was archived, Errata taken out and brought back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import Office
from shop import Shop, opened
from slack_sdk import WebClient
from sqlmodel import col, select

from curation import rolling
from curation.notices import NoticeKind
from curation.reviews import Verdict
from curation.store.tables import Candidate, Notice

RIGHT = "The filter lasts six months."


@pytest.fixture
def shop(office: Office, tmp_path: Path) -> Shop:
    return opened(office, tmp_path / "home")


def notices(office: Office, kind: NoticeKind) -> list[Notice]:
    with office.store.read() as session:
        return list(session.exec(select(Notice).where(Notice.kind == kind.value).order_by(col(Notice.id))))


def remove(office: Office, ts: str, channel: str | None = None) -> None:
    """An admin deletes a message of Errata's, or Slack does after the workspace's time."""
    client = WebClient(token=office.workspace.bot_token, base_url=office.workspace.api_url)
    client.chat_delete(channel=channel or office.channel, ts=ts)


def text(message: dict[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False).replace("\u2060", "")


def test_a_queue_whose_message_was_deleted_gets_a_new_one_and_that_one_is_edited_again(office: Office) -> None:
    office.flag("How long?", RIGHT)
    (first,) = office.cards()
    remove(office, first["ts"])
    office.flag("How wide?", "A metre.")
    (second,) = office.cards()
    assert second["ts"] != first["ts"]
    assert "2 wait for review" in text(second)
    office.review(office.ben)
    office.flag("How deep?", "Two metres.")
    (third,) = office.cards()
    assert third["ts"] == second["ts"]
    assert "3 wait for review" in text(third)
    assert {one.status for one in notices(office, NoticeKind.QUEUE)} == {"delivered"}


def test_a_message_of_another_app_is_left_alone_and_a_new_one_begins(office: Office) -> None:
    """As after Errata was installed anew, from another manifest."""
    office.flag("How long?", RIGHT)
    office.cards()
    office.workspace.fail_next("chat.update", "cant_update_message")
    office.flag("How wide?", "A metre.")
    old, new = office.cards()
    assert ("1 waits for review" in text(old), "2 wait for review" in text(new)) == (True, True)


def test_a_worker_that_dies_between_finding_it_deleted_and_posting_posts_one(office: Office) -> None:
    office.flag("How long?", RIGHT)
    (first,) = office.cards()
    remove(office, first["ts"])
    office.flag("How wide?", "A metre.")
    office.workspace.fail_next("chat.postMessage", "drop_answer")
    (second,) = office.cards()
    assert "2 wait for review" in text(second)


def test_an_older_message_that_only_points_below_is_not_posted_again(office: Office) -> None:
    key = office.flag("How long?", RIGHT)
    (first,) = office.cards()
    office.decide("ben", key, Verdict.REJECT, comment="No.")
    office.deliver()
    remove(office, first["ts"])
    office.flag("How wide?", "A metre.")  # nothing waited: it begins anew, and the one above is owed a last edit
    (message,) = office.cards()
    assert "1 waits for review" in text(message)
    place = f"{office.workspace.team_id}/{office.channel}"
    with office.store.read() as session:
        assert rolling.is_current(session, rolling.message_key(place, 2))


def test_in_an_archived_channel_nothing_is_lost_and_once_it_is_back_the_message_says_all(office: Office) -> None:
    office.flag("How long?", RIGHT)
    office.cards()
    office.workspace.archive(office.channel)
    office.flag("How wide?", "A metre.")
    assert "1 waits for review" in text(office.cards()[0])
    assert notices(office, NoticeKind.QUEUE)[-1].trouble in {"is_archived", "is_inactive"}
    office.review(office.ben, shortcut=True)
    assert office.reviewed(office.ben) == 1
    office.workspace.unarchive(office.channel)
    office.flag("How deep?", "Two metres.")
    (message,) = office.cards()
    assert "3 wait for review" in text(message)


def test_errata_taken_out_of_the_channel_and_brought_back_goes_on_in_its_message(office: Office) -> None:
    office.flag("How long?", RIGHT)
    (before,) = office.cards()
    office.workspace.remove_errata(office.channel)
    office.flag("How wide?", "A metre.")
    office.deliver()
    assert notices(office, NoticeKind.QUEUE)[-1].status == "failed"
    with office.store.read() as session:
        assert len(session.exec(select(Candidate)).all()) == 2
    office.workspace.bring_in_errata(office.channel)
    office.flag("How deep?", "Two metres.")
    (after,) = office.cards()
    assert after["ts"] == before["ts"]
    assert "3 wait for review" in text(after)


def test_in_a_channel_without_any_reviewer_the_message_stands_and_says_who_may(office: Office) -> None:
    office.flag("How long?", RIGHT)
    office.customer.click(office.channel, office.queue()["ts"], "review_open")
    assert "reviewer" in text(office.customer.modal or {})
    assert office.reviewed(office.customer) is None


def test_an_author_hears_although_the_last_message_is_gone(office: Office) -> None:
    """Some workspaces delete messages after a month, and a correction may come back later."""
    key = office.flag("How long?", RIGHT)
    office.decide("ben", key, Verdict.RETURN, comment="Shorter.")
    office.deliver()
    (first,) = office.ana.dms
    remove(office, first["ts"], office.ana.dm_channel)
    office.decide("ben", key, Verdict.REJECT, comment="It is wrong.")
    office.deliver()
    (second,) = office.ana.dms
    assert "It is wrong." in text(second)


def test_a_run_whose_message_was_deleted_says_in_a_new_one_how_it_ended(shop: Shop) -> None:
    shop.say("train v1 rehearsal")
    shop.office.deliver()
    (status,) = [one for one in shop.office.cards() if "Run run-" in one["text"]]
    remove(shop.office, status["ts"])
    shop.work()
    (status,) = [
        one for one in shop.office.cards() if one["text"].startswith("Run run-") and "evaluated" not in text(one)
    ]
    assert "completed" in text(status)
