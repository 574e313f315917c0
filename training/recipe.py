"""Recipe: the hyperparameters of a run, read from a commented TOML file.

Owns their names, ranges and units, and refuses a value or a key that nobody defined. What a run does
with them is decided in ``training.backends``; which base model it starts from in ``training.catalogue``.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from curation.errors import Invalid, NotFound

SHIPPED = Path(__file__).parent / "recipes"


SNAPSHOT_MINUTES = 10.0
"""Unless a recipe says otherwise: what a stop may cost."""


class Method(StrEnum):
    """What is trained: low-rank adapters beside frozen weights, or every weight."""

    LORA = "lora"
    FULL = "full"


class Precision(StrEnum):
    """Of matrix products while training; weights that are trained have 32 bits in any case."""

    AUTO = "auto"
    BF16 = "bf16"
    FP32 = "fp32"


@dataclass(frozen=True, slots=True)
class Lora:
    """The adapters (Hu et al. 2021, https://arxiv.org/abs/2106.09685).

    Attributes:
        rank: width of each adapter, 1 to 512.
        alpha: its scale is alpha / rank; 1 to 2048.
        dropout: share of an adapter's inputs dropped while training, 0 to 0.5.
        targets: names of the linear layers that get an adapter.
        modules_to_save: modules trained whole and saved with the adapter, such as ``lm_head``.
    """

    rank: int
    alpha: int
    dropout: float
    targets: tuple[str, ...]
    modules_to_save: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RehearsalModel:
    """The size of the tiny random Phi-3-shaped model that a rehearsal starts from.

    Attributes:
        hidden: width of the residual stream, 16 to 1024; a multiple of twice ``heads``.
        layers: decoder layers, 1 to 12.
        heads: attention heads, 1 to 32.
        vocabulary: most tokens its tokenizer may learn, 300 to 32064.
    """

    hidden: int
    layers: int
    heads: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters of one run.

    Attributes:
        name: the shipped name, or the file's name without its suffix.
        method: adapters or every weight.
        learning_rate: peak step size of AdamW, 1e-6 to 0.01 per optimiser step.
        epochs: passes over the training side, 1 to 1000.
        batch_tokens: most tokens in one optimiser step, padding included, 64 to 1,048,576.
        warmup_share: share of the steps in which the learning rate rises from 0, 0 to 0.5.
        weight_decay: decoupled decay of weight matrices per step and unit of learning rate, 0 to 1.
        max_grad_norm: gradients longer than this are scaled down to it, 0.01 to 100.
        seed: of initialisation, shuffling and dropout, 0 to 2**31 - 1.
        max_length: tokens of one conversation, 64 to 131,072; longer ones lose their oldest turns.
        stop_at_loss: training may end after an epoch whose mean loss is below this, 1e-5 to 10 nats per
            supervised token.
        stop_at_accuracy: likewise where at least this share of supervised tokens was the most probable
            one, 0.5 to 1. Where both are given, both must hold; with neither, every epoch is trained.
        snapshot_minutes: how often what is needed to go on after a stop is kept, 0 (after every step) to 1440.
        precision: of matrix products; ``auto`` is ``bf16`` on a GPU and ``fp32`` on a CPU.
        lora: the adapters; None exactly where ``method`` is ``full``.
        rehearsal: the tiny model to start from when the base is the rehearsal one.
    """

    name: str
    method: Method
    learning_rate: float
    epochs: int
    batch_tokens: int
    warmup_share: float
    weight_decay: float
    max_grad_norm: float
    seed: int
    max_length: int
    stop_at_loss: float | None
    stop_at_accuracy: float | None
    snapshot_minutes: float
    precision: Precision
    lora: Lora | None
    rehearsal: RehearsalModel | None

    def as_json(self) -> dict[str, Any]:
        """The table that ``parse_recipe`` reads back into an equal recipe, without the name."""
        table = {key: value for key, value in asdict(self).items() if value is not None and key != "name"}
        return {**table, "method": self.method.value, "precision": self.precision.value}


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
    "warmup_share": _Range(0, 0.5, "share of all steps"),
    "weight_decay": _Range(0, 1, "per step and unit of learning rate"),
    "max_grad_norm": _Range(0.01, 100, "length of the gradient"),
    "seed": _Range(0, 2**31 - 1, "any number; the same one repeats a run", whole=True),
    "max_length": _Range(64, 131_072, "tokens of one conversation", whole=True),
    "stop_at_loss": _Range(1e-5, 10, "nats per supervised token"),
    "stop_at_accuracy": _Range(0.5, 1, "share of supervised tokens predicted right"),
    "snapshot_minutes": _Range(0, 1440, "minutes between snapshots"),
    "lora.rank": _Range(1, 512, "width of an adapter", whole=True),
    "lora.alpha": _Range(1, 2048, "an adapter's scale is alpha / rank", whole=True),
    "lora.dropout": _Range(0, 0.5, "share of an adapter's inputs"),
    "rehearsal.hidden": _Range(16, 1024, "width of the residual stream", whole=True),
    "rehearsal.layers": _Range(1, 12, "decoder layers", whole=True),
    "rehearsal.heads": _Range(1, 32, "attention heads", whole=True),
    "rehearsal.vocabulary": _Range(300, 32_064, "tokens", whole=True),
}
_LORA_KEYS = ("rank", "alpha", "dropout", "targets", "modules_to_save")
_REHEARSAL_KEYS = ("hidden", "layers", "heads", "vocabulary")
_OPTIONAL = {"stop_at_loss", "stop_at_accuracy", "snapshot_minutes", "precision", "lora", "rehearsal"}
_KEYS = ("method", "precision", *(key for key in _RANGES if "." not in key), "lora", "rehearsal")


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
    _known(table, _KEYS, where="")
    missing = [key for key in _KEYS if key not in table and key not in _OPTIONAL]
    if missing:
        raise Invalid(
            "The recipe {name} lacks {keys}; copy a shipped recipe and change it.", name=name, keys=tuple(missing)
        )
    if table["method"] not in list(Method):
        raise Invalid('method is {method!r}; give "lora" or "full".', method=table["method"])
    method = Method(table["method"])
    if (method is Method.LORA) != ("lora" in table):
        remedy = "add a [lora] table" if method is Method.LORA else "remove the [lora] table"
        raise Invalid('method is "{method}"; {remedy} or change the method.', method=method, remedy=remedy)
    precision = table.get("precision", Precision.AUTO)
    if precision not in list(Precision):
        raise Invalid(
            "precision is {precision!r}; give one of {known}.",
            precision=precision,
            known=[one.value for one in Precision],
        )
    numbers = {key: _number(key, table[key]) for key in _RANGES if "." not in key and key in table}
    return Recipe(
        name=name,
        method=method,
        **{"stop_at_loss": None, "stop_at_accuracy": None, "snapshot_minutes": SNAPSHOT_MINUTES, **numbers},
        precision=Precision(precision),
        lora=_lora(table["lora"]) if "lora" in table else None,
        rehearsal=_rehearsal(table["rehearsal"]) if "rehearsal" in table else None,
    )


