"""What channels hear of a run: one message with its stages, pictures with words, and which model is live."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import Office
from shop import Shop, opened
from sqlmodel import select

from bot.blocks import runs as blocks
from bot.blocks.stages import done
from bot.connection import slack_client
from bot.notices import Deliverer
from bot.sandbox.limits import check_message
from bot.speech import ENGLISH_SPOKEN, OWN_NAMES, speaking
from curation.datasets import dataset
from curation.store.tables import Example, Notice
from training import runs
from training.evaluation.evaluations import Verdict
from training.orders import MOST_PLACES, RunStatus
from training.store.tables import Run
from training.summaries import RunSummary


@pytest.fixture
def shop(office: Office, tmp_path: Path) -> Shop:
    return opened(office, tmp_path / "home")


def status(shop: Shop) -> dict[str, Any]:
    """The one status message."""
    (message,) = [card for card in shop.office.cards() if card["text"].startswith(f"Run {shop.run().id}:")]
    return message


def stages(shop: Shop) -> dict[str, str]:
    (plan,) = [block for block in status(shop)["blocks"] if block["type"] == "plan"]
    return {task["title"]: task["status"] for task in plan["tasks"]}


def live(shop: Shop) -> str:
    """A run whose model is live; its id."""
    before = {run.id for run in listed(shop)}
    shop.say("train v1 rehearsal")
    shop.work()
    (run_id,) = {run.id for run in listed(shop)} - before
    shop.say(f"deploy {run_id}")
    shop.work()
    return run_id


def listed(shop: Shop) -> list[Run]:
    with shop.office.store.read() as session:
        return runs.listed(session)


def deployment(shop: Shop, run_id: str) -> list[str]:
    """The lines of the messages about this run's deployments, oldest first."""
    return [card["text"] for card in shop.office.cards() if card["text"].startswith(f"{run_id} ")]


def test_a_run_is_one_message_whose_stages_go_on(shop: Shop) -> None:
    shop.say("train v1 rehearsal")
    assert stages(shop) == {
        "Check": "complete",
        "Prepare": "in_progress",
        "Train": "pending",
        "Evaluate": "pending",
        "Gate": "pending",
        "Deploy": "pending",
    }
    shop.worker.tick()
    assert stages(shop)["Train"] == "in_progress"
    shop.work()
    assert set(stages(shop).values()) == {"complete", "pending"}
    assert stages(shop)["Deploy"] == "pending"
    assert blocks.CANCEL not in json.dumps(status(shop))
    shop.say(f"deploy {shop.run().id}")
    assert stages(shop)["Deploy"] == "in_progress"
    shop.work()
    assert stages(shop)["Deploy"] == "complete"


def test_a_run_that_fails_says_where_why_and_which_command_comes_next(shop: Shop) -> None:
    shop.say("train v1 rehearsal")
    for _ in range(2):
        shop.worker.tick()
    shop.backend.fail(shop.run().id, "The loss is not a number; lower the learning rate.")
    shop.work()
    assert stages(shop)["Train"] == "error"
    assert stages(shop)["Evaluate"] == "pending"
    told = json.dumps(status(shop))
    assert "lower the learning rate" in told
    assert "`/errata train v1 rehearsal`" in told
    assert f"errata run logs {shop.run().id}" in told


def test_a_button_that_costs_something_asks_first(shop: Shop) -> None:
    shop.say("train v1 rehearsal")
    shop.office.deliver()
    shown = json.dumps(status(shop))
    assert '"Cancel this run?"' in shown
    run_id = live(shop)
    buttons = [
        element
        for card in shop.office.cards()
        for block in card.get("blocks", [])
        for element in block.get("elements", [])
        if element.get("action_id", "").startswith("run_")
    ]
    assert {one["action_id"] for one in buttons if "confirm" in one} == {one["action_id"] for one in buttons}
    assert run_id in json.dumps(buttons)


def test_loss_and_scores_are_pictures_with_words_for_those_who_cannot_see_them(shop: Shop) -> None:
    shop.say("train v1 rehearsal")
    shop.work()
    loss, scores = shop.office.workspace.files
    assert "training loss from" in str(loss.alt_text)
    assert "2 of 2 corrections fixed (95 % interval 34% to 100%)" in str(scores.alt_text)
    assert scores.content is not None
    assert scores.content.startswith(b"\x89PNG")


def test_a_rollback_says_which_model_is_live_now(shop: Shop) -> None:
    first, second = live(shop), live(shop)
    assert deployment(shop, first) == [f"{first} is no longer live; {second} is live now."]
    (message,) = [card for card in shop.office.cards() if card["text"] == f"{second} is live."]
    shop.office.olga.click(shop.office.channel, message["ts"], blocks.ROLLBACK)
    shop.work()
    assert deployment(shop, second) == [f"{second} is no longer live; {first} is live now."]
    assert deployment(shop, first)[-1] == f"{first} is live."


def test_a_rollback_pressed_below_a_model_that_is_no_longer_live_changes_nothing(shop: Shop) -> None:
    live(shop)
    second = live(shop)
    (message,) = [card for card in shop.office.cards() if card["text"] == f"{second} is live."]
    for _ in range(2):
        shop.office.olga.click(shop.office.channel, message["ts"], blocks.ROLLBACK)
        shop.worker.tick()
    shop.office.workspace.wait_until(
        lambda: any(f"{second} is not live" in one["text"] for one in shop.office.olga.ephemerals), what="the refusal"
    )
    assert len(shop.deployments()) == 3


