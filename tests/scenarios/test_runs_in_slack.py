"""Runs through Slack: the command, the buttons and the notices, with a backend that trains nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import Office
from fakes import REPLY
from shop import QUESTION, Shop, opened
from sqlalchemy import Connection, event
from sqlmodel import select

from curation.store.tables import Candidate, Correction
from training.store.tables import Run


@pytest.fixture
def shop(office: Office, tmp_path: Path) -> Shop:
    return opened(office, tmp_path / "home")


def test_a_run_is_started_watched_deployed_and_taken_down_from_slack(shop: Shop) -> None:
    answer = shop.say("train v1 rehearsal")
    run_id = shop.run().id
    assert answer.startswith(f"*{run_id}* is requested")
    assert f"Run {run_id}: requested" in shop.texts()
    shop.work()
    assert f"Run {run_id}: completed" in shop.texts()
    assert "*2* of 2 corrected replies fixed" in shop.texts()
    assert f"*{run_id}*: completed, rehearsal on v1" in shop.say("runs")

    shop.office.olga.click(shop.office.channel, shop.message("run_deploy"), "run_deploy")
    shop.work()
    assert f"*{run_id}* is live at" in shop.texts()
    assert REPLY in shop.texts()
    assert QUESTION in shop.texts()
    assert shop.say("runs").endswith(", live")

    assert shop.say(f"undeploy {run_id[:7]}") == f"*{run_id}* is being taken down."
    shop.work()
    assert f"{run_id} is no longer live; no model of Errata's is." in shop.texts()
    status = [card for card in shop.office.cards() if card["text"].startswith(f"Run {run_id}: completed")]
    assert len(status) == 1


def test_the_cancel_button_stops_a_run_and_then_goes(shop: Shop) -> None:
    shop.say("train v1")
    shop.worker.tick()
    shop.office.olga.click(shop.office.channel, shop.message("run_cancel"), "run_cancel")
    shop.work()
    assert shop.run().status == "cancelled"
    assert "run_cancel" not in shop.texts()
    assert "Cancelled by a person." in shop.texts()


def test_the_resume_button_lets_a_failed_run_go_on_to_its_end(shop: Shop) -> None:
    shop.say("train v1")
    for _ in range(2):
        shop.worker.tick()
    shop.backend.train(shop.run().id, 4)
    shop.worker.tick()
    shop.backend.fail(shop.run().id, "The machine restarted.")
    shop.work()
    ts = shop.message("run_resume")
    ben = shop.office.ben
    ben.click(shop.office.channel, ts, "run_resume")
    shop.office.workspace.wait_until(lambda: ben.ephemerals, what="the refusal")
    assert "may not start and cancel runs" in ben.ephemerals[-1]["text"]
    assert shop.run().status == "failed"
    for _ in range(2):
        shop.office.olga.click(shop.office.channel, ts, "run_resume")
    assert f"Run {shop.run().id}: resuming" in shop.texts()
    assert "goes on from where it was" in shop.texts()
    assert "The machine restarted." not in shop.texts()
    shop.work()
    assert shop.run().status == "completed"
    assert "run_resume" not in shop.texts()
    assert (shop.backend.effective["submit", shop.run().id], shop.backend.effective["resume", shop.run().id]) == (1, 1)


def test_a_run_is_resumed_by_command_and_those_that_can_be_are_listed(shop: Shop) -> None:
    assert shop.say("resume").startswith("No run has failed or was cancelled.")
    shop.say("train v1")
    run_id = shop.run().id
    assert "is requested; only a run that failed or was cancelled can be resumed" in shop.say(f"resume {run_id}")
    shop.say(f"cancel {run_id}")
    assert shop.say("resume").startswith("Which run shall go on?")
    assert "run_resume" in json.dumps(shop.office.olga.ephemerals[-1]["blocks"])
    said = f"*{run_id}* goes on from where it was."
    assert shop.say(f"resume {run_id[:7]}") == shop.say(f"resume {run_id}") == said
    shop.work()
    assert shop.run().status == "completed"


def test_a_run_is_cancelled_by_command_once_however_often_it_is_asked(shop: Shop) -> None:
    shop.say("train v1")
    run_id = shop.run().id
    assert shop.say(f"cancel {run_id}") == shop.say(f"cancel {run_id}") == f"*{run_id}* is cancelled."


def test_the_deploy_button_pressed_twice_deploys_once(shop: Shop) -> None:
    shop.say("train v1")
    shop.work()
    ts = shop.message("run_deploy")
    for _ in range(2):
        shop.office.olga.click(shop.office.channel, ts, "run_deploy")
    assert shop.say(f"deploy {shop.run().id}").startswith(f"*{shop.run().id}* will go live")
    shop.work()
    shop.office.olga.click(shop.office.channel, ts, "run_deploy")
    assert [deployment.status for deployment in shop.deployments()] == ["live"]


@pytest.mark.parametrize("name", ["ben", "customer"])
def test_a_button_pressed_by_somebody_without_the_role_does_nothing_but_say_so(shop: Shop, name: str) -> None:
    person = shop.office.people[name]
    shop.say("train v1")
    person.click(shop.office.channel, shop.message("run_cancel"), "run_cancel")
    shop.office.workspace.wait_until(lambda: person.ephemerals, what="the refusal")
    assert "may not start and cancel runs" in person.ephemerals[-1]["text"]
    assert shop.run().status == "requested"
    shop.work()
    person.click(shop.office.channel, shop.message("run_deploy"), "run_deploy")
    shop.office.workspace.wait_until(lambda: len(person.ephemerals) == 2, what="the second refusal")
    assert "may not deploy models" in person.ephemerals[-1]["text"]
    assert shop.deployments() == []


def test_an_agents_command_is_refused_with_the_role_it_takes(shop: Shop) -> None:
    for words in ("freeze", "train v1", "cancel run-1", "resume run-1", "deploy run-1", "undeploy run-1", "queue"):
        answer = shop.say(words, shop.office.ana)
        assert answer.startswith("Ana may not "), words
        assert "errata people grant" in answer, words


SLIPS = [
    ("", "Try one of these:"),
    ("help", "`/errata undeploy` take a model down"),
    ("dance", "There is no command dance: /errata help lists what there is."),
    ("FREZE", "Did you mean /errata freeze?"),
    ("<!channel>", "There is no command &lt;!channel&gt;:"),
    ('freeze "my set', "A quotation mark is missing"),
    ("freeze 'é", "cannot name a dataset"),
    ('""', "There is no command"),
    ("train v9", "There is no dataset v9"),
    ("train v1 gpt-99", "There is no base model"),
    ("train v1 rehearsal nonsense", "nonsense is no shipped recipe: choose one of chat-lora, phi-14b-24gb"),
    ("train v1 production", "No model is live yet"),
    ("cancel", "No run is going on."),
    ("deploy", "No run can be deployed."),
    ("undeploy", "No model of Errata's is live."),
    ("cancel run-none", "There is no run run-none"),
    ("deploy %", "There is no run %"),
    ("runs", "No run yet."),
    ("freeze ../v2", "cannot name a dataset"),
    ("freeze v1", "There is a dataset named v1 already"),
    ("freeze v2 80%", "A validation side of 80% is not possible"),
    ("freeze v2 half", "half is neither a share nor a file"),
    ("queue", "Nothing waits for review."),
]


def test_every_slip_in_a_command_is_answered_with_what_to_do(shop: Shop) -> None:
    said = {words: shop.say(words) for words, _ in SLIPS}
    assert {words: said[words] for words, answer in SLIPS if answer not in said[words]} == {}
    assert not any("<!channel>" in answer or "Traceback" in answer for answer in said.values())


PATHS = [
    "train v1 /etc/passwd",
    "train v1 ../model",
    "train v1 ~/model",
    "train v1 C:\\\\model",
    "train v1 secrets/model",
    "train v1 rehearsal /tmp/recipe.toml",
    "train v1 rehearsal recipe.toml",
    "train v1 rehearsal secrets/recipe",
]


def test_a_path_of_the_host_is_refused_from_slack(shop: Shop) -> None:
    for words in PATHS:
        said = shop.say(words)
        assert "There is no base model" in said or "is no shipped recipe" in said, words
    with shop.office.store.read() as session:
        assert session.exec(select(Run)).all() == []


def test_the_queue_quotes_what_waits_without_pinging(shop: Shop) -> None:
    _, reply = shop.office.ask("Is it on?", "It is on <!channel> https://evil.test")
    shop.office.correct(shop.office.ana, reply, "It is.")
    said = shop.say("queue", shop.office.ben)
    assert said.startswith("1 waits for review:\n• #3 correction, ")
    assert "&lt;!channel&gt;" in said
    assert "https://evil" not in said


def test_a_failed_run_says_in_the_channel_why_and_what_next(shop: Shop) -> None:
    shop.say("train v1")
    run_id = shop.run().id
    for _ in range(2):
        shop.worker.tick()
    shop.backend.fail(run_id, "The loss is not a number; lower the learning rate.")
    shop.work()
    assert "lower the learning rate" in shop.texts()
    assert f"errata run logs {run_id}" in shop.texts()


def test_where_slack_broke_off_while_the_thread_was_read_the_form_asks_for_the_question(shop: Shop) -> None:
    office = shop.office
    _, reply = office.ask("Is it on?", "No.")
    office.workspace.fail_next("conversations.replies", "drop_answer", times=2)  # the SDK tries once more by itself
    assert office.correct(office.ana, reply, "It is.", question="Is it on?") == {}
    with office.store.read() as session:
        assert session.exec(select(Candidate)).all()[-1].turns == [{"role": "user", "content": "Is it on?"}]


def test_a_full_disk_keeps_the_text_in_the_form_and_stores_nothing(shop: Shop) -> None:
    office = shop.office
    _, reply = office.ask("Is it on?", "No.")
    office.ana.message_shortcut(office.channel, reply, "correct_reply")
    office.wait_for_thread(office.ana)
    written = "ä" * 2900  # does not fit into what the last page has left
    lift = full_disk(office)
    errors = office.ana.submit({"correction": written, "topic": "power"})
    assert errors == {"correction": "The disk is full; nothing was written. Free some space and try again."}
    assert written in json.dumps(office.ana.modal, ensure_ascii=False)
    with office.store.read() as session:
        assert len(session.exec(select(Candidate)).all()) == 2
        assert len(session.exec(select(Correction)).all()) == 2
    lift()
    assert office.ana.submit() == {}
    with office.store.read() as session:
        assert [one.topic for one in session.exec(select(Candidate))] == [None, None, "power"]


def full_disk(office: Office) -> Callable[[], None]:
    """Let the database grow no further; call what comes back to free the disk again."""
    pages = {"limit": 1}  # SQLite takes the present size where that is more

    # At every transaction: somebody may be writing just now, whose connection is kept for the next one.
    @event.listens_for(office.store.engine, "begin")
    def limit(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages['limit']}")

    def lift() -> None:
        pages["limit"] = 10**6

    return lift
