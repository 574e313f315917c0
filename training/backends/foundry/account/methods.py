"""From a recipe to what the openai API calls a method, and which recipes it has none for.

Owns the hyperparameters' names and ranges there, and what its tiers are called where something is trained and where it
is served. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curation.findings import Finding, Severity
from curation.wording import phrase
from training.hyperparameters import Objective, Recipe, Service, TrainingTier

TRAINING_TYPES: Mapping[TrainingTier, str] = {
    TrainingTier.STANDARD: "Standard",
    TrainingTier.GLOBAL: "GlobalStandard",
    TrainingTier.DEVELOPER: "Developer",
}
"""As ``trainingType`` of a job: without it the provider says that the model cannot be tuned at all."""

SKUS: Mapping[TrainingTier, str] = {
    TrainingTier.STANDARD: "Standard",
    TrainingTier.GLOBAL: "GlobalStandard",
    TrainingTier.DEVELOPER: "DeveloperTier",
}
"""As ``sku.name`` of a deployment."""

MOST_EPOCHS, MOST_BETA = 50, 2.0


def method_of(recipe: Recipe) -> dict[str, Any]:
    """The job's ``method``; what the recipe leaves open is the provider's to choose.

    ``epochs = 3`` → ``{"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}}``
    """
    service = recipe.service or Service()
    chosen: dict[str, Any] = {"n_epochs": recipe.epochs}
    if service.batch_size is not None:
        chosen["batch_size"] = service.batch_size
    if service.learning_rate_multiplier is not None:
        chosen["learning_rate_multiplier"] = service.learning_rate_multiplier
    if recipe.preference is None:
        return {"type": "supervised", "supervised": {"hyperparameters": chosen}}
    return {"type": "dpo", "dpo": {"hyperparameters": {**chosen, "beta": recipe.preference.beta}}}


def training_type_of(recipe: Recipe) -> str:
    """The job's ``trainingType``: a recipe that names none keeps the data in their region."""
    return TRAINING_TYPES[(recipe.service or Service()).training_type]


def findings(recipe: Recipe) -> list[Finding]:
    """What the provider would refuse about the recipe."""
    found = []
    if recipe.objective is Objective.LABELS:
        found.append(
            _error(
                "openai.objective",
                phrase("The backend openai teaches replies and preferences, not labels."),
                phrase("Train a classifier with --backend local, or azureml."),
            )
        )
    if recipe.epochs > MOST_EPOCHS:
        found.append(
            _error(
                "openai.epochs",
                phrase(
                    "The recipe has {epochs:,} epochs; the provider takes {most}.",
                    epochs=recipe.epochs,
                    most=MOST_EPOCHS,
                ),
                phrase("Set epochs to {most} or fewer.", most=MOST_EPOCHS),
            )
        )
    if recipe.preference is not None and recipe.preference.beta > MOST_BETA:
        found.append(
            _error(
                "openai.beta",
                phrase("preference.beta is {beta}; the provider takes at most 2.", beta=recipe.preference.beta),
                phrase("Set preference.beta to 2 or less; 0.1 is usual."),
            )
        )
    return found


def _error(rule: str, message: str, fix: str) -> Finding:
    return Finding(rule, Severity.ERROR, message, fix)
