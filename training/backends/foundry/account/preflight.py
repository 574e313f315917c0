"""What the openai API would refuse about a job, hours later or at once, found before anything is uploaded.

Owns the order of the looks: what is known here first, then one question for the account's region and models.
"""

from __future__ import annotations

from datetime import datetime

from curation.findings import Finding, blocking
from curation.wording import phrase
from training.backends.base import Job
from training.backends.foundry import sides
from training.backends.foundry.account import files as openai_files
from training.backends.foundry.account import methods as openai_methods
from training.backends.foundry.account import models as account_models
from training.backends.foundry.account.deployments import Account
from training.backends.foundry.place import AzurePlace
from training.hyperparameters import Service


def findings(job: Job, place: AzurePlace, now: datetime) -> list[Finding]:
    """All of it; the account is asked only where nothing that is known here stands in the way.

    Raises:
        Refused, Unreached: the account cannot be looked at.
    """
    found = [*openai_methods.findings(job.recipe), *sides.missing(job), *sides.findings(job)]
    if job.base.name is None:
        message = phrase("The backend openai tunes models of the provider's own only.")
        found.append(sides.error("openai.model", message, phrase("Name one, such as gpt-4.1-mini.")))
    if job.base.name is None or blocking(found):
        return found
    with openai_files.writing(job) as written:
        found += openai_files.findings(written, pairs=job.recipe.preference is not None)
    if blocking(found):
        return found
    account = Account(place)
    models, region = account.models(), account.region()
    known = account_models.found(models, job.base.name)
    # Only OpenAI's own models are tuned on tools, says Microsoft's page on fine-tuning and tool calls.
    if known is not None and known.open:
        found += openai_files.tools_in(written)
    tier = (job.recipe.service or Service()).training_type
    return found + account_models.findings(models, job.base.name, place, tier=tier, region=region, now=now)
