"""The model card: what whoever takes a tuned model in hand has to know of it, as Markdown with a YAML head.

Owns the page. It tells of the dataset, the examples and their approvers in counts alone, never in anybody's words or
names, so that it may travel with the model. Pure; how its facts are found is ``training.cards``'s. The head's keys are
those of https://huggingface.co/docs/hub/model-cards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from training.backends.names import BackendName
from training.evaluation.markdown_report import escaped, table
from training.evaluation.tables import tables
from training.hyperparameters import Objective, Recipe
from training.summaries import RunSummary

_SERVICES = frozenset({BackendName.FOUNDRY, BackendName.OPENAI})


class Part(StrEnum):
    """Which of a run's folders the card is for."""

    MODEL = "model"
    ADAPTER = "adapter"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a card is made of.

    Attributes:
        run: with its evaluation, once there is one.
        recipe: as it stood when the run was asked for.
        base: what the training started from, without anybody's paths.
        hub_id: of the base, by which everybody can load it; None for one that only this machine has.
        origin: the hub id that it all began with, runs ago perhaps; None where there is none.
        licence: of the origin; None where Errata does not know it.
        digest: of the dataset version.
        manifest: of the dataset version.
        trained: what the training said of its end, such as its tokens; empty where that is gone.
    """

    run: RunSummary
    recipe: Recipe
    base: str
    hub_id: str | None
    origin: str | None
    licence: str | None
    digest: str
    manifest: Mapping[str, Any]
    trained: Mapping[str, Any]

    @property
    def kept_elsewhere(self) -> bool:
        """Whether nobody but a provider has the weights."""
        return self.run.backend in _SERVICES


def card(facts: Facts, part: Part) -> str:
    """The card of one of the run's folders, with its head between lines of three hyphens."""
    sections = [
        f"# {escaped(facts.run.id)}",
        _opening(facts, part),
        "## What it is for",
        *_purpose(facts),
        "## What it learned from",
        table(("", ""), list(_dataset(facts))),
        "Errata keeps which example came from which message, who wrote it and who approved it; this page only counts.",
        "## How it was trained",
        table(("", ""), list(_training(facts))),
        "Every hyperparameter of the recipe:",
        table(("Key", "Value"), list(_flat(facts.recipe.as_json()))),
        "## How it was evaluated",
        *_evaluation(facts),
        *(["## Where it is", *_kept(facts)] if facts.kept_elsewhere else ["## How to load it", *_loading(facts, part)]),
    ]
    return f"---\n{_head(facts, part)}---\n\n" + "\n\n".join(sections) + "\n"


def metadata(facts: Facts, part: Part) -> dict[str, Any]:
    """What the card's head says: ``{"license", "base_model", "library_name", "pipeline_tag", "tags"}``."""
    labels = facts.recipe.objective is Objective.LABELS
    known = {"license": facts.licence.lower() if facts.licence else None, "base_model": facts.origin}
    return {
        **{key: value for key, value in known.items() if value is not None},
        **({} if facts.kept_elsewhere else {"library_name": "peft" if part is Part.ADAPTER else "transformers"}),
        "pipeline_tag": "text-classification" if labels else "text-generation",
        "tags": ["errata", facts.recipe.objective.value, facts.recipe.method.value],
    }


def _head(facts: Facts, part: Part) -> str:
    # What JSON writes, YAML reads.
    return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in metadata(facts, part).items())


def _opening(facts: Facts, part: Part) -> str:
    what = "The adapter of" if part is Part.ADAPTER else "The model of"
    licence = f"the base's licence is {facts.licence}" if facts.licence else "look the base's licence up"
    return escaped(
        f"{what} a run of Errata: {facts.base}, tuned on the dataset {facts.run.dataset} with the recipe "
        f"{facts.run.recipe}. Before it is handed on: {licence}."
    )


def _purpose(facts: Facts) -> Iterator[str]:
    if facts.recipe.rehearsal is not None and facts.origin is None:
        yield (
            "**A rehearsal.** It began as a tiny model of random numbers, to prove that the data, the template and the "
            "pipeline are in order. It knows nothing of the world and is for nobody's customers."
        )
    if facts.recipe.objective is Objective.LABELS:
        yield "It names a label of a conversation for the people who review corrections. It decides nothing by itself."
    else:
        yield (
            "It answers the questions of one team's customers, under the system prompt that its examples stand under, "
            "where people look after its answers and correct them."
        )
    yield (
        "Its limits: it learned what was right on the day its examples were approved, and it may repeat them word for "
        "word. Nothing was measured beyond what this page shows. What the base does badly it does no better, other "
        "than in what the examples teach: other languages, other topics and attempts to mislead it were not trained."
    )


