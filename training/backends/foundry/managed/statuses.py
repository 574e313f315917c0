"""Azure ML's words for where a job stands, in Errata's; the one table of them.

Owns the mapping for fine-tuning and command jobs alike. Imports nothing of Azure.

https://learn.microsoft.com/rest/api/azureml/jobs/get (JobStatus)
"""

from __future__ import annotations

from curation.wording import Phrase, phrase
from training.backends.base import JobStatus

STATUSES: dict[str, JobStatus] = {
    "NotStarted": JobStatus.QUEUED,
    "Queued": JobStatus.QUEUED,
    "Starting": JobStatus.QUEUED,
    "Provisioning": JobStatus.QUEUED,
    "Preparing": JobStatus.QUEUED,
    "Running": JobStatus.RUNNING,
    "Finalizing": JobStatus.RUNNING,
    "CancelRequested": JobStatus.RUNNING,
    "NotResponding": JobStatus.RUNNING,
    "Paused": JobStatus.RUNNING,
    "Unknown": JobStatus.RUNNING,
    "Completed": JobStatus.COMPLETED,
    "Failed": JobStatus.FAILED,
    "Canceled": JobStatus.CANCELLED,
}
"""None of those that a job can come back from ends a run: what does not respond may respond again."""

_WAITS = phrase("Azure has accepted the job and looks for a machine.")
_NOTES: dict[str, Phrase] = {
    **dict.fromkeys(("NotStarted", "Queued", "Starting", "Provisioning", "Preparing"), _WAITS),
    "NotResponding": phrase("Azure says that the job does not respond at the moment; it is waited for."),
    "Paused": phrase("Azure has paused the job; it is waited for."),
    "Unknown": phrase("Azure does not know at the moment how the job stands; it is waited for."),
}


def status_of(word: str | None) -> JobStatus:
    """Where a job stands whose status is ``word``, in any case; a word that is new here is one that goes on."""
    return _BY_WORD.get((word or "").lower(), JobStatus.RUNNING)


def note_of(word: str | None) -> Phrase | None:
    """What people should know about a job that goes on; None where there is nothing."""
    return next((note for known, note in _NOTES.items() if known.lower() == (word or "").lower()), None)


_BY_WORD = {word.lower(): status for word, status in STATUSES.items()}
