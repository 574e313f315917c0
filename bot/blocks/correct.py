"""The modals in which a reply is corrected or endorsed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.blocks.elements import (
    QUOTE_LIMIT,
    Block,
    choice,
    context,
    modal,
    plain,
    quoted,
    section,
    text_input,
)
from bot.blocks.parts import adder, beginning, part_inputs
from bot.mrkdwn import quote
from bot.speech import Say
from curation.candidates import Reason
from curation.findings import Finding
from curation.wording import phrase

CORRECT = "correct_submit"
ENDORSE = "endorse_submit"
TURN = "correct_turn"
"""The menu of the thread's replies; its block is ``turn:`` and the edition of the form."""
CORRECTION = "correction"
BETTER = phrase("What should it have said?")
READING = "reading"
"""The block that stands where the thread will."""
IN_THREAD = "thread"
"""The value of the box that has the correction posted in the thread."""

REASONS = {
    Reason.WRONG_FACT: phrase("Wrong fact"),
    Reason.CHANGING_FACT: phrase("Wrong fact that changes, such as a price"),
    Reason.MISSING_STEP: phrase("Missing step"),
    Reason.TONE: phrase("Tone"),
    Reason.POLICY: phrase("Against policy"),
    Reason.UNSAFE: phrase("Unsafe"),
    Reason.LANGUAGE: phrase("Wrong language"),
    Reason.OTHER: phrase("Something else"),
}

SPEAKERS = {
    "user": phrase("Customer"),
    "assistant": phrase("Assistant"),
    "system": phrase("System"),
    "tool": phrase("Tool"),
}
SHOWN_TURNS = 20
TURN_LIMIT = 600
OPTION_LIMIT = 75
HEAVIEST = 240_000
"""Bytes of a form as JSON, where a character takes up to twelve; Slack takes 250 KB."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a form shows of a captured reply.

    Attributes:
        turns: what came before the reply; None while the thread is being read.
        trouble: why the thread could not be read; the form then asks for the question.
        staff_reply: what a colleague already answered below the reply.
        prefill: what the correction begins as; None: the reply itself.
        fields: the correction's fields as somebody has filled them in, to be left alone.
        edition: tells the fields of one text from those of the next, see ``part_inputs``.
        room: how much of the window of the model that will be tuned is taken before the reply, where known.
        choices: ``(source, text)`` of the thread's replies, where there are several.
        shown: the source of the one in the form.
        warning: what stands against the last thing that was tried.
    """

    capture_id: int
    reply: str = field(repr=False)
    turns: Sequence[tuple[str, str]] | None = field(default=None, repr=False)
    trouble: str | None = None
    staff_reply: str | None = field(default=None, repr=False)
    prefill: str | None = field(default=None, repr=False)
    fields: Sequence[Block] = field(default=(), repr=False)
    edition: str = ""
    room: str | None = None
    choices: Sequence[tuple[str, str]] = field(default=(), repr=False)
    shown: str | None = None
    warning: str | None = None


def correct_view(say: Say, form: Form) -> Block:
    """The correction form: turns so far, the wrong reply, and the better one prefilled with it."""
    fields = form.fields or _correction(say, form)
    unread = form.turns is None and form.trouble is None  # what is changed then is not replaced by the thread
    return _form(
        say,
        form,
        CORRECT,
        say("Correct a reply"),
        say("Save"),
        above=_choices(say, form),
        below=[
            quoted(say("The reply"), form.reply),
            *_answered(say, form),
            *fields,
            *([] if unread else adder(say, CORRECTION, fields)),
            *([context(form.room)] if form.room else []),
            choice("reason", say("What is wrong?"), ((one.value, say(REASONS[one])) for one in Reason), optional=True),
            text_input(say, "topic", say("Topic"), optional=True),
            text_input(say, "note", say("Note for the reviewer"), multiline=True, optional=True),
            _in_thread(say),
        ],
    )


def endorse_view(say: Say, form: Form) -> Block:
    """The endorsement form: is this the reply you would like to see again?"""
    return _form(
        say,
        form,
        ENDORSE,
        say("Endorse a reply"),
        say("Endorse"),
        above=[],
        below=[
            quoted(say("A good reply, to be kept"), form.reply),
            text_input(say, "topic", say("Topic"), optional=True),
        ],
    )


