"""What goes wrong between Errata and the model that it answers with, in a sentence for whoever asked.

Owns the sentence, the word for the log and what an operator does about each. Refuses to repeat what people wrote.
"""

from __future__ import annotations

from curation.errors import Unavailable

_TOO_LONG = ("context_length", "context length", "maximum context", "too long", "window is")
NEWER_LIMIT = "max_completion_tokens"
"""What some newer models of OpenAI's call the most tokens of an answer, and refuse ``max_tokens`` for."""


class EndpointTrouble(Unavailable):
    """No answer, or not a whole one; the sentence is for whoever asked.

    Attributes:
        word: what happened, for the log; never what people wrote.
        remedy: what an operator does about it.
        said: the beginning of a refusal, in small letters, to tell what it is about; it may quote people.
    """

    def __init__(self, sentence: str, word: str, remedy: str, *, said: str = "") -> None:
        super().__init__(sentence)
        self.word = word
        self.remedy = remedy
        self._said = said

    @property
    def too_long(self) -> bool:
        """Whether the endpoint took the question for longer than its window."""
        return any(words in self._said for words in _TOO_LONG)

    @property
    def wants_newer_limit(self) -> bool:
        """Whether it asks for the length of an answer under its newer name."""
        return NEWER_LIMIT in self._said


def unreachable(error: Exception) -> EndpointTrouble:
    """Nothing is there, or the way there is cut."""
    return EndpointTrouble(
        "The model does not answer at the moment. Ask again in a little while.",
        f"unreachable: {type(error).__name__}",
        "See that the endpoint runs and ERRATA_ASSISTANT_URL leads to it.",
    )


def slow() -> EndpointTrouble:
    """It takes longer than anybody waits."""
    return EndpointTrouble(
        "The model took too long. Ask again in a little while, or ask for less.",
        "too slow",
        "See what the endpoint is busy with.",
    )


def broken_off() -> EndpointTrouble:
    """It ended in the middle of an answer."""
    return EndpointTrouble(
        "The model broke off in the middle of its answer. Ask again.", "broke off", "See the endpoint's own log."
    )


def strange() -> EndpointTrouble:
    """What it says is no chat completion."""
    return EndpointTrouble(
        "The model's answer could not be read: tell whoever looks after Errata.",
        "not chat completions",
        "ERRATA_ASSISTANT_URL has to be the base of an OpenAI-compatible endpoint, mostly one that ends in /v1.",
    )


def failed(word: str) -> EndpointTrouble:
    """It says that it failed, or nothing that is known here."""
    return EndpointTrouble(
        "The model failed at this question. Ask again in a little while.", f"failed {word}", "See the endpoint's log."
    )


def unknown_model(model: str) -> EndpointTrouble:
    """It answers, and does not have this model."""
    return EndpointTrouble(
        "The model that Errata is to answer with is not there: tell whoever looks after Errata.",
        "unknown model",
        f"The endpoint does not know {model}: check ERRATA_ASSISTANT_MODEL and ERRATA_ASSISTANT_URL.",
    )
