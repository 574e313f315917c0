"""Families of chat templates: by which tokens an assistant's turn is found in what a template renders.

Owns the table. Refuses a tokenizer of no known family: a mask that was guessed would teach the wrong tokens. A family
needs its tokens in the vocabulary: one that spells a turn in ordinary words could be forged by a message.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass

from curation.errors import Invalid


@dataclass(frozen=True, slots=True)
class Family:
    """How the templates of a family mark turns.

    Attributes:
        name: as people know it.
        opening: the token with which the opening of an assistant's turn begins.
        end: the token that ends an assistant's turn.
        turns: every token with which a turn begins, whoever speaks.
    """

    name: str
    opening: str
    end: str
    turns: tuple[str, ...]


FAMILIES = (
    # Model cards of Phi-3, Phi-3.5 and Phi-4-mini; then of Phi-4, Qwen, SmolLM and others.
    Family("Phi", "<|assistant|>", "<|end|>", ("<|assistant|>", "<|user|>", "<|system|>")),
    Family("ChatML", "<|im_start|>", "<|im_end|>", ("<|im_start|>",)),
    # https://www.llama.com/docs/model-cards-and-prompt-formats/meta-llama-3/
    Family("Llama 3", "<|start_header_id|>", "<|eot_id|>", ("<|start_header_id|>",)),
    # https://ai.google.dev/gemma/docs/core/prompt-structure
    Family("Gemma", "<start_of_turn>", "<end_of_turn>", ("<start_of_turn>",)),
    # A reply has no opening of its own: it begins where the instruction ends.
    # https://docs.mistral.ai/cookbooks/concept-deep-dive-tokenization-chat_templates
    Family("Mistral", "[/INST]", "</s>", ("[INST]",)),
)


@dataclass(frozen=True, slots=True)
class Turns:
    """What marks the turns of one model, in its own token ids.

    Attributes:
        header: all that stands before the first word of a reply: the opening, a line break.
        end: ends a reply.
        openings: begin a turn, whoever speaks.
    """

    header: list[int]
    end: int
    openings: frozenset[int]


_BOS = "{{ bos_token }}"
_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}"
    "{{ '<|system|>\n' + messages[0]['content'] + '<|end|>\n' }}{% set messages = messages[1:] %}{% endif %}"
)


def with_system_turn(template: str, vocabulary: Container[str]) -> str | None:
    """A template of the Phi family that drops system turns, so that it keeps them; None of any other family.

    The first templates of Phi-3-mini and Phi-3-medium had none, though the models have the token and were tuned on
    it: the later templates of the same models render it as this one does. All else is rendered as before.
    """
    if not all(token in vocabulary for token in ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")):
        return None
    bos = _BOS if template.startswith(_BOS) else ""
    return bos + _SYSTEM + template.removeprefix(_BOS)


def turns_of(vocabulary: Mapping[str, int], prompt: Callable[[], list[int]]) -> Turns:
    """What marks the turns where the tokenizer has this vocabulary.

    Args:
        vocabulary: ids of all tokens by their text.
        prompt: renders a question up to where the reply begins.

    Raises:
        Invalid: no family's tokens are in the vocabulary, or the template opens no assistant turn.
    """
    known = [one for one in FAMILIES if one.opening in vocabulary and one.end in vocabulary]
    if not known:
        raise Invalid(
            "The model's chat template has none of the role tokens that Errata knows, which are those of {families}; "
            "choose a model of one of these families.",
            families=tuple(one.name for one in FAMILIES),
        )
    ids = prompt()
    for family in known:
        opening = vocabulary[family.opening]
        if opening in ids:
            start = len(ids) - 1 - ids[::-1].index(opening)
            openings = frozenset(vocabulary[token] for token in family.turns if token in vocabulary)
            return Turns(ids[start:], vocabulary[family.end], openings)
    raise Invalid("The model's chat template opens no assistant turn; use the tokenizer of an instruct model.")
