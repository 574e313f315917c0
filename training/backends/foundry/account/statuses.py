"""What the openai API's words about a job and a deployment mean here.

Owns the status words, ours and Azure's own additions, and a sentence of ours for each known error code: the provider's
free text may repeat a customer's words and goes nowhere.
"""

from __future__ import annotations

import re

from curation.wording import Phrase, phrase
from training.backends.base import JobStatus

PAUSED = frozenset({"pausing", "paused"})
"""A person has paused the job at its provider; it can go on."""

ENDING = frozenset({"cancelling", "canceling", "deleting"})

_STATUSES = {
    "validating_files": JobStatus.QUEUED,
    "queued": JobStatus.QUEUED,
    "pending": JobStatus.QUEUED,
    "notrunning": JobStatus.QUEUED,
    "created": JobStatus.QUEUED,
    "preprocessing": JobStatus.RUNNING,
    "running": JobStatus.RUNNING,
    "resuming": JobStatus.RUNNING,
    "postprocessing": JobStatus.RUNNING,
    "succeeded": JobStatus.COMPLETED,
    "failed": JobStatus.FAILED,
    "cancelled": JobStatus.CANCELLED,
    "canceled": JobStatus.CANCELLED,
} | dict.fromkeys(ENDING | PAUSED, JobStatus.RUNNING)

_TRAINING_FILE = phrase(
    "The provider refuses the training file: check the dataset with errata check, then freeze and train anew."
)
_VALIDATION_FILE = phrase(
    "The provider refuses the validation file: check the dataset with errata check, then freeze and train anew."
)
_HARM = phrase(
    "The provider's content check refuses the examples: look for harmful content in the dataset, or ask Microsoft to "
    "review it."
)
_QUOTA = phrase(
    "The account has used up what it may train: wait for other jobs, or ask for more quota in the portal, then resume "
    "the run."
)
_REASONS = {
    "invalid_training_file": _TRAINING_FILE,
    "invalid_file_format": _TRAINING_FILE,
    "invalid_validation_file": _VALIDATION_FILE,
    "content_filter": _HARM,
    "moderation_failed": _HARM,
    "exceeded_quota": _QUOTA,
    "quota_exceeded": _QUOTA,
}
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,60}")


def status_of(word: str) -> JobStatus:
    """Where a job stands by the provider's word; one that is not known yet means that it goes on.

    ``validating_files`` → queued, ``succeeded`` → completed.
    """
    return _STATUSES.get(word.strip().lower(), JobStatus.RUNNING)


def reason_of(code: str | None) -> Phrase:
    """Why a job failed, by the provider's error code; the code itself is named where no sentence is known for it."""
    plain = (code or "").strip()
    known = _REASONS.get(plain.lower())
    if known is not None:
        return known
    if not _CODE.fullmatch(plain):
        return phrase("The provider failed the job without saying why: look at it in the portal, then resume the run.")
    return phrase(
        "The provider failed the job with the code {code}: look at it in the portal, then resume the run.", code=plain
    )