def test_after_the_last_model_was_taken_down_the_message_says_so_and_how_to_put_one_back(shop: Shop) -> None:
    run_id = live(shop)
    (message,) = [card for card in shop.office.cards() if card["text"] == f"{run_id} is live."]
    shop.office.olga.click(shop.office.channel, message["ts"], blocks.UNDEPLOY)
    shop.work()
    assert deployment(shop, run_id) == [f"{run_id} is no longer live; no model of Errata's is."]
    assert "/errata rollback" in shop.texts()


def test_channels_that_a_run_learned_from_hear_of_it_the_most_generous_first_and_not_all(shop: Shop) -> None:
    office, team = shop.office, shop.office.workspace.team_id
    with office.store.write() as session:
        version = dataset.find(session, "v1")
        for example in session.exec(select(Example)):
            example.source = f"{team}/D1/1700000000.000100"
    with office.store.read() as session:
        assert dataset.contributing_places(session, version) == []  # what becomes of a model is not told in private
    shop.say("train v1 rehearsal")
    assert shop.run().destinations == [f"{team}/{office.channel}"]  # where it was asked
    assert MOST_PLACES == 10


def test_an_archived_channel_hears_nothing_and_the_others_do(shop: Shop) -> None:
    office = shop.office
    other = office.workspace.add_channel("returns", list(office.people.values()))
    shop.say("train v1 rehearsal")
    with office.store.write() as session:
        run = runs.find(session, shop.run().id)
        run.destinations = [f"{office.workspace.team_id}/{other}", *run.destinations]
        runs.owe_status(session, office.ahead(), run)
    office.deliver()
    office.workspace.fail_next("chat.update", "is_archived")
    shop.work()
    assert stages(shop)["Gate"] == "complete"
    with office.store.read() as session:
        troubles = {one.trouble for one in session.exec(select(Notice)) if one.status == "failed"}
    assert troubles == {"is_archived"}


def test_a_run_is_told_in_the_language_of_the_workspace(shop: Shop) -> None:
    office = shop.office
    office.deliverer = Deliverer(office.store, slack_client(office.settings), office.ahead, language="de")
    shop.say("train v1 rehearsal")
    office.deliver()
    summary = made(RunStatus.REQUESTED, id=shop.run().id)
    text = blocks.status_text(speaking("de"), summary)
    assert [card for card in office.workspace.messages(office.channel) if card["text"] == text]


def made(state: RunStatus, **changes: Any) -> RunSummary:
    values: dict[str, Any] = dict.fromkeys(RunSummary.__dataclass_fields__)
    values |= {"id": "run-1a2b3c4d", "status": state.value, "dataset": "v1", "model": "phi-3.5-mini-instruct"}
    values |= {"recipe": "phi-lora", "requested_by": "Olga <!channel>", "step": 0, "steps": 0, "curve": (), "notes": ()}
    return RunSummary(**(values | changes))


def test_the_share_of_a_run_only_grows() -> None:
    asked = made(RunStatus.REQUESTED)
    training = [made(RunStatus.TRAINING, step=step, steps=10, started_at="x") for step in (0, 5, 10)]
    evaluating = made(RunStatus.EVALUATING, step=10, steps=10)
    shares = [done(one) for one in (asked, *training, evaluating, made(RunStatus.COMPLETED))]
    assert shares == sorted(shares)
    assert shares[0] < 0.05
    assert shares[-1] == 1.0
    assert blocks.status_text(ENGLISH_SPOKEN, training[1]) == "Run run-1a2b3c4d: training, 42%"


REPORT = {
    "sentence": "Better.",
    "scores": {"fixed": 1, "corrections": 2, "kept": 3, "endorsements": 4},
    "held_out": {"fixed": 1, "corrections": 1, "kept": 0, "endorsements": 0},
    "validation": {"candidate": {"perplexity": 2.0, "comparable": True}},
    "unigram_perplexity": 1234.5,
    "cases": [
        {
            "id": str(number),
            "kind": "correction",
            "expected": "A",
            "before": "<!channel> " * 400,
            "after": "https://evil.test " * 400,
            "messages": [{"role": "user", "content": "ä" * 5000}],
        }
        for number in range(9)
    ],
}


@pytest.mark.parametrize("language", OWN_NAMES)
@pytest.mark.parametrize("state", RunStatus)
def test_every_message_fits_into_slacks_limits_in_every_language(state: RunStatus, language: str) -> None:
    say = speaking(language)
    told = []
    for deployed in (None, "requested", "live", "retiring", "retired", "failed"):
        summary = made(
            state,
            step=5,
            steps=10,
            eta_seconds=4000.0,
            reason="x" * 5000,
            verdict=Verdict.WORSE.value,
            report=REPORT,
            deployment=deployed,
            endpoint="http://127.0.0.1:9/v1",
            test_question="?" * 5000,
            test_reply="!" * 5000,
            deployment_reason="No <!channel>.",
        )
        told += [blocks.status(say, summary), blocks.evaluated(say, summary)]
        told += [blocks.deployment(say, summary, live=other, former=other) for other in (None, "run-9", summary.id)]
    for shown in told:
        check_message({"text": "x", "blocks": shown})
        assert "<!channel>" not in json.dumps([block for block in shown if block["type"] == "section"])
