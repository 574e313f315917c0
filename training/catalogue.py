"""Catalogue: the base models that Errata knows by name.

Owns their windows, shapes, layers for adapters, stop tokens, licences and the recipes made for them. Refuses a name it
does not know. How many tokens a text has is decided by ``curation.tokens.counters``, by the family named here; a model
that is not listed, by a path or hub id, is ``training.planning.subjects``'s.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from curation.errors import NotFound
from training.planning.shapes import PHI_TARGETS, Shape, phi

__all__ = ["CATALOGUE", "PHI_TARGETS", "BaseModel", "Template", "find", "known"]


class Template(StrEnum):
    """How turns are written; from each model's tokenizer_config.json."""

    PHI_3 = "<|user|>\n…<|end|>\n<|assistant|>\n…<|end|>"
    PHI_4_MINI = "<|user|>…<|end|><|assistant|>…<|end|>"
    PHI_4 = "<|im_start|>user<|im_sep|>…<|im_end|><|im_start|>assistant<|im_sep|>…<|im_end|>"


@dataclass(frozen=True, slots=True)
class BaseModel:
    """One model that a run may start from.

    Attributes:
        name: what people type.
        hub_id: where ``from_pretrained`` finds it; None for the rehearsal model, built on the spot.
        window: most tokens of one conversation, prompt and reply together.
        shape: its sizes; the rehearsal's are those of its usual recipe.
        tokenizer: the token counter's family: ``phi3``, ``o200k`` or ``cl100k``.
        stop_tokens: ids that end a reply; the first ends an assistant's turn and must be learned.
        template: how its turns are written.
        recipes: shipped recipes made for it, the one that takes most memory first.
        lora_targets: layers that get an adapter.
        licence: under which its weights are given away.
    """

    name: str
    hub_id: str | None
    window: int
    shape: Shape
    tokenizer: str
    stop_tokens: tuple[int, ...]
    template: Template = Template.PHI_3
    recipes: tuple[str, ...] = ()
    lora_targets: tuple[str, ...] = PHI_TARGETS
    licence: str | None = "MIT"

    @property
    def vocabulary(self) -> int:
        """Rows of the embedding, padding rows included."""
        return self.shape.vocabulary

    def as_json(self) -> dict[str, Any]:
        """Every attribute; the shape with its number of parameters."""
        return {
            "name": self.name,
            "hub_id": self.hub_id,
            "window": self.window,
            "vocabulary": self.vocabulary,
            "parameters": self.shape.parameters,
            "shape": self.shape.as_json(),
            "tokenizer": self.tokenizer,
            "template": self.template.value,
            "stop_tokens": list(self.stop_tokens),
            "lora_targets": list(self.lora_targets),
            "recipes": list(self.recipes),
            "licence": self.licence,
        }


# Sizes: each model's config.json on Hugging Face.
_PHI_3_MINI = phi(32_064, 3_072, 32, (32, 32), 8_192, tied=False)
_PHI_3_MEDIUM = phi(32_064, 5_120, 40, (40, 10), 17_920, tied=False)
_PHI_4_MINI = phi(200_064, 3_072, 32, (24, 8), 8_192, tied=True)
_PHI_4 = phi(100_352, 5_120, 40, (40, 10), 17_920, tied=False)
_REHEARSAL = phi(2_048, 128, 2, (4, 4), 344, tied=False)

# Phi-3 ids: <|end|>, <|endoftext|>, <|assistant|>, from each model's generation_config.json.
_PHI_3_STOPS = (32_007, 32_000, 32_001)

_PHI_3_5 = BaseModel(
    name="phi-3.5-mini-instruct",
    hub_id="microsoft/Phi-3.5-mini-instruct",
    window=131_072,
    shape=_PHI_3_MINI,
    tokenizer="phi3",
    stop_tokens=_PHI_3_STOPS,
    recipes=("phi-mini-80gb", "phi-mini-24gb", "phi-mini-12gb"),
)
_PHI_3_MEDIUM_4K = replace(
    _PHI_3_5,
    name="phi-3-medium-4k-instruct",
    hub_id="microsoft/Phi-3-medium-4k-instruct",
    window=4_096,
    shape=_PHI_3_MEDIUM,
    recipes=("phi-14b-80gb", "phi-14b-24gb"),
)

CATALOGUE: tuple[BaseModel, ...] = (
    # Its tokenizer is trained on the run's own data with the special tokens first, so <|end|> is 4 and
    # <|endoftext|> is 0. The Phi-3 counter stands in for it: both spell an unknown script in bytes.
    BaseModel("rehearsal", None, 2_048, _REHEARSAL, "phi3", (4, 0), recipes=("rehearsal",), licence=None),
    replace(_PHI_3_5, name="phi-3-mini-4k-instruct", hub_id="microsoft/Phi-3-mini-4k-instruct", window=4_096),
    replace(_PHI_3_5, name="phi-3-mini-128k-instruct", hub_id="microsoft/Phi-3-mini-128k-instruct"),
    _PHI_3_MEDIUM_4K,
    replace(
        _PHI_3_MEDIUM_4K,
        name="phi-3-medium-128k-instruct",
        hub_id="microsoft/Phi-3-medium-128k-instruct",
        window=131_072,
    ),
    _PHI_3_5,
    BaseModel(
        name="phi-4-mini-instruct",
        hub_id="microsoft/Phi-4-mini-instruct",
        window=131_072,
        shape=_PHI_4_MINI,
        tokenizer="o200k",
        stop_tokens=(200_020, 199_999),
        template=Template.PHI_4_MINI,
        recipes=("phi-mini-80gb", "phi-mini-24gb", "phi-mini-12gb"),
    ),
    BaseModel(
        name="phi-4",
        hub_id="microsoft/phi-4",
        window=16_384,
        shape=_PHI_4,
        tokenizer="cl100k",
        # config.json names 100257 as its end of sequence, but turns end with <|im_end|>, 100265.
        stop_tokens=(100_265, 100_257),
        template=Template.PHI_4,
        recipes=("phi-14b-80gb", "phi-14b-24gb"),
    ),
)


def find(name: str) -> BaseModel:
    """The base model of this name, in any case.

    Raises:
        NotFound: the sentence lists the nearest names.
    """
    by_name = {model.name: model for model in CATALOGUE}
    wanted = name.strip().lower()
    if wanted in by_name:
        return by_name[wanted]
    near = difflib.get_close_matches(wanted, by_name, n=3, cutoff=0.5) or list(by_name)
    raise NotFound("There is no base model {name!r} in the catalogue; did you mean {models}?", name=name, models=near)


def known(name_or_hub_id: str) -> BaseModel | None:
    """The base model of exactly this name or hub id; None for any other."""
    wanted = name_or_hub_id.strip().lower()
    return next((one for one in CATALOGUE if wanted in {one.name, (one.hub_id or "").lower()} - {""}), None)
