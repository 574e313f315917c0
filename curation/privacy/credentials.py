"""Credentials in a text: Slack's tokens, the keys of cloud services, private keys, web tokens, passwords.

Owns their published shapes. Each is looked for only where a part of it that is cheap to find stands in the text.
Sources: Slack's, GitHub's, GitLab's, AWS's, Google's, Azure's and Stripe's documentation of their tokens; RFC 7519,
RFC 6750 and RFC 7468.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_SLACK = (
    (("xox", "xapp-"), re.compile(r"(?<![A-Za-z0-9])(?:xox[a-z]|xapp)(?:\.xox[a-z])?-[A-Za-z0-9-]{8,}")),
    (
        ("hooks.slack.com/",),
        re.compile(r"(?:https?://)?hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{8,}"),
    ),
)

_KEYS = (
    (
        ("PRIVATE KEY",),
        re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]+-----|\Z)"),
    ),
    (("eyJ",), re.compile(r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*")),
    (("earer ",), re.compile(r"(?<=earer )(?=[A-Za-z._~+/=-]*\d)[A-Za-z0-9._~+/-]{16,}=*")),
    (
        ("AKIA", "ASIA", "AIDA", "AROA"),
        re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA|AIDA|AROA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ),
    (("AIza",), re.compile(r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}")),
    (("GOCSPX-", "ya29."), re.compile(r"(?<![A-Za-z0-9])(?:GOCSPX-|ya29\.)[A-Za-z0-9_-]{20,}")),
    (("gh",), re.compile(r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})")),
    (("glpat-",), re.compile(r"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{20,}")),
    (
        ("sk-", "sk_", "rk_"),
        re.compile(r"(?<![A-Za-z0-9])(?:sk-[A-Za-z0-9_-]{20,}|[sr]k_(?:live|test)_[A-Za-z0-9]{16,})"),
    ),
    (("hf_", "npm_"), re.compile(r"(?<![A-Za-z0-9])(?:hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36})(?![A-Za-z0-9])")),
    (("SG.",), re.compile(r"(?<![A-Za-z0-9])SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}")),
    (("Key=",), re.compile(r"(?<=Key=)[A-Za-z0-9+/]{40,}={0,2}")),  # Azure's AccountKey and SharedAccessKey
    (("sig=",), re.compile(r"(?<=sig=)[A-Za-z0-9%+/=]{20,}")),  # Azure's shared access signatures
    (("://",), re.compile(r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)")),
)

_ASSIGNED = re.compile(
    r"(?i)(?:passwor[dt]|passwd|passord|kennwort|kata sandi|secret|api[ _-]?key|access[ _-]?(?:key|token)"
    r"|auth[ _-]?token|client[ _-]?secret|密码|密钥)[\"']?[ \t]*"
    r"(?:[:=：]|\bis\b|\bist\b|\ber\b|\bay\b|\badalah\b|是)[ \t]*[\"']?"
    r"(?P<value>[^\s\"'<>，。]{6,})"
)
_ASSIGNMENTS = ("pass", "kennwort", "sandi", "secret", "key", "token", "密码", "密钥")


def slack_tokens(text: str) -> Iterator[tuple[int, int]]:
    """Where Slack's tokens and the addresses of its webhooks stand."""
    for marks, pattern in _SLACK:
        if any(mark in text for mark in marks):
            yield from (match.span() for match in pattern.finditer(text))


def keys(text: str) -> Iterator[tuple[int, int]]:
    """Where other credentials stand."""
    for marks, pattern in _KEYS:
        for mark in marks:
            if mark in text:
                yield from (match.span() for match in pattern.finditer(text))
                break
    lowered = text.lower()
    for mark in _ASSIGNMENTS:
        if mark in lowered:
            yield from (_value(match) for match in _ASSIGNED.finditer(text) if _is_secret(match["value"]))
            return


def _value(match: re.Match[str]) -> tuple[int, int]:
    start, end = match.span("value")
    return start, end - (len(match["value"]) - len(match["value"].rstrip(".,;:!?)")))


def _is_secret(value: str) -> bool:
    """Whether what follows "password:" is one: words of a sentence are not, what mixes kinds of characters is."""
    value = value.rstrip(".,;:!?)")
    digits = any(character.isdigit() for character in value)
    return digits and any(character.isalpha() for character in value)
