"""The doctor's look at Slack: what Errata may do there, where it is missing, and whether a notice arrives.

Owns the checks of one workspace, with sentences that are said in Slack as well as in the terminal. Says what it could
not look at instead of guessing; the one thing that it changes is the test notice, which it takes away again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from sqlmodel import Session

from bot.connection import TIMEOUT_SECONDS
from bot.installations import Installed, Workspaces
from bot.membership import members_of
from bot.outcomes import TROUBLES
from bot.scopes import SCOPES
from bot.settings import Settings
from bot.speech import speaking
from curation import assistants, memberships, people
from curation.assistants import Speaker
from curation.errors import ErrataError
from curation.policies import Standing
from curation.prerequisites import Check, State
from curation.store.engine import Store
from curation.store.tables import Assistant
from curation.wording import phrase, plural

MOST_CHANNELS = 1_000
"""Channels of an assistant that are looked at."""
NAMED = 10

NEW_MANIFEST = phrase(
    "Take app-manifest.yaml over under App Manifest in the app's settings, and install the app again."
)
INVITE = phrase("Invite it there: /invite @Errata")
_TYPES = "public_channel,private_channel"

Call = Callable[..., Any]


def examine(
    workspaces: Workspaces, store: Store, now: datetime, *, team_id: str | None = None, notice: bool = True
) -> Iterator[Check]:
    """Every check of every workspace, or of this one.

    Args:
        notice: send the test notice.
    """
    try:
        every = list(workspaces.all())
    except ErrataError as error:
        yield Check("slack.reachable", State.FAILED, error.sentence, phrase("Check the token and the network."))
        return
    for installed in every:
        if team_id in {None, installed.team_id}:
            yield from _workspace(workspaces, store, now, installed, notice=notice)
    if workspaces.settings.client_id and team_id is None:
        yield Check(
            "slack.installed",
            State.OK if every else State.WARNING,
            plural(
                "Errata is installed in {count} workspace: {names}.",
                "Errata is installed in {count} workspaces: {names}.",
                len(every),
                names=[one.team for one in every],
            ),
            "" if every else phrase("Open https://YOUR-HOST/slack/install in a browser."),
        )


def _workspace(
    workspaces: Workspaces, store: Store, now: datetime, installed: Installed, *, notice: bool
) -> Iterator[Check]:
    settings = workspaces.settings
    client = WebClient(
        token=installed.bot_token, base_url=settings.api_url or WebClient.BASE_URL, timeout=TIMEOUT_SECONDS
    )
    try:
        answer = client.auth_test()
    except TROUBLES as error:
        seen = phrase("Slack refuses the token for {team} ({code}).", team=installed.team, code=_word(error))
        yield Check("slack.reachable", State.FAILED, seen, phrase("Install the app again, and check the network."))
        return
    seen = phrase("{bot} speaks in {team} ({id}).", bot=answer["user"], team=answer["team"], id=installed.team_id)
    yield Check("slack.reachable", State.OK, seen)
    granted = granted_in(answer.headers)
    yield from _scopes(granted)
    home = workspaces.home is not None and workspaces.home.team_id == installed.team_id
    if home:
        yield from _review_channel(client, settings, notice=notice)
    yield from _assistants(store, client, installed.team_id)
    yield from _groups(settings, client, installed.team_id, home=home)
    yield from _people(store, now, installed.team_id)


def granted_in(headers: Mapping[str, str]) -> frozenset[str] | None:
    """The scopes that a token has, as the answer's header says; None where it says nothing."""
    told = next((value for name, value in headers.items() if name.lower() == "x-oauth-scopes"), None)
    return None if told is None else frozenset(filter(None, (scope.strip() for scope in told.split(","))))


def _scopes(granted: frozenset[str] | None) -> Iterator[Check]:
    if granted is None:
        yield Check("slack.scopes", State.WARNING, phrase("Slack does not say which scopes the token has."))
        return
    missing = [scope for scope in SCOPES if scope not in granted]
    for scope in missing:
        seen = phrase("The scope {scope} is missing. It is for: {reason}", scope=scope, reason=SCOPES[scope])
        yield Check("slack.scopes", State.WARNING, seen, NEW_MANIFEST)
    if not missing:
        yield Check("slack.scopes", State.OK, phrase("Every scope of the manifest is granted."))


