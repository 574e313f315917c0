"""What the workspace keeps of a channel, a file on its way and a link that answers. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from bot.sandbox.payloads import Json

RESPONSE_URL_USES = 5
RESPONSE_URL_SECONDS = 30 * 60


@dataclass
class Channel:
    """A channel, or a direct message (``D…``) between Errata and one person."""

    channel_id: str
    name: str
    members: list[str]
    is_im: bool = False
    is_private: bool = False
    is_archived: bool = False
    messages: list[Json] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """``channel``, ``group`` or ``im``: the ``channel_type`` of events."""
        return "im" if self.is_im else "group" if self.is_private else "channel"


@dataclass
class UploadedFile:
    """A file on its way to or in the workspace; ``channels`` is empty until the upload is completed."""

    file_id: str
    name: str
    length: int
    alt_text: str
    title: str = ""
    content: bytes | None = None
    channels: list[str] = field(default_factory=list)
    thread_ts: str | None = None


@dataclass
class ResponseUrl:
    """A link that answers one interaction: at most 5 posts within 30 minutes."""

    user_id: str
    channel_id: str
    message_ts: str | None
    issued_at: datetime
    thread_ts: str | None = None
    uses: int = 0
