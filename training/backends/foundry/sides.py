"""A run's two sides as its services take them: what any of them would refuse, found before a byte is uploaded.

Owns the least number of rows, the largest file, and that no row is left out because it cannot be used. Asks nobody.
What one service alone refuses is its own ``preflight``'s.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from curation.errors import Invalid
from curation.findings import Finding, Severity
from curation.formats.exports import MINIMUM_ROWS
from curation.formats.format import AZURE_LIMIT_BYTES
from curation.formats.jsonl import Row, open_jsonl
from curation.wording import Phrase, phrase, plural
from training.backends.base import Job


def missing(job: Job) -> list[Finding]:
    """Sides that are no file."""
    return [
        error("job.file", phrase("{path} is no file.", path=path.name), phrase("Freeze the dataset again."))
        for path in (job.train, job.validation)
        if not path.is_file()
    ]


def findings(job: Job, *, tools: bool = True) -> list[Finding]:
    """Everything that is wrong with the sides that are files.

    Args:
        tools: whether the service learns from rows that use tools.
    """
    return [
        *(_of_file(job.train, least=MINIMUM_ROWS, tools=tools) if job.train.is_file() else ()),
        *(_of_file(job.validation, least=1, tools=tools) if job.validation.is_file() else ()),
    ]


def rows(side: Path) -> Iterator[Row]:
    """The rows of a side, to be uploaded: left out, one would be missing from what was counted and shown.

    Raises:
        Invalid: a row cannot be used, or there is no such file.
    """
    for one in open_jsonl(side):
        if isinstance(one, Row):
            yield one
        elif one.severity is Severity.ERROR:
            raise Invalid("{file}: {finding}", file=side.name, finding=one.sentence())


def error(rule: str, message: Phrase, fix: Phrase) -> Finding:
    """A finding that stands in the way."""
    return Finding(rule, Severity.ERROR, message, fix)


def _of_file(path: Path, *, least: int, tools: bool) -> Iterator[Finding]:
    size_bytes = path.stat().st_size + len(codecs.BOM_UTF8)  # which is written before it
    if size_bytes >= AZURE_LIMIT_BYTES:
        yield error(
            "foundry.size",
            phrase(
                "{file} has {size:,.0f} MB; the service takes less than {most:,.0f} MB.",
                file=path.name,
                size=size_bytes / 1e6,
                most=AZURE_LIMIT_BYTES / 1e6,
            ),
            phrase("Freeze a smaller dataset."),
        )
        return  # not read as well: it takes minutes
    rows, unusable, using = 0, [], []
    for one in open_jsonl(path):
        if isinstance(one, Row):
            rows += 1
            if one.conversation.uses_tools:
                using.append(one.line)
        elif one.severity is Severity.ERROR and one.line is not None:  # of a file without rows see below
            unusable.append(one.line)
    if unusable:
        yield error(
            "foundry.rows",
            plural(
                "{count:,} finding of severity error is in {file}, on line {line:,}.",
                "{count:,} findings of severity error are in {file}, the first on line {line:,}.",
                len(unusable),
                file=path.name,
                line=unusable[0],
            ),
            phrase("Look with errata check, correct the rows and freeze the dataset again."),
        )
    if using and not tools:
        yield error(
            "foundry.tools",
            plural(
                "{count:,} row of {file} uses tools, on line {line:,}.",
                "{count:,} rows of {file} use tools, the first on line {line:,}.",
                len(using),
                file=path.name,
                line=using[0],
            ),
            phrase("Leave them out of the dataset, or use --backend openai: this service learns no tools."),
        )
    if not rows and least == 1:
        yield error(
            "foundry.validation",
            phrase("The dataset has no validation rows, and Azure tunes nothing without them."),
            phrase("Approve more examples and freeze again, such as errata dataset freeze NAME --validation 0.1."),
        )
    elif rows < least:
        yield error(
            "foundry.few",
            plural(
                "The dataset has {count} row to train on; the service takes {least} or more.",
                "The dataset has {count} rows to train on; the service takes {least} or more.",
                rows,
                least=least,
            ),
            phrase("Approve more examples and freeze again."),
        )
