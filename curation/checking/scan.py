"""One pass over very many rows, in one process or several: findings, and a few numbers of each row.

Owns what is kept of a row and how a file is shared among processes. What is kept lies in a temporary file
(``curation.checking.columns``), so that a million rows take no more memory than a hundred thousand. Decides nothing
about what it has seen; that is ``curation.checking.checks``'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from curation.checking import processes
from curation.checking.columns import Block, Columns
from curation.checking.gathering import Gathering
from curation.checking.processes import Progress
from curation.checking.scanned import Scan, Seen
from curation.findings import Finding
from curation.formats.format import Format
from curation.formats.jsonl import Row
from curation.formats.lines import MAX_LINE_BYTES, opened
from curation.formats.reading import in_ranges, open_range, open_rows
from curation.formats.rules import found
from curation.similarity.duplicates import normalised
from curation.similarity.shingles import Order
from curation.tokens.counters import TokenCounter

Rows = Iterable[Row | Finding]

_SAMPLE_ROWS = 2_000
_SPOTS = 16  # a file that is sorted by language or topic is sampled all over
_LEAST_SPOT_BYTES, _MOST_SPOT_BYTES = 250_000, 2_000_000
_SAMPLED = 1 / 25  # of a large file: the more rows, the more may share a shingle that seems rare


def scan_rows(rows: Rows, counter: TokenCounter, *, repeats: bool = True, noise: bool = True) -> Scan:
    """Scan rows that come from anywhere, here and now; the lines of the findings are taken as they are.

    Args:
        rows: as ``curation.formats.reading`` gives them.
        counter: for the model's tokenizer family.
        repeats: whether ``Scan`` is to know what repeats.
        noise: whether findings are to say what cleaning would change.

    Raises:
        Unavailable: a temporary file cannot be written.
    """
    stream = iter(rows)
    first = list(islice(stream, _SAMPLE_ROWS if repeats else 0))
    order = _order(first) if repeats else None
    columns = Columns()
    try:
        seen = Gathering(counter, order, columns, noise=noise).over(_chained(first, stream))
    except BaseException:
        columns.close()
        raise
    return Scan([(seen, columns)])


def scan_file(
    path: Path,
    counter: TokenCounter,
    *,
    format: Format | None = None,  # noqa: A002 (as people call it)
    repeats: bool = True,
    noise: bool = True,
    parts: int | None = None,
    progress: Progress = lambda _: None,
) -> Scan:
    """Scan a file; a large one of chat rows in several processes, where the system and this process allow it.

    Args:
        path: a file, a pipe, or ``-``.
        counter: for the model's tokenizer family.
        format: what the file is; else its rows tell.
        repeats, noise: as ``scan_rows``.
        parts: into how many the file is cut at most; as many as there are processes, if None.
        progress: told now and then how many bytes were read.

    Raises:
        Invalid, Unavailable: as ``open_rows``; a temporary file cannot be written, or a process died.
    """
    if not in_ranges(path, format):
        return scan_rows(open_rows(path, format), counter, repeats=repeats, noise=noise)
    bounds = processes.ranges(path, parts if parts is not None else processes.available())
    order = _order(_spots(path)) if repeats else None
    stores = [Columns() for _ in bounds]
    try:
        works = [
            partial(_scan_range, path, begin, end, Gathering(counter, order, columns, noise=noise))
            for (begin, end), columns in zip(bounds, stores, strict=True)
        ]
        scan = Scan(
            [
                (seen, columns.with_blocks(blocks))
                for (seen, blocks), columns in zip(processes.each(works, progress), stores, strict=True)
            ]
        )
    except BaseException:
        for columns in stores:
            columns.close()
        raise
    if not scan.rows and not scan.findings:
        scan.findings.append(found("file.empty", "The file holds no rows.", None))
    return scan


def _scan_range(path: Path, begin: int, end: int, gathering: Gathering, progress: Progress) -> tuple[Seen, list[Block]]:
    # Lines are counted from the range's own beginning; only the file's first may start with a byte order mark.
    rows = open_range(path, begin, end, 1 if begin == 0 else 2)
    seen = gathering.over(rows, partial(_tell, progress, end - begin))
    progress(end - begin)
    seen.lines = _newlines(path, begin, end)
    seen.shift = 0 if begin == 0 else -1
    return seen, gathering.blocks


def _tell(progress: Progress, most: int, characters: int) -> None:
    """Characters for bytes: near enough for a bar."""
    progress(min(characters, most))


def _newlines(path: Path, begin: int, end: int) -> int:
    lines = 0
    with opened(path) as handle:
        handle.seek(begin)
        left = end - begin
        while left > 0 and (piece := handle.read(min(left, 1 << 20))):
            lines += piece.count(b"\n")
            left -= len(piece)
    return lines


def _chained(first: list[Row | Finding], rest: Iterator[Row | Finding]) -> Iterator[Row | Finding]:
    first.reverse()
    while first:
        yield first.pop()
    yield from rest


def _order(rows: Rows) -> Order:
    return Order.of([normalised(row.conversation.user_text()) for row in rows if isinstance(row, Row)])


def _spots(path: Path) -> Rows:
    """Rows from all over the file: what is common in them is common in what users say."""
    size = path.stat().st_size
    spot = max(min(size // _SPOTS, _LEAST_SPOT_BYTES), min(int(size * _SAMPLED / _SPOTS), _MOST_SPOT_BYTES))
    with opened(path) as handle:
        for number in range(_SPOTS):
            handle.seek(size * number // _SPOTS)
            if number:
                handle.readline(MAX_LINE_BYTES)
            start = handle.tell()
            yield from open_range(path, start, min(size, start + spot), 2)