def _lora(table: Mapping[str, Any]) -> Lora:
    _complete(table, _LORA_KEYS, where="lora")
    targets = _names("lora.targets", table["targets"])
    if not targets:
        raise Invalid("lora.targets is empty; name the layers that get an adapter, for Phi qkv_proj and o_proj.")
    return Lora(
        **{key: _number(f"lora.{key}", table[key]) for key in ("rank", "alpha", "dropout")},
        targets=targets,
        modules_to_save=_names("lora.modules_to_save", table["modules_to_save"]),
    )


def _rehearsal(table: Mapping[str, Any]) -> RehearsalModel:
    _complete(table, _REHEARSAL_KEYS, where="rehearsal")
    size = RehearsalModel(**{key: _number(f"rehearsal.{key}", table[key]) for key in _REHEARSAL_KEYS})
    # Rotary embedding turns pairs of channels, so each head needs an even number of them.
    if size.hidden % (2 * size.heads):
        raise Invalid(
            "rehearsal.hidden is {hidden}; give a multiple of {multiple} (twice the attention heads).",
            hidden=size.hidden,
            multiple=2 * size.heads,
        )
    return size


def _complete(table: Any, keys: tuple[str, ...], *, where: str) -> None:
    if not isinstance(table, Mapping):
        raise Invalid("{where} is {value!r}; write it as a [{where}] table.", where=where, value=table)
    _known(table, keys, where=f"{where}.")
    missing = [key for key in keys if key not in table]
    if missing:
        raise Invalid(
            "The [{where}] table lacks {keys}; copy a shipped recipe and change it.", where=where, keys=tuple(missing)
        )


def _known(table: Mapping[str, Any], keys: tuple[str, ...], *, where: str) -> None:
    for key in table:
        if key not in keys:
            # With no cutoff there is always a nearest name, however odd the key.
            nearest = difflib.get_close_matches(key, keys, n=1, cutoff=0)[0]
            raise Invalid(
                "{where}{key} is not a key of a recipe; did you mean {where}{nearest}?",
                where=where,
                key=key,
                nearest=nearest,
            )


def _number(key: str, value: Any) -> Any:
    if value not in _RANGES[key]:
        raise Invalid("{key} is {value!r}; give {range}.", key=key, value=value, range=_RANGES[key])
    return value if _RANGES[key].whole else float(value)


def _names(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item for item in value):
        raise Invalid("{key} is {value!r}; give a list of module names.", key=key, value=value)
    return tuple(value)
