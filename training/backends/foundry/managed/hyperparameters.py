"""What the fine-tuning service of Azure ML is told about a run: three hyperparameters, as strings.

Owns which of a recipe's settings the service takes, under which names, and in which ranges; it checks none of this
itself. Refuses what it would leave out although the result would be another one. Pure.

https://learn.microsoft.com/azure/ai-studio/how-to/fine-tune-phi-3
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from curation.errors import Invalid
from curation.findings import Finding, Severity
from curation.wording import Phrase, phrase
from training.hyperparameters import Mix, Objective, Recipe, Schedule, Service, TrainingTier

BATCH, RATE, EPOCHS = "per_device_train_batch_size", "learning_rate", "num_train_epochs"


@dataclass(frozen=True, slots=True)
class _Range:
    least: float
    most: float
    whole: bool


_RANGES = {
    BATCH: _Range(1, 256, whole=True),
    RATE: _Range(1e-7, 1.0, whole=False),
    EPOCHS: _Range(1, 1000, whole=True),
}


def of_recipe(recipe: Recipe) -> dict[str, str]:
    """What the service is told of the recipe.

    Example:
        3 epochs, a learning rate of 1e-4, a batch of 4 → ``{"learning_rate": "0.0001", "num_train_epochs": "3",
        "per_device_train_batch_size": "4"}``; without a batch the service chooses one.
    """
    chosen: dict[str, object] = {RATE: f"{recipe.learning_rate:.12f}".rstrip("0"), EPOCHS: str(recipe.epochs)}
    batch = (recipe.service or Service()).batch_size
    return validated(chosen if batch is None else chosen | {BATCH: str(batch)})


def validated(table: Mapping[str, object]) -> dict[str, str]:
    """The same table, once every name, type and range in it is one that the service takes.

    Raises:
        Invalid: one is not; the sentence names it.
    """
    return {name: _value(name, value) for name, value in table.items()}


def findings(recipe: Recipe) -> list[Finding]:
    """What the service cannot do as the recipe says: an error where the model would learn something else."""
    found = [_error(rule, message, fix) for rule, wrong, message, fix in _REFUSED if wrong(recipe)]
    unused = [name for name, used in _UNUSED.items() if used(recipe)]
    if unused:
        found.append(
            Finding(
                "foundry.recipe",
                Severity.INFO,
                phrase(
                    "Of the recipe {recipe} the service does not take {names:and}: it decides for itself.",
                    recipe=recipe.name,
                    names=unused,
                ),
                phrase("Nothing to do; where one of them matters, train with --backend local or azureml."),
            )
        )
    return found


def _value(name: str, value: object) -> str:
    limits = _RANGES.get(name)
    if limits is None:
        raise Invalid("The service knows no hyperparameter {name}; it takes {known:and}.", name=name, known=[*_RANGES])
    if not isinstance(value, str):
        raise Invalid("The hyperparameter {name} has to be a text, such as {example!r}.", name=name, example="3")
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not limits.least <= number <= limits.most or (limits.whole and not value.isdigit()):
        raise Invalid(
            "The hyperparameter {name} has to be a whole number from {least:g} to {most:g}."
            if limits.whole
            else "The hyperparameter {name} has to be a number from {least:g} to {most:g}.",
            name=name,
            least=limits.least,
            most=limits.most,
        )
    return value


def _error(rule: str, message: Phrase, fix: Phrase) -> Finding:
    return Finding(rule, Severity.ERROR, message, fix)


_REFUSED: tuple[tuple[str, Callable[[Recipe], bool], Phrase, Phrase], ...] = (
    (
        "foundry.objective",
        lambda recipe: recipe.objective is Objective.PREFERENCES,
        phrase("This service does not learn preferences."),
        phrase("Use --backend openai, local or azureml, or a recipe whose objective is replies."),
    ),
    (
        "foundry.objective",
        lambda recipe: recipe.objective is Objective.LABELS,
        phrase("This service does not learn labels."),
        phrase("Use --backend local or azureml, or a recipe whose objective is replies."),
    ),
    (
        "foundry.mix",
        lambda recipe: recipe.mix != Mix(),
        phrase("This service weighs every example alike, and the recipe's [mix] does not."),
        phrase("Take [mix] out of the recipe, or use --backend local or azureml."),
    ),
    (
        "foundry.training_type",
        lambda recipe: (recipe.service or Service()).training_type is not TrainingTier.STANDARD,
        phrase("This service trains in the project's own region only: training_type is standard there."),
        phrase("Set training_type to standard in [service], or use --backend openai."),
    ),
    (
        "foundry.learning_rate",
        lambda recipe: (recipe.service or Service()).learning_rate_multiplier is not None,
        phrase("This service takes learning_rate, and no learning_rate_multiplier."),
        phrase("Take learning_rate_multiplier out of [service], or use --backend openai."),
    ),
)

_UNUSED: dict[str, Callable[[Recipe], bool]] = {
    "batch_tokens": lambda recipe: recipe.service is None,
    "warmup_share": lambda recipe: recipe.service is None and recipe.warmup_share > 0,
    "weight_decay": lambda recipe: recipe.service is None and recipe.weight_decay > 0,
    "schedule": lambda recipe: recipe.schedule is not Schedule.COSINE,
    "stop_at_loss": lambda recipe: recipe.stop_at_loss is not None,
    "stop_at_accuracy": lambda recipe: recipe.stop_at_accuracy is not None,
    "patience": lambda recipe: recipe.patience is not None,
    "[lora]": lambda recipe: recipe.service is None and recipe.lora is not None,
    "seed": lambda recipe: recipe.service is None,
}
"""What another recipe has set for a machine of one's own; one with a table ``[service]`` says itself what is sent."""