def _dataset(facts: Facts) -> Iterator[tuple[str, str]]:
    manifest = facts.manifest
    yield "dataset", facts.run.dataset
    yield "digest", facts.digest
    yield "rows", f"{manifest.get('rows', 0):,}"
    yield "sides", _counts(manifest.get("sides", {}))
    yield "kinds", _counts(manifest.get("kinds", {}))
    yield "languages", _counts(manifest.get("languages", {}))
    yield "topics", f"{len(manifest.get('topics', {})):,}"
    yield "authors of replies", f"{manifest.get('authors', 0):,}"
    yield "approvers", f"{manifest.get('approvers', 0):,}"
    yield "imported without a review here", f"{manifest.get('imported', 0):,}"
    yield "approved by their own author", f"{manifest.get('self_approved', 0):,}"


def _training(facts: Facts) -> Iterator[tuple[str, str]]:
    run, sides = facts.run, facts.trained
    yield "base", facts.base
    yield "backend", run.backend
    if run.started_at and run.ended_at:
        yield "started and ended", f"{run.started_at[:16]} to {run.ended_at[:16]}".replace("T", " ")
    for side in ("training", "validation"):
        counted = sides.get(side)
        if isinstance(counted, Mapping) and "tokens" in counted:
            yield (
                f"{side} side",
                "{:,} conversations of {:,} tokens, {:,} of them learned".format(
                    *(counted.get(name, 0) for name in ("conversations", "tokens", "supervised_tokens"))
                ),
            )
    if run.curve:
        yield "steps", f"{run.step:,} of at most {run.steps:,}" if run.steps else f"{run.step:,}"
        yield "loss", f"{run.curve[0].loss:.4f} at first, {run.curve[-1].loss:.4f} at last, nats per learned token"
    if run.validation_loss is not None:
        yield "validation loss", f"{run.validation_loss:.4f}"
    if run.tokens_per_second:
        yield "tokens per second", f"{run.tokens_per_second:,.0f}"
    if run.memory_bytes:
        yield "most memory held", f"{run.memory_bytes / 1e9:,.2f} GB"
    for note in run.notes:
        yield "note", note


def _evaluation(facts: Facts) -> Iterator[str]:
    report = facts.run.report
    if report is None:
        yield "It was not."
        return
    yield f"**{escaped(str(report.get('sentence', '')))}**"
    reasons = report.get("decision", {}).get("reasons", [])
    if reasons:
        yield "\n".join(f"- {escaped(str(reason))}" for reason in reasons)
    for one in tables(report):
        yield table(one.headings, one.rows)


def _kept(facts: Facts) -> Iterator[str]:
    yield escaped(
        f"Its weights stay with the service that tuned it ({facts.run.backend}); nobody can load them elsewhere. "
        f"There it is called after {facts.run.id}, and answers once it is deployed:"
    )
    yield _code(f"errata deploy {facts.run.id}", "shell")


def _loading(facts: Facts, part: Part) -> Iterator[str]:
    base = facts.hub_id or "BASE"
    if facts.hub_id is None:
        yield escaped(f"BASE stands for the folder of {facts.base}.")
    if part is Part.ADAPTER:
        yield _code(
            "from peft import PeftModel\n"
            "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
            f'base = AutoModelForCausalLM.from_pretrained("{base}")\n'
            'model = PeftModel.from_pretrained(base, "adapter")\n'
            f'tokenizer = AutoTokenizer.from_pretrained("{base}")'
        )
        if facts.recipe.lora is not None and facts.recipe.lora.modules_to_save:
            yield "vLLM takes no adapter that brings whole modules along, as this one does: let it serve the model."
        else:
            yield _code(f"vllm serve {base} --enable-lora --lora-modules {facts.run.id}=./adapter", "shell")
        return
    yield _code(
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'model = AutoModelForCausalLM.from_pretrained("model")\n'
        'tokenizer = AutoTokenizer.from_pretrained("model")'
    )
    if facts.recipe.objective is Objective.LABELS:
        yield "That is the backbone; head.safetensors beside it holds the head, and labels.json what it may answer."
    else:
        yield _code(f"vllm serve ./model --served-model-name {facts.run.id}", "shell")


def _code(text: str, language: str = "python") -> str:
    return f"```{language}\n{text}\n```"


def _counts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counted.items() if count) or "none"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """``{"lora": {"rank": 16}}`` gives ``("lora.rank", "16")``."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            shown = ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)
            yield f"{prefix}{key}", shown
