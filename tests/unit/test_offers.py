"""Offers: what a registry's tags mean, what can be done with a model on a day, and the dated copy."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from training import offers
from training.offers import EMPTY, Offer, Way, read_offer

TUNED = {"finetuning-tasks": "chat-completion"}
SERVICE = {"maas-finetuning": "true", "textContextWindow": "131072", "license": "mit", "task": "chat-completion"}
TODAY, NOW = date(2026, 11, 20), datetime(2026, 11, 20, 12, tzinfo=UTC)


def offer(name: str = "Phi-4", *, archived: bool = False, **tags: Any) -> Offer:
    return read_offer(name, "1", {**SERVICE, **tags}, TUNED, archived=archived)


@pytest.mark.parametrize(
    "regions", ["eastus2,westus3", "['eastus2', 'westus3']", "eastus2; westus3", "EastUS2 westus3"]
)
def test_regions_are_read_however_they_are_written(regions: str) -> None:
    assert offer(**{"maas-finetuning-deploy-regions": regions}).deploy_regions == ("eastus2", "westus3")


def test_tags_are_read_in_any_spelling_and_nonsense_is_nothing() -> None:
    odd = read_offer(
        "Parrot-1",
        "2",
        {"TextContextWindow": "many", "Finetune_Retirement_Date": "soon", "MAAS-finetuning": "False"},
        {},
        archived=False,
    )
    assert odd == Offer("Parrot-1", "2")
    dated = offer(FinetuneRetirementDate="2026-12-31T00:00:00Z", finetune_deprecation_date="2026-10-01")
    assert (dated.retires_at, dated.deprecated_at) == (date(2026, 12, 31), date(2026, 10, 1))
    assert offer(FinetuneRetirementDate="2026-13-99").retires_at is None


def test_what_can_be_done_follows_from_the_offer_the_day_and_our_own_catalogue() -> None:
    assert offer().ways(TODAY) == (Way.MANAGED, Way.OWN_GPU)
    assert offer("Phi-4-mini-reasoning").ways(TODAY) == (Way.MANAGED,)
    assert offer(archived=True).ways(TODAY) == (Way.OWN_GPU,)
    ending = offer(FinetuneRetirementDate="2026-11-21")
    assert ending.ways(TODAY) == (Way.MANAGED, Way.OWN_GPU)
    assert ending.ways(date(2026, 11, 21)) == (Way.OWN_GPU,)
    assert (ending.caution(TODAY), ending.caution(date(2026, 11, 21))) == ("retires 2026-11-21", "retired 2026-11-21")
    assert read_offer("bert", "1", {}, {"finetuning-tasks": "fill-mask"}, archived=False).ways(TODAY) == ()


def test_where_the_registry_is_silent_the_table_of_the_family_speaks() -> None:
    silent = offer("Phi-3-mini-4k-instruct")
    assert (silent.tune_regions, silent.retires_at) == (("eastus2",), date(2025, 8, 30))
    said = offer("Phi-3-mini-4k-instruct", FinetuneRetirementDate="2027-01-01")
    assert said.retires_at == date(2027, 1, 1)


def test_a_copy_comes_back_as_it_was_and_half_a_file_is_none(tmp_path: Path) -> None:
    one = offer(FinetuneRetirementDate="2026-12-31", **{"maas-finetuning-deploy-regions": "eastus2"})
    copy = EMPTY.with_("phi", NOW, [one])
    assert offers.load(tmp_path) == EMPTY
    offers.save(tmp_path, copy)
    assert offers.load(tmp_path) == copy
    for text in ("{", "[]", '{"searched": {}, "offers": [{}]}', '{"searched": {"phi": 3}, "offers": []}'):
        offers.file_of(tmp_path).write_text(text, encoding="utf-8")
        assert offers.load(tmp_path) == EMPTY


def test_a_narrower_search_is_answered_by_a_wider_one_and_reading_anew_forgets_what_is_gone() -> None:
    copy = EMPTY.with_("Phi", NOW, [offer("Phi-4"), offer("Phi-3-small")])
    assert copy.read_at("phi 4") == NOW
    assert copy.read_at("gpt") is None
    assert [one.name for one in copy.found("PHI_3")] == ["Phi-3-small"]
    later = copy.with_("phi-3", NOW.replace(hour=13), [])
    assert [one.name for one in later.found("phi")] == ["Phi-4"]
    assert (later.read_at("phi-3-mini"), later.read_at("phi-4")) == (NOW.replace(hour=13), NOW)
