"""The two public vocabularies that the counters stand on, as tiktoken encodings.

Owns where their rank files come from: the package ``bpe-openai`` (our extra ``offline``), else
tiktoken's own cache, else its download. Refuses a file whose SHA-256 is not the one tiktoken pins.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.util
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from curation.errors import Unavailable

if TYPE_CHECKING:
    import tiktoken


class Vocabulary(StrEnum):
    """By tiktoken's name."""

    O200K = "o200k_base"
    CL100K = "cl100k_base"


@cache
def encoding_of(vocabulary: Vocabulary) -> tiktoken.Encoding:
    """The encoding, loaded once per process (about half a second), without special tokens.

    Raises:
        Unavailable: the rank file is neither installed nor cached and cannot be downloaded.
    """
    import tiktoken  # noqa: PLC0415 (loads a native library that the command line seldom needs)

    ranks = _installed_ranks(vocabulary)
    if ranks is not None:
        return tiktoken.Encoding(
            vocabulary.value, pat_str=_SOURCES[vocabulary].pattern, mergeable_ranks=ranks, special_tokens={}
        )
    try:
        return tiktoken.get_encoding(vocabulary.value)
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; ValueError is a wrong hash
        raise Unavailable(
            f"The rank file of {vocabulary.value} could not be downloaded; connect to the network once, or install "
            "it with: pip install 'errata[offline]'"
        ) from error


@dataclass(frozen=True, slots=True)
class _Source:
    """What tiktoken needs besides the ranks. Source: tiktoken_ext/openai_public.py, tiktoken 0.14."""

    sha256: str
    pattern: str


_SOURCES = {
    Vocabulary.O200K: _Source(
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        "|".join(  # noqa: FLY002 (one alternative to a line can be compared with the source)
            (
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                r"\p{N}{1,3}",
                r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
                r"\s*[\r\n]+",
                r"\s+(?!\S)",
                r"\s+",
            )
        ),
    ),
    Vocabulary.CL100K: _Source(
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    ),
}


def _installed_ranks(vocabulary: Vocabulary) -> dict[bytes, int] | None:
    """The ranks from the package bpe-openai; None where it is not installed or its file is another.

    The package is found but not imported: importing it parses three vocabularies and loads 74 MB.
    """
    spec = importlib.util.find_spec("bpe_openai")
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / "data" / f"{vocabulary.value}.tiktoken.gz"
    try:
        content = gzip.decompress(file.read_bytes())
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest() != _SOURCES[vocabulary].sha256:
        return None
    pairs = (line.split() for line in content.splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in pairs}
