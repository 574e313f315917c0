"""From a conversation to token ids and the mask of what is learned.

Owns the rendering by a model's own chat template and the mask by role-token spans. Refuses a template
that loses the system turn, a conversation that teaches nothing, and a reply without its stop token:
each would train a model that fails silently. Which tokens mark a turn is ``families``'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from curation.conversation import Conversation, Role
from curation.errors import Invalid
from training.backends.local.families import turns_of, with_system_turn


@dataclass(frozen=True, slots=True)
class Encoded:
    """One conversation as the model sees it; both lists have one entry per token.

    Attributes:
        ids: token ids.
        supervised: whether the token is to be predicted, True for replies and their stop tokens.
        weight: of each prediction in the loss.
        label: what is predicted instead from the last token's state, by its number; None where it is tokens.
    """

    ids: list[int]
    supervised: list[bool]
    weight: float = 1.0
    label: int | None = None

    def __len__(self) -> int:
        """Tokens."""
        return len(self.ids)

    @property
    def targets(self) -> int:
        """How many predictions it asks for: nothing precedes the first token, so nothing can predict it."""
        return 1 if self.label is not None else sum(self.supervised[1:])


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a job's file: the conversation, its example's number and kind where the dataset says them."""

    conversation: Conversation
    example: int | None = None
    kind: str | None = None


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
            raise Invalid("The model's tokenizer has no chat template; choose an instruct model, such as a Phi.")
        self._keep_system_turns()
        self._turns = turns_of(
            tokenizer.get_vocab(), lambda: self._ids([{"role": "user", "content": "?"}], add_generation_prompt=True)
        )
        self.end_id = self._turns.end

    def _keep_system_turns(self) -> None:
        """Mend a template that drops them where it is known how; the tokenizer is saved with the model it trained."""
        probe = [{"role": "system", "content": "kept"}, {"role": "user", "content": "?"}]
        try:
            rendered = self._tokenizer.apply_chat_template(probe, tokenize=False)
        except TemplateError:
            return  # it says so itself, where a conversation has one
        if "kept" not in rendered:
            template = with_system_turn(self._tokenizer.chat_template, self._tokenizer.get_vocab())
            self._tokenizer.chat_template = template or self._tokenizer.chat_template

    def prompt(self, conversation: Conversation) -> list[int]:
        """Token ids up to where the assistant's next reply begins."""
        self._check(conversation)
        return self._ids(_rows(conversation), add_generation_prompt=True)

    def encode(self, conversation: Conversation) -> Encoded:
        r"""The whole conversation with its mask.

        ``<|user|>\nHi<|end|>\n<|assistant|>\nHello<|end|>\n<|endoftext|>`` is supervised from ``Hello`` on. What a
        template writes after a reply's stop token belongs to the reply: the last token of all is often a second
        stop token, and these are the masks of TRL (``chat_templates/phi3_training.jinja``) and of torchtune.

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
            shorter = without_oldest_exchange(conversation)
            if shorter is None:
                return None
            conversation = shorter
            encoded = self.encode(conversation)
        return encoded

    def _spans(self, ids: Sequence[int]) -> list[tuple[int, int]]:
        """Start and end of each reply, its stop token and what the template writes behind it included."""
        spans, width, position = [], len(self._turns.header), 0
        while position < len(ids):
            if ids[position : position + width] != self._turns.header:
                position += 1
                continue
            start = position = position + width
            while position < len(ids) and ids[position] not in self._turns.openings:
                position += 1
            # A stop token beyond the next turn's opening is that turn's.
            if self.end_id in ids[start:position]:
                spans.append((start, position))
        return spans

    def _check(self, conversation: Conversation) -> None:
        """Refuse what the template would drop or spell in a way that was never trained."""
        if conversation.uses_tools:
            raise Invalid("A conversation uses tools, which Phi's chat template does not render; leave the row out.")
        first = conversation.messages[0]
        if first.role is Role.SYSTEM:
            text: str = self._rendered(_rows(conversation), tokenize=False)
            # Some templates trim a turn's outer whitespace; nothing else may be lost.
            if first.content.strip() not in text:
                raise Invalid(
                    "The model's chat template drops the system turn, so the system prompt would not be learned; "
                    "use a tokenizer whose template keeps it."
                )

    def _ids(self, rows: list[dict[str, str]], *, add_generation_prompt: bool) -> list[int]:
        ids: list[int] = self._rendered(
            rows,
            add_generation_prompt=add_generation_prompt,
            # Text such as "<|end|>" inside a message stays text: nobody ends a turn by writing about it.
            sanitize_control_tokens=True,
            return_dict=False,
        )
        return ids

    def _rendered(self, rows: list[dict[str, str]], **how: Any) -> Any:
        """What the template makes of the turns; some refuse a system turn, or two turns of one speaker."""
        try:
            return self._tokenizer.apply_chat_template(rows, **how)
        except TemplateError as error:
            raise Invalid(
                "The model's chat template refuses a conversation ({cause}); leave such rows out, or choose a model "
                "whose template takes them.",
                cause=str(error).rstrip("."),
            ) from error


def encode_corpus(
    chat: ChatFormat,
    conversations: Iterable[Conversation],
    max_length: int,
    *,
    weights: Sequence[float] | None = None,
) -> Corpus:
    """Encode one side of a dataset, counting what had to be shortened or left out.

    Args:
        chat: of the model's tokenizer.
        conversations: in the file's order.
        max_length: most tokens of one.
        weights: of each conversation's predictions in the loss; all alike where None.

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
            rows.append(encoded if weights is None else replace(encoded, weight=weights[line - 1]))
            shortened += encoded is not whole
    return Corpus(rows, shortened, left_out)


def read_conversations(path: Path) -> list[Conversation]:
    """The conversations of a chat JSONL file that ``curation`` wrote; raises as ``read_rows``."""
    return [row.conversation for row in read_rows(path)]


def read_rows(path: Path) -> list[Row]:
    """The rows of a chat JSONL file that ``curation`` wrote.

    Raises:
        Invalid: a line is no conversation; the sentence names it.
    """
    rows = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = json.loads(line)
                conversation = Conversation.from_json(record["messages"], record)
                about = record.get("metadata", {})
                rows.append(Row(conversation, about.get("example"), about.get("kind")))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise Invalid(
                    "{file}, line {line}: not a chat conversation; run `errata check` on the file.",
                    file=path.name,
                    line=number,
                ) from error
    return rows


def _rows(conversation: Conversation) -> list[dict[str, str]]:
    # Weights and names are ours; a template that met them might print them.
    return [{"role": message.role.value, "content": message.content} for message in conversation.messages]


def without_oldest_exchange(conversation: Conversation) -> Conversation | None:
    """Without the turns before the second user turn, the system turn kept; None where there is only one."""
    turns = conversation.messages
    users = [index for index, message in enumerate(turns) if message.role is Role.USER]
    if len(users) < 2:  # noqa: PLR2004 - the exchange that must stay
        return None
    system = turns[:1] if turns[0].role is Role.SYSTEM else ()
    return Conversation((*system, *turns[users[1] :]))
