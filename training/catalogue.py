"""BaseModel: the models that can be tuned, and what a run must know about each.

Owns names, windows, vocabularies, layers for adapters and stop tokens. Refuses a name it does not
know. How many tokens a text has is decided by ``curation.tokens.counters``, by the family named here.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from curation.errors import NotFound

# Every Phi from 3 on has the fused layers of the Phi-3 architecture; peft has no defaults for it.
PHI_TARGETS = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class BaseModel:
    """One model that a run may start from.

    Attributes:
        name: what people type.
        hub_id: where ``from_pretrained`` finds it; None for the rehearsal model, built on the spot.
        window: most tokens of one conversation, prompt and reply together.
        vocabulary: rows of the embedding, padding rows included.
        tokenizer: the token counter's family: ``phi3``, ``o200k`` or ``cl100k``.
        lora_targets: layers that get an adapter.
        stop_tokens: ids that end a reply; the first ends an assistant's turn and must be learned.
    """

    name: str
    hub_id: str | None
    window: int
    vocabulary: int
    tokenizer: str
    stop_tokens: tuple[int, ...]
    lora_targets: tuple[str, ...] = PHI_TARGETS


# Phi-3 ids: <|end|>, <|endoftext|>, <|assistant|>, from each model's generation_config.json.
_PHI_3_STOPS = (32007, 32000, 32001)

CATALOGUE: tuple[BaseModel, ...] = (
    # Its tokenizer is trained on the run's own data with the special tokens first, so <|end|> is 4 and
    # <|endoftext|> is 0. The Phi-3 counter stands in for it: both spell an unknown script in bytes.
    BaseModel("rehearsal", None, 2_048, 2_048, "phi3", (4, 0)),
    BaseModel("phi-3-mini-4k-instruct", "microsoft/Phi-3-mini-4k-instruct", 4_096, 32_064, "phi3", _PHI_3_STOPS),
    BaseModel("phi-3-mini-128k-instruct", "microsoft/Phi-3-mini-128k-instruct", 131_072, 32_064, "phi3", _PHI_3_STOPS),
    BaseModel("phi-3-medium-4k-instruct", "microsoft/Phi-3-medium-4k-instruct", 4_096, 32_064, "phi3", _PHI_3_STOPS),
    BaseModel("phi-3.5-mini-instruct", "microsoft/Phi-3.5-mini-instruct", 131_072, 32_064, "phi3", _PHI_3_STOPS),
    BaseModel("phi-4-mini-instruct", "microsoft/Phi-4-mini-instruct", 131_072, 200_064, "o200k", (200_020, 199_999)),
    # config.json names 100257 as its end of sequence, but turns end with <|im_end|>, 100265.
    BaseModel("phi-4", "microsoft/phi-4", 16_384, 100_352, "cl100k", (100_265, 100_257)),
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
