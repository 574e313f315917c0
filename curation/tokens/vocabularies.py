"""The two public vocabularies that the counters stand on, as tiktoken encodings.

Owns where their rank files come from: the package ``bpe-openai`` (our extra ``offline``), else
tiktoken's own cache, else its download. Refuses a file whose SHA-256 is not the one tiktoken pins.
Owns as well who counts in bulk: gigatoken (our extra ``accelerators``) where it is installed, which a
test proves equal, else tiktoken.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.errors import Unavailable

if TYPE_CHECKING:
    import tiktoken


TextCounts = Callable[[Sequence[str]], list[int]]
"""From texts to the number of tokens of each; special tokens that somebody typed are text."""


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
            "The rank file of {vocabulary} could not be downloaded; connect to the network once, or install it with: "
            "pip install 'errata[offline]'",
            vocabulary=vocabulary.value,
        ) from error


@cache
def counts_of(vocabulary: Vocabulary) -> TextCounts:
    """Counts with tiktoken; ``["hello world", ""]`` gives ``[2, 0]``.

    Raises:
        Unavailable: as ``encoding_of``.
    """
    encode = encoding_of(vocabulary).encode_ordinary

    def count(texts: Sequence[str]) -> list[int]:
        return [len(encode(text)) for text in texts]

    return count


@cache
def bulk_counts_of(vocabulary: Vocabulary) -> TextCounts:
    """The same counts for many thousands of texts: by gigatoken where it is installed, several times as fast.

    Counts on the calling thread alone, so it may be loaded before a fork.

    Raises:
        Unavailable: as ``encoding_of``.
    """
    if importlib.util.find_spec("gigatoken") is None:
        return counts_of(vocabulary)
    counts = _Gigatoken(vocabulary)
    counts([""])  # loads it
    return counts


class _Gigatoken:
    """Counts with gigatoken; special tokens are not in its vocabulary, so that typed ones are text."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._tokenizer: Any = None
        self._counted = 0

    def __call__(self, texts: Sequence[str]) -> list[int]:
        counts: list[int] = []
        for group in _groups(texts):
            # The padded matrix comes with the lengths and makes no Python integer per token.
            try:
                _, lengths = self._loaded().encode_batch_padded(group, 0, parallel=False)
            except (TypeError, UnicodeEncodeError):  # half of a surrogate pair is no text to it
                _, lengths = self._loaded().encode_batch_padded([*map(_whole, group)], 0, parallel=False)
            counts += lengths.tolist()
        self._counted += len(texts)
        return counts

    def _loaded(self) -> Any:
        """The tokenizer; a new one now and then, since it remembers every word that it has met."""
        if self._counted >= _RENEWED_AFTER:
            self._counted, self._tokenizer = 0, None
        if self._tokenizer is None:
            from gigatoken import Tokenizer  # noqa: PLC0415 (optional)

            # It takes ranks from a file only.
            with tempfile.NamedTemporaryFile(suffix=".tiktoken") as file:
                file.write(_installed_file(self._vocabulary) or _written(encoding_of(self._vocabulary)))
                file.flush()
                self._tokenizer = Tokenizer.from_tiktoken(file.name, _SOURCES[self._vocabulary].scheme, {})
        return self._tokenizer


_RENEWED_AFTER = 500_000
_MATRIX_CHARACTERS = 2_000_000
_MOST_TEXTS = 1_000


def _groups(texts: Sequence[str]) -> list[list[str]]:
    """The texts in order, in groups of which the padded matrix stays small however long the longest text is."""
    groups: list[list[str]] = []
    longest = 0
    for text in texts:
        longest = max(longest, len(text))
        if not groups or len(groups[-1]) == _MOST_TEXTS or longest * (len(groups[-1]) + 1) > _MATRIX_CHARACTERS:
            groups.append([])
            longest = len(text)
        groups[-1].append(text)
    return groups


def _whole(text: str) -> str:
    """Half of a surrogate pair has no place in UTF-8; tiktoken replaces it in the same way."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@dataclass(frozen=True, slots=True)
class _Source:
    """What is needed besides the ranks: tiktoken's pattern, and gigatoken's name for it.

    Source: tiktoken_ext/openai_public.py, tiktoken 0.14; gigatoken/_load/tiktoken.py, gigatoken 0.10.
    """

    sha256: str
    scheme: str
    pattern: str


_SOURCES = {
    Vocabulary.O200K: _Source(
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        "o200k",
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
        "gpt4",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    ),
}


def _installed_ranks(vocabulary: Vocabulary) -> dict[bytes, int] | None:
    content = _installed_file(vocabulary)
    if content is None:
        return None
    pairs = (line.split() for line in content.splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in pairs}


def _installed_file(vocabulary: Vocabulary) -> bytes | None:
    """The rank file from the package bpe-openai; None where it is not installed or its file is another.

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
    return content if hashlib.sha256(content).hexdigest() == _SOURCES[vocabulary].sha256 else None


def _written(encoding: tiktoken.Encoding) -> bytes:
    """The ranks of an encoding as a rank file: a token in base64 and its rank, a line each."""
    ranks = sorted(encoding._mergeable_ranks.items(), key=lambda item: item[1])
    return b"".join(b"%b %d\n" % (base64.b64encode(token), rank) for token, rank in ranks)
