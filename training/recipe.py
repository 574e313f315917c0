"""Recipe: the hyperparameters of a run, read from a commented TOML file.

Owns the ranges and units, and refuses a value or a key that nobody defined. What can be said is
``training.hyperparameters``'s, what a run does with it ``training.backends``'s.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from curation.errors import Invalid, NotFound
from curation.wording import phrase
from training.hyperparameters import (
    AdapterStart,
    Classification,
    Keep,
    Label,
    Lora,
    Method,
    Mix,
    Objective,
    Precision,
    Preference,
    Recipe,
    RehearsalModel,
    Schedule,
    Service,
    Sharding,
    TrainingTier,
)

SHIPPED = Path(__file__).parent / "recipes"


@dataclass(frozen=True, slots=True)
class _Range:
    low: float
    high: float
    unit: str
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        kinds = (int,) if self.whole else (int, float)
        # True is an int to Python, never to a recipe. NaN compares false and is refused with the rest.
        return isinstance(value, kinds) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a value"
        return f"{kind} between {self.low:g} and {self.high:,g} ({self.unit})"


_RANGES = {
    "learning_rate": _Range(1e-6, 0.01, "per optimiser step"),
    "epochs": _Range(1, 1000, "passes over the training side", whole=True),
    "batch_tokens": _Range(64, 1_048_576, "tokens per optimiser step", whole=True),
    "device_tokens": _Range(64, 1_048_576, "tokens that one process works on at a time", whole=True),
    "warmup_share": _Range(0, 0.5, "share of all steps"),
    "weight_decay": _Range(0, 1, "per step and unit of learning rate"),
    "max_grad_norm": _Range(0.01, 100, "length of the gradient"),
    "seed": _Range(0, 2**31 - 1, "any number; the same one repeats a run", whole=True),
    "max_length": _Range(64, 131_072, "tokens of one conversation", whole=True),
    "stop_at_loss": _Range(1e-5, 10, "nats per supervised token"),
    "stop_at_accuracy": _Range(0.5, 1, "share of supervised tokens predicted right"),
    "validations": _Range(1, 1000, "measurements in a whole run", whole=True),
    "patience": _Range(1, 1000, "validations without a lower loss", whole=True),
    "snapshot_minutes": _Range(0, 1440, "minutes between snapshots"),
    "snapshots": _Range(1, 100, "snapshots kept", whole=True),
    "processes": _Range(0, 64, "processes that train together; 0 is one for each GPU", whole=True),
    "lora.rank": _Range(1, 512, "width of an adapter", whole=True),
    "lora.alpha": _Range(1, 2048, "an adapter's scale is alpha / rank", whole=True),
    "lora.dropout": _Range(0, 0.5, "share of an adapter's inputs"),
    "mix.correction": _Range(0, 100, "weight of a supervised token"),
    "mix.endorsement": _Range(0, 100, "weight of a supervised token"),
    "mix.imported": _Range(0, 100, "weight of a supervised token"),
    "preference.beta": _Range(0.001, 10, "smaller leaves the base further"),
    "preference.replies": _Range(0, 10, "weight of the corrected reply's own loss"),
    "service.batch_size": _Range(1, 256, "examples in one optimiser step", whole=True),
    "service.learning_rate_multiplier": _Range(0.001, 100, "times what the service would take"),
    "service.capacity": _Range(1, 10_000, "thousands of tokens that the endpoint takes in a minute", whole=True),
    "rehearsal.hidden": _Range(16, 1024, "width of the residual stream", whole=True),
    "rehearsal.layers": _Range(1, 12, "decoder layers", whole=True),
    "rehearsal.heads": _Range(1, 32, "attention heads", whole=True),
    "rehearsal.vocabulary": _Range(300, 32_064, "tokens", whole=True),
}
_CHOICES: dict[str, type[StrEnum]] = {
    "method": Method,
    "objective": Objective,
    "precision": Precision,
    "schedule": Schedule,
    "keep": Keep,
    "sharding": Sharding,
    "lora.start": AdapterStart,
    "classification.label": Label,
    "service.training_type": TrainingTier,
}
_SWITCHES = frozenset({"gradient_checkpointing", "tensorboard", "lora.rslora", "lora.dora", "lora.four_bit"})
_NAMES = frozenset({"lora.targets", "lora.modules_to_save"})
_TABLES: dict[str, type[Any]] = {
    "lora": Lora,
    "mix": Mix,
    "preference": Preference,
    "classification": Classification,
    "service": Service,
    "rehearsal": RehearsalModel,
}


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read a shipped recipe by its name, or any recipe by the path of its TOML file.

    Raises:
        NotFound: neither a shipped recipe nor a file; the sentence lists the shipped ones.
        Invalid: the file is not TOML, or a key or value is refused; the sentence says which and why.
    """
    path = Path(name_or_path)
    shipped = recipe_names()
    if str(name_or_path) in shipped:
        path = SHIPPED / f"{name_or_path}.toml"
    elif not path.is_file():
        raise NotFound(
            "There is no recipe {name!r}; use {recipes} or the path of a TOML file.",
            name=str(name_or_path),
            recipes=shipped,
        )
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(
            "{file} cannot be read as TOML: {error}. Correct the file and try again.", file=path.name, error=error
        ) from error
    return parse_recipe(table, name=path.stem)


