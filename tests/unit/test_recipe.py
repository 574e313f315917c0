"""A recipe says what a run does; one that cannot be meant is refused with a sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from curation.errors import Invalid, NotFound
from training.hyperparameters import Method
from training.recipe import load_recipe, parse_recipe, recipe_names


def table(**changes: Any) -> dict[str, Any]:
    return {**load_recipe("rehearsal").as_json(), **changes}


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_loads_and_survives_a_round_trip(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert parse_recipe(recipe.as_json(), name=name) == recipe


def test_the_shipped_recipes_are_the_documented_ones() -> None:
    by_size = {"phi-mini-12gb", "phi-mini-24gb", "phi-mini-80gb", "phi-mini-80gb-full", "phi-14b-24gb", "phi-14b-80gb"}
    by_task = {f"{kind}-{task}" for kind in ("phi", "rehearsal") for task in ("preference", "topic")}
    rehearsals = {"rehearsal", "rehearsal-production", "rehearsal-tune"}
    services = {"service", "service-preference", "rehearsal-service"}
    assert set(recipe_names()) == {"phi-lora", "chat-lora", *by_size, *by_task, *rehearsals, *services}


def test_every_shipped_recipe_begins_with_what_it_is_for() -> None:
    shipped = sorted((Path(__file__).parents[2] / "training" / "recipes").glob("*.toml"))
    assert "phi-lora.toml" in {path.name for path in shipped}
    for path in shipped:
        assert re.match(r"# [A-Z].+\n", path.read_text(encoding="utf-8")), path.name


def test_full_training_has_no_adapters() -> None:
    recipe = load_recipe("rehearsal-production")
    assert recipe.method is Method.FULL
    assert recipe.lora is None


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("learning_rate", 3, "learning_rate is 3; give a value between 1e-06 and 0.01 (per optimiser step)."),
        ("epochs", 0, "epochs is 0; give a whole number between 1 and 1,000 (passes over the training side)."),
        ("epochs", 2.5, "epochs is 2.5; give a whole number between 1 and 1,000 (passes over the training side)."),
        ("seed", True, "seed is True; give a whole number between 0"),
        ("warmup_share", "0.1", "warmup_share is '0.1'; give a value between 0 and 0.5 (share of all steps)."),
        ("weight_decay", float("nan"), "weight_decay is nan; give a value between 0 and 1"),
        ("stop_at_accuracy", 0.2, "stop_at_accuracy is 0.2; give a value between 0.5 and 1"),
        ("method", "qlora", "method is 'qlora'; give one of lora, full."),
        ("lora", "all", "lora is 'all'; write it as a [lora] table."),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_range_and_unit(key: str, value: Any, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_recipe(table(**{key: value}), name="mine")
    assert str(refused.value).startswith(sentence)


def test_an_unknown_key_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(Invalid, match="learning_rat is not a key of a recipe; did you mean learning_rate"):
        parse_recipe(table(learning_rat=1e-3), name="mine")


def test_an_unknown_key_inside_a_table_is_refused_with_the_nearest_name() -> None:
    lora = {**table()["lora"], "rnk": 4}
    with pytest.raises(Invalid, match=r"lora\.rnk is not a key of a recipe; did you mean lora\.rank"):
        parse_recipe(table(lora=lora), name="mine")


def test_a_missing_key_is_named() -> None:
    incomplete = table()
    del incomplete["epochs"]
    with pytest.raises(Invalid, match="The recipe mine lacks epochs"):
        parse_recipe(incomplete, name="mine")


def test_adapters_without_the_method_and_the_method_without_adapters_are_refused() -> None:
    with pytest.raises(Invalid, match="remove the"):
        parse_recipe(table(method="full"), name="mine")
    without = table()
    del without["lora"]
    with pytest.raises(Invalid, match="add a"):
        parse_recipe(without, name="mine")


def test_rounded_weights_are_not_divided_among_processes() -> None:
    lora = {**table()["lora"], "four_bit": True}
    assert parse_recipe(table(lora=lora), name="mine").sharding == "none"
    with pytest.raises(Invalid, match=r"which cannot divide the weights that lora\.four_bit has rounded"):
        parse_recipe(table(lora=lora, sharding="fsdp"), name="mine")


def test_adapters_on_no_layer_are_refused() -> None:
    with pytest.raises(Invalid, match=r"lora\.targets is empty"):
        parse_recipe(table(lora={**table()["lora"], "targets": []}), name="mine")


def test_a_width_that_the_heads_cannot_share_is_refused() -> None:
    size = {**table()["rehearsal"], "hidden": 100, "heads": 8}
    with pytest.raises(Invalid, match=r"rehearsal\.hidden is 100; give a multiple of 16"):
        parse_recipe(table(rehearsal=size), name="mine")


def test_a_recipe_is_read_from_any_path(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "training" / "recipes" / "phi-lora.toml"
    mine = tmp_path / "careful.toml"
    mine.write_text(shipped.read_text(encoding="utf-8").replace("1e-4", "5e-5"), encoding="utf-8")
    recipe = load_recipe(mine)
    assert (recipe.name, recipe.learning_rate) == ("careful", 5e-5)


def test_a_name_that_nothing_has_lists_the_shipped_ones() -> None:
    with pytest.raises(NotFound, match=r"chat-lora, .*phi-lora, .*rehearsal-tune"):
        load_recipe("fast")


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("epochs = = 3", encoding="utf-8")
    with pytest.raises(Invalid, match=r"broken\.toml cannot be read as TOML"):
        load_recipe(broken)
