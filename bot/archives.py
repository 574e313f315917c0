"""Slack's export archives: the ZIP of a workspace in, the watched assistant's replies out, as captures of them.

Owns how an archive is laid out and what of it is read: channels, not direct messages; of each thread in which the
assistant spoke its last reply, with everything before it. Nothing is unpacked onto the disk, and no file in the
archive is believed about its size. How a thread becomes turns is ``bot.threads``'.
Source: https://slack.com/help/articles/220556107-How-to-read-Slack-data-exports
"""

from __future__ import annotations

import json
import lzma
import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from bot.desk import source
from bot.threads import capture, is_spoken, text_of
from curation.assistants import Speaker, SpeakerMap
from curation.errors import Invalid
from curation.findings import Finding, Severity
from curation.formats.rules import Rule
from curation.imports import Reply
from curation.people import person_id

MAX_FILE_BYTES = 200_000_000
"""Of one file in the archive, unpacked: a day of a channel has a few megabytes at most."""

RULES = (
    Rule(
        "archive.file",
        Severity.ERROR,
        "Every file of a Slack archive is a JSON list as Slack writes it.",
        "Export the workspace again, or import the rest with --skip-invalid.",
    ),
    Rule(
        "archive.thread",
        Severity.INFO,
        "A thread in which the assistant replies begins with somebody's question.",
        "Nothing to do: the thread is left out.",
    ),
)
"""What may be found in a Slack archive, beside the rules about rows."""
_FILE, _THREAD = RULES

_ID = re.compile(r"[A-Za-z0-9]{1,40}")
_TS = re.compile(r"[0-9]{10}\.[0-9]{6}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\.json")
# What zipfile raises over a file that is damaged: its frame, its size, its content, or packed in an unknown way.
_DAMAGED = (zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, OSError, NotImplementedError, RuntimeError)
_MOST_PACKED = 200
_SMALL_BYTES = 1_000_000

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of the archive; ``days`` are the names of its files, oldest first."""

    id: str
    name: str
    private: bool
    days: tuple[str, ...]


class Archive:
    """An opened archive.

    Attributes:
        channels: public and private ones, by name.
        teams: the ids of the workspaces that its people are in.
        names: ids of people and channels → the names that people see.
    """

    def __init__(self, packed: zipfile.ZipFile, path: Path) -> None:
        self._packed, self._path = packed, path
        self._files = {info.filename: info for info in packed.infolist() if not info.is_dir()}
        for name in self._files:
            self._refuse_strange(name)
        self._root = self._find_root()
        people = self._listed("users.json")
        self.teams = frozenset(str(person["team_id"]) for person in people if person.get("team_id"))
        self.channels = tuple(
            sorted(
                (*self._channels("channels.json"), *self._channels("groups.json", private=True)), key=lambda c: c.name
            )
        )
        self.names = {str(person.get("id")): _name_of(person) for person in people}
        self.names |= {channel.id: channel.name for channel in self.channels}

    def chosen(self, wanted: Collection[str]) -> list[Channel]:
        """The channels of these names or ids, with or without ``#``; all of them where none is named.

        Raises:
            Invalid: the archive has no such channel.
        """
        names = {one.removeprefix("#") for one in wanted}
        found = [channel for channel in self.channels if not names or names & {channel.name, channel.id}]
        if missing := names - {name for channel in found for name in (channel.name, channel.id)}:
            there = ", ".join(channel.name for channel in self.channels)[:300]
            raise Invalid(f"{self._path} has no channel {', '.join(sorted(missing))}; it has {there or 'none'}.")
        return found

    def messages(self, channel: Channel) -> Iterator[Message | Finding]:
        """Everything said in a channel, oldest first; a finding for each file that cannot be read."""
        for name in channel.days:
            try:
                said = self._read(name)
            except (ValueError, RecursionError):
                yield _FILE.found(f"{name} cannot be read: it is not JSON.")
                continue
            except _DAMAGED:
                yield _FILE.found(f"{name} cannot be read: it is damaged.")
                continue
            if not isinstance(said, list):
                yield _FILE.found(f"{name} is not a list of messages.")
                continue
            messages = [one for one in said if isinstance(one, dict) and _is_message(one)]
            yield from messages
            if strange := len(said) - len(messages):
                yield _FILE.found(
                    f"{name}: {strange:,} of its {len(said):,} entries are no messages as Slack writes them."
                )

    def _find_root(self) -> str:
        roots = [
            name.removesuffix("channels.json") for name in self._files if PurePosixPath(name).name == "channels.json"
        ]
        if not roots:
            raise Invalid(f"{self._path} is no export of a Slack workspace: it has no channels.json.")
        return min(roots, key=len)

    def _channels(self, name: str, *, private: bool = False) -> list[Channel]:
        days: dict[str, list[str]] = defaultdict(list)
        for file in self._files:
            folder, _, day = file.removeprefix(self._root).rpartition("/")
            if _DAY.fullmatch(day):
                days[folder].append(file)
        return [
            Channel(str(one["id"]), str(one["name"]), private, tuple(sorted(days[str(one["name"])])))
            for one in self._listed(name)
            if _id(one, "id") and one.get("name")
        ]

    def _listed(self, name: str) -> list[dict[str, Any]]:
        if self._root + name not in self._files:
            return []
        try:
            listed = self._read(self._root + name)
        except (ValueError, RecursionError, *_DAMAGED) as error:
            raise Invalid(f"{name} in {self._path} cannot be read; export the workspace again.") from error
        return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []

    def _read(self, name: str) -> Any:
        info = self._files[name]
        if info.flag_bits & 1:
            raise Invalid(f"{name} in {self._path} is encrypted; unpack the archive and pack it without a password.")
        swollen = info.file_size > max(_SMALL_BYTES, _MOST_PACKED * info.compress_size)
        with self._packed.open(info) as handle:
            content = b"" if swollen else handle.read(MAX_FILE_BYTES + 1)  # whatever size it claims to have
        if swollen or len(content) > MAX_FILE_BYTES:
            raise Invalid(
                f"{name} in {self._path} unpacks to far more than Slack ever writes; the archive is not read."
            )
        return json.loads(content)

    def _refuse_strange(self, name: str) -> None:
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0]:
            raise Invalid(f"{self._path} names a file outside of itself ({name[:80]!r}); the archive is not read.")


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open the ZIP that Slack's export gave.

    Raises:
        Invalid: it cannot be opened, is no ZIP, no export of Slack's, or is made to do harm.
    """
    if path.exists() and not path.is_file():
        raise Invalid(f"{path} is no file; name the ZIP that Slack's export gave.")
    try:
        packed = zipfile.ZipFile(path)
    except (ValueError, *_DAMAGED) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no ZIP"
        raise Invalid(f"{path} cannot be opened ({reason}); name the ZIP that Slack's export gave.") from error
    with packed:
        yield Archive(packed, path)


