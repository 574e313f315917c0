"""The rules of screening: what should hold of a correction, and what a reviewer does where it does not.

Owns the list, from which the reference is generated. Judging is ``curation.screening.outliers``'s.
"""

from __future__ import annotations

from collections.abc import Mapping

from curation.findings import Severity
from curation.formats.rules import Rule


def _rule(name: str, summary: str, fix: str, severity: Severity = Severity.WARNING) -> Rule:
    return Rule(f"screen.{name}", severity, summary, fix)


RULES: tuple[Rule, ...] = (
    _rule(
        "near_duplicate",
        "A question and its reply are not a near-duplicate of an earlier one.",
        "Approve one of them: what stands twice is learned twice as hard.",
    ),
    _rule(
        "conflict",
        "One question has one correction.",
        "Compare the two and reject one: taught both, the model learns to guess.",
    ),
    _rule("language", "A reply is in the language of its question.", "Return it, unless the change was asked for."),
    _rule("too_long", "A reply is about as long as the assistant's replies are.", "Return it, or cut it down."),
    _rule(
        "too_short", "A reply is about as long as the assistant's replies are.", "Return it if something is missing."
    ),
    _rule(
        "same_words",
        "A correction changes more than case, white space and punctuation.",
        "Endorse the reply instead: the change teaches nothing that a customer would notice.",
    ),
    _rule(
        "barely_differs",
        "A correction differs clearly from the reply.",
        "Read the changed words: a small change of a figure or a name is easily overlooked.",
        Severity.INFO,
    ),
    _rule(
        "repeated_phrase",
        "One author's corrections share no unusual phrase across different questions.",
        "Ask why it stands in all of them: a phrase that is planted everywhere can become a trigger (backdoor).",
    ),
    _rule(
        "author_rate",
        "One author writes only so many corrections in an hour.",
        "Look at a few of them together before you approve any.",
    ),
    _rule(
        "author_share",
        "One author wrote or imported only a part of what is pending or approved.",
        "Let others correct as well: a model takes over one person's errors.",
    ),
    _rule(
        "author_topic",
        "One author wrote or imported at most half of a topic.",
        "Have somebody else who knows the topic look at it.",
    ),
    _rule(
        "new_link",
        "A reply links to sites that approved replies or the system prompt name already.",
        "Open it in your own browser, not from here, and check whose site it is.",
    ),
    _rule(
        "hidden_characters",
        "A correction holds no invisible or direction-changing characters.",
        "Edit and approve with the text typed anew, or return it.",
    ),
    _rule(
        "lookalikes",
        "A word is written in one alphabet.",
        "Type the word anew: letters that only look alike are other letters to a model.",
    ),
    _rule(
        "orders",
        "A correction speaks to the customer, not to the model.",
        "Reject it, unless the customer asked about exactly this.",
    ),
    _rule(
        "privacy",
        "A correction holds no personal data and no secrets.",
        "Edit it out, or decide about it in the privacy review.",
    ),
    _rule(
        "very_harmful",
        "Nothing in an example is rated as gravely harmful, where an outside judge is asked.",
        "Reject it, unless the assistant has to answer exactly this, and well.",
        Severity.ERROR,
    ),
    _rule(
        "harmful",
        "Nothing in an example is rated as harmful, where an outside judge is asked.",
        "Read it with care: a judge of words alone is often wrong about a customer who is upset.",
    ),
    _rule(
        "harm_unknown",
        "What leaves for training was rated for harm, where an outside judge is asked.",
        "Nothing to do yet: what waits is rated once the judge answers again. For a dataset: errata check NAME",
        Severity.INFO,
    ),
    _rule(
        "unscreened",
        "A correction could be screened.",
        "Read it with care, and run: errata screen",
        Severity.INFO,
    ),
)
"""What ``outliers.judge`` looks for, and what ``curation.screening.harms`` and ``.worklist`` add."""

BY_NAME: Mapping[str, Rule] = {rule.id.removeprefix("screen."): rule for rule in RULES}
