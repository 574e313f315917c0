"""Curation's tables, in the order of the data's way through the house.

Status columns hold the value of the enum that the lifecycle's module owns. Ids of people are
``curation.people`` ids; subjects are ``kind:id``.
"""

from __future__ import annotations

from curation.store.tables.assistants import (
    Assistant,
    ChatTask,
    FlagDismissal,
    Reply,
    ReplyFlag,
    ReplySample,
    SampledReply,
    SpeakerRule,
    SystemPrompt,
)
from curation.store.tables.datasets import (
    DatasetNote,
    DatasetRow,
    DatasetVersion,
    Example,
    Expiry,
    Export,
    FreezeRequest,
    SplitKey,
)
from curation.store.tables.keyed import Keyed
from curation.store.tables.outbox import AuditEntry, DigestOrder, HandledRequest, Notice, WeeklyDigest
from curation.store.tables.people import GroupRole, Installation, InstallState, Person, Revocation, RoleGrant
from curation.store.tables.privacy import PrivacyFinding, PrivacyKey, PrivacyValue
from curation.store.tables.reviewing import (
    Candidate,
    CandidateFinding,
    Capture,
    Claim,
    Correction,
    PromptBand,
    QueueMessage,
    Review,
    ScreenedPrompt,
    Suggestion,
)

__all__ = [
    "Assistant",
    "AuditEntry",
    "Candidate",
    "CandidateFinding",
    "Capture",
    "ChatTask",
    "Claim",
    "Correction",
    "DatasetNote",
    "DatasetRow",
    "DatasetVersion",
    "DigestOrder",
    "Example",
    "Expiry",
    "Export",
    "FlagDismissal",
    "FreezeRequest",
    "GroupRole",
    "HandledRequest",
    "InstallState",
    "Installation",
    "Keyed",
    "Notice",
    "Person",
    "PrivacyFinding",
    "PrivacyKey",
    "PrivacyValue",
    "PromptBand",
    "QueueMessage",
    "Reply",
    "ReplyFlag",
    "ReplySample",
    "Review",
    "Revocation",
    "RoleGrant",
    "SampledReply",
    "ScreenedPrompt",
    "SpeakerRule",
    "SplitKey",
    "Suggestion",
    "SystemPrompt",
    "WeeklyDigest",
]
