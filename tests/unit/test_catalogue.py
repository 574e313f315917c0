"""The catalogue knows the models that can be tuned, and nothing else."""

from __future__ import annotations

import re

import pytest

from curation.errors import NotFound
from training.catalogue import CATALOGUE, BaseModel, find, known
from training.planning import memory
from training.planning.memory import Rows
from training.recipe import load_recipe


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


def test_a_hub_id_is_as_good_as_a_name_and_an_unknown_one_is_nothing() -> None:
    assert known("microsoft/Phi-4") == known("phi-4") == find("phi-4")
    assert known("somebody/phi-4") is None
    assert known("") is None


NAMED = [(model, name) for model in CATALOGUE for name in model.recipes if name.startswith("phi-")]


@pytest.mark.parametrize(("model", "name"), NAMED, ids=[f"{model.name} {name}" for model, name in NAMED])
def test_each_recipe_fits_the_gpu_in_its_name_with_conversations_of_its_whole_length(
    model: BaseModel, name: str
) -> None:
    recipe = load_recipe(name)
    assert recipe.max_length <= model.window
    assert recipe.lora is not None
    assert set(recipe.lora.targets) == set(model.lora_targets)
    size = re.search(r"(\d+)gb", name)
    assert size is not None
    rows = Rows(tokens=10**7, longest=recipe.max_length, count=5_000)
    assert memory.of_training(model.shape, recipe, rows, gpu=True).total < 0.95e9 * int(size[1])
