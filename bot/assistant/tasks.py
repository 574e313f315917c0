"""What Errata owes as the assistant: rows that the listeners commit and the worker settles.

Owns their lifecycle (one transition table), that a message is answered once however often it is told, and the
order within a thread. Holds no words: a question is read where it stands when it is answered, so that one which
was changed or deleted meanwhile is answered as it is, or not at all.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import bindparam, or_
from sqlalchemy import select as select_columns
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, func, select

from curation.errors import Conflict
from curation.store.rows import Prepared, Work, table_of
from curation.store.tables import ChatTask
from curation.wording import called


class TaskKind(StrEnum):
    """What is owed."""

    ANSWER = "answer"
    ENDORSEMENT = "endorsement"


class TaskStatus(StrEnum):
    """The lifecycle of a task. Of one in hand nobody knows yet what Slack has seen of it."""

    OWED = "owed"
    IN_HAND = "in_hand"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class TaskStep(StrEnum):
    """What can happen to a task."""

    TAKE = "take"
    PUT_BACK = "put back"
    COMPLETE = "complete"
    FAIL = "fail"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"


TRANSITIONS: dict[tuple[TaskStatus, TaskStep], TaskStatus] = {
    (TaskStatus.OWED, TaskStep.TAKE): TaskStatus.IN_HAND,
    (TaskStatus.IN_HAND, TaskStep.TAKE): TaskStatus.IN_HAND,
    (TaskStatus.IN_HAND, TaskStep.PUT_BACK): TaskStatus.OWED,
    (TaskStatus.IN_HAND, TaskStep.COMPLETE): TaskStatus.DONE,
    (TaskStatus.IN_HAND, TaskStep.FAIL): TaskStatus.FAILED,
    (TaskStatus.IN_HAND, TaskStep.REFUSE): TaskStatus.REFUSED,
    (TaskStatus.IN_HAND, TaskStep.WITHDRAW): TaskStatus.WITHDRAWN,
}

OPEN = (TaskStatus.OWED.value, TaskStatus.IN_HAND.value)
MAX_ATTEMPTS = 8
HELD = timedelta(minutes=5)
"""How long a task in hand is left alone: longer than an answer may take, so whoever had it is gone."""
LOOKED_AT = 200
"""Open tasks that are looked at for the next one; more are a flood, and the oldest of it come first."""

MINUTE = timedelta(minutes=1)
_LONGEST_BACKOFF = timedelta(minutes=1)

_TASKS = table_of(ChatTask)
_ANY = Prepared(
    select_columns(_TASKS.c.id)
    .where(_TASKS.c.asked_by == bindparam("person"), _TASKS.c.kind == bindparam("kind"))
    .limit(1)
)
_OPEN_ONE = Prepared(select_columns(_TASKS.c.id).where(or_(*(_TASKS.c.status == one for one in OPEN))).limit(1))
# PostgreSQL's words for a conflict are SQLite's as well.
_OWE = Prepared(
    insert(_TASKS).on_conflict_do_nothing(index_elements=[_TASKS.c.source]),
    columns=[column.key for column in _TASKS.c if column.key != "id"],
)


def owe(
    session: Session, now: datetime, kind: TaskKind, *, source: str, thread: str, asked_by: str, asked_at: datetime
) -> bool:
    """Owe what somebody asked for; whether it was not owed before. ``source`` is what it is known by."""
    later = dict.fromkeys(("message_ref", "model_version", "prompt_id", "trouble", "ended_at"))
    asked = {"source": source, "thread": thread, "asked_by": asked_by, "asked_at": asked_at}
    fresh = {"kind": kind.value, "status": TaskStatus.OWED.value, "attempts": 0, "not_before": now}
    return _OWE.change(session, **asked, **fresh, **later) > 0


def ever_asked(session: Session, kind: TaskKind, person: str) -> bool:
    """Whether this person has asked for such a thing before."""
    return _ANY.first(session, kind=kind.value, person=person) is not None


def any_owed(work: Work) -> bool:
    """Whether anything is owed at all, now or later: whoever settles tasks asks several times a second."""
    return _OPEN_ONE.first(work) is not None


def next_due(session: Session, now: datetime) -> ChatTask | None:
    """The oldest task that can be taken now; within a thread none overtakes an older one."""
    waiting = session.exec(
        select(ChatTask).where(col(ChatTask.status).in_(OPEN)).order_by(col(ChatTask.id)).limit(LOOKED_AT)
    )
    busy: set[str] = set()
    for task in waiting:
        # No task waits much longer than it may be held: such a row tells that the clock was set back. A little longer
        # it does for whoever looked at the clock before another thread took it.
        if task.thread not in busy and not now < task.not_before <= now + 2 * HELD:
            return task
        busy.add(task.thread)
    return None


def take(session: Session, now: datetime, seen: ChatTask) -> ChatTask | None:
    """Take a task in hand, as it was seen; None where another thread or worker was faster."""
    task = session.get_one(ChatTask, seen.key)
    if task.status not in OPEN or task.attempts != seen.attempts:
        return None
    _step(task, TaskStep.TAKE)
    task.attempts += 1
    task.not_before = now + HELD
    session.flush()
    return task


def release(session: Session, now: datetime) -> None:
    """Let go of everything in hand: for the only worker there is, when it starts."""
    for task in session.exec(select(ChatTask).where(ChatTask.status == TaskStatus.IN_HAND.value)):
        task.not_before = now


def put_back(task: ChatTask, now: datetime, *, trouble: str, after: timedelta | None = None) -> None:
    """Leave a task for another attempt, later each time unless it is said when."""
    _step(task, TaskStep.PUT_BACK)
    task.trouble = trouble
    backoff = min(timedelta(seconds=2 ** min(task.attempts, 6)), _LONGEST_BACKOFF)
    task.not_before = now + (backoff if after is None else after)


def end(task: ChatTask, step: TaskStep, now: datetime, *, trouble: str | None = None) -> None:
    """Settle a task for good.

    Raises:
        Conflict: it is not in hand.
    """
    _step(task, step)
    task.trouble = trouble
    task.ended_at = now


def asked_within_a_minute(session: Session, task: ChatTask) -> tuple[int, int]:
    """How many answers the same person was owed in the minute before this one, and how many they were refused."""
    before = (
        ChatTask.kind == TaskKind.ANSWER.value,
        ChatTask.asked_by == task.asked_by,
        ChatTask.asked_at > task.asked_at - MINUTE,
        ChatTask.asked_at <= task.asked_at,
        col(ChatTask.id) < task.key,
    )
    refused = ChatTask.status == TaskStatus.REFUSED.value
    every = session.exec(select(func.count()).select_from(ChatTask).where(*before)).one()
    turned_down = session.exec(select(func.count()).select_from(ChatTask).where(*before, refused)).one()
    return every - turned_down, turned_down


def known_messages(session: Session, thread: str) -> set[str]:
    """Where the answers of a thread stand, as far as that is known."""
    known = session.exec(
        select(ChatTask.message_ref).where(ChatTask.thread == thread, col(ChatTask.message_ref).is_not(None))
    )
    return {str(reference) for reference in known}


def _step(task: ChatTask, step: TaskStep) -> None:
    following = TRANSITIONS.get((TaskStatus(task.status), step))
    if following is None:
        raise Conflict(
            "The task {task} is {status}; it cannot be {step} any more.",
            task=task.key,
            status=called(TaskStatus(task.status)),
            step=called(step),
        )
    task.status = following.value
