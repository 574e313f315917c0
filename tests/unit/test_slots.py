"""A classifier is deployed beside the model that replies: neither takes the other's place."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from worker_shop import WorkerShop

from curation.conversation import Conversation, Message, Role
from curation.errors import Conflict, Unavailable
from training import deployments, orders, runs, slots
from training.commands.reports import show_deployment
from training.store.tables import Run


def labelling(one: WorkerShop, recipe: str = "rehearsal-topic") -> str:
    """A completed run of a classifier."""
    with one.team.store.write() as session:
        asked = orders.request(session, one.team.olga, one.clock(), dataset_name="v1", model="rehearsal", recipe=recipe)
    one.complete(asked.id)
    return asked.id


def replying(one: WorkerShop) -> str:
    """A live model that replies."""
    run_id = one.request()
    one.complete(run_id)
    one.deploy(run_id)
    one.worker.tick()
    return run_id


def live(one: WorkerShop) -> dict[str, str]:
    with one.team.store.read() as session:
        return {slot: found.run.id for slot, found in slots.live(session).items()}


def production(one: WorkerShop) -> str | None:
    with one.team.store.read() as session:
        run = runs.production(session)
        return run.id if run is not None else None


def test_a_classifier_goes_live_beside_the_model_that_replies(shop: WorkerShop) -> None:
    reply, topic = replying(shop), labelling(shop)
    shop.deploy(topic)
    shop.worker.tick()
    assert live(shop) == {"replies": reply, "topic": topic}
    assert production(shop) == reply
    assert shop.summary(topic).test_reply == "returns (75%), billing (25%)"
    assert "now suggests topics to reviewers" in shop.says("deployment:2")


def test_the_next_classifier_of_a_label_takes_the_place_of_the_one_before(shop: WorkerShop) -> None:
    reply, first, second = replying(shop), labelling(shop), labelling(shop)
    for run_id in (first, second):
        shop.deploy(run_id)
        shop.worker.tick()
    shop.worker.tick()
    assert live(shop) == {"replies": reply, "topic": second}
    assert shop.summary(first).deployment == "retired"


def test_a_classifier_that_died_is_asked_for_labels_before_it_counts_as_mended(shop: WorkerShop) -> None:
    topic = labelling(shop)
    shop.deploy(topic)
    shop.worker.tick()
    shop.backend.refusals["probe"] = [Unavailable("It says nothing.")]
    shop.backend.kill(*shop.backend.serving)
    shop.worker.tick()
    assert (shop.summary(topic).deployment, len(shop.backend.serving)) == ("live", 1)


def test_whoever_deploys_a_classifier_is_told_how_to_ask_it_for_labels(shop: WorkerShop) -> None:
    said: list[str] = []
    terminal: Any = SimpleNamespace(say=said.append)
    topic = labelling(shop)
    summary = replace(shop.summary(topic), report={"objective": "labels"}, endpoint="http://127.0.0.1:9/v1")
    question = Conversation((Message(Role.USER, "Where is it?"),))
    show_deployment(terminal, summary, question)
    assert "curl http://127.0.0.1:9/v1/classify" in " ".join(said)


def test_where_only_a_classifier_is_live_no_model_is_in_production(shop: WorkerShop) -> None:
    topic = labelling(shop)
    shop.deploy(topic)
    shop.worker.tick()
    assert production(shop) is None
    with pytest.raises(Conflict, match="ERRATA_PRODUCTION_MODEL, or deploy a run first"):
        shop.request("production")


def test_a_rollback_never_brings_a_classifier_to_customers(shop: WorkerShop) -> None:
    topic = labelling(shop)
    shop.deploy(topic)
    shop.worker.tick()
    shop.undeploy(topic)
    shop.worker.tick()
    reply = replying(shop)
    with shop.team.store.read() as session:
        assert deployments.former_live(session) is None
    newer = replying(shop)
    shop.worker.tick()
    with shop.team.store.write() as session:
        assert deployments.rollback(session, shop.team.olga, shop.clock()).run_id == reply
    assert production(shop) == newer


def test_authors_are_told_of_models_that_speak_with_their_words_alone(shop: WorkerShop) -> None:
    topic = labelling(shop)
    shop.deploy(topic)
    shop.worker.tick()
    assert not [kind for kind in shop.told(f"deployment:1:{shop.team.ana.person_id}") if kind]
    replying(shop)
    assert shop.told(f"deployment:2:{shop.team.ana.person_id}")


def test_an_old_run_without_an_objective_replies() -> None:
    older: dict[str, Any] = {"recipe": {}}
    assert slots.of_run(Run(**older)) == slots.REPLIES
