"""Pairs of replies to the same question: the corrected one, and the wrong one that it corrects.

Owns which rows of a dataset give a pair, and that both replies follow the same words: where one of them has to be
shortened, so is the other. What gives no pair is counted, never dropped in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from curation.conversation import Conversation, Role
from curation.errors import Invalid
from training.backends.local.chat import ChatFormat, Encoded, Row, without_oldest_exchange


@dataclass(frozen=True, slots=True)
class Pair:
    """Two replies to the same question.

    Attributes:
        chosen: the conversation with the corrected reply, of which only that reply is supervised.
        rejected: the same with the wrong one.
        reference: log-probabilities of both replies before training, in nats; equal ones where nobody was asked.
    """

    chosen: Encoded
    rejected: Encoded
    reference: tuple[float, float] = (0.0, 0.0)

    def __len__(self) -> int:
        return len(self.chosen) + len(self.rejected)


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of one side of a dataset.

    Attributes:
        rows: those that fit, in file order.
        single: rows that have no rejected reply.
        alike: rows whose two replies are the same tokens.
        shortened: how many pairs lost their oldest turns to fit.
        left_out: how many did not fit even with only their last exchange.
    """

    rows: list[Pair]
    single: int
    alike: int
    shortened: int
    left_out: int

    def notes(self, side: str, max_length: int) -> list[str]:
        """Sentences about what was lost, for people; none where nothing was."""
        sentences = (
            (self.single, f"of the {side} rows gave no pair: there is no rejected reply to compare with."),
            (self.alike, f"of the {side} rows gave no pair: both replies are the same."),
            (self.shortened, f"of the {side} pairs lost their oldest turns to fit {max_length:,} tokens."),
            (self.left_out, f"of the {side} pairs were left out: an exchange alone exceeds {max_length:,} tokens."),
        )
        return [f"{count} {rest}" for count, rest in sentences if count]

    def counts(self) -> dict[str, int]:
        """What there is of the side, for the record."""
        replies = [one for row in self.rows for one in (row.chosen, row.rejected)]
        return {
            "pairs": len(self.rows),
            "tokens": sum(map(len, self.rows)),
            "supervised_tokens": sum(sum(one.supervised) for one in replies),
            "single": self.single,
            "alike": self.alike,
            "shortened": self.shortened,
            "left_out": self.left_out,
        }


def read_pairs(chat: ChatFormat, rows: Iterable[Row], rejected: Mapping[int, str], max_length: int) -> Pairs:
    """The pairs of one side.

    Args:
        chat: how conversations become tokens.
        rows: of the side's file, in its order; each ends with the right reply.
        rejected: the wrong reply of each example that has one.
        max_length: most tokens of either conversation of a pair.

    Raises:
        Invalid: a conversation cannot be taught; the sentence begins with its line.
    """
    pairs: list[Pair] = []
    single = alike = shortened = left_out = 0
    for line, row in enumerate(rows, start=1):
        conversation = row.conversation
        wrong = None if row.example is None else rejected.get(row.example)
        if wrong is None or conversation.messages[-1].role is not Role.ASSISTANT:
            single += 1
            continue
        try:
            found = _fitted(chat, _last_alone(conversation), wrong, max_length)
        except Invalid as error:
            raise Invalid("line {line}: {error}", line=line, error=error) from error
        if found is None:
            left_out += 1
        elif found[0].chosen.ids == found[0].rejected.ids:
            alike += 1  # its loss is log 2 for ever, and its gradient nothing
        else:
            pairs.append(found[0])
            shortened += found[1]
    return Pairs(pairs, single, alike, shortened, left_out)


def _last_alone(conversation: Conversation) -> Conversation:
    """The conversation with nothing but its last turn to be learned."""
    *before, last = conversation.messages
    context = (replace(turn, weight=0) if turn.role is Role.ASSISTANT else turn for turn in before)
    return replace(conversation, messages=(*context, replace(last, weight=1)))


def _fitted(chat: ChatFormat, conversation: Conversation, wrong: str, max_length: int) -> tuple[Pair, bool] | None:
    """The pair, and whether whole exchanges had to go; None where the last exchange alone is too long."""
    shorter: Conversation | None = conversation
    while shorter is not None:
        *before, last = shorter.messages
        flagged = replace(shorter, messages=(*before, replace(last, content=wrong)))
        pair = Pair(chat.encode(shorter), chat.encode(flagged))
        if max(len(pair.chosen), len(pair.rejected)) <= max_length:
            return pair, shorter is not conversation
        shorter = without_oldest_exchange(shorter)
    return None
