"""Every way in which the sandbox says no.

ErrataError
├── SandboxRefusal          a person tried what Slack's own client would not let them do
│   └── NotAnswered         the bot gave no good answer within Slack's three seconds
└── WaitedInVain            what a test or the demo waits for did not happen in time

ApiRefusal                  Slack's answer ``{"ok": false}``; raised to a test only for ids that do not exist
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curation.errors import ErrataError


class SandboxRefusal(ErrataError):
    """The person's client would not do this; the sentence names the field or the element."""


class NotAnswered(SandboxRefusal):
    """The bot answered an interaction late, with an error or not at all; Slack does not try again."""


class WaitedInVain(ErrataError):
    """What was waited for did not happen in time; the sentence ends with the last deliveries."""


class ApiRefusal(Exception):
    """A Web API call that Slack answers with ``ok: false``.

    Attributes:
        code: Slack's error word, such as ``channel_not_found``.
        messages: readable reasons for ``response_metadata.messages``.
        extra: further keys of the answer, such as ``needed`` and ``provided``.
    """

    def __init__(self, code: str, messages: Sequence[str] = (), extra: Mapping[str, Any] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.messages = tuple(messages)
        self.extra = dict(extra or {})

    def sentence(self) -> str:
        """``invalid_blocks: blocks[3].text.text: 3,010 characters; Slack takes 3,000``."""
        return f"{self.code}: {'; '.join(self.messages)}" if self.messages else self.code
