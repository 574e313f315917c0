"""One question answered: who asks, the conversation so far, the model, the message, the row.

Owns the order of these, in such a way that a kill anywhere leaves a task that the next attempt completes in the same
message. An answer is counted under the model version that gave it in the commit that settles its task.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.assistant import tasks
from bot.assistant.asking import asking
from bot.assistant.bench import Asked, Bench, mine
from bot.assistant.endpoint import Endpoint, keyed
from bot.assistant.fitting import Fitted, fit, halved
from bot.assistant.history import ANSWERED, FAILED, THREAD_LIMIT, THREAD_PAGES, question_in
from bot.assistant.tasks import TaskStep
from bot.assistant.telling import Place, Telling, left_behind
from bot.assistant.troubles import EndpointTrouble
from bot.blocks import chat as blocks
from curation import assistants, replies
from curation.conversation import Conversation
from curation.errors import Invalid
from curation.people import user_id_of
from curation.store.tables import SystemPrompt
from curation.wording import phrase

log = logging.getLogger("errata.assistant")

PER_MINUTE = 20
"""Answers that one person gets within a minute."""
ANSWER_CHARACTERS = 11_000
"""A message of Slack's holds about 13,200 characters in blocks, and the label below the answer needs some."""
STALE = timedelta(minutes=15)
"""A question that has waited longer is not answered any more: whoever asked has gone on."""

TOO_MANY = phrase("That was more than {number} questions in a minute. Ask again in a little while.", number=PER_MINUTE)
TOO_LATE = phrase("This question had to wait too long, and was not answered. Ask again.")
TOO_LONG = phrase("This thread is too long for Errata to read. Ask in a new one.")
NOTHING_SAID = phrase("The model had nothing to say. Ask in other words.")
WITHHELD = phrase("The model's content filter withheld the answer. Ask in other words.")

_LONGEST_THREAD = THREAD_LIMIT * THREAD_PAGES

Thread = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Said:
    """An answer, the model version that gave it, and why it ended; with ``trouble``, as far as it came."""

    text: str
    model: str
    finish_reason: str
    trouble: EndpointTrouble | None = None


def answer(bench: Bench, asked: Asked) -> None:
    """Answer a question, or say in one sentence why not.

    Raises:
        SlackApiError, OSError: Slack refuses or does not answer; what it has seen is looked for next time.
        StoreUnavailable, Overtaken: the database said no, or another worker has the task.
        Interrupted: the process has to leave the task to another.
    """
    if not bench.settings.assistant:
        bench.end(asked, TaskStep.WITHDRAW, trouble="the assistant was turned off")
        return
    if (refusal := _refusal(bench, asked)) is not None:
        if refusal:
            bench.whisper(asked, refusal)
        bench.end(asked, TaskStep.REFUSE, trouble="refused")
        return
    thread = bench.thread(asked)
    telling = _telling(bench, asked, thread)
    if telling is None:
        return
    if not any(message.get("ts") == asked.ts for message in thread):
        if len(thread) < _LONGEST_THREAD:
            bench.end(asked, TaskStep.WITHDRAW, trouble="the question is gone")
        else:
            _fail(bench, asked, telling, TOO_LONG, word="thread too long")
        return
    if bench.clock() - asked.task.asked_at > STALE:
        _fail(bench, asked, telling, TOO_LATE, word="too late")
        return
    try:
        _tell(bench, asked, thread, telling)
    except EndpointTrouble as trouble:
        log.warning("the model did not answer: task=%s trouble=%s", asked.key, trouble.word)
        _fail(bench, asked, telling, trouble.sentence, word=trouble.word)
    except Invalid as error:
        _fail(bench, asked, telling, error.sentence, word="nothing asked")


def _refusal(bench: Bench, asked: Asked) -> str | None:
    """Why this question is not answered; empty where that was said within the minute."""
    refusal = bench.visitors.refusal(asked.task.asked_by)
    with bench.store.read() as session:
        owed, refused = tasks.asked_within_a_minute(session, asked.task)
    if refusal is None and owed >= PER_MINUTE:
        refusal = TOO_MANY
    return "" if refusal is not None and refused else refusal


def _telling(bench: Bench, asked: Asked, thread: Thread) -> Telling | None:
    """The message to come, or the one that an earlier attempt began; None where that one is whole, and settled now."""
    ts = asked.task.message_ref and asked.task.message_ref.rsplit("/", 1)[1]
    if asked.task.attempts > 1:
        with bench.store.read() as session:
            known = {one.rsplit("/", 1)[1] for one in tasks.known_messages(session, asked.task.thread)}
        left = left_behind(thread, answer_id=asked.key, question_ts=asked.ts, own_ids=bench.own_ids, known=known)
        if left is not None and left.about.get("state") == ANSWERED:
            _answered(bench, asked, left.ts, left.about)
            return None
        if left is not None and left.about.get("state") == FAILED:
            bench.end(asked, TaskStep.FAIL, trouble=str(left.about.get("trouble")), ts=left.ts)
            return None
        ts = left.ts if left is not None else ts
    place = Place(asked.channel, asked.thread_ts, bench.identity.team_id, user_id_of(asked.task.asked_by))
    return Telling(bench.client, place, asked.key, ts=ts, monotonic=bench.monotonic, wait=bench.stopping.wait)


