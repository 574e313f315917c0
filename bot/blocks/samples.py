"""What a channel is asked once a week: replies that nobody minded, are they good?"""

from __future__ import annotations

from bot.blocks.elements import Block, actions, button, context, header, section
from bot.links import message_link
from bot.mrkdwn import escape
from bot.speech import Say
from curation.candidates import CandidateKind
from curation.samples import Sample, Sampled

ENDORSE = "sample_endorse"
CORRECT = "sample_correct"


def asked(say: Say, sample: Sample) -> list[Block]:
    """Each reply with a link and its two buttons, or with what somebody said of it."""
    blocks = [
        header(say("Are these good?")),
        section(escape(asked_text(say, sample))),
        context(say("Drawn at random. What you say becomes an example, once a second person has approved it.")),
    ]
    for number, reply in enumerate(sample.replies, 1):
        blocks += _reply(say, number, reply)
    return blocks


def asked_text(say: Say, sample: Sample) -> str:
    """The question in one line."""
    return say.many(
        "{count} reply of {assistant} that nobody minded this week. Is it good?",
        "{count} replies of {assistant} that nobody minded this week. Are they good?",
        len(sample.replies),
        assistant=sample.assistant,
    )


def _reply(say: Say, number: int, reply: Sampled) -> list[Block]:
    link = message_link(reply.source)
    named = say("Reply {number}", number=number)
    shown = f"<{link}|{escape(named)}>" if link is not None else escape(named)
    if reply.withdrawn:
        return [section(f":wastebasket: {shown} · {escape(say('taken away since'))}")]
    if reply.answer is not None:
        kind, person = reply.answer
        if kind == CandidateKind.ENDORSEMENT.value:
            return [section(f":white_check_mark: {shown} · {escape(say('endorsed by {person}', person=person))}")]
        return [section(f":pencil2: {shown} · {escape(say('corrected by {person}', person=person))}")]
    buttons = [
        button(say("Endorse"), ENDORSE, reply.source, style="primary"),
        button(say("Correct"), CORRECT, reply.source),
    ]
    return [section(shown), actions(f"sample:{number}", buttons)]
