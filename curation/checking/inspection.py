"""The inspection: what is looked for in a reply at the moment somebody writes it, before it is stored.

Owns what stops a submission (a dialogue that surely does not fit the model that will be tuned) and what its author is
told about (one that may not fit, personal data). Personal data never stops anything: the installation's policy treats
it on its way out, and a reviewer decides about it. Pure: the conversation comes in, findings go out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from curation.checking.windows import Gauge, judge_reply
from curation.conversation import Conversation
from curation.errors import OverWindow
from curation.findings import Finding, Severity
from curation.privacy.detection import scan
from curation.privacy.spans import IN_WORDS, Kind
from curation.privacy.treatment import DEFAULT_TERMS, Policy, Terms
from curation.screening.suspicions import BY_NAME
from curation.wording import phrase

_SECRETS = frozenset({Kind.KEY, Kind.SLACK_TOKEN})
_ADVICE = {
    (Policy.REDACT, True): phrase(
        "A reviewer decides about it; what nobody has decided about is redacted in whatever leaves Errata."
    ),
    (Policy.REDACT, False): phrase(
        "A reviewer decides about them; what nobody has decided about is redacted in whatever leaves Errata."
    ),
    (Policy.REVIEW, True): phrase(
        "A reviewer decides about it; what nobody has decided about keeps this example from leaving Errata."
    ),
    (Policy.REVIEW, False): phrase(
        "A reviewer decides about them; what nobody has decided about keeps this example from leaving Errata."
    ),
}
"""What becomes of personal data of one kind, or of several, under each policy that looks for it."""


@dataclass(slots=True)
class Inspection:
    """One submission's: made for it, handed to the use case, and read once that has succeeded.

    Attributes:
        gauge: of the model that will be tuned; None where it is not known, and nothing is measured.
        terms: under which examples leave; with the policy ``off`` no personal data is looked for.
        findings: what was found that stops nothing.
    """

    gauge: Gauge | None = None
    terms: Terms = DEFAULT_TERMS
    findings: list[Finding] = field(default_factory=list)

    def look(self, asked: Conversation, reply: str, language: str | None, *, written: bool = True) -> None:
        """Look at a reply under the turns that it answers.

        Args:
            written: somebody has just written it. An endorsed one is only measured: whoever endorses cannot change it,
                and the reviewer's card tells what it holds.

        Raises:
            OverWindow: together they surely do not fit the window.
        """
        measured = judge_reply(self.gauge, asked, reply, language) if self.gauge is not None else None
        if measured is not None:
            if measured.severity is Severity.ERROR:
                raise OverWindow("{message} {fix}", message=measured.message, fix=measured.fix)
            self.findings.append(measured)
        if written and self.terms.policy is not Policy.OFF:
            self._look_for_personal_data(reply)

    def _look_for_personal_data(self, reply: str) -> None:
        kinds = list(dict.fromkeys(span.kind for span in scan(reply, regions=self.terms.regions)))
        if not kinds:
            return
        advice = [_ADVICE[self.terms.policy, len(kinds) == 1]]
        if not _SECRETS.isdisjoint(kinds):
            advice.append(phrase("Revoke it if it is a real key or token: reviewers can read it."))
        found = BY_NAME["privacy"].found(
            phrase("The reply seems to hold {kinds:and}.", kinds=[IN_WORDS[kind][0] for kind in kinds]),
            fix=phrase("{advice:sentences}", advice=advice),
        )
        self.findings.append(found)
