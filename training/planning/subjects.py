"""Subjects: what is known of the model that a run would start from, before anything is loaded.

Owns how a name, a path or a hub id becomes a shape: by the catalogue, by the checkpoint's own config.json, or by one
that was downloaded before. Refuses to download: a model that is not here is unknown, and the sentence says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from curation.wording import Phrase, phrase
from training import catalogue
from training.catalogue import BaseModel
from training.hyperparameters import RehearsalModel
from training.planning import shapes
from training.planning.shapes import LORA_TARGETS, Shape


@dataclass(frozen=True, slots=True)
class Subject:
    """A model as far as it is known here.

    Attributes:
        name: for people.
        shape: its sizes; None where they are not known, and then ``unknown`` says why.
        window: most tokens of a conversation; None where that is not known.
        listed: the model of the catalogue that it is, or is shaped like and shares a vocabulary with.
        unknown: why it has no shape.
    """

    name: str
    shape: Shape | None
    window: int | None
    listed: BaseModel | None
    unknown: Phrase | None = None

    @property
    def lora_targets(self) -> tuple[str, ...] | None:
        """The layers that adapters go to; None where the architecture is not known."""
        return LORA_TARGETS.get(self.shape.architecture) if self.shape is not None else None


def rehearsed(size: RehearsalModel, window: int) -> Subject:
    """The model that a rehearsal builds."""
    return Subject("rehearsal", shapes.of_rehearsal(size), window, catalogue.find("rehearsal"))


def named(path_or_hub_id: str) -> Subject:
    """The model of a checkpoint's path or a hub id."""
    listed = catalogue.known(path_or_hub_id)
    if listed is not None:
        return Subject(listed.name, listed.shape, listed.window, listed)
    folder = Path(path_or_hub_id)
    if not (folder / "config.json").is_file():
        downloaded = _downloaded(path_or_hub_id)
        if downloaded is None:
            return Subject(path_or_hub_id, None, None, None, _absent(path_or_hub_id))
        folder = downloaded
    return _of_folder(path_or_hub_id, folder)


def _of_folder(name: str, folder: Path) -> Subject:
    config = shapes.read_config(folder)
    if config is None:
        return Subject(name, None, None, None, phrase("The config.json of {model} cannot be read.", model=name))
    shape, window = shapes.of_config(config), config.get("max_position_embeddings")
    window = window if isinstance(window, int) else None
    if shape is None:
        return Subject(
            name,
            None,
            window,
            None,
            phrase(
                "Errata does not know the architecture {architecture} of {model}, so its memory and time are unknown; "
                "name the layers that get an adapter in lora.targets.",
                architecture=str(config.get("model_type") or "without a name"),
                model=name,
            ),
        )
    return Subject(name, shape, window, _like(shape))


def _like(shape: Shape) -> BaseModel | None:
    """A listed model with these sizes, whose tokenizer counts for this one too: a tuned Phi is still a Phi."""
    return next((one for one in catalogue.CATALOGUE if one.hub_id is not None and one.shape == shape), None)


def _absent(name: str) -> Phrase:
    if Path(name).is_absolute():
        return phrase("{model} holds no config.json.", model=name)
    return phrase("{model} is not in the catalogue and not downloaded yet, so its size is unknown.", model=name)


def _downloaded(hub_id: str) -> Path | None:
    """The folder of a model in the Hugging Face cache; None where it was never downloaded."""
    if Path(hub_id).is_absolute():
        return None
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 (a tenth of a second)
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415

    try:
        found = try_to_load_from_cache(hub_id, "config.json")
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None