def _review_channel(client: WebClient, settings: Settings, *, notice: bool) -> Iterator[Check]:
    channel = settings.review_channel
    if channel is None:
        seen = phrase("No review channel is set.")
        yield Check("slack.channel", State.WARNING, seen, phrase("Set ERRATA_REVIEW_CHANNEL."))
        return
    try:
        about = client.conversations_info(channel=channel)["channel"]
    except TROUBLES as error:
        seen = phrase("Whether Errata is in {channel} cannot be said: {code}.", channel=channel, code=_word(error))
        yield Check("slack.channel", State.FAILED, seen, _remedy(error, INVITE))
    else:
        yield _membership(channel, about)
    try:  # the look that a notice needs as well, where it may be lost
        client.conversations_history(channel=channel, limit=1)
    except TROUBLES as error:
        seen = phrase("Errata cannot read {channel}: {code}.", channel=channel, code=_word(error))
        yield Check("slack.history", State.FAILED, seen, _remedy(error, INVITE))
    if notice:
        yield _notice(client, channel, settings.language)


def _membership(channel: str, about: Mapping[str, Any]) -> Check:
    name = about.get("name") or channel
    if about.get("is_archived"):
        seen = phrase("The review channel {channel} is archived.", channel=name)
        return Check("slack.channel", State.FAILED, seen, phrase("Take it out of the archive, or name another one."))
    if not about.get("is_member"):
        seen = phrase("Errata is not in the review channel {channel}.", channel=name)
        return Check("slack.channel", State.FAILED, seen, INVITE)
    return Check("slack.channel", State.OK, phrase("Errata is in the review channel {channel}.", channel=name))


def _notice(client: WebClient, channel: str, language: str) -> Check:
    """Send a test notice and take it away again."""
    say = speaking(language)
    try:
        sent = client.chat_postMessage(
            channel=channel, text=say("errata doctor is trying whether notices arrive. This one goes away by itself.")
        )
    except TROUBLES as error:
        seen = phrase("A test notice did not arrive in {channel}: {code}.", channel=channel, code=_word(error))
        return Check("slack.notice", State.FAILED, seen, _remedy(error, INVITE))
    try:
        client.chat_delete(channel=channel, ts=sent["ts"])
    except TROUBLES as error:
        seen = phrase(
            "A test notice arrived in {channel} and stayed there: {code}.", channel=channel, code=_word(error)
        )
        return Check("slack.notice", State.WARNING, seen, phrase("Delete it by hand."))
    return Check("slack.notice", State.OK, phrase("A test notice arrived in {channel}.", channel=channel))


def _assistants(store: Store, client: WebClient, team_id: str) -> Iterator[Check]:
    """In which channels of the watched assistants Errata is missing: there it hears nothing."""
    with store.read() as session:
        watched = [(one.name, _users(session, one)) for one in assistants.listed(session) if one.team_id == team_id]
    if not watched:
        return
    try:
        ours = {channel["id"] for channel in _pages(client.users_conversations)}
    except TROUBLES as error:
        seen = phrase("In which channels Errata is cannot be said: {code}.", code=_word(error))
        yield Check("slack.channels", State.WARNING, seen, _remedy(error, phrase("Try again later.")))
        return
    for name, users in watched:
        if not users:
            seen = phrase("In which channels {assistant} is cannot be said: only its bot id is known.", assistant=name)
            yield Check(
                "slack.channels", State.WARNING, seen, phrase("Name its user id too: errata assistants add --bot")
            )
            continue
        try:
            theirs = {
                channel["id"]: str(channel.get("name") or channel["id"])
                for user in users
                for channel in _pages(client.users_conversations, user=user)
            }
        except TROUBLES as error:
            seen = phrase("In which channels {assistant} is cannot be said: {code}.", assistant=name, code=_word(error))
            yield Check("slack.channels", State.WARNING, seen, _remedy(error, phrase("Check its user id.")))
            continue
        missing = sorted(theirs[channel] for channel in theirs.keys() - ours)
        if missing:
            seen = plural(
                "{assistant} answers in {count} channel without Errata: {names}.",
                "{assistant} answers in {count} channels without Errata, such as {names}.",
                len(missing),
                assistant=name,
                names=[f"#{channel}" for channel in missing[:NAMED]],
            )
            yield Check("slack.channels", State.WARNING, seen, INVITE)
        else:
            seen = phrase("Errata is in every public channel of {assistant}.", assistant=name)
            yield Check("slack.channels", State.OK, seen)


