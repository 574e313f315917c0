"""From a conversation to token ids and the mask of what is learned.

Owns the rendering by a model's own chat template and the mask by role-token spans. Refuses a template
that loses the system turn, a conversation that teaches nothing, and a reply without its stop token:
each would train a model that fails silently. Source of the spans: Phi-3, Phi-4-mini and Phi-4 model cards.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.conversation import Conversation, Role
from curation.errors import Invalid

# What opens a turn, and what ends it: Phi-3, 3.5 and Phi-4-mini; Phi-4 and other ChatML models.
_FAMILIES = (("<|assistant|>", "<|end|>"), ("<|im_start|>", "<|im_end|>"))


@dataclass(frozen=True, slots=True)
class Encoded:
    """One conversation as the model sees it; both lists have one entry per token.

    Attributes:
        ids: token ids.
        supervised: whether the token is to be predicted, True for replies and their stop tokens.
    """

    ids: list[int]
    supervised: list[bool]


@dataclass(frozen=True, slots=True)
class Corpus:
    """One side of a dataset, encoded.

    Attributes:
        rows: the conversations that fit, in file order.
        shortened: how many of them lost their oldest turns to fit.
        left_out: how many did not fit even with only their last exchange.
    """

    rows: list[Encoded]
    shortened: int
    left_out: int

    def notes(self, side: str, max_length: int) -> list[str]:
        """Sentences about what was lost, for people; none where nothing was."""
        sentences = []
        if self.shortened:
            sentences.append(
                f"{self.shortened} of the {side} conversations lost their oldest turns to fit {max_length:,} tokens."
            )
        if self.left_out:
            sentences.append(
                f"{self.left_out} of the {side} conversations were left out: "
                f"their last exchange alone exceeds {max_length:,} tokens."
            )
        return sentences


class ChatFormat:
    """A tokenizer's chat template and where the assistant's turns are in what it renders."""

    def __init__(self, tokenizer: Any) -> None:
        """Find the role tokens; raises Invalid where the tokenizer has no template or no known role tokens."""
        self._tokenizer = tokenizer
        if not tokenizer.chat_template:
            raise Invalid("The model's tokenizer has no chat template; choose an instruct model of the Phi family.")
        vocabulary = tokenizer.get_vocab()
        family = next((pair for pair in _FAMILIES if pair[0] in vocabulary and pair[1] in vocabulary), None)
        if family is None:
            raise Invalid("The model's chat template has no role tokens that Errata knows; choose a Phi model.")
        opening, self.end_id = (vocabulary[token] for token in family)
        prompt = self._ids([{"role": "user", "content": "?"}], add_generation_prompt=True)
        if opening not in prompt:
            raise Invalid("The model's chat template opens no assistant turn; use the tokenizer of an instruct model.")
        start = len(prompt) - 1 - prompt[::-1].index(opening)
        # All that stands between the role token and the first word of a reply, such as a line break.
        self._header = prompt[start:]

    def prompt(self, conversation: Conversation) -> list[int]:
        """Token ids up to where the assistant's next reply begins."""
        self._check(conversation)
        return self._ids(_rows(conversation), add_generation_prompt=True)

    def encode(self, conversation: Conversation) -> Encoded:
        r"""The whole conversation with its mask.

        ``<|user|>\nHi<|end|>\n<|assistant|>\nHello<|end|>\n`` is supervised at ``Hello<|end|>`` only.

        Raises:
            Invalid: the system turn vanished, a stop token would not be learned, or nothing would be.
        """
        self._check(conversation)
        ids = self._ids(_rows(conversation), add_generation_prompt=False)
        replies = [message for message in conversation.messages if message.role is Role.ASSISTANT]
        spans = self._spans(ids)
        if len(spans) != len(replies):
            raise Invalid(
                "The chat template renders {turns} complete assistant turns where the conversation has {replies}, so "
                "a stop token would not be learned; use the tokenizer of an instruct model.",
                turns=len(spans),
                replies=len(replies),
            )
        supervised = [False] * len(ids)
        for (start, end), reply in zip(spans, replies, strict=True):
            if reply.weight != 0:
                supervised[start:end] = [True] * (end - start)
        if not any(supervised):
            raise Invalid("A conversation teaches nothing: it has no assistant turn with weight 1. Remove it.")
        return Encoded(ids, supervised)

    def fit(self, conversation: Conversation, max_length: int) -> Encoded | None:
        """Encode within ``max_length`` tokens, dropping whole exchanges from the oldest on.

        The system turn always stays. None where the last exchange alone is too long.
        """
        encoded = self.encode(conversation)
        while len(encoded.ids) > max_length:
            shorter = _without_oldest_exchange(conversation)
            if shorter is None:
                return None
            conversation = shorter
            encoded = self.encode(conversation)
        return encoded

    def _spans(self, ids: Sequence[int]) -> list[tuple[int, int]]:
        """Start and end of each reply, its stop token included."""
        spans, width, position = [], len(self._header), 0
        while position < len(ids):
            if ids[position : position + width] != self._header:
                position += 1
                continue
            start = position + width
            try:
                end = ids.index(self.end_id, start) + 1
            except ValueError:
                break
            spans.append((start, end))
            position = end
        return spans

    def _check(self, conversation: Conversation) -> None:
        """Refuse what the template would drop or spell in a way that was never trained."""
        if conversation.uses_tools:
            raise Invalid("A conversation uses tools, which Phi's chat template does not render; leave the row out.")
        first = conversation.messages[0]
        if first.role is Role.SYSTEM:
            text = self._tokenizer.apply_chat_template(_rows(conversation), tokenize=False)
            # Some templates trim a turn's outer whitespace; nothing else may be lost.
            if first.content.strip() not in text:
                raise Invalid(
                    "The model's chat template drops the system turn, so the system prompt would not be learned; "
                    "use a tokenizer whose template keeps it."
                )

    def _ids(self, rows: list[dict[str, str]], *, add_generation_prompt: bool) -> list[int]:
        ids: list[int] = self._tokenizer.apply_chat_template(
            rows,
            add_generation_prompt=add_generation_prompt,
            # Text such as "<|end|>" inside a message stays text: nobody ends a turn by writing about it.
            sanitize_control_tokens=True,
            return_dict=False,
        )
        return ids


