"""Whether a dialogue fits the window of the model that will be tuned: in a file, and at the moment of correction.

Owns the rules about windows and estimates, and the gauge of one model. How many tokens there are is decided by
``curation.tokens.counters``, how many fit by the catalogue of models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from curation.conversation import Conversation
from curation.findings import Finding, Severity
from curation.formats.rules import Rule
from curation.tokens.counters import TokenCount, TokenCounter
from curation.wording import Phrase, phrase, plural

_OVER = Rule(
    "tokens.over_window",
    Severity.ERROR,
    "A dialogue fits the window of the model.",
    "Split it or choose a 128k model.",
)
_MAYBE_OVER = Rule(
    "tokens.maybe_over",
    Severity.WARNING,
    "A dialogue whose tokens are estimated surely fits the window.",
    "Give the model's tokenizer.json for an exact count, or split the dialogue.",
)
_ESTIMATED = Rule(
    "tokens.estimated",
    Severity.WARNING,
    "Tokens are counted with the tokenizer of the model.",
    "Give the model's tokenizer.json with --tokenizer for exact counts.",
)
RULES: tuple[Rule, ...] = (_OVER, _MAYBE_OVER, _ESTIMATED)
"""Every rule about tokens, in the order in which the reference lists them."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """The model that will be tuned, as far as lengths go.

    Attributes:
        model: its name, for the sentences.
        window: most tokens of one dialogue.
        counter: for its tokenizer family.
    """

    model: str
    window: int
    counter: TokenCounter

    def count(self, conversation: Conversation, language: str | None) -> TokenCount:
        """Its tokens as a training example; ``language`` narrows an estimate."""
        return self.counter.count_all([conversation], [language])[0]

    def room(self, asked: Conversation, language: str | None) -> str:
        """What is taken before a reply is written, in a sentence; as bounds where the count is an estimate."""
        count = self.count(asked, language)
        return phrase(
            "Before your reply: {lower:,} of the {window:,} tokens that {model} takes, counted as {counter}."
            if count.exact
            else "Before your reply: {lower:,} to {upper:,} of the {window:,} tokens that {model} takes, counted as "
            "{counter}.",
            lower=count.lower,
            upper=count.upper,
            window=self.window,
            model=self.model,
            counter=self.counter.name,
        )


def judge(count: TokenCount, *, window: int, model: str, line: int | None = None) -> Finding | None:
    """The finding where a dialogue does not fit the window, or may not; None where it surely fits.

    An error where even the lower bound is over the window, a warning where only the upper is.

    Args:
        count: as ``counter.count_all([conversation], [language])[0]`` gives it.
        window: most tokens of one dialogue.
        model: its name, for the sentence.
        line: of the dialogue in a file.
    """
    known: dict[str, Any] = {"lower": count.lower, "upper": count.upper, "model": model, "window": window}
    if count.lower > window:
        template = (
            phrase("the dialogue has {lower:,} tokens; the window of {model} is {window:,}.", **known)
            if count.exact
            else phrase("the dialogue has at least {lower:,} tokens; the window of {model} is {window:,}.", **known)
        )
        return _OVER.found(template, line)
    if count.upper > window:
        template = phrase(
            "the dialogue has between {lower:,} and {upper:,} tokens; the window of {model} is {window:,}.", **known
        )
        return _MAYBE_OVER.found(template, line)
    return None


def judge_reply(gauge: Gauge, asked: Conversation, reply: str, language: str | None) -> Finding | None:
    """The same for a reply that somebody has just written under ``asked``: the advice says how much is too much.

    ``asked`` of 4,000 tokens, a reply of 300 and a window of 4,096 give an error that ends with
    ``Shorten the reply by 204 tokens, about 820 characters.``

    Args:
        asked: the turns before the reply, under the system prompt that the row will have.
        language: of the conversation, where known.
    """
    count = gauge.count(asked.answered(reply), language)
    if count.upper <= gauge.window:
        return None
    known: dict[str, Any] = {"lower": count.lower, "model": gauge.model, "window": gauge.window}
    if count.lower <= gauge.window:
        return _MAYBE_OVER.found(
            phrase(
                "With this reply the conversation has between {lower:,} and {upper:,} tokens, counted as {counter}; "
                "the window of {model} is {window:,}.",
                upper=count.upper,
                counter=gauge.counter.name,
                **known,
            ),
            fix=phrase(
                "Shorten it where you can, or have an owner give the model's tokenizer.json (ERRATA_TOKENIZER)."
            ),
        )
    alone = gauge.count(asked.answered(""), language).lower
    if alone >= gauge.window:
        return _OVER.found(
            phrase(
                "No reply fits: before it, system prompt included, the conversation has {alone:,} tokens; the window "
                "of {model} is {window:,}."
                if count.exact
                else "No reply fits: before it, system prompt included, the conversation has at least {alone:,} "
                "tokens; the window of {model} is {window:,}.",
                alone=alone,
                **known,
            ),
            fix=phrase("An owner can set ERRATA_MODEL to a model with a larger window."),
        )
    over = count.lower - gauge.window
    characters = math.ceil(len(reply) * over / (count.lower - alone) / 10) * 10
    return _OVER.found(
        phrase(
            "With this reply the conversation has {lower:,} tokens; the window of {model} is {window:,}."
            if count.exact
            else "With this reply the conversation has at least {lower:,} tokens; the window of {model} is {window:,}.",
            **known,
        ),
        fix=_shorten(over, characters, exact=count.exact),
    )


def _shorten(over: int, characters: int, *, exact: bool) -> Phrase:
    if exact:
        return plural(
            "Shorten the reply by {count:,} token, about {characters:,} characters.",
            "Shorten the reply by {count:,} tokens, about {characters:,} characters.",
            over,
            characters=characters,
        )
    return plural(
        "Shorten the reply by at least {count:,} token, about {characters:,} characters.",
        "Shorten the reply by at least {count:,} tokens, about {characters:,} characters.",
        over,
        characters=characters,
    )


def estimated(counter: str, at_least: int, at_most: int, longest: int) -> Finding:
    """The one finding that says that counts are estimates, with their bounds over all dialogues."""
    return _ESTIMATED.found(
        phrase(
            "Tokens are an estimate, {counter}: between {at_least:,} and {at_most:,} in all, and up to {longest:,} in "
            "a dialogue.",
            counter=counter,
            at_least=at_least,
            at_most=at_most,
            longest=longest,
        )
    )
