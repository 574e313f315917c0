"""Whether a dialogue fits the window of the model that will be tuned: in a file, and at the moment of correction.

Owns the rules about windows and estimates. How many tokens there are is decided by ``curation.tokens.counters``, how
many fit by the catalogue of models.
"""

from __future__ import annotations

from curation.findings import Finding, Severity
from curation.formats.rules import Rule
from curation.tokens.counters import TokenCount

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


def judge(count: TokenCount, *, window: int, model: str, line: int | None = None) -> Finding | None:
    """The finding where a dialogue does not fit the window, or may not; None where it surely fits.

    An error where even the lower bound is over the window, a warning where only the upper is.

    Args:
        count: as ``counter.count_all([conversation], [language])[0]`` gives it.
        window: most tokens of one dialogue.
        model: its name, for the sentence.
        line: of the dialogue in a file.
    """
    limit = f"the window of {model} is {window:,}."
    if count.lower > window:
        least = "" if count.exact else "at least "
        return _OVER.found(f"the dialogue has {least}{count.lower:,} tokens; {limit}", line)
    if count.upper > window:
        between = f"between {count.lower:,} and {count.upper:,}"
        return _MAYBE_OVER.found(f"the dialogue has {between} tokens; {limit}", line)
    return None


def estimated(counter: str, at_least: int, at_most: int, longest: int) -> Finding:
    """The one finding that says that counts are estimates, with their bounds over all dialogues."""
    return _ESTIMATED.found(
        f"Tokens are an estimate, {counter}: between {at_least:,} and {at_most:,} in all, and up to {longest:,} "
        "in a dialogue."
    )
