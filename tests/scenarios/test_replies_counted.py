"""What happens in channels is counted once: replies by model version, and the flags on them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from builders import Office, Team, furnish, new_workspace, now, open_office
from sqlalchemy import text
from sqlmodel import select

from bot import cli
from bot.app import build
from bot.connection import client_for
from bot.health import Readiness
from bot.sandbox.delivery import Delivery
from bot.serving import CheckedSocketHandler
from bot.variables import FLAG_REACTION
from curation import audit, replies
from curation.people import revoke
from curation.policies import RoleName
from curation.store.tables import Reply, ReplyFlag
from training import deployments, orders
from training.deployments import DeploymentStep

EVENTS = frozenset({"message", "reaction_added", "reaction_removed"})
BRIS = 1


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Office]:
    """An office whose bot hears what happens in its channels."""
    with open_office(tmp_path) as opened:
        opened.workspace.subscriptions = EVENTS
        yield opened


def figures(office: Office) -> list[tuple[str | None, int, int, int]]:
    """Version, replies, flagged, corrected."""
    office.workspace.wait_until_delivered()
    with office.store.read() as session:
        found = replies.per_version(session, BRIS)
    return [(one.model_version, one.replies, one.flagged, one.corrected) for one in found]


def rows(office: Office) -> list[Reply]:
    office.workspace.wait_until_delivered()
    with office.store.read() as session:
        return list(session.exec(select(Reply).order_by(Reply.source)))


def deliveries(office: Office, kind: str) -> list[Delivery]:
    office.workspace.wait_until_delivered()
    return [one for one in office.workspace.deliveries if one.payload.get("event", {}).get("type") == kind]


def two_runs(office: Office) -> tuple[str, str]:
    """Two runs whose models could be deployed."""
    actors = {name: office.actor(name) for name in ("ana", "ben", "bea", "olga")}
    team = Team(office.store, BRIS, f"{office.workspace.team_id}/{office.channel}", **actors)
    for question in ("How long does the filter last?", "Is the jug safe in the dishwasher?", "Where from?"):
        team.approve(question, "Six months.")
    team.freeze("v1")
    made = []
    for _ in range(2):
        with office.store.write() as session:
            run = orders.request(session, team.olga, now(), dataset_name="v1", model="rehearsal")
            run.status = "completed"
            made.append(run.id)
        with office.store.write() as session:
            deployments.request(session, team.olga, now(), run_id=made[-1])
    return made[0], made[1]


def switch(office: Office, run_id: str, *, to: DeploymentStep, then: DeploymentStep | None = None) -> None:
    """What a worker does to the deployment of this run."""
    with office.store.write() as session:
        deployment = deployments.of_run(session, run_id)
        assert deployment is not None
        for step in filter(None, (to, then)):
            deployments.advance(session, now(), deployment, step)


def test_a_reply_of_the_assistant_is_counted_without_its_words(desk: Office) -> None:
    _, reply = desk.ask("How long does the filter last?", "For ever.")
    (row,) = rows(desk)
    assert row.source == f"{desk.workspace.team_id}/{desk.channel}/{reply}"
    assert (row.assistant_id, row.model_version, row.withdrawn) == (BRIS, None, False)
    assert row.hour == datetime.fromtimestamp(float(reply), UTC).replace(minute=0, second=0, microsecond=0)
    assert "ever" not in repr(row)


def test_people_errata_itself_and_other_bots_are_no_assistant(desk: Office) -> None:
    other = desk.workspace.add_bot("Weather")
    with desk.workspace.state.lock:
        desk.workspace.state.channels[desk.channel].members.append(other.user_id)
    other.post(desk.channel, "Rain.")
    _, reply = desk.ask("How long does the filter last?", "For ever.", aside="Nonsense.")
    assert desk.correct(desk.ana, reply, "Six months.") == {}
    assert desk.cards()  # Errata's own message
    assert len(rows(desk)) == 1


def test_what_is_changed_or_shown_twice_afterwards_is_not_said_again(desk: Office) -> None:
    thread = desk.customer.post(desk.channel, "How long does the filter last?")
    reply = desk.bris.post(desk.channel, "One moment …", thread_ts=thread, broadcast=True)
    for words in ("Six …", "Six months."):
        desk.bris.edit(desk.channel, reply, words)
    assert figures(desk) == [(None, 1, 0, 0)]
    assert len(deliveries(desk, "message")) == 4


@pytest.mark.parametrize("subtype", ["bot_message", "file_share", "me_message"])
def test_a_reply_under_a_subtype_that_says_something_new_counts(desk: Office, subtype: str) -> None:
    said = {"subtype": subtype, "bot_id": desk.bris.bot_id, "text": "Six months.", "channel": desk.channel}
    desk.workspace.state.on_event({"type": "message", **said, "ts": "1700000000.000100"})
    assert figures(desk) == [(None, 1, 0, 0)]


@pytest.mark.parametrize("subtype", ["channel_join", "message_replied", "ekm_access_denied", "reminder_add"])
def test_what_is_no_reply_does_not_count(desk: Office, subtype: str) -> None:
    said = {"type": "message", "user": desk.bris.user_id, "text": "joined", "channel": desk.channel}
    desk.workspace.state.on_event({**said, "subtype": subtype, "ts": "1700000000.000100"})
    desk.workspace.state.on_event({**said, "hidden": True, "ts": "1700000000.000200"})
    assert figures(desk) == []


@pytest.mark.parametrize(
    "changes", [{"ts": "soon"}, {"ts": None}, {"ts": "9" * 40}, {"channel": "C 1"}, {"user": None, "bot_id": None}]
)
def test_an_event_that_names_no_message_is_taken_and_counts_nothing(
    desk: Office, changes: dict[str, str | None]
) -> None:
    said = {
        "type": "message",
        "user": desk.bris.user_id,
        "text": "x",
        "channel": desk.channel,
        "ts": "1700000000.000100",
    }
    desk.workspace.state.on_event({**said, **changes})
    desk.workspace.state.on_event(said)
    assert figures(desk) == [(None, 1, 0, 0)]
    assert all(one.acknowledged for one in deliveries(desk, "message"))


def test_a_reply_that_was_deleted_unread_counts_no_more_and_a_late_copy_does_not_bring_it_back(desk: Office) -> None:
    with desk.workspace.events_out_of_order(copies=3):
        _, gone = desk.ask("How long does the filter last?", "One moment …")
        desk.bris.delete(desk.channel, gone)
        desk.ask("And the jug?", "It is safe.")
    assert figures(desk) == [(None, 1, 0, 0)]


def test_a_deleted_reply_with_answers_below_it_leaves_a_tombstone_and_counts_no_more(desk: Office) -> None:
    _, reply = desk.ask("How long does the filter last?", "For ever.")
    before = desk.workspace.message(desk.channel, reply)
    left = {"subtype": "tombstone", "user": "USLACKBOT", "ts": reply}
    changed = {"type": "message", "subtype": "message_changed", "hidden": True, "channel": desk.channel}
    desk.workspace.state.on_event({**changed, "message": left, "previous_message": before, "ts": "1700000009.000100"})
    assert figures(desk) == []


def test_events_in_any_order_and_number_count_once(desk: Office) -> None:
    with desk.workspace.events_out_of_order(copies=5):
        _, first = desk.ask("How long does the filter last?", "For ever.")
        _, second = desk.ask("And the jug?", "For ever as well.")
        desk.ana.react(desk.channel, first, FLAG_REACTION)
        desk.ben.react(desk.channel, first, FLAG_REACTION)
        desk.ana.react(desk.channel, second, FLAG_REACTION)
        desk.ana.react(desk.channel, second, FLAG_REACTION, added=False)
    assert figures(desk) == [(None, 2, 1, 0)]
    with desk.store.read() as session:
        done = [(entry.action, entry.actor) for entry in audit.search(session, action="reply")]
    ana, ben = desk.actor("ana").person_id, desk.actor("ben").person_id
    # The flag that was taken back was first heard of when that was known.
    assert done == [("reply.flag_taken_back", ana), ("reply.flagged", ben), ("reply.flagged", ana)]


def test_whoever_takes_back_a_flag_takes_back_their_own(desk: Office) -> None:
    _, reply = desk.ask("How long does the filter last?", "For ever.")
    desk.ana.react(desk.channel, reply, FLAG_REACTION)
    desk.ben.react(desk.channel, reply, FLAG_REACTION)
    desk.ana.react(desk.channel, reply, FLAG_REACTION, added=False)
    assert figures(desk) == [(None, 1, 1, 0)]
    desk.ben.react(desk.channel, reply, FLAG_REACTION, added=False)
    assert figures(desk) == [(None, 1, 0, 0)]
    desk.ana.react(desk.channel, reply, FLAG_REACTION)
    assert figures(desk) == [(None, 1, 1, 0)]


def test_a_flag_needs_the_role_and_the_sign(desk: Office) -> None:
    _, reply = desk.ask("How long does the filter last?", "For ever.")
    desk.customer.react(desk.channel, reply, FLAG_REACTION)
    desk.customer.react(desk.channel, reply, FLAG_REACTION, added=False)
    desk.ana.react(desk.channel, reply, "eyes")
    desk.workspace.wait_until_delivered()
    with desk.store.read() as session:
        assert list(session.exec(select(ReplyFlag))) == []
    assert all(one.acknowledged for one in deliveries(desk, "reaction_added"))


def test_whoever_lost_the_role_may_still_take_back(desk: Office) -> None:
    _, reply = desk.ask("How long does the filter last?", "For ever.")
    desk.ana.react(desk.channel, reply, FLAG_REACTION)
    desk.workspace.wait_until_delivered()
    with desk.store.write() as session:
        revoke(session, desk.actor("olga"), now(), person=desk.actor("ana").person_id, role=RoleName.AGENT)
    desk.ana.react(desk.channel, reply, FLAG_REACTION, added=False)
    assert figures(desk) == [(None, 1, 0, 0)]
    desk.ana.react(desk.channel, reply, FLAG_REACTION)
    assert figures(desk) == [(None, 1, 0, 0)]


def test_a_correction_flags_a_reply_as_well_unless_it_is_rejected(desk: Office) -> None:
    _, reply = desk.ask("How long does the filter last?", "For ever.")
    desk.correct(desk.ana, reply, "Six months.")
    assert figures(desk) == [(None, 1, 1, 1)]
    desk.review(desk.ben)
    assert desk.reject(desk.ben, "The reply was right.") == {}
    assert figures(desk) == [(None, 1, 0, 0)]


def test_a_flagged_reply_stays_counted_when_it_is_deleted(desk: Office) -> None:
    _, reply = desk.ask("How long does the filter last?", "For ever.")
    desk.ana.react(desk.channel, reply, FLAG_REACTION)
    desk.bris.delete(desk.channel, reply)
    assert figures(desk) == [(None, 1, 1, 0)]


def test_a_reply_belongs_to_the_model_that_was_live_when_it_was_said_not_when_it_is_heard_of(desk: Office) -> None:
    first, second = two_runs(desk)
    with desk.workspace.events_out_of_order(copies=2):
        desk.ask("Question 1?", "Before any.")
        switch(desk, first, to=DeploymentStep.ANSWERED)
        desk.ask("Question 2?", "By the first.")
        desk.ask("Question 3?", "By the first.")
        switch(desk, second, to=DeploymentStep.ANSWERED)
        _, flagged = desk.ask("Question 4?", "By the second, which takes over.")
        switch(desk, first, to=DeploymentStep.RETIRE, then=DeploymentStep.STOPPED)
        desk.ask("Question 5?", "By the second.")
        switch(desk, second, to=DeploymentStep.RETIRE, then=DeploymentStep.STOPPED)
        desk.ask("Question 6?", "After all.")
        desk.ana.react(desk.channel, flagged, FLAG_REACTION)
    assert sorted(figures(desk), key=str) == sorted([(None, 2, 0, 0), (first, 2, 0, 0), (second, 2, 1, 0)], key=str)
    with desk.store.read() as session:
        rates = {one.model_version: one.flag_rate for one in replies.per_version(session, BRIS)}
    assert rates == {None: 0.0, first: 0.0, second: 0.5}


def test_an_event_that_cannot_be_kept_is_left_with_slack_which_brings_it_again(tmp_path: Path) -> None:
    with open_office(tmp_path) as desk:
        desk.workspace.subscriptions = EVENTS
        with desk.store.write() as session:
            session.connection().execute(text("ALTER TABLE replies RENAME TO elsewhere"))
        desk.workspace._deliverer._retry_delays_seconds = (0.0, 0.5)
        desk.bris.post(desk.channel, "Six months.")
        desk.workspace.wait_until(lambda: len(desk.workspace.deliveries) == 2, what="the second try")
        with desk.store.write() as session:
            session.connection().execute(text("ALTER TABLE elsewhere RENAME TO replies"))
        assert figures(desk) == [(None, 1, 0, 0)]
        statuses = [one.answer.status for one in deliveries(desk, "message") if one.answer]
        assert statuses == [503, 503, 200]


def test_socket_mode_counts_the_same(tmp_path: Path) -> None:
    with new_workspace().serve() as workspace:
        workspace.subscriptions = EVENTS
        office = furnish(workspace, tmp_path)
        app = build(office.settings, office.store)
        handler = CheckedSocketHandler(
            app, workspace.app_token, web_client=client_for(office.settings, workspace.app_token)
        )
        handler.connect()  # type: ignore[no-untyped-call]  # slack_bolt annotates it by half
        try:
            assert workspace.socket_connected.wait(30)
            with workspace.events_out_of_order(copies=3):
                _, reply = office.ask("How long does the filter last?", "For ever.")
                office.ana.react(office.channel, reply, FLAG_REACTION)
            assert figures(office) == [(None, 1, 1, 0)]
        finally:
            handler.close()  # type: ignore[no-untyped-call]
            office.store.close()


def test_the_loss_of_the_app_is_said_once_in_the_log_and_by_readiness(
    desk: Office, caplog: pytest.LogCaptureFixture
) -> None:
    clock = now()
    readiness = Readiness(desk.store, desk.settings.home, lambda: clock, monotonic=count().__next__)
    desk.workspace.subscriptions = None
    desk.workspace.state.on_event({"type": "tokens_revoked", "tokens": {"oauth": ["U1"], "bot": []}})
    desk.workspace.wait_until_delivered()
    assert "slack" not in readiness.checks()
    desk.ahead.by += timedelta(seconds=2)
    with caplog.at_level("ERROR", "errata.events"):
        desk.workspace.state.now = desk.ahead
        desk.workspace.state.on_event({"type": "tokens_revoked", "tokens": {"oauth": [], "bot": ["UBOT"]}})
        desk.workspace.wait_until_delivered()
    (line,) = caplog.records
    assert "install the app again" in line.getMessage()
    assert readiness.checks()["slack"] == {"ready": False, "reason": "revoked"}
    later = Readiness(desk.store, desk.settings.home, lambda: clock + timedelta(minutes=1), monotonic=count().__next__)
    assert "slack" not in later.checks()  # it was started with the token of a later installation


def test_the_figures_are_told_in_the_terminal(
    desk: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ERRATA_HOME", str(desk.settings.home))
    assert cli.run(["assistants", "replies"]) == 0
    assert "No reply of Bris has been counted yet" in capsys.readouterr().out
    _, reply = desk.ask("How long does the filter last?", "For ever.")
    desk.ask("And the jug?", "It is safe.")
    desk.ana.react(desk.channel, reply, FLAG_REACTION)
    desk.workspace.wait_until_delivered()
    assert cli.run(["assistants", "replies", "Bris", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert {**told, "first_hour": "", "last_hour": ""} == {
        "assistant": "Bris",
        "model_version": None,
        "replies": 2,
        "flagged": 1,
        "corrected": 0,
        "flag_rate": 0.5,
        "first_hour": "",
        "last_hour": "",
    }
    assert cli.run(["assistants", "replies"]) == 0
    shown = capsys.readouterr().out
    assert "production" in shown
    assert "50.0" in shown
    assert cli.run(["assistants", "replies", "Nobody"]) == 2
