"""One candidate as a reviewer sees it: the conversation, what changes, what screening found, what is nearly the same.

Owns these parts of a view; user-written words enter them quoted. Which of them stand where is ``bot.blocks.review``'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.blocks.correct import REASONS, SPEAKERS
from bot.blocks.difference import compared, difference, in_full, visible
from bot.blocks.elements import Block, choice, context, plain, quoted, section, text_input
from bot.mrkdwn import quote
from bot.speech import OWN_NAMES, Say
from curation.candidates import CandidateKind, Reason
from curation.findings import Finding, Severity
from curation.reviews import Verdict
from curation.suggestions import Kind, Suggestion
from curation.summaries import CandidateSummary
from curation.wording import phrase

BESIDE = "beside"
TOPIC = "topic"
REASON = "reason"

SHOWN_TURNS = 4
TURN_LIMIT = 600
SHOWN_WARNINGS = 5
WARNING_LIMIT = 400
_OPTION_LIMIT = 75
_LABEL_LIMIT = 200
SHOWN_BESIDE = 5

SIGNS = {
    Severity.ERROR: ":warning:",
    Severity.WARNING: ":warning:",
    Severity.INFO: ":information_source:",
}
TITLES = {
    CandidateKind.CORRECTION: phrase("Correction #{id}"),
    CandidateKind.ENDORSEMENT: phrase("Endorsement #{id}"),
    CandidateKind.IMPORTED: phrase("Imported #{id}"),
}


def about(say: Say, summary: CandidateSummary) -> str:
    """Who wrote it, for which assistant, why, and in which language: in one line."""
    parts = [
        say("by {authors:and}", authors=summary.authors),
        summary.assistant,
        say(REASONS[Reason(summary.reason)]) if summary.reason is not None else None,
        summary.topic,
        language_named(summary.language),
    ]
    return " · ".join(part for part in parts if part)


def language_named(code: str | None) -> str | None:
    """A language as its speakers call it; of one that Errata does not speak its code."""
    return OWN_NAMES.get(code, code) if code else None


def conversation(say: Say, summary: CandidateSummary) -> list[Block]:
    """The last turns before the question, how many there were before them, and the question in full."""
    if not summary.turns:
        return []
    *before, (role, question) = summary.turns
    left_out = len(before) - SHOWN_TURNS
    earlier = say.many("{count:,} earlier turn is not shown.", "{count:,} earlier turns are not shown.", left_out)
    return [
        *([context(earlier)] if left_out > 0 else []),
        *(quoted(say(SPEAKERS[speaker]), text, limit=TURN_LIMIT) for speaker, text in before[-SHOWN_TURNS:]),
        *in_full(say, say(SPEAKERS[role]), question),
    ]


def proposal(say: Say, summary: CandidateSummary) -> list[Block]:
    """What was said and what should have been; what is to be kept unchanged is shown once."""
    reply = summary.reply
    if summary.kind == CandidateKind.ENDORSEMENT.value or reply.strip() in {"", summary.correction.strip()}:
        return in_full(say, say("To be kept"), summary.correction)
    return difference(say, reply, summary.correction)


def above_form(say: Say, summary: CandidateSummary, verdict: Verdict) -> list[Block]:
    """The same above a form; where the correction stands in the form's own fields, without it."""
    if verdict is not Verdict.EDIT_AND_APPROVE or compared(summary.reply, summary.correction) is not None:
        return proposal(say, summary)
    return in_full(say, say("The assistant said"), summary.reply)


def warnings(say: Say, summary: CandidateSummary) -> list[Block]:
    """What screening found, warnings first: a few in full, and where the others are."""
    ranked = sorted(summary.findings, key=lambda finding: finding.severity is Severity.INFO)
    if not ranked:
        return []
    lines = [f"{SIGNS[one.severity]} {quote(say(one.message), WARNING_LIMIT)}" for one in ranked[:SHOWN_WARNINGS]]
    left_out = len(ranked) - SHOWN_WARNINGS
    if left_out > 0:
        command = f"`errata review {summary.id}`"
        lines.append(say.many("and {count} more: {command}", "and {count} more: {command}", left_out, command=command))
    return [section("\n".join([f"*{say('Look twice')}*", *lines]))]


