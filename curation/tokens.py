"""How many tokens a conversation has for the model that will be tuned.

Owns the counters, one per tokenizer family, and what each family's chat template adds. A count is
exact, or it is a range and says so: an estimate that looks exact would let a dialogue be cut by
the trainer. Refuses to know models and their windows (``training.catalogue``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from curation.conversation import Conversation, Message
from curation.errors import Invalid
from curation.vocabularies import Vocabulary, encoding_of

if TYPE_CHECKING:
    import tiktoken


class TokenizerFamily(StrEnum):
    """Models that share a vocabulary, with the chat template that its Phi model uses."""

    PHI3 = "phi3"
    O200K = "o200k"
    CL100K = "cl100k"


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Between ``lower`` and ``upper`` tokens, both included; equal where the count is exact."""

    lower: int
    upper: int

    @property
    def exact(self) -> bool:
        """Whether the two bounds are one."""
        return self.lower == self.upper


class TokenCounter(Protocol):
    """Counts whole conversations, template included."""

    @property
    def name(self) -> str:
        """What counts, for people: ``o200k (tiktoken)``, ``phi3 (estimated from cl100k)``."""

    @property
    def exact(self) -> bool:
        """Whether every count is exact."""

    def count(self, conversation: Conversation) -> TokenCount:
        """The tokens of the conversation as a training example, end of text included."""


@dataclass(frozen=True, slots=True)
class _Template:
    """What the family's chat template writes around each turn, and at the end.

    ``opening`` has the place ``{role}``. Every special token counts one; so does a role's name where
    it is text (it is one token in cl100k). Names and weights of messages are not rendered.
    """

    opening: str
    closing: str
    ending: str
    specials: tuple[str, ...]
    tokens_per_turn: int
    tokens_at_end: int

    def render(self, conversation: Conversation) -> str:
        turns = (self._turn(message) for message in conversation.messages)
        return "".join(turns) + self.ending

    def _turn(self, message: Message) -> str:
        return f"{self.opening.format(role=message.role.value)}{message.content}{self.closing}"


_PHI_SPECIALS = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>")
_TEMPLATES = {
    # Phi-3's tokenizer swallows the newline after <|user|>, <|assistant|>, <|system|> and <|end|> (rstrip).
    # Source: tokenizer_config.json of microsoft/Phi-3-mini-4k-instruct.
    TokenizerFamily.PHI3: _Template("<|{role}|>\n", "<|end|>\n", "<|endoftext|>", _PHI_SPECIALS, 2, 1),
    # Phi-4-mini: no newlines. Source: tokenizer_config.json of microsoft/Phi-4-mini-instruct.
    TokenizerFamily.O200K: _Template("<|{role}|>", "<|end|>", "<|endoftext|>", _PHI_SPECIALS, 2, 1),
    # Phi-4, and OpenAI's models: start, role, separator, end. Source: tokenizer_config.json of microsoft/phi-4.
    TokenizerFamily.CL100K: _Template(
        "<|im_start|>{role}<|im_sep|>", "<|im_end|>", "", ("<|im_start|>", "<|im_sep|>", "<|im_end|>"), 4, 0
    ),
}

# Tokens of Phi-3 over tokens of cl100k, measured on English, German, Norwegian, Indonesian, Filipino and
# Chinese: 1.15 to 1.42 over whole texts; the 99th percentile of whole chats is 1.43, by language at most
# 1.50 (Chinese). Scripts outside these six may exceed the factor; the model's tokenizer.json settles it.
SAFE_FACTOR = 1.6
# With newlines counted and a beginning-of-text token, as some revisions of Phi-3's tokenizer have them.
_ESTIMATE_TOKENS_PER_TURN = 4
_ESTIMATE_TOKENS_AROUND = 2


def counter_for(family: TokenizerFamily, *, tokenizer_path: Path | None = None) -> TokenCounter:
    """The best counter that can be had for ``family``.

    With ``tokenizer_path``, a Hugging Face ``tokenizer.json`` or a folder that holds one, the count is
    that tokenizer's. Otherwise tiktoken counts o200k and cl100k, from the rank files of ``bpe-openai``
    if it is installed, else from tiktoken's cache or its download; and Phi-3 is estimated from cl100k.
    Takes about half a second the first time: call it when a process starts, not in a listener.

    Raises:
        Invalid: the tokenizer cannot be read, or lacks the special tokens of the family's template.
        Unavailable: a rank file is neither installed nor cached and cannot be downloaded.
    """
    if tokenizer_path is not None:
        return _from_file(family, tokenizer_path)
    if family is TokenizerFamily.PHI3:
        return _EstimatedCounter("phi3 (estimated from cl100k)", encoding_of(Vocabulary.CL100K))
    encoding = encoding_of(Vocabulary.O200K if family is TokenizerFamily.O200K else Vocabulary.CL100K)
    return _TiktokenCounter(f"{family.value} (tiktoken)", encoding, _TEMPLATES[family])


@dataclass(frozen=True, slots=True)
class _TiktokenCounter:
    name: str
    encoding: tiktoken.Encoding
    template: _Template
    exact: bool = True

    def count(self, conversation: Conversation) -> TokenCount:
        turns = conversation.messages
        text = _text_tokens(self.encoding, conversation)
        tokens = text + len(turns) * self.template.tokens_per_turn + self.template.tokens_at_end
        return TokenCount(tokens, tokens)


@dataclass(frozen=True, slots=True)
class _EstimatedCounter:
    name: str
    encoding: tiktoken.Encoding
    exact: bool = False

    def count(self, conversation: Conversation) -> TokenCount:
        turns = len(conversation.messages)
        text = _text_tokens(self.encoding, conversation)
        template = _TEMPLATES[TokenizerFamily.PHI3]
        lower = text + turns * template.tokens_per_turn + template.tokens_at_end
        upper = math.ceil(text * SAFE_FACTOR) + turns * _ESTIMATE_TOKENS_PER_TURN + _ESTIMATE_TOKENS_AROUND
        return TokenCount(lower, upper)


@dataclass(frozen=True, slots=True)
class _FileCounter:
    name: str
    encode: Callable[[str], int]
    template: _Template
    exact: bool = True

    def count(self, conversation: Conversation) -> TokenCount:
        # Rendered as one text, since a tokenizer may treat the space around special tokens its own way.
        tokens = self.encode(self.template.render(conversation))
        return TokenCount(tokens, tokens)


def _text_tokens(encoding: tiktoken.Encoding, conversation: Conversation) -> int:
    """Tokens of the words alone; special tokens that somebody typed are text."""
    return sum(len(encoding.encode_ordinary(message.content)) for message in conversation.messages)


def _from_file(family: TokenizerFamily, path: Path) -> TokenCounter:
    from tokenizers import Tokenizer  # noqa: PLC0415 (loads a native library that the command line seldom needs)

    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        tokenizer: Any = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain Exception for a missing and for a broken file
        raise Invalid(f"{file} cannot be read as a tokenizer; give the model's tokenizer.json.") from error
    template = _TEMPLATES[family]
    lacking = [special for special in template.specials if tokenizer.token_to_id(special) is None]
    if lacking:
        raise Invalid(f"{file} has no token {lacking[0]}; give the tokenizer.json of a {family.value} model.")
    # A truncation that the file carries would hide exactly the tokens that are too many.
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def encode(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False))

    return _FileCounter(f"{family.value} ({file.name})", encode, template)