def looking_view(say: Say) -> Block:
    """While the message behind a link is looked for."""
    return modal(say, "notice", say("Correct a reply"), [_reading(say)], submit=None)


def is_reading(view: Block) -> bool:
    """Whether a form still waits for its thread, in whatever language it says so."""
    return any(block.get("block_id") == READING for block in view["blocks"])


def found_view(say: Say, done: str, findings: Sequence[Finding]) -> Block:
    """What is shown in the place of a form that was accepted, if something was found in it.

    Args:
        done: what has become of it, in a sentence of our own.
    """
    found = [section(quote(f"{say(one.message)} {say(one.fix)}", QUOTE_LIMIT)) for one in findings]
    return modal(say, "found", say("With a warning"), [section(f":white_check_mark: {done}"), *found], submit=None)


def _form(
    say: Say, form: Form, callback_id: str, title: str, submit: str, *, above: Sequence[Block], below: Sequence[Block]
) -> Block:
    held = {"capture": form.capture_id} | ({"reply": form.shown} if form.shown else {})
    warning = [section(f":warning: {quote(form.warning, QUOTE_LIMIT)}")] if form.warning else []
    room = HEAVIEST - len(json.dumps([*above, *warning, *below]))
    blocks = [*above, *_thread(say, form, room), *warning, *below]
    return modal(say, callback_id, title, blocks, submit=submit, metadata=json.dumps(held))


def _thread(say: Say, form: Form, room: int) -> list[Block]:
    if form.trouble is not None:
        why = say("{trouble} Write what the customer asked, and the rest works as usual.", trouble=form.trouble)
        return [
            section(f":warning: {quote(why, QUOTE_LIMIT)}"),
            text_input(say, "question", say("What did the customer ask?"), multiline=True),
        ]
    if form.turns is None:
        return [_reading(say)]
    shown: list[Block] = []
    for role, content in reversed(form.turns[-SHOWN_TURNS:]):
        block = quoted(say(SPEAKERS[role]), content, limit=TURN_LIMIT)
        room -= len(json.dumps(block))
        if room < 0:
            break
        shown.insert(0, block)
    left_out = len(form.turns) - len(shown)
    kept = say.many("{count} earlier turn is kept, too.", "{count} earlier turns are kept, too.", left_out)
    return [*([context(kept)] if left_out else []), *shown]


def _reading(say: Say) -> Block:
    return context(say("Reading the thread…")) | {"block_id": READING}


def _choices(say: Say, form: Form) -> list[Block]:
    if not form.choices:
        return []
    options = [
        {"text": plain(beginning(f"{number}. {' '.join(text.split())}", OPTION_LIMIT)), "value": source}
        for number, (source, text) in enumerate(form.choices, 1)
    ]
    element: Block = {"type": "static_select", "action_id": TURN, "options": options}
    chosen = [option for option in options if option["value"] == form.shown]
    return [
        {
            "type": "input",
            "block_id": f"turn:{form.edition}",
            "dispatch_action": True,
            "label": plain(say("Which reply is wrong?")),
            "element": element | ({"initial_option": chosen[0]} if chosen else {}),
        }
    ]


def _answered(say: Say, form: Form) -> list[Block]:
    """A colleague's answer, where it is not what the correction begins as."""
    if form.staff_reply is None or form.staff_reply == form.prefill:
        return []
    return [quoted(say("What a colleague answered"), form.staff_reply)]


def _correction(say: Say, form: Form) -> list[Block]:
    return part_inputs(
        say,
        CORRECTION,
        say(BETTER),
        form.reply if form.prefill is None else form.prefill,
        hint=say("Write the whole reply as the assistant should have sent it."),
        edition=form.edition,
    )


def _in_thread(say: Say) -> Block:
    option = {
        "text": plain(say("Also post in the thread")),
        "description": plain(say("At once, under your name")),
        "value": IN_THREAD,
    }
    return {
        "type": "input",
        "block_id": "post",
        "label": plain(say("The thread")),
        "element": {"type": "checkboxes", "action_id": "value", "options": [option]},
        "optional": True,
    }