def _tell(bench: Bench, asked: Asked, thread: Thread, telling: Telling) -> None:
    """Ask the model and tell its answer as it grows."""
    conversation, prompt, at = _question(bench, asked, thread)
    say = bench.say(asked)
    title = conversation.messages[-1].content if asked.begins_a_direct_message else None
    telling.think(say("is thinking…"), title=title)
    at = keyed(at, bench.settings)
    fitted = fit(conversation, prompt.text if prompt is not None else None, room=at.window - at.answer_tokens)
    said, fitted = _said(bench, asked, at, fitted, telling)
    if said.trouble is not None:
        log.warning("the model broke off: task=%s trouble=%s", asked.key, said.trouble.word)
        _fail(bench, asked, telling, said.trouble.sentence, word=said.trouble.word, text=said.text)
        return
    if not said.text.strip():
        sentence = WITHHELD if said.finish_reason == "content_filter" else NOTHING_SAID
        _fail(bench, asked, telling, sentence, word=said.finish_reason or "empty")
        return
    label = blocks.label(
        say,
        model=said.model,
        base=at.base,
        prompt_version=prompt.version if prompt is not None else None,
        left_out=fitted.left_out,
        cut=said.finish_reason in {"length", "content_filter"},
    )
    about = {"model_version": said.model, "prompt": prompt.key if prompt is not None else None}
    ts = telling.end(said.text, blocks.foot(say, asked.key, label), state=ANSWERED, about=about)
    _answered(bench, asked, ts, about)


def _question(bench: Bench, asked: Asked, thread: Thread) -> tuple[Conversation, SystemPrompt | None, Endpoint]:
    """The conversation up to the question, the prompt of its place, and whom to ask."""
    team_id, own = bench.identity.team_id, bench.own_ids
    with bench.store.read() as session:
        conversation = question_in(session, team_id, thread, question_ts=asked.ts, spoken_by=own)
        itself = assistants.speaking_as(session, team_id, own)
        prompt = assistants.current_prompt(session, itself.key, asked.place) if itself is not None else None
        return conversation, prompt, Endpoint.of(session, bench.settings)


def _said(bench: Bench, asked: Asked, at: Endpoint, fitted: Fitted, telling: Telling) -> tuple[_Said, Fitted]:
    """What the model says, to as much of the conversation as it takes."""
    while True:
        try:
            return _grown(bench, asked, at, fitted, telling), fitted
        except EndpointTrouble as trouble:
            shorter = halved(fitted) if trouble.too_long else None
            if shorter is None:
                raise
            fitted = shorter


def _grown(bench: Bench, asked: Asked, at: Endpoint, fitted: Fitted, telling: Telling) -> _Said:
    """The answer to its end, shown while it comes."""
    text = ""
    with asking(at, fitted.conversation, monotonic=bench.monotonic) as growing:
        try:
            for piece in growing.pieces:
                bench.go_on_or_leave()
                text += piece
                if telling.grow(text):
                    bench.note_message(asked, str(telling.ts))
                if len(text) > ANSWER_CHARACTERS:
                    return _Said(text[:ANSWER_CHARACTERS], at.run_id or growing.model, "length")
        except EndpointTrouble as trouble:
            if not text.strip():
                raise
            return _Said(text, at.run_id or growing.model, "", trouble)
        return _Said(text, at.run_id or growing.model, growing.finish_reason)


def _answered(bench: Bench, asked: Asked, ts: str, about: Mapping[str, Any]) -> None:
    """Settle the task and count the reply under the model version that gave it."""
    version, prompt_id = about.get("model_version"), about.get("prompt")
    with bench.store.write() as session:
        task = mine(session, asked)
        tasks.end(task, TaskStep.COMPLETE, bench.clock())
        task.message_ref = f"{asked.place}/{ts}"
        task.model_version = str(version) if version is not None else None
        task.prompt_id = prompt_id if isinstance(prompt_id, int) else None
        itself = assistants.speaking_as(session, bench.identity.team_id, bench.own_ids)
        if itself is not None:
            replies.count(
                session,
                assistant_id=itself.key,
                source=task.message_ref,
                said_at=datetime.fromtimestamp(float(ts), UTC),
                model_version=task.model_version,
            )


def _fail(bench: Bench, asked: Asked, telling: Telling, sentence: str, *, word: str, text: str = "") -> None:
    """Say in the thread why there is no answer, or, below what came of it, none to its end."""
    told = bench.say(asked)(sentence)
    foot = blocks.failure(told) if text else []
    ts = telling.end(text or told, foot, state=FAILED, about={"trouble": word})
    bench.end(asked, TaskStep.FAIL, trouble=word, ts=ts)