def encode_corpus(chat: ChatFormat, conversations: Iterable[Conversation], max_length: int) -> Corpus:
    """Encode one side of a dataset, counting what had to be shortened or left out.

    Raises:
        Invalid: a conversation cannot be taught; the sentence begins with its line.
    """
    rows, shortened, left_out = [], 0, 0
    for line, conversation in enumerate(conversations, start=1):
        try:
            whole = chat.encode(conversation)
            encoded = whole if len(whole.ids) <= max_length else chat.fit(conversation, max_length)
        except Invalid as error:
            raise Invalid("line {line}: {error}", line=line, error=error) from error
        if encoded is None:
            left_out += 1
        else:
            rows.append(encoded)
            shortened += encoded is not whole
    return Corpus(rows, shortened, left_out)


def read_conversations(path: Path) -> list[Conversation]:
    """The conversations of a chat JSONL file that ``curation`` wrote.

    Raises:
        Invalid: a line is no conversation; the sentence names it.
    """
    conversations = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
                conversations.append(Conversation.from_json(row["messages"], row))
            except (ValueError, KeyError, TypeError) as error:
                raise Invalid(
                    "{file}, line {line}: not a chat conversation; run `errata check` on the file.",
                    file=path.name,
                    line=number,
                ) from error
    return conversations


def _rows(conversation: Conversation) -> list[dict[str, str]]:
    # Weights and names are ours; a template that met them might print them.
    return [{"role": message.role.value, "content": message.content} for message in conversation.messages]


def _without_oldest_exchange(conversation: Conversation) -> Conversation | None:
    """Without the turns before the second user turn, the system turn kept; None where there is only one."""
    turns = conversation.messages
    users = [index for index, message in enumerate(turns) if message.role is Role.USER]
    if len(users) < 2:  # noqa: PLR2004 - the exchange that must stay
        return None
    system = turns[:1] if turns[0].role is Role.SYSTEM else ()
    return Conversation((*system, *turns[users[1] :]))