def recipe_names() -> tuple[str, ...]:
    """Names of the shipped recipes, in alphabetical order."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.toml")))


def parse_recipe(table: Mapping[str, Any], *, name: str) -> Recipe:
    """Check a recipe's table, as read from TOML or from ``Recipe.as_json``, and give it its name.

    Raises:
        Invalid: with one sentence such as ``learning_rate is 3; give a value between 1e-06 and 0.01
            (per optimiser step).``
    """
    recipe: Recipe = _read(Recipe, {**table, "name": name}, where="", whole=phrase("The recipe {name}", name=name))
    _agrees(recipe)
    return recipe


def _read(kind: type[Any], table: Any, *, where: str, whole: str) -> Any:
    """A table as the dataclass whose fields are its keys."""
    if not isinstance(table, Mapping):
        raise Invalid("{where} is {value!r}; write it as a [{where}] table.", where=where.rstrip("."), value=table)
    known = {field.name: field.default is MISSING for field in fields(kind)}
    for key in table:
        if key not in known:
            # With no cutoff there is always a nearest name, however odd the key.
            nearest = difflib.get_close_matches(key, [one for one in known if one != "name"], n=1, cutoff=0)[0]
            raise Invalid(
                "{where}{key} is not a key of a recipe; did you mean {where}{nearest}?",
                where=where,
                key=key,
                nearest=nearest,
            )
    missing = tuple(key for key, needed in known.items() if needed and key not in table)
    if missing:
        raise Invalid("{table} lacks {keys}; copy a shipped recipe and change it.", table=whole, keys=missing)
    return kind(**{key: _value(f"{where}{key}", value) for key, value in table.items()})


def _value(key: str, value: Any) -> Any:
    """One value in the type that its key has."""
    if key in _TABLES:
        return _read(_TABLES[key], value, where=f"{key}.", whole=phrase("The [{key}] table", key=key))
    if key in _RANGES:
        if value not in _RANGES[key]:
            raise Invalid("{key} is {value!r}; give {range}.", key=key, value=value, range=_RANGES[key])
        return value if _RANGES[key].whole else float(value)
    if key in _CHOICES:
        known = [one.value for one in _CHOICES[key]]
        if value not in known:
            raise Invalid("{key} is {value!r}; give one of {known}.", key=key, value=value, known=known)
        return _CHOICES[key](value)
    if key in _SWITCHES:
        if not isinstance(value, bool):
            raise Invalid("{key} is {value!r}; give true or false.", key=key, value=value)
        return value
    if key in _NAMES:
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item for item in value):
            raise Invalid("{key} is {value!r}; give a list of module names.", key=key, value=value)
        return tuple(value)
    return value  # the name, which is no key of a file


def _agrees(recipe: Recipe) -> None:
    """Refuse what each value permits and all of them together do not."""
    if recipe.method is Method.LORA and recipe.lora is None:
        raise Invalid('method is "lora"; add a [lora] table or change the method.')
    if recipe.method is Method.FULL and recipe.lora is not None:
        raise Invalid('method is "full"; remove the [lora] table or change the method.')
    for objective, key, table in (
        (Objective.PREFERENCES, "preference", recipe.preference),
        (Objective.LABELS, "classification", recipe.classification),
    ):
        if table is not None and recipe.objective is not objective:
            raise Invalid(
                'objective is "{objective}"; remove the [{key}] table or change the objective to "{wanted}".',
                objective=recipe.objective,
                key=key,
                wanted=objective,
            )
        if table is None and recipe.objective is objective:
            raise Invalid(
                'objective is "{objective}"; add a [{key}] table or change the objective.',
                objective=objective,
                key=key,
            )
    if recipe.lora is not None:
        _adapters_agree(recipe.lora)
        if recipe.lora.four_bit and recipe.sharding is Sharding.FSDP:
            raise Invalid(
                'sharding is "fsdp", which cannot divide the weights that lora.four_bit has rounded; use "none".'
            )
    size = recipe.rehearsal
    # Rotary embedding turns pairs of channels, so each head needs an even number of them.
    if size is not None and size.hidden % (2 * size.heads):
        raise Invalid(
            "rehearsal.hidden is {hidden}; give a multiple of {multiple} (twice the attention heads).",
            hidden=size.hidden,
            multiple=2 * size.heads,
        )
    if not any((recipe.mix.correction, recipe.mix.endorsement, recipe.mix.imported)):
        raise Invalid("Every weight in [mix] is 0, so nothing would be learned; give one that is more.")


def _adapters_agree(lora: Lora) -> None:
    if not lora.targets:
        raise Invalid("lora.targets is empty; name the layers that get an adapter, for Phi qkv_proj and o_proj.")
    if lora.four_bit and lora.start is not AdapterStart.DEFAULT:
        raise Invalid(
            'lora.start is "{start}", which reads the weights that lora.four_bit has rounded; use "default".',
            start=lora.start,
        )
