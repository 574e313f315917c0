"""What Slack shows of a run at a provider's: the question before it, the one message, the endpoint and its price."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import open_office
from fakes import FakeBackend
from shop import Shop, opened
from sqlmodel import select

from bot.app import now
from bot.blocks import runs as blocks
from bot.sandbox.limits import check_message
from bot.weekly import LOOKS_EVERY, Weekly
from curation.store.tables import AuditEntry, Notice
from curation.wording import Phrase, phrase
from training.backends.base import JobStatus, Progress
from training.backends.foundry.place import AzurePlace
from training.backends.names import BackendName
from training.planning import confirmations, prices
from training.runs import RunStatus
from training.store.tables import Deployment, Run
from training.summaries import of_run
from training.worker import InlineCarrier, Worker
from training.workplace import Workplace

AZURE = {
    "AZURE_SUBSCRIPTION_ID": "11111111-2222-3333-4444-555555555555",
    "ERRATA_AZURE_GROUP": "errata",
    "ERRATA_AZURE_PROJECT": "errata-project",
    "ERRATA_AZURE_REGION": "swedencentral",
    "ERRATA_AZURE_GEOGRAPHY": "europe",
}
MODEL = "phi-4-mini-instruct"
HOSTING = """
[[price]]
for = "hosting"
model = "phi-4-mini-instruct"
dollars = 0.80
date = 2026-11-01
source = "our contract"
"""
LINK = "https://ml.azure.com/runs/run-1?wsid=/subscriptions/1&tid=2"
WAITS = phrase("Azure has accepted the job and looks for a machine.")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """An office that has a place in Azure, where a backend that trains nothing does the work."""
    with open_office(tmp_path, **AZURE) as office:
        made = opened(office, tmp_path / "home", more=12)
        backend = FakeBackend()
        place = Workplace(office.store, {BackendName.FOUNDRY: backend}, made.home, now, AzurePlace.read(AZURE))
        made.backend, made.worker = backend, Worker(place, InlineCarrier(place))
        yield made


def question(shop: Shop) -> str:
    assert shop.office.olga.modal is not None
    return json.dumps(shop.office.olga.modal, ensure_ascii=False)


def started(shop: Shop) -> str:
    """A run that somebody was asked about twice; its id."""
    assert shop.say(f"train v1 {MODEL} foundry") == ""
    assert shop.office.olga.submit() == {}
    return shop.run().id


def trained(shop: Shop) -> str:
    run_id = started(shop)
    shop.work()
    assert shop.run().status == RunStatus.COMPLETED.value
    return run_id


def message(shop: Shop, beginning: str) -> str:
    """The one message of Errata's whose text begins so, as Slack keeps it."""
    (found,) = [card for card in shop.office.cards() if card["text"].startswith(beginning)]
    check_message({"text": found["text"], "blocks": found["blocks"]})
    return json.dumps(found, ensure_ascii=False)


def progress(shop: Shop, run_id: str, status: JobStatus = JobStatus.RUNNING, **changes: Any) -> str:
    """The status message once the provider says this of the job."""
    with shop.office.store.write() as session:  # whatever was told just now, this is told as well
        run = session.get_one(Run, run_id)
        run.progress = {**run.progress, "told_at": None}
    shop.backend.jobs[run_id] = Progress(status, changes.pop("step", 0), 0, **changes)
    shop.worker.tick()
    shop.office.deliver()
    return message(shop, f"Run {run_id}:")


def test_the_question_says_whose_place_it_is_where_the_rows_go_and_that_evaluating_hosts_the_model(shop: Shop) -> None:
    assert shop.say(f"train v1 {MODEL} foundry") == ""
    told = question(shop)
    for part in (
        "*Where* Azure AI Foundry (foundry)",
        "*Data* the rows go to Azure, to the region swedencentral.",
        f"*Model* {MODEL}",
        "*Cost* unknown here",
        "For its evaluation the tuned model stands at an endpoint of its own for some minutes",
    ):
        assert part in told
    assert "may not start and cancel runs" in shop.say(f"train v1 {MODEL} foundry", shop.office.ana)
    assert "is no name of a model" in shop.say("train v1 <!channel> foundry")
    assert "is no name of a model" in shop.say(f"train v1 {'a' * 3000} foundry")
    assert "it takes ERRATA_AZURE_ACCOUNT" in shop.say("train v1 gpt-4.1 openai")


