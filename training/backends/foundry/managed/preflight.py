"""What stands in the way of a fine-tuning job, found before a byte is uploaded and a cent is spent.

Owns the checks of the base model and the region. What is wrong with the data is ``sides``', what a recipe may ask of
the service ``hyperparameters``'; whether one may use the place at all is the doctor's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

from curation.findings import Finding, blocking
from curation.wording import phrase
from training.backends.base import Base, Job
from training.backends.foundry import sides
from training.backends.foundry.managed import hyperparameters
from training.backends.foundry.managed.bases import SCHEME
from training.backends.foundry.sides import error
from training.planning import regions


def findings(job: Job, today: date, region_of_project: Callable[[], str]) -> list[Finding]:
    """Everything that is known to be in the way; the project's region is asked for only where nothing else is.

    Raises:
        Refused, Unreached: ``region_of_project`` does, where the provider does not say.
    """
    found = [
        *sides.missing(job),
        *sides.findings(job, tools=False),
        *_of_base(job.base, today),
        *hyperparameters.findings(job.recipe),
    ]
    return found if blocking(found) else [*found, *_of_region(job.base, region_of_project)]


def _of_base(base: Base, today: date) -> Iterator[Finding]:
    if base.kind != "service" or base.name is None:
        yield error(
            "foundry.base",
            phrase("The service tunes models of Azure's own catalogue, and what it has tuned itself."),
            phrase("Name one such as {model}, or use --backend local or azureml.", model=regions.INSTEAD),
        )
    elif not base.name.startswith(SCHEME) and (why := regions.retired(base.name, on=today)) is not None:
        yield error("foundry.retired", why, phrase("See errata models --search phi."))


def _of_region(base: Base, region_of_project: Callable[[], str]) -> Iterator[Finding]:
    """A model that was tuned in this project is in its region."""
    offered = None if base.name is None or base.name.startswith(SCHEME) else regions.regions_of(base.name)
    if offered is None:
        return
    region = region_of_project()
    if region not in offered:
        yield error(
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
