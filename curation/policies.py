"""Who may do what: roles, permissions, and the two-person rule. Pure decisions, no rows.

Owns the one table of permissions. When something may be done is the lifecycles' business
(``curation.candidates``, ``training.runs``); who may is decided here and asked at action time.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from enum import StrEnum


class RoleName(StrEnum):
    """What a person is to Errata."""

    AGENT = "agent"
    REVIEWER = "reviewer"
    OWNER = "owner"
    OPERATOR = "operator"


class Permission(StrEnum):
    """What may be asked for."""

    FLAG = "flag and correct replies"
    REVIEW = "review corrections"
    FREEZE = "freeze datasets"
    TRAIN = "start and cancel runs"
    DEPLOY = "deploy models"
    ATTEST = "import approved examples"
    EXPORT = "export examples"
    MANAGE_ASSISTANTS = "change assistants"
    MANAGE_PEOPLE = "grant roles"
    ERASE = "erase customers and old captures"


ALLOWED: dict[Permission, frozenset[RoleName]] = {
    Permission.FLAG: frozenset({RoleName.AGENT, RoleName.REVIEWER, RoleName.OWNER}),
    Permission.REVIEW: frozenset({RoleName.REVIEWER, RoleName.OWNER}),
    Permission.FREEZE: frozenset({RoleName.OWNER}),
    Permission.TRAIN: frozenset({RoleName.OWNER}),
    Permission.DEPLOY: frozenset({RoleName.OWNER}),
    Permission.ATTEST: frozenset({RoleName.OWNER}),
    Permission.EXPORT: frozenset({RoleName.REVIEWER, RoleName.OWNER}),
    Permission.MANAGE_ASSISTANTS: frozenset({RoleName.OWNER, RoleName.OPERATOR}),
    Permission.MANAGE_PEOPLE: frozenset({RoleName.OWNER}),
    Permission.ERASE: frozenset({RoleName.OWNER}),
}


def may(roles: AbstractSet[RoleName], permission: Permission) -> bool:
    """Whether any of these roles carries the permission."""
    return bool(roles & ALLOWED[permission])


def may_ask(*, home: bool, guest: bool) -> bool:
    """Whether Errata, where it is itself the assistant, answers somebody: people of its own workspace, no guests."""
    return home and not guest


def approver_is_independent(approver: str, authors: AbstractSet[str]) -> bool:
    """The two-person rule: whoever wrote any version of the correction does not approve it."""
    return approver not in authors