def _users(session: Session, assistant: Assistant) -> list[str]:
    """The user ids under which an assistant answers; a bot id is in no channel."""
    rules = assistants.speaker_map(session, assistant, staff=frozenset()).rules
    return sorted(one for one, speaker in rules.items() if speaker is Speaker.ASSISTANT and one[:1] in {"U", "W"})


def _groups(settings: Settings, client: WebClient, team_id: str, *, home: bool) -> Iterator[Check]:
    """Whether the members of every user group that carries a role can be read."""
    for name, role in settings.groups:
        team, _, group = name.rpartition("/")
        if (team and team != team_id) or (not team and not home):
            continue
        try:
            number = len(members_of(client, group))
        except TROUBLES as error:
            seen = phrase(
                "The user group {group} ({role}) cannot be read: {code}.",
                group=group,
                role=role.value,
                code=_word(error),
            )
            remedy = phrase("Correct ERRATA_GROUPS: the id is in the address of the group's page, and begins with S.")
            yield Check("slack.groups", State.FAILED, seen, _remedy(error, remedy))
            continue
        seen = plural(
            "The user group {group} has {count} member, who is {role}.",
            "The user group {group} has {count} members, who are {role}.",
            number,
            group=group,
            role=role.value,
        )
        yield Check("slack.groups", State.OK, seen)


def _people(store: Store, now: datetime, team_id: str) -> Iterator[Check]:
    """Whose roles do not count, and whom Slack was never asked about."""
    with store.read() as session:
        old = memberships.unconfirmed(session, now)
        held = {one.person_id for one in memberships.holdings(session, team_id, now)}
        standings = {person: memberships.standing_of(session, person) for person in held}
        names = {person: people.name_of(session, person) for person in held}
    if old:
        seen = phrase(
            "Slack has not confirmed the members of {groups} for more than an hour: their roles do not count.",
            groups=old,
        )
        remedy = phrase("See that errata work or errata serve runs, and that the scope usergroups:read is granted.")
        yield Check("slack.people", State.FAILED, seen, remedy)
    without = sorted(names[one] for one, said in standings.items() if said not in {None, Standing.MEMBER})
    if without:
        seen = phrase("Guests, bots or people who are gone hold roles, which do not count: {names}.", names=without)
        yield Check("slack.people", State.WARNING, seen, phrase("Take them back: /errata roles"))
    unknown = sorted(names[one] for one, said in standings.items() if said is None)
    if unknown:
        seen = phrase("Slack has not said yet whether these are full members: {names}.", names=unknown[:NAMED])
        remedy = phrase("See that errata work or errata serve runs, and that the scope users:read is granted.")
        yield Check("slack.people", State.WARNING, seen, remedy)
    if not old and not without and not unknown and held:
        yield Check("slack.people", State.OK, phrase("Everybody with a role is a full member of the workspace."))


def _pages(call: Call, **terms: Any) -> Iterator[dict[str, Any]]:
    """The channels of a paged answer, up to ``MOST_CHANNELS``."""
    cursor, seen = None, 0
    while True:
        answer = call(types=_TYPES, exclude_archived=True, limit=200, cursor=cursor, **terms)
        yield from answer["channels"]
        seen += len(answer["channels"])
        cursor = (answer.get("response_metadata") or {}).get("next_cursor")
        if not cursor or seen >= MOST_CHANNELS:
            return


def _word(error: Exception) -> str:
    return str(error.response.get("error")) if isinstance(error, SlackApiError) else type(error).__name__


def _remedy(error: Exception, otherwise: str) -> str:
    return NEW_MANIFEST if _word(error) == "missing_scope" else otherwise
