"""Adapters beside frozen weights: how peft is told of them, and how they are written so that anybody loads them.

Owns the way from a recipe's [lora] table to peft and back to a folder that plain peft loads on the plain base model.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

from training.backends.local import folder
from training.backends.local.checkpoint import save_adapter
from training.hyperparameters import AdapterStart, Recipe

_CHANGES_THE_BASE = frozenset({AdapterStart.PISSA, AdapterStart.OLORA})
"""Starts that take the largest directions out of the frozen weights; an adapter for the plain base gives them back."""
_START = "start"


def with_adapters(model: Any, recipe: Recipe, directory: Path, *, writes: bool = True) -> Any:
    """The model wrapped in adapters, whose own weights have 32 bits; for full training the model itself.

    Args:
        model: as loaded; its weights are frozen.
        recipe: with the adapters.
        directory: of the job, where adapters that begin with the base's own directions are kept to give them back.
        writes: whether this process keeps them; one of several does.
    """
    lora = recipe.lora
    if lora is None:
        return model
    if getattr(model, "is_loaded_in_4bit", False):
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
        modules_to_save=list(lora.modules_to_save) or None,
        use_rslora=lora.rslora,
        use_dora=lora.dora,
        init_lora_weights=True if lora.start is AdapterStart.DEFAULT else lora.start.value,
    )
    wrapped = get_peft_model(model, config)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if writes and lora.start in _CHANGES_THE_BASE and not (directory / _START).exists():
        save_adapter(wrapped, directory / _START)
    return wrapped


def save_adapters(model: Any, recipe: Recipe, directory: Path) -> None:
    """Write the adapter of a trained model into its job's folder; arguments as of ``with_adapters``.

    Raises:
        Unavailable: the disk is full.
    """
    changed = recipe.lora is not None and recipe.lora.start in _CHANGES_THE_BASE
    start = {"path_initial_model_for_weight_conversion": str(directory / _START)} if changed else {}
    with warnings.catch_warnings():
        # For this one moment there are two of them, which is what peft warns of.
        warnings.filterwarnings("ignore", message=".* changes the base weights of the model", category=UserWarning)
        save_adapter(model, directory / folder.ADAPTER, **start)
