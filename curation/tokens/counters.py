"""How many tokens a conversation has for the model that will be tuned.

Owns the counters, one per tokenizer family (``curation.tokens.templates`` says what the template adds). A count is
exact, or it is a range and says so: an estimate that looks exact would let a dialogue be cut by
the trainer. Refuses to know models and their windows (``training.catalogue``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from curation.conversation import Conversation, Role
from curation.errors import Invalid
from curation.tokens.templates import TEMPLATES, Template, TokenizerFamily, tools_text
from curation.tokens.vocabularies import TextCounts, Vocabulary, bulk_counts_of, counts_of

__all__ = ["SAFE_FACTOR", "SAFE_FACTORS", "TokenCount", "TokenCounter", "TokenizerFamily", "counter_for"]


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Between ``lower`` and ``upper`` tokens, both included; equal where the count is exact.

    ``learned`` of the lower bound are words of the assistant's that are learned from (weight not 0).
    """

    lower: int
    upper: int
    learned: int

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

    def count_all(
        self, conversations: Sequence[Conversation], languages: Sequence[str | None] | None = None
    ) -> list[TokenCount]:
        """The tokens of each conversation as a training example, end of text included.

        ``languages`` narrow an estimate; where the count is exact they make no difference.
        """


# Tokens of Phi-3 over tokens of cl100k. Measured as the 99th percentile of whole chats, by language and (last)
# over all of them, and 7 % on top, since one chat in a hundred has more.
SAFE_FACTORS = {"en": 1.39, "de": 1.48, "fil": 1.47, "id": 1.60, "zh": 1.61}
SAFE_FACTOR = 1.61
"""Of a language that was not measured or is not known. Scripts other than the Latin and the Chinese may exceed it."""
# With newlines counted and a beginning-of-text token, as some revisions of Phi-3's tokenizer have them.
_ESTIMATE_TOKENS_PER_TURN = 4
_ESTIMATE_TOKENS_AROUND = 2
_DIGITS = dict.fromkeys(map(ord, "0123456789"))
# An embedding may have rows without a token: Phi-3's has 32,064 for 32,011, since round figures compute faster.
_PADDING_ROWS = 512


def counter_for(
    family: TokenizerFamily,
    *,
    tokenizer_path: Path | None = None,
    hub_id: str | None = None,
    vocabulary: int | None = None,
    bulk: bool = False,
) -> TokenCounter:
    """The best counter that can be had for ``family``.

    With ``tokenizer_path``, a Hugging Face ``tokenizer.json`` or a folder that holds one, the count is
    that tokenizer's. Otherwise tiktoken counts o200k and cl100k, from the rank files of ``bpe-openai``
    if it is installed, else from tiktoken's cache or its download. Phi-3's own tokenizer is taken from the
    Hugging Face cache if ``hub_id`` was downloaded before; else Phi-3 is estimated from cl100k.
    Takes about half a second the first time: call it when a process starts, not in a listener.

    Args:
        family: the model's.
        tokenizer_path: goes before everything else.
        hub_id: the model's name on Hugging Face; None where it is made on the spot, with a tokenizer of its own.
        vocabulary: rows of the embedding of the model on Hugging Face; only a tokenizer that fills them is its own.
        bulk: many thousands are to be counted; what counts them faster may take longer to load.

    Raises:
        Invalid: the tokenizer cannot be read, lacks the special tokens of the family's template, or has fewer or
            more tokens than the model.
        Unavailable: a rank file is neither installed nor cached and cannot be downloaded.
    """
    rows = vocabulary if hub_id is not None else None
    if tokenizer_path is not None:
        return _from_file(family, tokenizer_path, rows)
    counts = bulk_counts_of if bulk else counts_of
    if family is TokenizerFamily.PHI3:
        cached = _cached(hub_id) if hub_id is not None else None
        if cached is not None:
            return _from_file(family, cached, rows)
        return _EstimatedCounter("phi3 (estimated from cl100k)", counts(Vocabulary.CL100K))
    public = Vocabulary.O200K if family is TokenizerFamily.O200K else Vocabulary.CL100K
    return _TiktokenCounter(f"{family.value} (tiktoken)", counts(public), TEMPLATES[family])


@dataclass(frozen=True, slots=True)
class _Words:
    """Tokens of the words of one conversation: all of them, and those that are learned."""

    tokens: int
    learned: int


# System prompts and tools are the same from row to row; more different ones than this are no longer worth keeping.
_KEPT_TEXTS = 1_000


@dataclass(frozen=True, slots=True)
class _WordCounter:
    """Counts words, texts that come again only once."""

    counts: TextCounts
    kept: dict[str, int] = field(default_factory=dict)

    def count_all(self, conversations: Sequence[Conversation]) -> list[_Words]:
        texts = [
            message.text
            for conversation in conversations
            for message in conversation.messages
            if message.role is not Role.SYSTEM
        ]
        counted = iter(self.counts(texts))
        words = []
        for conversation in conversations:
            tokens = self._again(tools_text(conversation)) if conversation.tools else 0
            learned = 0
            for message in conversation.messages:
                role = message.role
                if role is Role.SYSTEM:
                    tokens += self._again(message.content)
                    continue
                count = next(counted)
                tokens += count
                if role is Role.ASSISTANT and message.weight != 0:
                    learned += count
            words.append(_Words(tokens, learned))
        return words

    def _again(self, text: str) -> int:
        count = self.kept.get(text)
        if count is None:
            if len(self.kept) >= _KEPT_TEXTS:
                self.kept.clear()
            count = self.kept[text] = self.counts([text])[0]
        return count


