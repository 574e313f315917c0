"""What happens to a workspace over its years: apps come and go, people leave, channels are archived, groups change.

Owns these changes and the events that Slack sends about them. Refuses what Slack refuses: to change a channel
or a group that does not exist. Who does it does not matter to Errata, so nobody is asked.
"""

from __future__ import annotations

from collections.abc import Iterable

from bot.sandbox.channel_methods import user_object
from bot.sandbox.errors import ApiRefusal
from bot.sandbox.groups import UserGroup, usergroup
from bot.sandbox.installing import App
from bot.sandbox.payloads import Json
from bot.sandbox.people import Person
from bot.sandbox.records import Channel
from bot.sandbox.state import State
from bot.sandbox.viewers import Viewer
from bot.sandbox.web_api import WebApi


class Administration:
    """The half of a workspace that its administrators have in hand."""

    state: State
    app: App
    bot_token: str
    _web_api: WebApi

    # The app.

    def install(self, person: Person, address: str) -> str:
        """The person opens the app's authorize page and presses *Allow*; where their browser is sent with the code."""
        return self.app.allow(self.state.identity, self.bot_token, person.user_id, address)

    def uninstall(self) -> None:
        """Somebody takes the app out of the workspace: its token is revoked, and the app hears of both."""
        with self.state.lock:
            self._web_api.revoked = True
            tokens = {"oauth": [], "bot": [self.state.identity.bot_user_id]}
            self._told({"type": "tokens_revoked", "tokens": tokens})
            self._told({"type": "app_uninstalled"})

    # People.

    def change(self, person: Viewer, *, locale: str | None = None, guest: bool | None = None) -> None:
        """Let a person choose another language, become a guest or no longer be one; Errata hears ``user_change``."""
        with self.state.lock:
            account = self.state.account(person.user_id)
            account.locale = locale or account.locale
            if guest is not None:
                account.is_restricted = guest
                account.is_ultra_restricted &= guest
            self._say_user_change(person.user_id)

    def deactivate(self, person: Person) -> None:
        """The person leaves the company: they can do nothing any more and are in no channel and no group."""
        with self.state.lock:
            self.state.account(person.user_id).deleted = True
            for channel in self.state.channels.values():
                if person.user_id in channel.members and not channel.is_im:
                    channel.members.remove(person.user_id)
            self._say_user_change(person.user_id)
            for group in list(self.state.groups.values()):
                if person.user_id in group.members:
                    self._change_group(group, [one for one in group.members if one != person.user_id])

    # Channels.

    def archive(self, channel_id: str) -> None:
        """Archive a channel: nobody can say anything there any more."""
        with self.state.lock:
            channel = self.state.channel(channel_id)
            channel.is_archived = True
            self._say_of(f"{channel.kind}_archive", channel)

    def unarchive(self, channel_id: str) -> None:
        """Take a channel out of the archive."""
        with self.state.lock:
            channel = self.state.channel(channel_id)
            channel.is_archived = False
            self._say_of(f"{channel.kind}_unarchive", channel)

    def remove(self, channel_id: str, person: Person) -> None:
        """Take a person out of a channel, or let them leave it."""
        with self.state.lock:
            channel = self._with_member(channel_id, person.user_id)
            channel.members.remove(person.user_id)
            self._say_of("member_left_channel", channel, user=person.user_id)

    def bring_in(self, channel_id: str, person: Person) -> None:
        """Invite a person into a channel."""
        with self.state.lock:
            channel = self.state.channel(channel_id)
            if person.user_id in channel.members:
                raise ApiRefusal("already_in_channel")
            channel.members.append(person.user_id)
            self._say_of("member_joined_channel", channel, user=person.user_id)

    def remove_errata(self, channel_id: str) -> None:
        """Take Errata out of a channel; this is the last that it hears from there."""
        with self.state.lock:
            channel = self._with_member(channel_id, self.state.identity.bot_user_id)
            self._say_of(f"{channel.kind}_left", channel)
            channel.members.remove(self.state.identity.bot_user_id)

    def bring_in_errata(self, channel_id: str) -> None:
        """Invite Errata into a channel."""
        with self.state.lock:
            channel, errata = self.state.channel(channel_id), self.state.identity.bot_user_id
            if errata in channel.members:
                raise ApiRefusal("already_in_channel")
            channel.members.append(errata)
            self._say_of("member_joined_channel", channel, user=errata)

    # Groups.

    def add_group(self, handle: str, members: Iterable[Person], *, name: str = "") -> str:
        """A group such as ``@reviewers``; its id, ``S…``."""
        with self.state.lock:
            made = int(self.state.now().timestamp())
            ids = [member.user_id for member in members]
            group = UserGroup(self.state.new_id("S"), handle, name or handle.title(), ids, created=made, updated=made)
            self.state.groups[group.group_id] = group
            self._say_group("subteam_created", group)
        return group.group_id

    def change_group(self, group_id: str, members: Iterable[Person]) -> None:
        """Give a group these members instead of those it had."""
        with self.state.lock:
            self._change_group(self._group(group_id), [member.user_id for member in members])

    def disable_group(self, group_id: str) -> None:
        """Put a group out of use; who was in it can still be asked for."""
        with self.state.lock:
            group = self._group(group_id)
            group.deleted = group.updated = int(self.state.now().timestamp())
            self._say_group("subteam_updated", group)

    def _group(self, group_id: str) -> UserGroup:
        if group_id not in self.state.groups:
            raise ApiRefusal("no_such_subteam")
        return self.state.groups[group_id]

    def _change_group(self, group: UserGroup, members: list[str]) -> None:
        before, group.members = group.members, members
        previous, group.updated = group.updated, int(self.state.now().timestamp())
        added = [one for one in members if one not in before]
        removed = [one for one in before if one not in members]
        self._say_group("subteam_updated", group)
        changed: Json = {"type": "subteam_members_changed", "subteam_id": group.group_id}
        changed |= {"team_id": self.state.identity.team_id, "date_previous_update": previous}
        changed |= {"date_update": group.updated, "added_users": added, "added_users_count": len(added)}
        changed |= {"removed_users": removed, "removed_users_count": len(removed)}
        self._told(changed)

    def _with_member(self, channel_id: str, user_id: str) -> Channel:
        channel = self.state.channel(channel_id)
        if user_id not in channel.members:
            raise ApiRefusal("not_in_channel")
        return channel

    # How it is said.

    def _say_of(self, kind: str, channel: Channel, **more: str) -> None:
        """An event about a channel, if Errata is there to hear it."""
        if self.state.identity.bot_user_id not in channel.members:
            return
        event: Json = {"type": kind, "channel": channel.channel_id, **more}
        if kind.startswith("member_"):
            letter = {"channel": "C", "group": "G"}
            event |= {"channel_type": letter[channel.kind], "team": self.state.identity.team_id}
        self._told(event)

    def _say_user_change(self, user_id: str) -> None:
        account = self.state.account(user_id)
        account.updated = int(self.state.now().timestamp())
        about = user_object(self.state, account, True)
        self._told({"type": "user_change", "user": about, "cache_ts": account.updated})

    def _say_group(self, kind: str, group: UserGroup) -> None:
        team_id, made_by = self.state.identity.team_id, next(iter(self.state.accounts))
        about = usergroup(group, team_id=team_id, made_by=made_by, with_users=True, with_count=True)
        self._told({"type": kind, "subteam": about})

    def _told(self, event: Json) -> None:
        self.state.on_event({**event, "event_ts": self.state.new_ts()})
        with self.state.changed:
            self.state.mark_changed()