def read_replies(
    archive: Archive, channel: Channel, speakers: SpeakerMap, *, team_id: str, since: datetime | None = None
) -> Iterator[Reply | Finding]:
    """The last reply of the assistant in each thread of a channel, in the order in which the threads began.

    The channel is read twice, so that only threads in which the assistant speaks are held in memory.

    Args:
        speakers: who speaks as whom.
        team_id: of the workspace; sources begin with it.
        since: leave out replies from before.
    """
    ours: set[str] = set()
    for message in archive.messages(channel):
        if isinstance(message, Finding):
            yield message
        elif _speaker(speakers, message, frozenset()) is Speaker.ASSISTANT:
            ours.add(_thread_of(message))
    threads: dict[str, list[Message]] = {ts: [] for ts in sorted(ours)}
    for message in archive.messages(channel):
        if not isinstance(message, Finding) and (thread := threads.get(_thread_of(message))) is not None:
            thread.append(message)
    for ts, messages in threads.items():
        reply = _reply(archive, channel, ts, messages, speakers, team_id, since)
        if reply is not None:
            yield reply


def _reply(
    archive: Archive,
    channel: Channel,
    thread: str,
    messages: Sequence[Message],
    speakers: SpeakerMap,
    team_id: str,
    since: datetime | None,
) -> Reply | Finding | None:
    opener = next((_ids(message) for message in messages if message["ts"] == thread), frozenset())
    said = [
        one
        for one in messages
        if _speaker(speakers, one, opener) is Speaker.ASSISTANT and is_spoken(one) and text_of(one)
    ]
    last = max((str(one["ts"]) for one in said), default=None)
    if last is None or (since is not None and datetime.fromtimestamp(float(last), UTC) < since):
        return None
    try:
        captured = capture(
            messages,
            wrong_ts=last,
            speaker_of=lambda message: _speaker(speakers, message, opener),
            names=archive.names,
        )
    except Invalid as error:
        return _THREAD.found(f"#{channel.name}, {_moment(thread)}: {str(error).split(';')[0]}.")
    asking = {
        user
        for message in messages
        if (user := _id(message, "user")) and is_spoken(message)
        if _speaker(speakers, message, opener) is Speaker.USER
    }
    return Reply(
        source=source(team_id, channel.id, last),
        thread=source(team_id, channel.id, thread),
        conversation=captured.conversation,
        reply=captured.reply,
        speakers=tuple(sorted(person_id(team_id, user) for user in asking)),
        staff_reply=captured.staff_reply,
    )


def _speaker(speakers: SpeakerMap, message: Message, opener: frozenset[str]) -> Speaker:
    ids = _ids(message)
    return speakers.speaker(ids, opened_thread=bool(ids & opener))


def _is_message(message: Message) -> bool:
    """Whether what Errata goes by is as Slack writes it: when it was said, in which thread, and what it is."""
    moments = (message.get("ts"), message.get("thread_ts") or message.get("ts"))
    subtype = message.get("subtype")
    return all(isinstance(one, str) and _TS.fullmatch(one) for one in moments) and isinstance(subtype, str | None)


def _ids(message: Message) -> frozenset[str]:
    return frozenset(one for key in ("user", "bot_id") if (one := _id(message, key)))


def _id(record: Mapping[str, Any], key: str) -> str | None:
    value = record.get(key)
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def _thread_of(message: Message) -> str:
    return str(message.get("thread_ts") or message["ts"])


def _moment(ts: str) -> str:
    return datetime.fromtimestamp(float(ts), UTC).strftime("%Y-%m-%d %H:%M UTC")


def _name_of(person: Mapping[str, Any]) -> str:
    profile = person.get("profile")
    shown = profile if isinstance(profile, dict) else {}
    names = (shown.get("display_name"), shown.get("real_name"), person.get("real_name"), person.get("name"))
    return next((str(name) for name in names if name), str(person.get("id")))
