"""Who may do what: roles, permissions, and the two-person rule. Pure decisions, no rows.

Owns the one table of permissions. When something may be done is the lifecycles' business
(``curation.candidates``, ``training.runs``); who may is decided here and asked at action time.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from enum import StrEnum

_WORKSPACE = re.compile(r"(?:person:)?(?:E[A-Z0-9]+/)?(T[A-Z0-9]*)/")


class RoleName(StrEnum):
    """What a person is to Errata."""

    AGENT = "agent"
    REVIEWER = "reviewer"
    OWNER = "owner"
    OPERATOR = "operator"


class Standing(StrEnum):
    """What a person is to the workspace, as Slack says. Only members hold rights."""

    MEMBER = "member"
    GUEST = "guest"
    FOREIGN = "foreign"
    BOT = "bot"
    GONE = "gone"


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
    DIGEST = "order weekly digests"
    LET_DATA_LEAVE = "let data go to another geography"


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
    Permission.DIGEST: frozenset({RoleName.OWNER}),
    Permission.LET_DATA_LEAVE: frozenset({RoleName.OWNER}),
}


def may(roles: AbstractSet[RoleName], permission: Permission) -> bool:
    """Whether any of these roles carries the permission."""
    return bool(roles & ALLOWED[permission])


def same_house(one: str, other: str) -> bool:
    """Whether two keys (of people, places, messages) are of one Slack workspace; a key of none goes with every one.

    ``T1/U1`` and ``T1/C1/1.2`` → True; ``T2/U1`` and ``T1/C1/1.2`` → False; ``local/ana`` and ``T1/C1/1.2`` → True.
    """
    homes = {found[1] for found in (_WORKSPACE.match(one), _WORKSPACE.match(other)) if found is not None}
    return len(homes) < len((one, other))


def approver_is_independent(approver: str, authors: AbstractSet[str]) -> bool:
    """The two-person rule: whoever wrote any version of the correction does not approve it."""
    return approver not in authors
