"""Prices: what is known, what goes before what, and what an operator may write."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from curation.errors import Invalid
from training.backends.names import BackendName
from training.hyperparameters import TrainingTier
from training.planning import prices, regions
from training.planning.prices import Kind

OWN = """
[pages]
foundry = "https://prices.example/phi"

[[price]]
for = "training"
model = "Phi-4-mini-instruct"
dollars = 3
date = 2026-11-01
source = "our contract"

[[price]]
for = "training"
model = "gpt-4.1"
tier = "global"
dollars = 1.8
date = 2026-11-01
"""


def written(home: Path, text: str) -> Path:
    (home / prices.FILE).write_text(text, encoding="utf-8")
    return home


def dollars(table: prices.PriceTable, kind: Kind, model: str, tier: TrainingTier | None = None) -> float | None:
    found = table.find(kind, model, tier)
    return found.dollars if found is not None else None


def test_a_price_is_of_the_model_without_its_date_and_of_no_other_model() -> None:
    table = prices.SHIPPED
    assert dollars(table, Kind.TRAINING, "gpt-4.1-2025-04-14", TrainingTier.GLOBAL) == 2
    assert dollars(table, Kind.TRAINING, "GPT-4.1", TrainingTier.DEVELOPER) == 1
    assert dollars(table, Kind.TRAINING, "gpt-4.1-mini", TrainingTier.GLOBAL) is None
    assert dollars(table, Kind.TRAINING, "gpt-4.1", TrainingTier.STANDARD) is None


def test_a_deployment_of_the_developer_tier_costs_nothing_by_the_hour_and_any_other_does() -> None:
    assert dollars(prices.SHIPPED, Kind.HOSTING, "gpt-4.1", TrainingTier.DEVELOPER) == 0
    assert dollars(prices.SHIPPED, Kind.HOSTING, "gpt-4.1", TrainingTier.STANDARD) == 1.70
    assert dollars(prices.SHIPPED, Kind.HOSTING, "phi-4", None) is None


def test_no_price_of_a_phi_or_of_a_machine_is_made_up() -> None:
    assert not [one for one in prices.SHIPPED.prices if "phi" in one.model or one.kind is Kind.MACHINE]
    assert all(one.source.startswith("https://") for one in prices.SHIPPED.prices)
    assert set(prices.SHIPPED.pages) == set(BackendName) - {BackendName.LOCAL}


def test_an_installations_own_prices_go_before_those_that_ship(tmp_path: Path) -> None:
    assert prices.read(tmp_path) is prices.SHIPPED
    table = prices.read(written(tmp_path, OWN))
    assert dollars(table, Kind.TRAINING, "phi-4-mini-instruct") == 3
    assert dollars(table, Kind.TRAINING, "gpt-4.1", TrainingTier.GLOBAL) == 1.8
    assert dollars(table, Kind.HOSTING, "gpt-4.1") == 1.70
    assert table.pages[BackendName.FOUNDRY] == "https://prices.example/phi"
    assert table.pages[BackendName.OPENAI].startswith("https://azure.microsoft.com/")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[price]", "cannot be read"),
        ('[[prices]]\nfor = "training"', r"something other than \[\[price\]\] and \[pages\]"),
        ("price = 3", r"something other than \[\[price\]\] and \[pages\]"),
        ('[pages]\nmars = "x"', "not mars"),
        (OWN + 'colour = "red"', "price 2: colour is missing, misspelt"),
        (OWN.replace("dollars = 3", ""), "price 1: dollars is missing"),
        (OWN.replace("dollars = 3", 'dollars = "3"'), "price 1: dollars is missing, misspelt or not of its kind"),
        (OWN.replace("dollars = 3", "dollars = true"), "price 1: dollars"),
        (OWN.replace("dollars = 3", "dollars = -1"), "price 1: dollars"),
        (OWN.replace("dollars = 3", "dollars = nan"), "price 1: dollars"),
        (OWN.replace("date = 2026-11-01", "date = 2026-11-01T00:00:00"), "price 1: date"),
        (OWN.replace('for = "training"', 'for = ["training"]'), "price 1: for"),
        (OWN.replace('tier = "global"', 'tier = "lunar"'), "price 2: tier"),
        ("price = [3]", "price 1: for is missing"),
    ],
)
def test_a_price_that_cannot_be_taken_is_pointed_at(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        prices.read(written(tmp_path, text))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / prices.FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(Invalid, match="cannot be read"):
        prices.read(tmp_path)


def test_a_family_is_tuned_where_and_as_long_as_the_table_says() -> None:
    assert regions.regions_of("Phi-3-mini-4k-instruct") == ("eastus2",)
    assert regions.regions_of("microsoft/Phi-3.5-mini-instruct") == ("eastus2",)
    assert set(regions.regions_of("phi-4-mini-instruct") or ()) > {"eastus2", "westus3"}
    assert regions.regions_of("gpt-4.1") is None
    assert regions.retired("Phi-3-mini-4k-instruct", on=date(2025, 8, 29)) is None
    said = regions.retired("Phi-3-mini-4k-instruct", on=date(2025, 8, 30))
    assert said is not None
    assert "retired that on 2025-08-30. Take phi-4-mini-instruct, or tune it on a GPU of your own" in said
    assert regions.retired("phi-4", on=date(2026, 11, 20)) is None
    assert all(one.source.startswith("https://") for one in regions.FAMILIES)
