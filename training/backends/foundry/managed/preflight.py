"""What stands in the way of a fine-tuning job, found before a byte is uploaded and a cent is spent.

Owns the checks of the data, the base model and the region. What a recipe may ask of the service is
``hyperparameters``'; whether one may use the place at all is the doctor's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from curation.findings import Finding, Severity
from curation.formats.exports import MINIMUM_ROWS
from curation.formats.format import AZURE_LIMIT_BYTES
from curation.formats.jsonl import Row, open_jsonl
from curation.wording import Phrase, phrase, plural
from training.backends.base import Base, Job
from training.backends.foundry.managed import hyperparameters
from training.backends.foundry.managed.bases import SCHEME
from training.planning import regions


def findings(job: Job, today: date, region_of_project: Callable[[], str]) -> list[Finding]:
    """Everything that is known to be in the way; the project's region is asked for only where nothing else is.

    Raises:
        Refused, Unreached: ``region_of_project`` does, where the provider does not say.
    """
    found = [*_of_data(job), *_of_base(job.base, today), *hyperparameters.findings(job.recipe)]
    if not any(one.severity is Severity.ERROR for one in found):
        found += _of_region(job.base, region_of_project)
    return found


def _of_data(job: Job) -> Iterator[Finding]:
    for path in (job.train, job.validation):
        if path.is_file():
            yield from _of_file(path, least=MINIMUM_ROWS if path == job.train else 1)
        else:
            yield _error("job.file", phrase("{path} is no file.", path=path.name), phrase("Freeze the dataset again."))


def _of_file(path: Path, *, least: int) -> Iterator[Finding]:
    size_bytes = path.stat().st_size
    if size_bytes >= AZURE_LIMIT_BYTES:
        yield _error(
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
    rows, unusable, tools = 0, [], []
    for one in open_jsonl(path):
        if isinstance(one, Row):
            rows += 1
            if one.conversation.uses_tools:
                tools.append(one.line)
        elif one.severity is Severity.ERROR and one.line is not None:  # of a file without rows see below
            unusable.append(one.line)
    if unusable:
        yield _error(
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
    if tools:
        yield _error(
            "foundry.tools",
            plural(
                "{count:,} row of {file} uses tools, on line {line:,}.",
                "{count:,} rows of {file} use tools, the first on line {line:,}.",
                len(tools),
                file=path.name,
                line=tools[0],
            ),
            phrase("Leave them out of the dataset, or use --backend openai: this service learns no tools."),
        )
    if not rows and least == 1:
        yield _error(
            "foundry.validation",
            phrase("The dataset has no validation rows, and Azure tunes nothing without them."),
            phrase("Approve more examples and freeze again, such as errata dataset freeze NAME --validation 0.1."),
        )
    elif rows < least:
        yield _error(
            "foundry.few",
            plural(
                "The dataset has {count} row to train on; the service takes {least} or more.",
                "The dataset has {count} rows to train on; the service takes {least} or more.",
                rows,
                least=least,
            ),
            phrase("Approve more examples and freeze again."),
        )


def _of_base(base: Base, today: date) -> Iterator[Finding]:
    if base.kind != "service" or base.name is None:
        yield _error(
            "foundry.base",
            phrase("The service tunes models of Azure's own catalogue, and what it has tuned itself."),
            phrase("Name one such as {model}, or use --backend local or azureml.", model=regions.INSTEAD),
        )
    elif not base.name.startswith(SCHEME) and (why := regions.retired(base.name, on=today)) is not None:
        yield _error("foundry.retired", why, phrase("See errata models --search phi."))


def _of_region(base: Base, region_of_project: Callable[[], str]) -> Iterator[Finding]:
    """A model that was tuned in this project is in its region."""
    offered = None if base.name is None or base.name.startswith(SCHEME) else regions.regions_of(base.name)
    if offered is None:
        return
    region = region_of_project()
    if region not in offered:
        yield _error(
            "foundry.region",
            phrase(
                "{model} is fine-tuned in {regions:or} only; the project is in {region}.",
                model=base.name,
                regions=list(offered),
                region=region,
            ),
            phrase(
                "Make a project there: set ERRATA_AZURE_REGION={region}, then errata foundry init.", region=offered[0]
            ),
        )


def _error(rule: str, message: Phrase, fix: Phrase) -> Finding:
    return Finding(rule, Severity.ERROR, message, fix)
