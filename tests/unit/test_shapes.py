"""A model's parameters and layers by arithmetic are those that transformers builds from the same configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from training.catalogue import CATALOGUE
from training.hyperparameters import RehearsalModel
from training.planning import shapes
from training.planning.shapes import LORA_TARGETS, Shape

SMALL: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def built(architecture: str, **sizes: Any) -> Any:
    """A model without memory for its weights: only their sizes."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **sizes))


def parameters(model: Any) -> int:
    return sum(one.numel() for one in model.parameters())


PHIS = {model.shape: model.name for model in CATALOGUE}


@pytest.mark.parametrize("shape", PHIS, ids=PHIS.values())
def test_each_shape_of_the_catalogue_has_the_parameters_that_transformers_counts(shape: Shape) -> None:
    model = built(
        "phi3",
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        tie_word_embeddings=shape.tied,
        pad_token_id=0,
    )
    assert shape.parameters == parameters(model)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("phi-3-mini-4k-instruct", 3_821_079_552),
        ("phi-3-medium-128k-instruct", 13_960_238_080),
        ("phi-4-mini-instruct", 3_836_021_760),
        ("phi-4", 14_659_507_200),
    ],
)
def test_the_parameters_are_those_of_the_model_cards(name: str, published: int) -> None:
    assert next(model.shape.parameters for model in CATALOGUE if model.name == name) == published


@pytest.mark.parametrize("architecture", LORA_TARGETS)
def test_the_shape_read_from_a_configuration_is_that_of_the_model(architecture: str, tmp_path: Path) -> None:
    model = built(architecture, **SMALL)
    model.config.save_pretrained(tmp_path)
    config = shapes.read_config(tmp_path)
    assert config is not None
    shape = shapes.of_config(config)
    assert shape is not None
    assert shape.parameters == parameters(model)
    layer = {name.rpartition(".")[2]: one for name, one in model.model.layers[0].named_modules()}
    linear = {name: (one.in_features, one.out_features) for name, one in layer.items() if hasattr(one, "in_features")}
    assert shape.matrices == linear
    assert set(LORA_TARGETS[architecture]) == set(linear)


def test_other_architectures_and_broken_configurations_have_no_shape(tmp_path: Path) -> None:
    assert shapes.of_config({"model_type": "mixtral", **SMALL}) is None
    assert shapes.of_config({"model_type": "llama", "hidden_size": 48}) is None
    assert shapes.of_config({"model_type": "llama", **SMALL, "num_attention_heads": 0}) is None
    assert shapes.read_config(tmp_path) is None
    (tmp_path / "config.json").write_text("[1]", encoding="utf-8")
    assert shapes.read_config(tmp_path) is None
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    assert shapes.read_config(tmp_path) is None
    assert json.dumps(CATALOGUE[0].as_json())


def test_a_rehearsals_shape_is_the_one_that_it_builds() -> None:
    rehearsal = next(model for model in CATALOGUE if model.name == "rehearsal")
    assert shapes.of_rehearsal(RehearsalModel(128, 2, 4, 2048)) == rehearsal.shape
