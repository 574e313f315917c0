"""An endorsement that somebody asked for with the button below an answer: the thread is read, the candidate made."""

from __future__ import annotations

from dataclasses import replace

from bot.assistant import tasks
from bot.assistant.bench import Asked, Bench, mine
from bot.assistant.history import about_reply, speaking
from bot.assistant.tasks import TaskStep
from curation import captures, flagged, proposals, samples
from curation.errors import ErrataError, Overtaken, StoreUnavailable
from curation.people import Actor, PersonId


def endorse(bench: Bench, asked: Asked) -> None:
    """Make the candidate and settle the task in one commit; who may not, or was too slow, is told.

    Raises:
        SlackApiError, OSError: Slack refuses or does not answer.
        StoreUnavailable, Overtaken: nothing was written.
    """
    thread = bench.thread(asked)
    reply = next((message for message in thread if message.get("ts") == asked.ts), None)
    if reply is None:
        with bench.store.write() as session:
            flagged.gone(session, [f"{asked.place}/{asked.ts}"])
            samples.answered(session, bench.clock(), f"{asked.place}/{asked.ts}")
        bench.end(asked, TaskStep.WITHDRAW, trouble="the reply is gone")
        return
    root = str(reply.get("thread_ts") or asked.ts)
    if root != asked.thread_ts:  # asked for where only the reply itself was known
        thread = bench.thread(replace(asked, thread_ts=root))
    team_id = asked.place.partition("/")[0]
    review_in = bench.review_in(team_id)  # before the unit of work: it may ask Slack
    actor, now, spoken_by = Actor(PersonId(asked.task.asked_by), bench.settings.solo), bench.clock(), speaking(reply)
    try:
        with bench.store.write() as session:
            about = about_reply(session, asked.place, thread, reply_ts=asked.ts, spoken_by=spoken_by)
            captured = about.captured
            kept = proposals.capture(
                session,
                actor,
                now,
                team_id=team_id,
                spoken_by=spoken_by,
                source=f"{asked.place}/{asked.ts}",
                thread=f"{asked.place}/{root}",
                reply=captured.reply,
            )
            captures.fill(
                session,
                kept.key,
                captured.conversation,
                reply=captured.reply,
                staff_reply=captured.staff_reply,
                speakers=about.asking,
                context=about.context,
            )
            proposals.endorse(session, actor, now, capture_id=kept.key, review_in=review_in)
            tasks.end(mine(session, asked), TaskStep.COMPLETE, now)
    except (StoreUnavailable, Overtaken):
        raise
    except ErrataError as error:
        bench.whisper(asked, error.sentence)
        bench.end(asked, TaskStep.FAIL, trouble=type(error).__name__)
