"""The modals in which a reply is corrected or endorsed."""

from __future__ import annotations

from collections.abc import Sequence

from bot.blocks.elements import QUOTE_LIMIT, Block, choice, context, modal, quoted, section, text_input
from bot.mrkdwn import quote
from bot.speech import ENGLISH_SPOKEN
from curation.candidates import Reason
from curation.findings import Finding

CORRECT = "correct_submit"
ENDORSE = "endorse_submit"

REASONS = {
    Reason.WRONG_FACT: "Wrong fact",
    Reason.CHANGING_FACT: "Wrong fact that changes, such as a price",
    Reason.MISSING_STEP: "Missing step",
    Reason.TONE: "Tone",
    Reason.POLICY: "Against policy",
    Reason.UNSAFE: "Unsafe",
    Reason.LANGUAGE: "Wrong language",
    Reason.OTHER: "Something else",
}

SPEAKERS = {"user": "Customer", "assistant": "Assistant", "system": "System", "tool": "Tool"}
SHOWN_TURNS = 20
# A form may have 250 KB as JSON, where a character takes up to twelve bytes.
TURN_LIMIT = 600


def correct_view(
    capture_id: int,
    *,
    reply: str,
    turns: Sequence[tuple[str, str]] | None,
    staff_reply: str | None = None,
    room: str | None = None,
    trouble: str | None = None,
) -> Block:
    """The correction form: turns so far, the wrong reply, and the better one prefilled with it.

    Args:
        turns: what came before the reply; None while the thread is being read.
        staff_reply: what a colleague already answered below it; prefills the correction.
        room: how much of the window of the model that will be tuned is taken before the reply, where known.
        trouble: why the thread could not be read; the form then asks for the question.
    """
    return modal(
        ENGLISH_SPOKEN,
        CORRECT,
        "Correct this reply",
        [
            *_thread(turns, trouble),
            quoted("The reply", reply),
            text_input(
                ENGLISH_SPOKEN,
                "correction",
                "What should it have said?",
                initial=staff_reply or reply,
                multiline=True,
                hint="Write the whole reply as the assistant should have sent it.",
            ),
            *([context(room)] if room else []),
            choice(
                "reason", "What is wrong?", ((reason.value, text) for reason, text in REASONS.items()), optional=True
            ),
            text_input(ENGLISH_SPOKEN, "topic", "Topic", optional=True),
            text_input(ENGLISH_SPOKEN, "note", "Note for the reviewer", multiline=True, optional=True),
        ],
        submit="Save",
        metadata=str(capture_id),
    )


def endorse_view(
    capture_id: int, *, reply: str, turns: Sequence[tuple[str, str]] | None, trouble: str | None = None
) -> Block:
    """The endorsement form: is this the reply you would like to see again?"""
    return modal(
        ENGLISH_SPOKEN,
        ENDORSE,
        "Endorse this reply",
        [
            *_thread(turns, trouble),
            quoted("A good reply, to be kept", reply),
            text_input(ENGLISH_SPOKEN, "topic", "Topic", optional=True),
        ],
        submit="Endorse",
        metadata=str(capture_id),
    )


def found_view(done: str, findings: Sequence[Finding]) -> Block:
    """What is shown in the place of a form that was accepted, if something was found in it.

    Args:
        done: what has become of it, in a sentence of our own.
    """
    found = [section(quote(f"{one.message} {one.fix}", QUOTE_LIMIT)) for one in findings]
    return modal(
        ENGLISH_SPOKEN, "found", "Saved, with a warning", [section(f":white_check_mark: {done}"), *found], submit=None
    )


def _thread(turns: Sequence[tuple[str, str]] | None, trouble: str | None) -> list[Block]:
    if turns is None and trouble is None:
        return [context("Reading the thread…")]
    if turns is None:
        return [
            section(f":warning: {trouble} Write what the customer asked, and the rest works as usual."),
            text_input(ENGLISH_SPOKEN, "question", "What did the customer ask?", multiline=True),
        ]
    left_out = len(turns) - SHOWN_TURNS
    shown = [quoted(SPEAKERS[role], content, limit=TURN_LIMIT) for role, content in turns[-SHOWN_TURNS:]]
    return [*([context(f"{left_out} earlier turns are kept, too.")] if left_out > 0 else []), *shown]
