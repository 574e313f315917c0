"""Money: a paid run is refused above a cap or at an unknown price, and what one costs is told before and after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import NOON, Office, Team, open_office
from shell import Shell
from sqlmodel import Session, select

from bot.app import now
from bot.blocks import digest as digest_blocks
from bot.speech import Say
from curation import digests, weeks
from curation.datasets import dataset, manifest
from curation.datasets.preparing import Options
from curation.errors import Conflict, Invalid
from curation.store.tables import Reply
from training import bills, orders, runs, spending
from training.backends.foundry.place import AzurePlace
from training.backends.names import BackendName
from training.deployments import DeploymentStatus
from training.planning import prices
from training.runs import RunStatus, RunStep
from training.store.tables import Deployment, Run
from training.weekly import of_week

AZURE = {
    "AZURE_SUBSCRIPTION_ID": "11111111-2222-3333-4444-555555555555",
    "ERRATA_AZURE_GROUP": "errata",
    "ERRATA_AZURE_ACCOUNT": "errata-openai",
    "ERRATA_AZURE_PROJECT": "errata-project",
}
PLACE = AzurePlace.read(AZURE)
DEAR = """
[[price]]
for = "training"
model = "gpt-4.1"
tier = "standard"
dollars = 1000
date = 2026-11-01
source = "our contract"
"""
TRAIN = ("train", "v1", "--backend", "openai", "--model", "gpt-4.1", "--detach", "--yes", "--json")


@pytest.fixture
def cloud(frozen: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shell:
    """A shell whose environment names a place in Azure, with a price of our own; nothing is ever asked there."""
    for name, value in AZURE.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "home" / prices.FILE).write_text(DEAR, encoding="utf-8")
    return frozen


def test_a_paid_run_is_refused_above_a_cap_and_where_nobody_knows_its_price(
    cloud: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "home" / prices.FILE
    monkeypatch.setenv("ERRATA_SPEND_RUN", "0.50")
    code, _, err = cloud(*TRAIN)
    assert code == 1
    assert "This run would cost about $" in err
    assert "and ERRATA_SPEND_RUN allows $0.50. Take fewer examples, fewer epochs or a cheaper model" in err

    own.write_text("[[price]]\nfor = 3", encoding="utf-8")
    code, _, err = cloud(*TRAIN)
    assert code == 2
    assert "price 1: model is missing" in err

    own.unlink()
    code, _, err = cloud(*TRAIN)
    assert code == 1
    assert "what this run costs is unknown. Training: the price of gpt-4.1 is unknown here. Look prices up at" in err
    assert "https://azure.microsoft.com/pricing/details/cognitive-services/openai-service/" in err
    assert json.loads(cloud("runs", "--json")[1]) == []

    monkeypatch.delenv("ERRATA_SPEND_RUN")
    run = json.loads(cloud(*TRAIN)[1])
    assert run["cost"]["estimated"]["dollars"] is None
    assert "unknown here" in cloud("run", "show", run["id"])[1]


def test_the_cap_of_a_month_counts_what_goes_on_and_not_what_was_cancelled_before_it_began(
    cloud: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = json.loads(cloud(*TRAIN)[1])
    dollars = first["cost"]["estimated"]["dollars"]
    monkeypatch.setenv("ERRATA_SPEND_MONTH", f"{1.5 * dollars:.2f}")
    code, _, err = cloud(*TRAIN)
    assert code == 1
    assert f"${dollars:,.2f} are spent or promised this month. Wait for the next month, or raise the cap." in err
    assert cloud("run", "cancel", first["id"])[0] == 0
    assert "$0.00: it never began at the provider" in cloud("run", "show", first["id"])[1]
    assert cloud(*TRAIN)[0] == 0

    code, out, _ = cloud("estimate", "v1", "--backend", "openai", "--model", "gpt-4.1")
    assert code == 0
    assert "(counted) at $1,000.00 a million make $" in out
    assert "Neither code nor a machine of yours is needed" in out
    assert out.splitlines()[-1].endswith("--model gpt-4.1 --recipe service --backend openai")
    found = json.loads(cloud("estimate", "v1", "--backend", "foundry", "--model", "phi-4-mini-instruct", "--json")[1])
    assert (found["backend"], found["cost"]["dollars"], found["memory"]) == ("foundry", None, None)
    assert "https://azure.microsoft.com/pricing/details/phi-3/" in found["answers"][1]["answer"]
    assert cloud("estimate", "v1", "--backend", "foundry", "--model", "rehearsal")[0] == 2


def stocked(team: Team, *, more: int = 0) -> None:
    """Two corrections, and so many more: a service takes ten rows or more, which whoever is asked twice hears first."""
    team.approve("How long does the filter last?", "Six months.")
    team.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    for number in range(more):
        team.approve(f"What does part {number} cost?", f"It costs {number} euros.")
    dataset.freeze(team.store, team.olga, NOON, name="v1", options=Options(counters=manifest.counters()))


def test_a_backend_that_is_not_set_up_says_what_it_takes(team: Team, tmp_path: Path) -> None:
    stocked(team)
    lacking = pytest.raises(Invalid, match="it takes ERRATA_AZURE_ACCOUNT, and errata doctor --foundry looks")
    with lacking, team.store.write() as session:
        requested(session, team, NOON, tmp_path, replace(PLACE, account=None))


def requested(session: Session, team: Team, at: datetime, home: Path, place: AzurePlace = PLACE) -> Run:
    return orders.request(
        session,
        team.olga,
        at,
        dataset_name="v1",
        model="gpt-4.1",
        backend=BackendName.OPENAI,
        place=place,
        table=prices.read(home),
    )


def test_a_month_ends_and_a_run_that_goes_on_is_promised_in_the_next_one(team: Team, tmp_path: Path) -> None:
    stocked(team)
    (tmp_path / prices.FILE).write_text(DEAR, encoding="utf-8")
    table, at = prices.read(tmp_path), datetime(2026, 11, 30, 23, tzinfo=UTC)
    with team.store.write() as session:
        ended, going = requested(session, team, at, tmp_path), requested(session, team, at, tmp_path)
        for run in (ended, going):
            runs.take(run, RunStep.START, at)
        ended.progress = {"trained_tokens": 2_000}
        runs.take(ended, RunStep.TRAINED, at + timedelta(minutes=5))
        runs.take(ended, RunStep.EVALUATED, at + timedelta(minutes=35))
        promised = going.cost["estimated"]["dollars"] if going.cost is not None else 0
    with team.store.read() as session:
        november = spending.month_to_date(session, at + timedelta(minutes=40), table)
        december = spending.month_to_date(session, at + timedelta(hours=3), table)
    assert november.spent == pytest.approx(2_000 / 1e6 * 1000 + 0.5 * 1.70)
    assert (december.spent, december.promised) == (0, pytest.approx(promised))


def test_a_run_that_is_resumed_has_to_stay_under_the_caps_as_well(team: Team, tmp_path: Path) -> None:
    stocked(team)
    (tmp_path / prices.FILE).write_text(DEAR, encoding="utf-8")
    table, narrow = prices.read(tmp_path), replace(PLACE, spend_run=0.01)
    with team.store.write() as session:
        run_id = requested(session, team, NOON, tmp_path).id
        runs.cancel(session, team.olga, NOON, run_id=run_id)
    with pytest.raises(Conflict, match=r"ERRATA_SPEND_RUN allows \$0.01"), team.store.write() as session:
        runs.resume(session, team.olga, NOON, run_id=run_id, place=narrow, table=table)
    with team.store.write() as session:
        assert runs.resume(session, team.olga, NOON, run_id=run_id, place=PLACE, table=table).status == "resuming"


def test_a_run_of_the_month_whose_cost_is_unknown_stops_the_next_one(team: Team, tmp_path: Path) -> None:
    stocked(team)
    with team.store.write() as session:
        unknown = requested(session, team, NOON, tmp_path).id
    (tmp_path / prices.FILE).write_text(DEAR, encoding="utf-8")
    with team.store.write() as session:  # its price is known by now, so it is looked up
        requested(session, team, NOON, tmp_path, replace(PLACE, spend_month=100.0))
    with team.store.write() as session:
        session.get_one(Run, unknown).cost = None  # of an older Errata
    with pytest.raises(Conflict, match=f"what {unknown} cost this month is unknown"), team.store.write() as session:
        requested(session, team, NOON, tmp_path, replace(PLACE, spend_month=100.0))


@pytest.fixture
def paying(tmp_path: Path) -> Iterator[Office]:
    """An office that may spend two dollars a run, with a dataset."""
    with open_office(tmp_path, **AZURE, ERRATA_SPEND_RUN="2") as office:
        actors = {name: office.actor(name) for name in ("ana", "ben", "bea", "olga")}
        stocked(Team(office.store, 1, f"{office.workspace.team_id}/{office.channel}", **actors), more=12)
        yield office


def shown(office: Office) -> str:
    assert office.olga.modal is not None
    return json.dumps(office.olga.modal, ensure_ascii=False)


def said(office: Office, words: str, name: str = "olga") -> str:
    return str(office.people[name].command("/errata", words, office.channel).get("text", ""))


def all_runs(office: Office) -> list[Run]:
    with office.store.read() as session:
        return list(session.exec(select(Run)))


def test_in_slack_the_question_shows_the_arithmetic_and_the_second_press_looks_again(paying: Office) -> None:
    own = paying.settings.home / prices.FILE
    assert "A spend cap is set, and what this run costs is unknown." in said(paying, "train v1 gpt-4.1 openai")
    dear = DEAR.replace("1000", "100")
    own.write_text(dear, encoding="utf-8")
    assert said(paying, "train v1 openai gpt-4.1") == ""
    told = shown(paying)
    for part in (
        "*Where* Azure OpenAI (openai)",
        "*Data* the rows go",
        "*Cost* about $1.",
        "a million make",
        "Hosting while it is evaluated",
        "each day",
    ):
        assert part in told
    own.write_text(DEAR.replace("1000", "120"), encoding="utf-8")
    assert paying.olga.submit() == {}
    assert "It would have cost about $1." in shown(paying)
    own.write_text(DEAR.replace("1000", "1000000"), encoding="utf-8")
    assert paying.olga.submit() == {}
    assert "ERRATA_SPEND_RUN allows $2.00" in shown(paying)
    assert all_runs(paying) == []
    own.write_text(dear, encoding="utf-8")
    said(paying, "train v1 gpt-4.1 openai")
    assert paying.olga.submit() == {}
    (run,) = all_runs(paying)
    assert run.cost is not None
    assert (run.backend, run.model) == ("openai", "gpt-4.1")
    paying.deliver()
    assert "Cost: about $1." in json.dumps(paying.cards(), ensure_ascii=False)


def test_in_slack_an_agent_may_not_spend_and_nobody_names_two_places(paying: Office) -> None:
    assert "may not start and cancel runs" in said(paying, "train v1 gpt-4.1 openai", "ana")
    assert "name openai or foundry, not both" in said(paying, "train v1 gpt-4.1 openai foundry")
    assert all_runs(paying) == []


def add_run(session: Session, office: Office, name: str, *, live_at: datetime) -> None:
    table = prices.read(office.settings.home)
    run = orders.request(
        session,
        office.actor("olga"),
        live_at,
        dataset_name="v1",
        model="gpt-4.1",
        backend=BackendName.OPENAI,
        place=PLACE,
        table=table,
    )
    run.status, run.ended_at = RunStatus.COMPLETED.value, live_at
    session.add(
        Deployment(
            run_id=run.id,
            status=DeploymentStatus.LIVE.value,
            requested_by=name,
            requested_at=live_at,
            live_at=live_at,
        )
    )


def test_a_paid_model_that_nobody_asks_is_named_in_costs_and_in_the_digest(paying: Office) -> None:
    (paying.settings.home / prices.FILE).write_text(DEAR, encoding="utf-8")
    with paying.store.write() as session:
        add_run(session, paying, "olga", live_at=now() - timedelta(days=10))
    (run,) = all_runs(paying)
    answer = said(paying, "costs")
    assert f"{run.id} is live at Azure OpenAI (openai). It costs $1.70 an hour, $408.00 so far." in answer
    assert f"It has answered nothing for a week; `/errata undeploy {run.id}` takes it down." in answer
    assert "*Cap of a run*: $2.00" in answer
    week = weeks.to_tell(now() + timedelta(days=7))
    with paying.store.read() as session:
        figures = digests.of_week(session, week, paying.workspace.team_id)
        told = json.dumps(digest_blocks.told(Say(), figures, of_week(session, week)))
    assert f"{run.id} costs money by the hour and answered nothing for a week." in told
    with paying.store.write() as session:
        session.add(
            Reply(source="T1/C1/1.1", assistant_id=1, model_version=run.id, hour=now().replace(minute=0, second=0))
        )
    assert "answered nothing" not in said(paying, "costs")
    with paying.store.read() as session:
        bill = bills.of_records(session, now(), place=PLACE, table=prices.read(paying.settings.home))
    row: dict[str, Any] = bill.as_json()["deployments"][0]
    assert (row["idle"], row["hourly"], row["undeploy"]) == (False, 1.7, f"errata undeploy {run.id}")
