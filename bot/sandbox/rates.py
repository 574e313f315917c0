"""How often Slack lets a method be called, and how long it asks to wait.

Pure but for what it remembers. Owns the figures, from https://docs.slack.dev/apis/web-api/rate-limits and
each method's page: calls a minute by tier, a message a second in each channel. Slack allows bursts
without saying how large; the figures for them are the smallest that its words allow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

TIER_CALLS_PER_MINUTE = {1: 1, 2: 20, 3: 50, 4: 100}
TIERS = {
    "apps.connections.open": 1,
    "assistant.threads.setSuggestedPrompts": 4,
    "assistant.threads.setTitle": 4,
    "bots.info": 3,
    "chat.appendStream": 4,
    "chat.delete": 3,
    "chat.postEphemeral": 4,
    "chat.startStream": 2,
    "chat.stopStream": 2,
    "chat.update": 3,
    "conversations.history": 3,
    "conversations.info": 3,
    "conversations.list": 2,
    "conversations.members": 4,
    "conversations.open": 3,
    "conversations.replies": 3,
    "files.completeUploadExternal": 4,
    "files.getUploadURLExternal": 4,
    "reactions.add": 3,
    "reactions.get": 3,
    "reactions.remove": 2,
    "team.info": 3,
    "usergroups.list": 2,
    "usergroups.users.list": 2,
    "users.conversations": 3,
    "users.info": 4,
    "users.list": 2,
    "views.open": 4,
    "views.publish": 4,
    "views.push": 4,
    "views.update": 4,
}
POSTS_PER_SECOND = 1.0
POST_BURST = 3


@dataclass
class _Bucket:
    left: float
    at: datetime


class Rates:
    """How much of each rate is used up: by method, ``chat.postMessage`` by method and channel."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def wait_seconds(self, method: str, channel: str, now: datetime) -> int:
        """0, and the call counts; or how many whole seconds to wait before the next one."""
        if method == "chat.postMessage":
            key, per_second, burst = (method, channel), POSTS_PER_SECOND, float(POST_BURST)
        elif method in TIERS:
            per_minute = TIER_CALLS_PER_MINUTE[TIERS[method]]
            key, per_second, burst = (method, ""), per_minute / 60, float(per_minute)
        else:  # auth.test, chat.getPermalink: hundreds a minute
            return 0
        bucket = self._buckets.setdefault(key, _Bucket(burst, now))
        passed = max(0.0, (now - bucket.at).total_seconds())
        bucket.left, bucket.at = min(burst, bucket.left + passed * per_second), now
        if bucket.left < 1:
            return max(1, math.ceil((1 - bucket.left) / per_second))
        bucket.left -= 1
        return 0