def test_rows_that_would_leave_are_asked_about_and_an_owner_consents_in_slack(tmp_path: Path) -> None:
    with open_office(tmp_path, **{**AZURE, "ERRATA_AZURE_REGION": "eastus2"}) as office:
        shop = opened(office, tmp_path / "home", more=12)
        assert "/errata foundry consent eastus2 in Slack" in shop.say(f"train v1 {MODEL} foundry")
        assert "rows may go to those of europe" in shop.say("foundry", office.ana)
        assert "may not" in shop.say("foundry consent eastus2", office.ana)
        assert "is no region" in shop.say("foundry consent <!channel>")
        assert "Rows may go to eastus2 (us), as Olga has consented." in shop.say("foundry consent EastUS2")
        assert "lets them go to eastus2 as well" in shop.say("foundry")
        assert shop.say(f"train v1 {MODEL} foundry") == ""
        assert "to the region eastus2" in question(shop)
        with office.store.read() as session:
            assert [one.action for one in session.exec(select(AuditEntry)) if one.action.startswith("consent")] == [
                "consent.given"
            ]


def test_a_region_that_changes_between_two_presses_is_asked_about_again(shop: Shop) -> None:
    place, olga = AzurePlace.read(AZURE), shop.team.olga
    with shop.office.store.write() as session:
        asked = confirmations.ask(
            session,
            olga,
            now(),
            dataset_name="v1",
            model=MODEL,
            backend=BackendName.FOUNDRY,
            place=place,
            asked_in=shop.team.place,
        )
        elsewhere = AzurePlace.read({**AZURE, "ERRATA_AZURE_REGION": "westeurope"})
        again = confirmations.confirm(session, olga, now(), confirmation_id=asked.id or 0, place=elsewhere)
    assert isinstance(again, confirmations.Question)
    assert [str(one) for one in again.changes] == [
        "The rows would go elsewhere: the region of the settings has changed."
    ]


def test_a_training_of_unknown_length_shows_no_share_but_what_the_provider_says(shop: Shop) -> None:
    run_id = started(shop)
    shop.worker.tick()
    hostile = phrase("See {word}", word="<!channel> <https://x.test|here> *now*")
    assert str(WAITS) in progress(shop, run_id, JobStatus.QUEUED, notes=(WAITS,))  # for hours, at a provider's
    told = progress(shop, run_id, notes=(WAITS, hostile), link=LINK)
    assert "%" not in message(shop, f"Run {run_id}: training")
    with shop.office.store.read() as session:  # kept so that any language can say it
        assert [type(note) for note in of_run(session, shop.run()).notes] == [Phrase, Phrase]
    assert str(WAITS) in told
    assert f"<{LINK.replace('&', '&amp;')}|Open it in the portal of the provider>" in told
    shown = json.loads(told)["blocks"]
    assert [one for one in shown if "<!channel>" in json.dumps(one) and "mrkdwn" in json.dumps(one)] == []
    for bad in (
        "https://x.test/runs",
        "https://azure.com.x.test/",
        "https://ml.azure.com/a|b> <!channel>",
        "javascript:1",
    ):
        assert "Open it in the portal" not in progress(shop, run_id, step=4, notes=(), link=bad)
    assert "step 4" in progress(shop, run_id, step=4, notes=(), link=LINK)
    shop.backend.fail(run_id, "Azure ended the training as Failed.")
    shop.backend.jobs[run_id] = Progress(
        JobStatus.FAILED, 4, 0, reason="Azure ended the training as Failed.", link=LINK
    )
    shop.work()
    told = message(shop, f"Run {run_id}: failed")
    assert f"`/errata train v1 {MODEL} service foundry` starts another" in told
    assert "The provider may send its whole bill once more: unknown here." in told
    assert "errata run logs" not in told


