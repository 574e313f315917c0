"""``usergroups.*``: groups of people who can be mentioned together.

Owns the answers of these methods. Refuses a group that does not exist with ``no_such_subteam``. Errata reads
groups and never changes them, so nothing here writes.

Source: https://docs.slack.dev/reference/methods/usergroups.list and usergroups.users.list
"""

from __future__ import annotations

from bot.sandbox.arguments import Arguments
from bot.sandbox.errors import ApiRefusal
from bot.sandbox.groups import usergroup
from bot.sandbox.payloads import Json
from bot.sandbox.state import State


def list_groups(state: State, arguments: Arguments) -> Json:
    """``usergroups.list``: groups in use, with their members or their number where asked for."""
    groups = [
        usergroup(
            group,
            team_id=state.identity.team_id,
            made_by=next(iter(state.accounts)),
            with_users=arguments.flag("include_users"),
            with_count=arguments.flag("include_count"),
        )
        for group in state.groups.values()
        if not group.deleted or arguments.flag("include_disabled")
    ]
    return {"usergroups": groups}


def list_members(state: State, arguments: Arguments) -> Json:
    """``usergroups.users.list``: the user ids of one group's members."""
    group = state.groups.get(arguments.text("usergroup"))
    if group is None or (group.deleted and not arguments.flag("include_disabled")):
        raise ApiRefusal("no_such_subteam")
    return {"users": list(group.members)}
