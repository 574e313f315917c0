"""What nobody sees in a text: control and invisible characters, and whether there is anything else in it.

Owns which characters these are. Which of them a script or an emoji needs is decided in ``curation.cleaning``.
"""

from __future__ import annotations

import re

_CONTROL = r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]"
_INVISIBLE = (
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)

CONTROLS = re.compile(_CONTROL)
"""Control characters but white space, and the sequences that colour a terminal."""

INVISIBLES = re.compile(_INVISIBLE)
"""Characters without width: joiners, marks of direction, tags, soft hyphens."""

_BLANK = re.compile(rf"(?:\s|{_CONTROL}|{_INVISIBLE})*")


def is_blank(text: str) -> bool:
    r"""Whether nobody would see anything: of ``" \u200b"`` as of the empty text."""
    return _BLANK.fullmatch(text) is not None
