"""Weight files: whether a safetensors file is whole, by its head alone.

Owns the format's frame: 8 bytes of length, a JSON table of contents, the tensors. Reads no tensor, so that a model of
any size is looked at within moments. https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

from curation.wording import phrase

# A large model's table of contents has a few hundred kilobytes; safetensors itself refuses more than this.
_MOST_HEAD_BYTES = 100_000_000
_LENGTH_BYTES = 8


def damage(file: Path) -> str | None:
    """What is wrong with the file, as a sentence; None where its size is what its head promises."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        start = opened.read(_LENGTH_BYTES)
        length = struct.unpack("<Q", start)[0] if len(start) == _LENGTH_BYTES else _MOST_HEAD_BYTES + 1
        if length > _MOST_HEAD_BYTES:
            return phrase("{file} is no safetensors file, or is damaged.", file=file)
        head = opened.read(length)
    if len(head) < length:
        return phrase("{file} is cut off: it has {size:,} bytes.", file=file, size=size)
    try:
        table = json.loads(head)
        ends = [entry["data_offsets"][1] for name, entry in table.items() if name != "__metadata__"]
        promised = _LENGTH_BYTES + length + max(ends, default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return phrase("{file} is no safetensors file, or is damaged.", file=file)
    if size != promised:
        return phrase(
            "{file} is cut off or damaged: it has {size:,} of {promised:,} bytes.",
            file=file,
            size=size,
            promised=promised,
        )
    return None
