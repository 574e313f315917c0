"""User groups as records, and as Slack writes them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from bot.sandbox.payloads import Json


@dataclass
class UserGroup:
    """A group of people who can be mentioned together, such as ``@reviewers``."""

    group_id: str
    handle: str
    name: str
    members: list[str]
    created: int  # epoch seconds, as the two below
    updated: int
    deleted: int = 0  # 0 while the group is in use


def usergroup(group: UserGroup, *, team_id: str, made_by: str, with_users: bool, with_count: bool) -> Json:
    """The user group object of ``usergroups.list`` and of the subteam events."""
    about: Json = {
        "id": group.group_id,
        "team_id": team_id,
        "is_usergroup": True,
        "is_subteam": True,
        "name": group.name,
        "description": "",
        "handle": group.handle,
        "is_external": False,
        "date_create": group.created,
        "date_update": group.updated,
        "date_delete": group.deleted,
        "auto_type": None,
        "auto_provision": False,
        "created_by": made_by,
        "updated_by": made_by,
        "deleted_by": made_by if group.deleted else None,
        "prefs": {"channels": [], "groups": []},
    }
    if with_users:
        about["users"] = list(group.members)
    if with_count:
        about["user_count"] = len(group.members)
    return about
