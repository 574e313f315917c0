"""Costs: the arithmetic of an estimate, what is unknown, and what a run came to beside it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from training.backends.names import BackendName
from training.hyperparameters import TrainingTier
from training.planning import settling
from training.planning.costs import Cost, Work, estimate
from training.planning.parts import money
from training.planning.prices import SHIPPED, Kind, Price, PriceTable

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MACHINE = "Standard_NC24ads_A100_v4"
PRICED = PriceTable(
    (
        Price(Kind.TRAINING, "phi-4", None, 3.0, date(2026, 11, 1), "our contract"),
        Price(Kind.HOSTING, "phi-4", None, 0.8, date(2026, 11, 1), "our contract"),
        Price(Kind.MACHINE, MACHINE.lower(), None, 4.0, date(2026, 11, 1), "our contract"),
    )
)
WORK = Work(BackendName.FOUNDRY, "phi-4", 500_000, exact=True, epochs=3, seconds=None, corrections=40)
HOSTED_MEANWHILE = (
    "For its evaluation the tuned model stands at an endpoint of its own for some minutes, and is taken down again."
)


def cost(work: Work = WORK, table: PriceTable = PRICED) -> Cost:
    found = estimate(work, table)
    assert found is not None
    return found


def test_a_service_costs_tokens_times_epochs_times_price_and_the_hour_of_its_evaluation() -> None:
    found = cost()
    assert found.dollars == pytest.approx(500_000 * 3 / 1e6 * 3.0 + 0.8)
    assert found.per_correction == pytest.approx((4.5 + 0.8) / 40)
    assert found.sentences() == [
        "Training: 1,500,000 tokens (counted) at $3.00 a million make $4.50 (price of 2026-11-01).",
        "Hosting while it is evaluated: 1.0 hours (assumed) at $0.80 an hour make $0.80 (price of 2026-11-01).",
        HOSTED_MEANWHILE,
        "Afterwards each day at an endpoint costs $19.20, also while nobody asks anything.",
        "That is $0.13 for each of 40 corrections in it; how many are fixed, the evaluation shows.",
    ]


def test_a_tier_has_its_own_price() -> None:
    work = replace(WORK, backend=BackendName.OPENAI, model="gpt-4.1-2025-04-14")
    assert cost(replace(work, tier=TrainingTier.GLOBAL), SHIPPED).dollars == pytest.approx(1.5 * 2 + 1.7)
    developer = cost(replace(work, tier=TrainingTier.DEVELOPER), SHIPPED)
    assert developer.dollars == pytest.approx(1.5)
    assert "costs nothing by the hour, and the provider takes it down after a day" in " ".join(developer.sentences())
    assert cost(replace(work, tier=TrainingTier.STANDARD), SHIPPED).dollars is None


def test_what_is_unknown_is_said_with_the_providers_page_and_makes_the_sum_unknown() -> None:
    found = cost(table=SHIPPED)
    assert (found.dollars, found.per_correction) == (None, None)
    afterwards = "Afterwards an endpoint costs something by the hour, also while nobody asks anything; how much is "
    assert found.sentences() == [
        "Training: the price of phi-4 is unknown here.",
        "Hosting while it is evaluated: the price of phi-4 is unknown here.",
        HOSTED_MEANWHILE,
        f"{afterwards}unknown here.",
        "The provider's prices: https://azure.microsoft.com/pricing/details/phi-3/",
    ]
    uncounted = cost(replace(WORK, tokens=None))
    assert uncounted.dollars is None
    assert uncounted.sentences()[0] == "Training: nobody has counted the tokens with this model's tokenizer."
    assert "(at most)" in cost(replace(WORK, exact=False)).sentences()[0]


def test_machines_in_the_cloud_cost_their_hours_where_the_pace_is_known() -> None:
    work = replace(WORK, backend=BackendName.AZUREML, seconds=5_400.0, machine=MACHINE, machines=2)
    assert cost(work).dollars == pytest.approx(1.5 * 2 * 4.0)
    assert cost(work).daily is None
    assert cost(replace(work, seconds=None)).dollars is None
    assert cost(work, SHIPPED).dollars is None
    assert estimate(replace(work, backend=BackendName.LOCAL), PRICED) is None


def test_an_estimate_comes_back_from_its_row_and_a_price_that_was_missing_is_looked_up_later() -> None:
    found = cost(table=SHIPPED)
    kept = Cost.from_json(found.as_json())
    assert kept == found
    assert kept.priced(PRICED).dollars == cost().dollars
    dearer = PriceTable(tuple(replace(one, dollars=99.0) for one in PRICED.prices))
    assert Cost.from_json(cost().as_json()).priced(dearer).dollars == cost().dollars


def moved(kept: dict[str, object] | None, left: str, hours: float, tokens: int | None = None) -> dict[str, object]:
    after = settling.moved(kept, left=left, now=NOON + timedelta(hours=hours), tokens=tokens)
    assert after is not None
    return after


def test_the_actual_cost_is_by_the_providers_tokens_and_the_hours_of_the_evaluation() -> None:
    kept = settling.opened(cost(), machines=1)
    kept = moved(kept, "requested", 0)
    kept = moved(kept, "training", 5, tokens=1_200_000)
    kept = moved(kept, "evaluating", 5.5, tokens=1_200_000)
    assert Cost.from_json(kept["actual"]).dollars == pytest.approx(1.2 * 3 + 0.5 * 0.8)  # type: ignore[arg-type]
    assert settling.told(kept, ended=True) == "$4.00, estimated $5.30"
    assert settling.told(kept, ended=False) == "about $5.30"
    assert settling.told(None, ended=True) is None


def test_a_run_that_is_resumed_days_later_has_cost_nothing_in_between() -> None:
    work = replace(WORK, backend=BackendName.AZUREML, seconds=3_600.0, machine=MACHINE, machines=2)
    kept = settling.opened(cost(work), machines=2)
    kept = moved(kept, "requested", 0)
    kept = moved(kept, "training", 1)
    kept = moved(kept, "failed", 49)
    kept = moved(kept, "resuming", 50)
    kept = moved(kept, "training", 52)
    assert Cost.from_json(kept["actual"]).dollars == pytest.approx(3 * 2 * 4.0)  # type: ignore[arg-type]


def test_a_run_that_never_trained_has_cost_nothing_and_one_that_nobody_counted_costs_its_estimate() -> None:
    opened = settling.opened(cost(), machines=1)
    assert Cost.from_json(moved(opened, "requested", 1)["actual"]).dollars == 0  # type: ignore[arg-type]
    failed = moved(moved(opened, "requested", 0), "training", 2)
    assert Cost.from_json(failed["actual"]).dollars == pytest.approx(4.5)  # type: ignore[arg-type]


def test_less_than_a_cent_is_not_nothing() -> None:
    assert [money(one) for one in (0.0, 0.004, 0.01, 1234.5)] == ["$0.00", "less than $0.01", "$0.01", "$1,234.50"]
