"""Reminders of models that cost money by the hour and that nobody asks anything: one for each deployment.

Owns that a channel is reminded once, however often somebody looks. What is idle is ``training.bills``'s; a channel that
gets the weekly digest reads it there every week besides.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, select

from curation import notices
from curation.notices import NoticeKind
from curation.store.tables import Notice
from training import bills, deployments, runs
from training.planning.prices import SHIPPED


def remind(session: Session, now: datetime) -> int:
    """Owe every channel of a run whose model is idle the reminder that it has not had yet; how many models it is of."""
    owed = 0
    for one in bills.idle(session, now, SHIPPED):  # no price is told
        deployment = deployments.require_live(session, one.run_id)
        key = f"idle:{deployment.key}"
        if session.exec(select(Notice.id).where(Notice.message_key == key)).first() is not None:
            continue
        subject = f"deployment:{deployment.key}"
        for destination in runs.find(session, one.run_id).destinations:
            notices.owe(session, now, NoticeKind.IDLE, subject=subject, destination=destination, message_key=key)
        owed += 1
    return owed