class _TiktokenCounter:
    exact = True

    def __init__(self, name: str, counts: TextCounts, template: Template) -> None:
        self.name = name
        self._words = _WordCounter(counts)
        self._template = template

    def count_all(
        self,
        conversations: Sequence[Conversation],
        languages: Sequence[str | None] | None = None,  # noqa: ARG002 (the protocol's; an exact count needs none)
    ) -> list[TokenCount]:
        counts = []
        for conversation, words in zip(conversations, self._words.count_all(conversations), strict=True):
            tokens = words.tokens + self._template.around(conversation)
            counts.append(TokenCount(tokens, tokens, words.learned))
        return counts


class _EstimatedCounter:
    exact = False

    def __init__(self, name: str, counts: TextCounts) -> None:
        self.name = name
        self._words = _WordCounter(counts)

    def count_all(
        self, conversations: Sequence[Conversation], languages: Sequence[str | None] | None = None
    ) -> list[TokenCount]:
        counts = []
        spoken = languages if languages is not None else [None] * len(conversations)
        counted = self._words.count_all(conversations)
        for conversation, words, language in zip(conversations, counted, spoken, strict=True):
            lower = words.tokens + TEMPLATES[TokenizerFamily.PHI3].around(conversation)
            factor = SAFE_FACTORS.get(language, SAFE_FACTOR) if language is not None else SAFE_FACTOR
            turns = len(conversation.messages)
            upper = math.ceil(words.tokens * factor) + turns * _ESTIMATE_TOKENS_PER_TURN + _ESTIMATE_TOKENS_AROUND
            counts.append(TokenCount(lower, upper + _split_digits(conversation), words.learned))
        return counts


def _split_digits(conversation: Conversation) -> int:
    """What long numbers add beyond the factor: Phi-3 has a token per digit, cl100k one for up to three.

    Source: Llama 2, Touvron et al. 2023, section 2.2 ("we split all numbers into individual digits").
    """
    texts = [message.text for message in conversation.messages]
    return 2 * sum(len(text) - len(text.translate(_DIGITS)) for text in texts) // 3


class _FileCounter:
    exact = True

    def __init__(self, name: str, tokenizer: Any, template: Template) -> None:
        self.name = name
        self._tokenizer = tokenizer
        self._template = template

    def count_all(
        self,
        conversations: Sequence[Conversation],
        languages: Sequence[str | None] | None = None,  # noqa: ARG002 (the protocol's; an exact count needs none)
    ) -> list[TokenCount]:
        # Rendered as one text, since a tokenizer may treat the space around special tokens its own way.
        whole = self._lengths([self._template.render(conversation) for conversation in conversations])
        replies = [
            [turn.text for turn in conversation.messages if turn.role is Role.ASSISTANT and turn.weight != 0]
            for conversation in conversations
        ]
        learned = iter(self._lengths([reply for said in replies for reply in said]))
        return [
            TokenCount(tokens, tokens, sum(next(learned) for _ in said))
            for tokens, said in zip(whole, replies, strict=True)
        ]

    def _lengths(self, texts: list[str]) -> list[int]:
        return [len(encoding) for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def _cached(hub_id: str) -> Path | None:
    """The model's tokenizer.json in the Hugging Face cache; None where it was never downloaded."""
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 (a tenth of a second; tokenizers brings it)

    found = try_to_load_from_cache(hub_id, "tokenizer.json")
    return Path(found) if isinstance(found, str) else None


def _from_file(family: TokenizerFamily, path: Path, vocabulary: int | None) -> TokenCounter:
    from tokenizers import Tokenizer  # noqa: PLC0415 (loads a native library that the command line seldom needs)

    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        tokenizer: Any = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain Exception for a missing and for a broken file
        raise Invalid("{file} cannot be read as a tokenizer; give the model's tokenizer.json.", file=file) from error
    template = TEMPLATES[family]
    lacking = [special for special in template.specials if tokenizer.token_to_id(special) is None]
    if lacking:
        raise Invalid(
            "{file} has no token {token}; give the tokenizer.json of a {family} model.",
            file=file,
            token=lacking[0],
            family=family.value,
        )
    tokens = tokenizer.get_vocab_size()
    if vocabulary is not None and not vocabulary - _PADDING_ROWS <= tokens <= vocabulary:
        raise Invalid(
            "{file} has {tokens:,} tokens, and the model has room for {vocabulary:,}: it belongs to another model, "
            "whose counts would be wrong here. Give this model's own tokenizer.json.",
            file=file,
            tokens=tokens,
            vocabulary=vocabulary,
        )
    # A truncation that the file carries would hide exactly the tokens that are too many.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return _FileCounter(f"{family.value} ({file.name})", tokenizer, template)
