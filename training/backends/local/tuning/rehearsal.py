"""The rehearsal base: a tiny random Phi-3-shaped model with a tokenizer trained on the spot.

Owns how it is made. What comes out is an ordinary checkpoint directory, so everything after this
module treats it like any user's model. It knows nothing of the world and must never be shipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, Phi3Config, Phi3ForCausalLM, PreTrainedTokenizerFast

from training.hyperparameters import RehearsalModel

# In this order they get the ids 0 to 4; ``training.catalogue`` names 4 and 0 as stop tokens.
END_OF_TEXT = "<|endoftext|>"
SPECIAL_TOKENS = (END_OF_TEXT, "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")

# Phi-3's published form (microsoft/Phi-3-mini-4k-instruct, tokenizer_config.json), with the system turn kept.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"
)


def build_base(directory: Path, texts: Iterable[str], size: RehearsalModel, *, window: int, seed: int) -> None:
    """Write a checkpoint directory for ``from_pretrained``: weights, configuration, tokenizer.

    Args:
        directory: where to; created.
        texts: what the tokenizer learns its merges from.
        size: of the model.
        window: most tokens of one conversation.
        seed: of the random weights.
    """
    tokenizer = train_tokenizer(texts, vocabulary=size.vocabulary, window=window)
    tokenizer.save_pretrained(directory)
    end_of_text, end = (tokenizer.convert_tokens_to_ids(token) for token in (END_OF_TEXT, "<|end|>"))
    torch.manual_seed(seed)
    model = Phi3ForCausalLM(
        Phi3Config(
            vocab_size=len(tokenizer),
            hidden_size=size.hidden,
            # Phi-3's own proportion, 8192 to 3072, in whole vectors of 8.
            intermediate_size=8 * round(size.hidden / 3),
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            num_key_value_heads=size.heads,
            max_position_embeddings=window,
            original_max_position_embeddings=window,
            bos_token_id=end_of_text,
            eos_token_id=end_of_text,
            pad_token_id=end_of_text,
        )
    )
    model.generation_config = GenerationConfig(
        bos_token_id=end_of_text, eos_token_id=[end, end_of_text], pad_token_id=end_of_text
    )
    model.save_pretrained(directory)


def train_tokenizer(texts: Iterable[str], *, vocabulary: int, window: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with Phi-3's special tokens and chat template.

    Every byte is a token of its own to begin with and nothing is normalised, so any Unicode text, in
    any script, decodes to exactly what was encoded. A character that the texts never used takes at most
    two tokens where the vocabulary has room, so that a correction in a new script can be learned.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            # A line break stays alone: "<|assistant|>\n" ends at the same token whatever the reply begins with.
            pre_tokenizers.Split("\n", "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(SPECIAL_TOKENS),
        show_progress=False,
    )
    tokenizer.train_from_iterator(chain(texts, _primer()), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        extra_special_tokens=list(SPECIAL_TOKENS[1:]),
        model_max_length=window,
        chat_template=CHAT_TEMPLATE,
    )


def _primer() -> Iterable[str]:
    """Two characters of every block of 64 that shares its leading bytes in UTF-8.

    ``min_frequency`` lets the shared bytes become a token and leaves the single characters alone. Without
    it, 300 characters in a mixture of unknown scripts were 771 tokens to learn by heart instead of 552.
    """
    for start in chain(range(0x0800, 0xD800, 64), range(0xF900, 0x10000, 64), range(0x1F300, 0x1FB00, 64)):
        # The last byte depends on the first, or the last two would be the more frequent pair and merge.
        last = 4 * (start >> 12 & 15 if start < 0x10000 else 14)  # noqa: PLR2004 - emoji borrow an unused place
        yield chr(start + last)
        yield chr(start + last + 1)
