"""The words of a reply as its tokens come, up to a stop string.

Owns that no half character and no part of a stop string goes out. The pieces add up to the text that decoding the
whole reply at once would give, cut at its first stop string.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers.decoders import DecodeStream


class Words:
    """Tokens in, pieces of text out.

    Attributes:
        text: what went out so far.
        stopped: whether a stop string was met; nothing goes out after it.
    """

    def __init__(self, tokenizer: Any, stops: Sequence[str] = ()) -> None:
        self.text = ""
        self.stopped = False
        self._tokenizer = tokenizer
        self._stops = [stop for stop in stops if stop]
        self._stream = DecodeStream(skip_special_tokens=True)
        self._ids: list[int] = []
        self._held = ""

    def add(self, token: int) -> str:
        """The piece that may go out now; empty while a character or a stop string may be in the making.

        With the stop string ``END``: ``"The E"`` → ``"The "``; then ``"uro"`` → ``"Euro"``.
        """
        self._ids.append(token)
        return self._gone_out(self._stream.step(self._tokenizer.backend_tokenizer, token) or "", last=False)

    def end(self) -> str:
        """What is still held back, once no more tokens come."""
        whole = self._tokenizer.decode(self._ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        known = self.text + self._held
        # A last character that never became whole is decoded as it stands.
        return self._gone_out(whole[len(known) :] if whole.startswith(known) else "", last=True)

    def _gone_out(self, more: str, *, last: bool) -> str:
        if self.stopped:
            return ""
        held = self._held + more
        cuts = [place for stop in self._stops if (place := held.find(stop)) >= 0]
        self.stopped = bool(cuts)
        upto = min(cuts) if cuts else len(held) if last else len(held) - self._possible_start(held)
        self._held = "" if self.stopped else held[upto:]
        self.text += held[:upto]
        return held[:upto]

    def _possible_start(self, held: str) -> int:
        """How many characters at the end could begin a stop string."""
        lengths = [
            length
            for stop in self._stops
            for length in range(1, min(len(stop) - 1, len(held)) + 1)
            if held.endswith(stop[:length])
        ]
        return max(lengths, default=0)
