"""Appraisal: everything that is measured of one model, while it is loaded once.

Owns what a model is asked and in which order: replies first, for which it needs the attention that it was loaded with,
then losses and margins over packed rows. What two models' figures come to is ``reporting``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curation.conversation import Conversation, Message
from curation.errors import Invalid
from training.backends.local import checkpoint
from training.backends.local.chat import ChatFormat, Encoded, without_oldest_exchange
from training.backends.local.checkpoint import Loaded
from training.backends.local.evaluating.asked import Asked
from training.backends.local.evaluating.generation import Drawn, greedy_replies
from training.backends.local.evaluating.measuring import RowScores, margins, pair_of, row_scores
from training.backends.local.evaluating.yardsticks import bigram_perplexity, unigram_perplexity
from training.backends.local.tuning.loss import SupervisedLoss

# A reply is cut at four times the longest wanted one: whoever has said as much runs on. That within limits, of which
# the upper one is enough for any support reply, unless one that is wanted is longer.
_TIMES_WANTED = 4
_LEAST_NEW_TOKENS, _MOST_NEW_TOKENS = 96, 400
_SPARE_NEW_TOKENS = 32
# Whoever gives something away or insults does so at once.
_SAFETY_TOKENS = 96
_STOPS = 2  # the reply's stop token, and the end of the text that some templates write behind it


@dataclass(frozen=True, slots=True)
class Appraisal:
    """What was measured of one model; what did not fit its window is None or has no entry.

    Attributes:
        validation: the rows that fit by their place in the file, as the model's tokenizer has them.
        scores: of these, in their order.
        general: the general rows that fit, by place.
        general_scores: of these.
        margins: for each case, and for each pair behind them, ``measuring.margins``.
        cases: the reply to each case; empty where none was asked for.
        golden: to each golden exchange.
        safety: to each safety question.
        expected: tokens of each case's and each golden exchange's wanted reply.
        yardsticks: perplexities of models that only count, by name.
    """

    validation: Mapping[int, Encoded]
    scores: RowScores
    general: Mapping[int, Encoded]
    general_scores: RowScores
    margins: Sequence[float | None]
    cases: Sequence[Drawn | None] = ()
    golden: Sequence[Drawn | None] = ()
    safety: Sequence[Drawn | None] = ()
    expected: Sequence[int] = ()
    yardsticks: Mapping[str, float] = field(default_factory=dict)


def appraise(
    path: Path,
    asked: Asked,
    *,
    replies: bool,
    yardsticks: bool,
    done: Callable[[int], None],
    measured: Callable[[], None],
) -> Appraisal:
    """Load a model and measure it.

    Args:
        path: of the model.
        asked: what it is asked.
        replies: whether it has to reply, which takes most of the time.
        yardsticks: whether to count the training side's tokens beside it.
        done: called with the number of replies after each batch.
        measured: called once after losses and margins.

    Raises:
        Unavailable: it cannot be loaded.
        Invalid: a row cannot be rendered, or none of the validation side fits.
    """
    loaded = checkpoint.load(path)
    chat = ChatFormat(loaded.tokenizer)
    held_out = _fitting(chat, [row.conversation for row in asked.validation], loaded.window)
    if not held_out:
        raise Invalid("No conversation of the validation side fits the window of {model}; add examples.", model=path)
    answers = _answers(loaded, chat, asked, done) if replies else {}
    objective = SupervisedLoss(loaded.model)
    general = _fitting(chat, asked.general, loaded.window)
    appraisal = Appraisal(
        validation=held_out,
        scores=row_scores(objective, [*held_out.values()], device=loaded.device),
        general=general,
        general_scores=row_scores(objective, [*general.values()], device=loaded.device),
        margins=margins(
            objective,
            [pair_of(chat, case, loaded.window) for case in (*asked.cases, *asked.pairs)],
            device=loaded.device,
        ),
        yardsticks=_yardsticks(loaded, chat, asked, [*held_out.values()]) if yardsticks else {},
        **answers,
    )
    measured()
    return appraisal


def _fitting(chat: ChatFormat, conversations: Sequence[Conversation], window: int) -> dict[int, Encoded]:
    """Those that fit, by place, without their oldest turns where they must."""
    found = {}
    for place, conversation in enumerate(conversations):
        try:
            encoded = chat.fit(conversation, window)
        except Invalid as error:
            raise Invalid("line {line}: {error}", line=place + 1, error=error.sentence) from error
        if encoded is not None:
            found[place] = encoded
    return found


def _answers(loaded: Loaded, chat: ChatFormat, asked: Asked, done: Callable[[int], None]) -> dict[str, Any]:
    """The fields of ``Appraisal`` that take generating."""
    wanted = [case["expected"] for case in asked.cases] + [golden.expected for golden in asked.golden]
    lengths = [len(loaded.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in wanted]
    turns = [Conversation.from_json(case["messages"]) for case in asked.cases]
    turns += [Conversation(golden.messages) for golden in asked.golden]
    prompts = [_prompt(chat, one, loaded.window - length - _STOPS) for one, length in zip(turns, lengths, strict=True)]
    replies = _drawn(loaded, prompts, _most_new_tokens(max(lengths, default=0)), done)
    safety = [_prompt(chat, _of(one.messages), loaded.window - _SAFETY_TOKENS) for one in asked.safety]
    return {
        "cases": replies[: len(asked.cases)],
        "golden": replies[len(asked.cases) :],
        "safety": _drawn(loaded, safety, _SAFETY_TOKENS, done),
        "expected": lengths,
    }


def _most_new_tokens(longest: int) -> int:
    usual = min(_MOST_NEW_TOKENS, max(_LEAST_NEW_TOKENS, _TIMES_WANTED * longest))
    return max(usual, longest + _SPARE_NEW_TOKENS)


def _of(messages: Sequence[Message]) -> Conversation:
    return Conversation(tuple(messages))


def _prompt(chat: ChatFormat, conversation: Conversation, most: int) -> list[int] | None:
    """The prompt in at most so many tokens, its oldest exchanges dropped as in training; None where that is too few."""
    shorter: Conversation | None = conversation
    while shorter is not None:
        ids = chat.prompt(shorter)
        if len(ids) <= most:
            return ids
        shorter = without_oldest_exchange(shorter)
    return None


def _drawn(
    loaded: Loaded, prompts: Sequence[list[int] | None], most: int, done: Callable[[int], None]
) -> list[Drawn | None]:
    """A reply to each prompt that fits."""
    fitting = [prompt for prompt in prompts if prompt is not None]
    replies = iter(greedy_replies(loaded, fitting, max_new_tokens=most, done=done))
    done(len(prompts) - len(fitting))
    return [None if prompt is None else next(replies) for prompt in prompts]


def _yardsticks(loaded: Loaded, chat: ChatFormat, asked: Asked, held_out: Sequence[Encoded]) -> dict[str, float]:
    learned = [*_fitting(chat, asked.train, loaded.window).values()]
    vocabulary = len(loaded.tokenizer)
    return {
        "unigram_perplexity": unigram_perplexity(learned, held_out, vocabulary=vocabulary),
        "bigram_perplexity": bigram_perplexity(learned, held_out, vocabulary=vocabulary),
    }
