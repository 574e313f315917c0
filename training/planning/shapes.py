"""Shapes: the sizes of a decoder-only model, and what follows from them by arithmetic alone.

Owns the counts of parameters and the families whose layers are known. Refuses to guess at others: a mixture of experts
or a model that also sees pictures has no shape here, and whoever asks is told so. Loads no torch; what a shape takes
while it is trained is ``training.planning.memory``'s and ``training.planning.pace``'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.hyperparameters import RehearsalModel

PHI_TARGETS = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
"""Every Phi from 3 on has the fused layers of the Phi-3 architecture; peft has no defaults for it."""

SPLIT_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear layers of Llama and of those that followed it."""

LORA_TARGETS: Mapping[str, tuple[str, ...]] = {
    "phi3": PHI_TARGETS,
    "llama": SPLIT_TARGETS,
    "mistral": SPLIT_TARGETS,
    "qwen2": SPLIT_TARGETS,
    "qwen3": SPLIT_TARGETS,
    "gemma": SPLIT_TARGETS,
    "gemma2": SPLIT_TARGETS,
    "smollm3": SPLIT_TARGETS,
}
"""Layers that get an adapter, by the ``model_type`` of config.json: the architectures that are known here."""

_BIASED = frozenset({"qwen2"})  # whose queries, keys and values have a bias though no key of config.json says so
_NORMED_HEADS = frozenset({"qwen3"})
_FOUR_NORMS = frozenset({"gemma2"})
_TIED = frozenset({"gemma", "gemma2", "smollm3"})  # where config.json says nothing


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a decoder with gated feed-forward layers.

    Attributes:
        vocabulary: rows of the embedding, padding rows included.
        hidden: width of the residual stream.
        layers: decoder layers.
        heads: attention heads.
        kv_heads: heads of keys and values, each shared by ``heads / kv_heads`` others.
        intermediate: width between the feed-forward matrices.
        tied: whether the head is the embedding.
        head_width: of one head.
        architecture: ``model_type`` of config.json.
    """

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    tied: bool
    head_width: int
    architecture: str = "phi3"

    @property
    def queries(self) -> int:
        """Width of all queries of a token, and of what attention gives back."""
        return self.heads * self.head_width

    @property
    def keys(self) -> int:
        """Width of all keys of a token; of its values, the same."""
        return self.kv_heads * self.head_width

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """``(in, out)`` of each linear layer of one decoder layer, by its name."""
        queries, keys, hidden, inner = self.queries, self.keys, self.hidden, self.intermediate
        if LORA_TARGETS.get(self.architecture) == PHI_TARGETS:
            attention = {"qkv_proj": (hidden, queries + 2 * keys)}
            feed_forward = {"gate_up_proj": (hidden, 2 * inner)}
        else:
            attention = {"q_proj": (hidden, queries), "k_proj": (hidden, keys), "v_proj": (hidden, keys)}
            feed_forward = {"gate_proj": (hidden, inner), "up_proj": (hidden, inner)}
        return {**attention, "o_proj": (queries, hidden), **feed_forward, "down_proj": (inner, hidden)}

    @property
    def embedding(self) -> int:
        """Weights of the embedding, and of the head, the same."""
        return self.vocabulary * self.hidden

    @property
    def linear(self) -> int:
        """Weights of the linear layers of all decoder layers: what a token is multiplied with beside the head."""
        return self.layers * sum(wide * high for wide, high in self.matrices.values())

    @property
    def parameters(self) -> int:
        """Every weight: Phi-3-mini has 3,821,079,552."""
        vectors = (4 if self.architecture in _FOUR_NORMS else 2) * self.hidden
        if self.architecture in _BIASED:
            vectors += self.queries + 2 * self.keys
        if self.architecture in _NORMED_HEADS:
            vectors += 2 * self.head_width
        embeddings = self.embedding * (1 if self.tied else 2)
        return embeddings + self.linear + self.layers * vectors + self.hidden

    def as_json(self) -> dict[str, Any]:
        """Every attribute, and the parameters."""
        return {**asdict(self), "parameters": self.parameters}


def phi(vocabulary: int, hidden: int, layers: int, heads: tuple[int, int], intermediate: int, *, tied: bool) -> Shape:
    """A Phi's shape; ``heads`` are those of the queries, and those of keys and values."""
    return Shape(vocabulary, hidden, layers, *heads, intermediate, tied, hidden // heads[0])


def of_rehearsal(size: RehearsalModel) -> Shape:
    """The shape that a rehearsal's model has at most: its tokenizer may find fewer tokens worth learning."""
    inner = 8 * round(size.hidden / 3)  # Phi-3-mini's own proportion, 8192 to 3072, in whole vectors of 8
    return phi(size.vocabulary, size.hidden, size.layers, (size.heads, size.heads), inner, tied=False)


def read_config(folder: Path) -> Mapping[str, Any] | None:
    """The object in a checkpoint's config.json; None where there is none that can be read."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return config if isinstance(config, dict) else None


def of_config(config: Mapping[str, Any]) -> Shape | None:
    """The shape that a config.json describes; None where the architecture is not known here or a size is missing."""
    architecture = str(config.get("model_type", ""))
    if architecture not in LORA_TARGETS:
        return None
    try:
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        tied = config.get("tie_word_embeddings")
        return Shape(
            vocabulary=int(config["vocab_size"]),
            hidden=hidden,
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            intermediate=int(config["intermediate_size"]),
            tied=architecture in _TIED if tied is None else bool(tied),
            head_width=int(config.get("head_dim") or hidden // heads),
            architecture=architecture,
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
