"""A tuned model goes live once it has answered, comes down once it is retired, and is looked after in between."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fakes import REPLY
from sqlmodel import select
from worker_shop import QUESTION, WorkerShop

from curation import audit
from curation.errors import Conflict, Unavailable
from training import runs
from training.backends.errors import Unreached
from training.store.tables import Deployment


def test_a_deployed_model_has_answered_a_test_question_and_retires_the_one_before(shop: WorkerShop) -> None:
    first, second = shop.request(), shop.request()
    for run_id in (first, second):
        shop.complete(run_id)
        shop.deploy(run_id)
        shop.deploy(run_id)
        assert shop.worker.tick()
    summary = shop.summary(second)
    assert (summary.deployment, summary.test_question, summary.test_reply) == ("live", QUESTION, REPLY)
    assert [message.role.value for message in shop.backend.asked[-1].messages] == ["system", "user"]
    assert summary.endpoint is not None
    assert shop.summary(first).deployment == "retiring"
    shop.worker.tick()
    assert shop.summary(first).deployment == "retired"
    assert [endpoint.model for endpoint in shop.backend.serving.values()] == [second]
    with shop.team.store.read() as session:
        kept = {deployment.run_id: deployment.key for deployment in session.exec(select(Deployment))}
        assert runs.production(session).id == second  # type: ignore[union-attr]
    assert "is no longer live" in shop.says(f"deployment:{kept[first]}")
    assert "is live at" in shop.says(f"deployment:{kept[second]}")


def test_what_did_not_answer_is_taken_down_again_and_again_until_it_is_gone(shop: WorkerShop) -> None:
    run_id = shop.request()
    shop.complete(run_id)
    shop.backend.refusals["probe"] = [Unavailable("It gave no answer in 30 seconds.")]
    shop.backend.refusals["undeploy"] = [Unreached("Azure does not answer."), Unreached("Azure does not answer.")]
    shop.deploy(run_id)
    shop.worker.tick()
    shop.worker.tick()
    assert shop.summary(run_id).deployment == "failed"
    assert shop.backend.serving, "it may cost money still"
    assert shop.worker.tick()
    assert not shop.backend.serving
    assert not shop.worker.tick()
    with shop.team.store.read() as session:
        assert [one.status for one in session.exec(select(Deployment))] == ["failed"]


def test_a_provider_that_does_not_answer_is_asked_for_an_hour(shop: WorkerShop) -> None:
    run_id = shop.request()
    shop.complete(run_id)
    shop.backend.refusals["deploy"] = [Unreached("Azure does not answer.") for _ in range(2)]
    shop.deploy(run_id)
    shop.worker.tick()
    assert shop.summary(run_id).deployment == "requested"
    shop.moment += timedelta(hours=2)
    shop.worker.tick()
    assert shop.summary(run_id).deployment == "failed"


@pytest.mark.parametrize("error", [Unavailable("It gave no answer in 30 seconds."), RuntimeError("secret words")])
@pytest.mark.parametrize("method", ["fetch", "deploy", "probe"])
def test_a_model_that_does_not_answer_leaves_the_old_one_live(shop: WorkerShop, method: str, error: Exception) -> None:
    first, second = shop.request(), shop.request()
    for run_id in (first, second):
        shop.complete(run_id)
    shop.deploy(first)
    shop.worker.tick()
    shop.backend.refusals[method] = [error]
    shop.deploy(second)
    shop.worker.tick()
    assert [shop.summary(run_id).deployment for run_id in (first, second)] == ["live", "failed"]
    assert [endpoint.model for endpoint in shop.backend.serving.values()] == [first]
    reason = str(shop.summary(second).deployment_reason)
    assert "secret" not in reason
    assert ("no answer" in reason) is isinstance(error, Unavailable)
    shop.deploy(second)
    shop.worker.tick()
    assert shop.summary(second).deployment == "live"


def test_a_live_endpoint_that_died_is_started_again_once_and_told_of_where_it_stays_dead(shop: WorkerShop) -> None:
    run_id = shop.request()
    shop.complete(run_id)
    shop.deploy(run_id)
    shop.worker.tick()
    [(directory, _)] = shop.backend.serving.items()
    with shop.team.store.read() as session:
        [key] = [deployment.key for deployment in session.exec(select(Deployment))]
    shop.backend.kill(directory)
    shop.worker.tick()
    assert shop.summary(run_id).deployment == "live"
    assert shop.backend.serving
    shop.worker.tick()
    shop.backend.kill(directory)
    shop.worker.tick()
    assert (shop.summary(run_id).deployment, shop.backend.serving) == ("failed", {})
    assert "died twice within an hour" in str(shop.summary(run_id).deployment_reason)
    assert "died twice within an hour" in shop.says(f"deployment:{key}")
    with shop.team.store.read() as session:
        done = [entry.action for entry in audit.about(session, f"deployment:{key}")]
        assert runs.production(session) is None
    served = ["deployment.requested", "deployment.answered", "deployment.restarted"]
    assert done == [*served, "deployment.failed", "deployment.stopped"]
    shop.deploy(run_id)
    shop.worker.tick()
    assert shop.summary(run_id).deployment == "live"


def test_an_endpoint_that_cannot_be_started_again_is_no_longer_live(shop: WorkerShop) -> None:
    run_id = shop.request()
    shop.complete(run_id)
    shop.deploy(run_id)
    shop.worker.tick()
    [(directory, _)] = shop.backend.serving.items()
    shop.backend.kill(directory)
    shop.backend.refusals["deploy"] = [Unavailable("There is no memory.")]
    shop.worker.tick()
    summary = shop.summary(run_id)
    assert (summary.deployment, summary.deployment_reason) == ("failed", "There is no memory.")


def test_an_undeployed_model_is_stopped_even_where_the_first_try_fails(shop: WorkerShop) -> None:
    run_id = shop.request()
    shop.complete(run_id)
    shop.deploy(run_id)
    shop.worker.tick()
    shop.undeploy(run_id)
    shop.backend.refusals["undeploy"] = [OSError("busy")]
    shop.worker.tick()
    assert shop.summary(run_id).deployment == "retiring"
    shop.worker.tick()
    assert shop.summary(run_id).deployment == "retired"
    assert not shop.backend.serving
    with pytest.raises(Conflict, match="is not live"):
        shop.undeploy(run_id)


def test_only_a_completed_run_can_be_deployed(shop: WorkerShop) -> None:
    with pytest.raises(Conflict, match="only a completed run can be deployed"):
        shop.deploy(shop.request())


def test_a_run_on_production_starts_from_the_live_model_and_is_measured_against_it(shop: WorkerShop) -> None:
    with pytest.raises(Conflict, match="ERRATA_PRODUCTION_MODEL, or deploy a run first"):
        shop.request("production")
    first = shop.request()
    shop.complete(first)
    shop.deploy(first)
    shop.worker.tick()
    second = shop.request("production")
    shop.complete(second)
    model = shop.home / "runs" / first / "job" / "model"
    assert shop.backend.evaluations[second].base == model
    assert shop.backend.evaluations[second].baseline == model
