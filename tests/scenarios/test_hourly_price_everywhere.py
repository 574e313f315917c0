"""What an hour of an endpoint costs is one figure, wherever it is told: the one of today's prices."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import NOON, Team, open_office
from evaluated import measured, summary
from shell import Shell
from shop import Shop, opened
from sqlmodel import select

from bot.app import now
from bot.blocks import costs as cost_blocks
from bot.blocks import hosted as hosted_blocks
from bot.blocks import runs as run_blocks
from bot.speech import Say
from bot.weekly import LOOKS_EVERY, Weekly
from training import bills, orders
from training.backends.foundry.place import AzurePlace
from training.backends.names import BackendName
from training.hyperparameters import TrainingTier
from training.planning import prices
from training.planning.costs import Hosted, Work, estimate
from training.store.tables import Deployment
from training.worker import InlineCarrier, Worker
from training.workplace import Workplace

AZURE = {
    "AZURE_SUBSCRIPTION_ID": "11111111-2222-3333-4444-555555555555",
    "ERRATA_AZURE_GROUP": "errata",
    "ERRATA_AZURE_PROJECT": "errata-project",
    "ERRATA_AZURE_ACCOUNT": "errata-openai",
    "ERRATA_AZURE_REGION": "swedencentral",
}
MODEL = "phi-4-mini-instruct"
OWN = """
[[price]]
for = "hosting"
model = "phi-4-mini-instruct"
dollars = 0.80
date = 2026-11-01
source = "our contract"
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """An office that has a place in Azure, where a backend that trains nothing does the work."""
    with open_office(tmp_path, **AZURE) as office:
        made = opened(office, office.settings.home, more=12)
        place = Workplace(office.store, {BackendName.FOUNDRY: made.backend}, made.home, now, AzurePlace.read(AZURE))
        made.worker = Worker(place, InlineCarrier(place))
        yield made


def priced(shop: Shop, dollars: str = "0.80") -> None:
    (shop.office.settings.home / prices.FILE).write_text(OWN.replace("0.80", dollars), encoding="utf-8")


def modal(shop: Shop) -> str:
    return json.dumps(shop.office.olga.modal, ensure_ascii=False)


def newest(shop: Shop, beginning: str) -> str:
    return json.dumps([one for one in shop.office.cards() if one["text"].startswith(beginning)][-1], ensure_ascii=False)


def test_a_price_that_was_written_after_the_run_was_asked_for_is_told_in_every_place(shop: Shop) -> None:
    office = shop.office
    assert shop.say(f"train v1 {MODEL} foundry") == ""
    assert "how much is unknown here" in modal(shop)
    office.olga.submit()
    priced(shop)
    shop.work()
    run_id = shop.run().id
    assert "Its endpoint costs $0.80 an hour." in newest(shop, f"Run {run_id} is evaluated")  # its button asks twice
    assert "Its endpoint costs $0.80 an hour." in json.dumps(_answer(shop, "deploy"))
    assert "Its endpoint costs $0.80 an hour, also while nobody asks" in shop.say(f"deploy {run_id}")
    shop.work()
    assert "Its endpoint costs $0.80 an hour, also while nobody asks" in newest(shop, f"{run_id} is live.")
    assert "It costs $0.80 an hour" in shop.say("costs")
    shop.say(f"run {run_id}")
    assert "Its endpoint costs $0.80 an hour" in modal(shop)

    priced(shop, "0.90")  # what an hour costs now is what counts, not what it was to cost
    assert "It costs $0.90 an hour" in shop.say("costs")
    with office.store.write() as session:
        session.exec(select(Deployment)).one().live_at = now() - timedelta(days=8)
    later = iter(now() + LOOKS_EVERY * number for number in range(1, 9))
    Weekly(office.store, lambda: next(later), office.settings)()
    office.deliver()
    assert "Its endpoint costs $0.90 an hour" in newest(shop, f"{run_id} costs money by the hour and answered nothing")
    office.workspace.subscriptions = frozenset({"app_home_opened"})
    office.olga.open_home()
    office.workspace.wait_until(lambda: office.olga.home is not None, what="App Home")
    assert "It costs $0.90 an hour" in json.dumps(office.olga.home, ensure_ascii=False)

    (office.settings.home / prices.FILE).write_text("[[price]]\nfor = 3", encoding="utf-8")
    shop.say(f"run {run_id}")
    assert "how much is unknown here" in modal(shop)  # a table that cannot be read keeps nothing else back
    assert "price 1: model is missing" in shop.say("costs")


def _answer(shop: Shop, words: str) -> dict[str, Any]:
    found: dict[str, Any] = shop.office.olga.command("/errata", words, shop.office.channel)
    return found


def test_what_a_provider_lists_of_a_run_has_the_price_of_its_model_whether_it_is_deployed_or_evaluated(
    shop: Shop,
) -> None:
    shop.say(f"train v1 {MODEL} foundry")
    shop.office.olga.submit()
    priced(shop)
    there = Hosted("e-check", "endpoint", None, None, shop.run().id, "az ml serverless-endpoint delete")
    strange = replace(there, name="else", run_id=None)
    with shop.office.store.read() as session:
        found = bills.priced(session, [there, strange], prices.read(shop.office.settings.home))
    assert [one.hourly for one in found] == [0.80, None]


def test_gpt_4_1_has_its_published_price_and_the_developer_tier_says_that_it_goes_after_a_day(
    frozen: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in AZURE.items():
        monkeypatch.setenv(name, value)
    _, out, _ = frozen("estimate", "v1", "--backend", "openai", "--model", "gpt-4.1")
    assert "Afterwards each day at an endpoint costs $40.80, also while nobody asks anything." in out
    work = Work(BackendName.OPENAI, "gpt-4.1", 1_000, True, 1, None, 10, TrainingTier.DEVELOPER)
    cost = estimate(work, prices.SHIPPED)
    assert cost is not None
    goes = "costs nothing by the hour, and the provider takes it down after a day."
    assert any(str(one).endswith(goes) for one in cost.sentences())

    live = summary(measured(), deployment="live", backend="openai", hosted=True, hourly=0.0, fleeting=True)
    taken = "Its endpoint costs nothing by the hour; the provider takes it down after a day."
    assert taken in hosted_blocks.hosting(Say(), live)
    assert taken in json.dumps(run_blocks.deploy_button(Say(), live))
    one = bills.Deployed("run-1", "openai", "live", datetime(2026, 11, 20, tzinfo=UTC), 0.0, 0.0, False, fleeting=True)
    month = bills.Month(datetime(2026, 11, 1, tzinfo=UTC), 0.0, 0.0)
    (line,) = cost_blocks.endpoints(Say(), bills.Bill((), (one,), month, None, None))
    assert line.endswith("It costs nothing by the hour; the provider takes it down after a day.")


def test_it_is_the_recipe_that_says_whether_an_endpoint_goes_by_itself(team: Team) -> None:
    team.approve("How long does the filter last?", "Six months.")
    team.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    team.freeze("v1")
    with team.store.write() as session:
        wish = {"dataset_name": "v1", "model": "gpt-4.1", "place": AzurePlace.read(AZURE)}
        run = orders.request(session, team.olga, NOON, backend=BackendName.OPENAI, **wish)  # type: ignore[arg-type]
        for tier, fleeting in (("developer", True), ("global", False)):
            run.recipe = {**run.recipe, "service": {"training_type": tier}}
            assert bills.is_fleeting(run) is fleeting
