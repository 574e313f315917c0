"""The catalogue knows the models that can be tuned, and nothing else."""

from __future__ import annotations

import pytest

from curation.errors import NotFound
from training.catalogue import CATALOGUE, find


def test_a_model_is_found_in_any_case() -> None:
    assert find(" Phi-4-Mini-Instruct ").hub_id == "microsoft/Phi-4-mini-instruct"


def test_an_unknown_name_lists_the_near_ones() -> None:
    with pytest.raises(NotFound, match=r"'phi-3-mini'.*phi-3-mini-4k-instruct"):
        find("phi-3-mini")


def test_a_name_near_to_nothing_lists_them_all() -> None:
    with pytest.raises(NotFound, match="rehearsal, phi-3-mini-4k-instruct"):
        find("zzz")


def test_names_are_unique_and_only_the_rehearsal_is_built_here() -> None:
    assert len({model.name for model in CATALOGUE}) == len(CATALOGUE)
    assert [model.name for model in CATALOGUE if model.hub_id is None] == ["rehearsal"]


def test_every_stop_token_is_inside_its_vocabulary() -> None:
    for model in CATALOGUE:
        assert model.stop_tokens
        assert all(0 <= token < model.vocabulary for token in model.stop_tokens), model.name


def test_phi_4_stops_at_the_end_of_a_turn_and_not_only_at_the_end_of_text() -> None:
    assert find("phi-4").stop_tokens[0] == 100_265