def test_going_live_says_how_long_it_takes_what_it_costs_and_that_it_is_filtered(shop: Shop) -> None:
    (shop.office.settings.home / prices.FILE).write_text(HOSTING, encoding="utf-8")
    run_id = trained(shop)
    told = shop.say(f"deploy {run_id}")
    assert "At the provider that takes some minutes. Its endpoint costs $0.80 an hour, also while nobody asks" in told
    assert "Azure's content filter stands before it." in told
    shop.office.deliver()
    assert "comes up at the provider, which takes some minutes" in message(shop, f"Run {run_id}: ")
    shop.work()
    assert "Its endpoint costs $0.80 an hour" in message(shop, f"{run_id} is live.")

    assert "Name the run, on or off, and the reason" in shop.say(f"foundry filter {run_id} off")
    assert "may not" in shop.say(f"foundry filter {run_id} off It is wrong.", shop.office.ana)
    told = shop.say(f"foundry filter {run_id} off It takes order numbers for personal data.")
    assert "no longer stands before" in told
    shop.say(f"run {run_id}")
    assert "No content filter stands before it, as an owner decided." in question(shop)

    assert "It costs money until the provider has done so" in shop.say(f"undeploy {run_id}")
    shop.work()
    assert message(shop, f"{run_id} is no longer live; no model of Errata's is.")


def test_what_comes_up_can_be_taken_down_before_it_answers(shop: Shop) -> None:
    run_id = trained(shop)
    assert "how much is unknown here" in shop.say(f"deploy {run_id}")
    assert run_id in shop.say("undeploy")
    assert f"{run_id} is coming up at Azure AI Foundry (foundry). It costs money by the hour" in shop.say("costs")
    assert "is being taken down" in shop.say(f"undeploy {run_id}")
    assert "is being taken down at Azure AI Foundry" in shop.say("costs")
    shop.work()
    assert shop.backend.serving == {}
    (deployment,) = shop.deployments()
    assert (deployment.status, deployment.live_at) == ("retired", None)
    assert message(shop, f"{run_id} was taken down before it was live.")


def test_of_a_model_that_nobody_asks_a_channel_is_reminded_once(shop: Shop) -> None:
    run_id = trained(shop)
    shop.say(f"deploy {run_id}")
    shop.work()
    with shop.office.store.write() as session:
        session.exec(select(Deployment)).one().live_at = now() - timedelta(days=8)
    later = iter(now() + LOOKS_EVERY * number for number in range(1, 9))
    weekly = Weekly(shop.office.store, lambda: next(later), shop.office.settings)
    for _ in range(3):
        weekly()
        shop.office.deliver()
    told = message(shop, f"{run_id} costs money by the hour and answered nothing for a week.")
    assert blocks.UNDEPLOY in told
    with shop.office.store.read() as session:
        assert len([one for one in session.exec(select(Notice)) if one.kind == "deployment.idle"]) == 1


def test_app_home_says_what_is_spent_and_what_is_unknown(shop: Shop) -> None:
    run_id = trained(shop)
    shop.say(f"deploy {run_id}")
    shop.work()
    olga = shop.office.olga
    shop.office.workspace.subscriptions = frozenset({"app_home_opened"})
    olga.open_home()
    shop.office.workspace.wait_until(lambda: olga.home is not None, what="App Home")
    told = json.dumps(olga.home, ensure_ascii=False)
    assert "*What it costs*" in told
    assert f"*This month*: unknown, as nobody knows what {run_id} cost." in told
    assert "No cap is set" in told
    assert (
        f"{run_id} is live at Azure AI Foundry (foundry). It costs money by the hour; how much is unknown here." in told
    )