def suggested(say: Say, summary: CandidateSummary) -> list[Block]:
    """What models make of it, and fields with that where its author has said nothing: a reviewer says what is true."""
    told = [line for one in summary.suggestions if (line := suggestion_line(say, one)) is not None]
    fields = [field for one in summary.suggestions if (field := _label_field(say, summary, one)) is not None]
    return [*([context(" · ".join(told))] if told else []), *fields]


def suggestion_line(say: Say, one: Suggestion) -> str | None:
    """A suggestion in a few words; None for what an Errata of another version has suggested."""
    if one.label == Kind.FLAGGED:
        return say("Staff would flag this reply: {share:.0%}", share=one.probability)
    if one.label == Kind.TOPIC:
        return say("Suggested topic: {value} ({share:.0%})", value=_short(one.value), share=one.probability)
    if one.label == Kind.REASON and one.value in {reason.value for reason in Reason}:
        reason = say(REASONS[Reason(one.value)])
        return say("Suggested reason: {value} ({share:.0%})", value=reason, share=one.probability)
    return None


def _label_field(say: Say, summary: CandidateSummary, one: Suggestion) -> Block | None:
    if one.label == Kind.TOPIC and summary.topic is None:
        return text_input(say, f"{TOPIC}:{summary.id}", say("Topic"), initial=_short(one.value), optional=True)
    if one.label == Kind.REASON and summary.reason is None and summary.kind == CandidateKind.CORRECTION.value:
        offered = ((reason.value, say(REASONS[reason])) for reason in Reason)
        return choice(f"{REASON}:{summary.id}", say("What is wrong?"), offered, initial=one.value, optional=True)
    return None


def finding_line(say: Say, finding: Finding) -> str:
    """A finding with what to do about it, in one line."""
    return quote(f"{say(finding.message)} {say(finding.fix)}", WARNING_LIMIT)


def near(say: Say, summary: CandidateSummary, beside: Sequence[CandidateSummary]) -> list[Block]:
    """Near-duplicates, to be decided together: chosen already where their correction is the same."""
    listed = beside[:SHOWN_BESIDE]
    if not listed:
        return []
    wanted = summary.correction.strip()
    options = [
        {
            "text": plain(_cut(f"#{one.id}: {one.question}")),
            "value": value(one),
            "description": plain(
                say("The same correction") if one.correction.strip() == wanted else say("Another correction: see above")
            ),
        }
        for one in listed
    ]
    same = [option for option, one in zip(options, listed, strict=True) if one.correction.strip() == wanted]
    element: Block = {"type": "checkboxes", "action_id": f"{BESIDE}:{summary.id}", "options": options}
    others = [one for one in listed if one.correction.strip() != wanted]
    return [
        *(quoted(say("#{id} says", id=one.id), one.correction, limit=TURN_LIMIT) for one in others),
        {
            "type": "input",
            "block_id": BESIDE,
            "label": plain(say("Nearly the same question: decide together")),
            "element": element | ({"initial_options": same} if same else {}),
            "optional": True,
        },
    ]


def value(summary: CandidateSummary) -> str:
    """What a button about the candidate carries: its id, and the version of the correction that is shown."""
    return f"{summary.id}:{summary.seen}"


def _cut(text: str) -> str:
    line = " ".join(visible(text).split())
    return line if len(line) <= _OPTION_LIMIT else f"{line[: _OPTION_LIMIT - 1]}…"


def _short(label: str) -> str:
    return label if len(label) <= _LABEL_LIMIT else f"{label[: _LABEL_LIMIT - 1]}…"
