"""The review card and the modals behind its buttons."""

from __future__ import annotations

import json

from bot.blocks.correct import REASONS
from bot.blocks.elements import Block, actions, button, context, header, modal, quoted, section, text_input
from bot.mrkdwn import quote
from bot.speech import ENGLISH_SPOKEN
from curation.candidates import CandidateKind, CandidateStatus, Reason
from curation.findings import Severity
from curation.reviews import Verdict
from curation.summaries import CandidateSummary

APPROVE = "review_approve"
EDIT = "review_edit"
RETURN = "review_return"
REJECT = "review_reject"
AMEND = "review_amend"
VERDICT = "review_submit"
AMENDED = "amend_submit"

# Question, reply and correction take a section each; what is said about them shares what a message has left.
REMARK_LIMIT = 1000
SHOWN_WARNINGS = 3
WARNING_LIMIT = 300

_SIGNS = {
    Severity.ERROR: ":warning:",
    Severity.WARNING: ":warning:",
    Severity.INFO: ":information_source:",
}
DONE = {
    CandidateStatus.APPROVED: ":white_check_mark: Approved",
    CandidateStatus.REJECTED: ":no_entry_sign: Rejected",
    CandidateStatus.RETURNED: ":leftwards_arrow_with_hook: Returned",
}


def card(summary: CandidateSummary) -> list[Block]:
    """The card of one candidate; its buttons go when it is decided."""
    endorsed = summary.kind == CandidateKind.ENDORSEMENT.value
    blocks = [
        header(f"{'Endorsement' if endorsed else 'Correction'} #{summary.id}"),
        context(_origin(summary)),
        quoted("Customer", summary.question),
        *([] if endorsed else [quoted("The assistant said", summary.reply)]),
        quoted("To be kept" if endorsed else "Better", summary.correction),
    ]
    if summary.note:
        blocks.append(quoted("Note", summary.note, limit=REMARK_LIMIT))
    blocks += [section(f":warning: {remark}") for remark in summary.remarks]
    status = CandidateStatus(summary.status)
    if status is CandidateStatus.PENDING:
        return [*blocks, *_warnings(summary), _buttons(summary)]
    blocks.append(context(_outcome(summary, status)))
    if summary.comment:
        blocks.append(quoted("Comment", summary.comment, limit=REMARK_LIMIT))
    if status is CandidateStatus.RETURNED:
        blocks.append(actions("amend", [button("Rework", AMEND, str(summary.id))]))
    return blocks


def card_text(summary: CandidateSummary) -> str:
    """The card in one line, for notifications; our own words only."""
    return f"Candidate #{summary.id} is {summary.status}."


def returned(summary: CandidateSummary) -> list[Block]:
    """What the author of a returned correction reads."""
    return [
        section(f":leftwards_arrow_with_hook: Your correction #{summary.id} came back."),
        quoted("The reviewer says", summary.comment or ""),
        quoted("Your correction", summary.correction),
        actions("amend", [button("Rework", AMEND, str(summary.id))]),
    ]


def verdict_view(summary: CandidateSummary, verdict: Verdict) -> Block:
    """The modal that asks for what a verdict needs: the edited reply, a comment or a reason."""
    title, field = {
        Verdict.EDIT_AND_APPROVE: (
            "Edit and approve",
            text_input(
                ENGLISH_SPOKEN, "edited", "The reply as it should be", initial=summary.correction, multiline=True
            ),
        ),
        Verdict.RETURN: (
            "Return to author",
            text_input(ENGLISH_SPOKEN, "comment", "What should change?", multiline=True),
        ),
        Verdict.REJECT: ("Reject", text_input(ENGLISH_SPOKEN, "comment", "Why is it rejected?", multiline=True)),
    }[verdict]
    metadata = json.dumps({"candidate": summary.id, "seen": summary.seen, "verdict": verdict.value})
    return modal(
        ENGLISH_SPOKEN,
        VERDICT,
        title,
        [quoted("Customer", summary.question), field],
        submit=title.split()[0],
        metadata=metadata,
    )


def amend_view(summary: CandidateSummary) -> Block:
    """The modal in which a returned correction is reworked."""
    return modal(
        ENGLISH_SPOKEN,
        AMENDED,
        "Rework the correction",
        [
            quoted("Customer", summary.question),
            *([quoted("The reviewer says", summary.comment)] if summary.comment else []),
            text_input(
                ENGLISH_SPOKEN, "correction", "What should it have said?", initial=summary.correction, multiline=True
            ),
        ],
        submit="Send again",
        metadata=str(summary.id),
    )


def _warnings(summary: CandidateSummary) -> list[Block]:
    """What screening found, warnings first: a few in full, and where the others are."""
    ranked = sorted(summary.findings, key=lambda finding: finding.severity is Severity.INFO)
    if not ranked:
        return []
    lines = [f"{_SIGNS[finding.severity]} {quote(finding.message, WARNING_LIMIT)}" for finding in ranked]
    shown = lines[:SHOWN_WARNINGS]
    if len(lines) > SHOWN_WARNINGS:
        shown.append(f"and {len(lines) - SHOWN_WARNINGS} more: `errata review {summary.id}`")
    return [section("\n".join(["*Look twice*", *shown]))]


def _buttons(summary: CandidateSummary) -> Block:
    value = f"{summary.id}:{summary.seen}"
    return actions(
        "verdict",
        [
            button("Approve", APPROVE, value, style="primary"),
            button("Edit", EDIT, value),
            button("Return", RETURN, value),
            button("Reject", REJECT, value, style="danger"),
        ],
    )


def _origin(summary: CandidateSummary) -> str:
    parts = [f"by {', '.join(summary.authors)}", summary.assistant, summary.topic, summary.language]
    if summary.reason is not None:
        parts.append(REASONS[Reason(summary.reason)].lower())
    return " · ".join(part for part in parts if part)


def _outcome(summary: CandidateSummary, status: CandidateStatus) -> str:
    how = " after an edit" if summary.verdict == Verdict.EDIT_AND_APPROVE.value else ""
    alone = " (self-approved)" if summary.self_approved else ""
    return f"{DONE[status]}{how} by {summary.reviewer}{alone}"
