"""The one modal in which corrections are reviewed, each decision loading the next, and reworking what came back.

Owns how a candidate is shown to whoever decides about it, the forms behind *Edit*, *Return* and *Reject*, and what is
said at the end. Texts live in the database: what a view carries back are ids (``bot.listeners.rounds``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bot.blocks.candidate import (
    SHOWN_WARNINGS,
    SIGNS,
    TITLES,
    WARNING_LIMIT,
    about,
    above_form,
    conversation,
    finding_line,
    near,
    proposal,
    suggested,
    value,
    warnings,
)
from bot.blocks.correct import BETTER, CORRECTION
from bot.blocks.difference import in_full
from bot.blocks.elements import Block, actions, button, context, header, modal, plain, quoted, section
from bot.blocks.parts import adder, part_inputs
from bot.mrkdwn import quote
from bot.speech import Say
from curation.candidates import CandidateKind
from curation.findings import Finding
from curation.reviews import Decision, LeftOut, Verdict
from curation.summaries import CandidateSummary
from curation.wording import phrase

REVIEW = "review_decide"
VERDICT = "review_verdict"
OVER = "review_over"
AMENDED = "amend_submit"

EDIT = "review_edit"
RETURN = "review_return"
REJECT = "review_reject"
SKIP = "review_skip"
BACK = "review_back"
UNDO = "review_undo"
AGAIN = "review_again"
AMEND = "review_amend"
APPROVE_ON_CARD = "review_approve"
"""Of cards that an earlier Errata posted, one for each candidate; they open the modal."""

EDITED = "edited"
COMMENT = "comment"
AS_IT_SHOULD_BE = phrase("The reply as it should be")

REMARK_LIMIT = 1000
NOTE_LIMIT = 2800


class Waiting(Protocol):
    """How much waits, as ``curation.queue`` counts it for one reviewer."""

    @property
    def for_you(self) -> int:
        """What this reviewer may decide."""

    @property
    def yours(self) -> int:
        """What they wrote themselves."""

    @property
    def claimed(self) -> int:
        """What a colleague is deciding about."""

    @property
    def other_languages(self) -> int:
        """What is in a language that they do not review."""


@dataclass(frozen=True, slots=True)
class Told:
    """What has just happened, as the first line of the next view.

    Attributes:
        undo: the review that can be taken back.
        found: what the inspection of an edited text found.
        left_out: near-duplicates that were not decided with it.
        trouble: whether it is why something was not done.
    """

    line: str
    undo: int | None = None
    found: Sequence[Finding] = ()
    left_out: Sequence[LeftOut] = ()
    trouble: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """One candidate in front of one reviewer.

    Attributes:
        position: which one of this round, from 1.
        beside: near-duplicates that wait too, and can be decided with it.
        metadata: what the view carries back.
    """

    summary: CandidateSummary
    waiting: Waiting
    position: int
    metadata: str
    beside: Sequence[CandidateSummary] = field(default=())


def review_view(say: Say, shown: Shown, told: Told | None = None) -> Block:
    """A candidate to decide about: submitting approves it, the buttons lead to the other verdicts."""
    summary = shown.summary
    approves = say("Endorse") if summary.kind == CandidateKind.ENDORSEMENT.value else say("Approve")
    return _own(
        say,
        REVIEW,
        [
            *_telling(say, told),
            context(_tally(say, shown)),
            header(say(TITLES[CandidateKind(summary.kind)].template, id=summary.id)),
            context(about(say, summary)),
            *conversation(say, summary),
            *proposal(say, summary),
            *([quoted(say("Note"), summary.note, limit=NOTE_LIMIT)] if summary.note else []),
            *(section(f":warning: {quote(say(remark), REMARK_LIMIT)}") for remark in summary.remarks),
            *warnings(say, summary),
            *near(say, summary, shown.beside),
            *suggested(say, summary),
            actions(
                "verdicts",
                [
                    button(say("Edit"), EDIT, value(summary)),
                    button(say("Return"), RETURN, value(summary)),
                    button(say("Reject"), REJECT, value(summary), style="danger"),
                    button(say("Skip"), SKIP, value(summary)),
                ],
            ),
        ],
        submit=approves,
        metadata=shown.metadata,
    )


def verdict_view(say: Say, shown: Shown, verdict: Verdict) -> Block:
    """The same modal as the form for what a verdict needs: the edited reply, a comment or a reason."""
    summary = shown.summary
    return _own(
        say,
        VERDICT,
        [
            context(about(say, summary)),
            quoted(say("Customer"), summary.question, limit=REMARK_LIMIT),
            *above_form(say, summary, verdict),
            *(
                [] if verdict is Verdict.EDIT_AND_APPROVE else near(say, summary, shown.beside)
            ),  # an edit is of one text
            *_asked_for(say, summary, verdict),
            *(suggested(say, summary) if verdict is Verdict.EDIT_AND_APPROVE else []),
            actions("way_back", [button(say("Back"), BACK, value(summary))]),
        ],
        submit=say(_SUBMITS[verdict]),
        metadata=shown.metadata,
    )


def over_view(
    say: Say,
    waiting: Waiting,
    *,
    given: Mapping[Verdict, int],
    passed: int,
    metadata: str,
    told: Told | None = None,
) -> Block:
    """What is said where nothing is left for this reviewer: what they did, and what else waits.

    Args:
        given: verdicts of this round, by how often.
        passed: candidates that were skipped in it.
    """
    rest = [
        *([say.many("You skipped {count}.", "You skipped {count}.", passed)] if passed else []),
        *_left(say, waiting),
    ]
    again = [actions("again", [button(say("Look again"), AGAIN, "again")])] if passed or waiting.for_you else []
    return _own(
        say,
        OVER,
        [
            *_telling(say, told),
            section(f":white_check_mark: *{say('Nothing is left for you to review.')}*"),
            *([section(say("In this round: {done}.", done=_counted(say, given)))] if any(given.values()) else []),
            *([section("\n".join(f"• {line}" for line in rest))] if rest else []),
            *again,
            context(say("What was approved goes into the next dataset: /errata stats shows what is still missing.")),
        ],
        submit=None,
        metadata=metadata,
    )


def stopped_view(say: Say, sentence: str) -> Block:
    """What is said to somebody who may not review, or where the modal cannot go on."""
    return _own(say, OVER, [section(f":warning: {quote(say(sentence), NOTE_LIMIT)}")], submit=None, metadata="")


def retry_view(say: Say, sentence: str, metadata: str, fields: Sequence[Block] = ()) -> Block:
    """Where nothing could be written: submitting approves the same candidate once more.

    Args:
        fields: with the labels that were to be kept.
    """
    told = section(f":warning: {quote(say(sentence), NOTE_LIMIT)}")
    return _own(say, REVIEW, [told, *fields], submit=say("Try again"), metadata=metadata)


def done_line(say: Say, done: Decision) -> str:
    """What was just done, in a sentence or two."""
    first, together = done.decided[0], len(done.decided) - 1
    line = {
        Verdict.APPROVE: say("You approved #{id}.", id=first),
        Verdict.EDIT_AND_APPROVE: say("You edited and approved #{id}.", id=first),
        Verdict.RETURN: say("You returned #{id}; its author hears of it.", id=first),
        Verdict.REJECT: say("You rejected #{id}.", id=first),
    }[Verdict(done.verdict)]
    more = [
        *([say.many("{count} like it went with it.", "{count} like it went with it.", together)] if together else []),
        *([say("A second reviewer has to approve it, too.")] if done.second_needed else []),
        *([say("The approval of {names:and} was of an earlier text.", names=done.lapsed)] if done.lapsed else []),
    ]
    return " ".join([line, *more])


def undone_line(say: Say, candidates: Sequence[int]) -> str:
    """What is said once a decision was taken back."""
    one, more = say("Undone: #{id} waits again.", id=candidates[0]), len(candidates) - 1
    return f"{one} {say.many('So does {count} like it.', 'So do {count} like it.', more)}" if more else one


def amend_view(say: Say, summary: CandidateSummary) -> Block:
    """The modal in which a returned correction is reworked."""
    fields = part_inputs(say, CORRECTION, say(BETTER), summary.correction)
    return modal(
        say,
        AMENDED,
        say("Rework"),
        [
            *in_full(say, say("Customer"), summary.question),
            *([quoted(say("The reviewer says"), summary.comment)] if summary.comment else []),
            *fields,
            *adder(say, CORRECTION, fields),
        ],
        submit=say("Send again"),
        metadata=value(summary),
    )


_SUBMITS = {
    Verdict.EDIT_AND_APPROVE: phrase("Approve"),
    Verdict.RETURN: phrase("Return"),
    Verdict.REJECT: phrase("Reject"),
}


def _own(say: Say, callback_id: str, blocks: Sequence[Block], *, submit: str | None, metadata: str) -> Block:
    """A view of the review modal; Errata hears when it is closed, and gives back what was claimed for it."""
    view = modal(say, callback_id, say("Review"), blocks, submit=submit, metadata=metadata)
    return view | {"close": plain(say("Close")), "notify_on_close": True}


def _telling(say: Say, told: Told | None) -> list[Block]:
    if told is None:
        return []
    line = section(f"{':warning:' if told.trouble else ':white_check_mark:'} {quote(told.line, NOTE_LIMIT)}")
    if told.undo is not None:
        line["accessory"] = button(say("Undo"), UNDO, str(told.undo))
    found = [f"{SIGNS[one.severity]} {finding_line(say, one)}" for one in told.found[:SHOWN_WARNINGS]]
    for left in told.left_out:
        sentence = say("#{id} was not decided with it: {why}", id=left.candidate, why=left.why)
        found.append(f":warning: {quote(sentence, WARNING_LIMIT)}")
    return [line, *([section("\n".join(found))] if found else []), {"type": "divider"}]


def _tally(say: Say, shown: Shown) -> str:
    waiting, before = shown.waiting, shown.position - 1
    parts = [
        say("{position:,} of {total:,}", position=shown.position, total=max(shown.position, before + waiting.for_you))
    ]
    parts.append(say.many("{count:,} for you", "{count:,} for you", waiting.for_you))
    if waiting.yours:
        parts.append(
            say.many(
                "{count:,} is yours (a second person decides it)",
                "{count:,} are yours (a second person decides those)",
                waiting.yours,
            )
        )
    return " · ".join(parts)


def _asked_for(say: Say, summary: CandidateSummary, verdict: Verdict) -> list[Block]:
    edition = f"{summary.id}-{summary.seen}"  # what was typed about one candidate is not about the next
    if verdict is Verdict.EDIT_AND_APPROVE:
        fields = part_inputs(say, EDITED, say(AS_IT_SHOULD_BE), summary.correction, edition=edition)
        return [*fields, *adder(say, EDITED, fields)]
    label = say("What should change?") if verdict is Verdict.RETURN else say("Why is it rejected?")
    return part_inputs(say, COMMENT, label, None, edition=edition)


def _left(say: Say, waiting: Waiting) -> list[str]:
    """What waits for somebody else."""
    yours = say.many(
        "{count:,} is yours: a second person decides it.",
        "{count:,} are yours: a second person decides them.",
        waiting.yours,
    )
    claimed = say.many("{count:,} is with a colleague.", "{count:,} are with colleagues.", waiting.claimed)
    languages = say.many(
        "{count:,} is in another language: /errata language says which ones you review.",
        "{count:,} are in other languages: /errata language says which ones you review.",
        waiting.other_languages,
    )
    told = ((waiting.yours, yours), (waiting.claimed, claimed), (waiting.other_languages, languages))
    return [line for number, line in told if number]


def _counted(say: Say, given: Mapping[Verdict, int]) -> list[str]:
    """Each verdict of a round with how often it was given, in the order of the buttons."""
    approved, edited, returned_, rejected = (given.get(verdict, 0) for verdict in Verdict)
    said = [
        (approved, say.many("{count:,} approved", "{count:,} approved", approved)),
        (edited, say.many("{count:,} edited and approved", "{count:,} edited and approved", edited)),
        (returned_, say.many("{count:,} returned", "{count:,} returned", returned_)),
        (rejected, say.many("{count:,} rejected", "{count:,} rejected", rejected)),
    ]
    return [words for number, words in said if number]
