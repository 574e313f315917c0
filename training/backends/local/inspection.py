"""Inspection: what can be said against a checkpoint's folder before anything of it is loaded.

Owns the reading of ``config.json``, of the heads of safetensors files and of the tokenizer's files. Refuses pickles and
code that a checkpoint brings along: both could do anything to this machine. Imports no torch and reads no weights, so
that a run is refused within moments; what only loading can tell is ``checkpoint``'s.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from curation.findings import Finding, Severity
from curation.wording import phrase
from training.backends.local.weight_files import damage

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tekken.json")


def findings(path: Path) -> list[Finding]:
    """What stands in the way of loading a base model from this folder; nothing where it is a hub id.

    Findings of severity error stand in the way. The first is the one to mend first: a folder that holds no model is
    not told that it has no tokenizer either.
    """
    if not path.is_dir():
        # A hub id is two words with a slash; whether the hub has it, only loading can tell.
        return [_no_folder(path)] if path.is_absolute() or path.exists() else []
    return _of_model(path) or [*_of_tokenizer(path), *_of_code(path)]


def error(path: Path) -> Finding | None:
    """The first thing that stands in the way; None where nothing does."""
    return next((one for one in findings(path) if one.severity is Severity.ERROR), None)


def _no_folder(path: Path) -> Finding:
    if path.suffix in _PICKLES:
        return _pickle(path)
    return _found(
        "base.folder",
        phrase("{path} holds no model.", path=path),
        phrase("Give a checkpoint's folder, with config.json in it, or a hub id."),
    )


def _of_model(path: Path) -> list[Finding]:
    """The first thing wrong with what the model is made of: its configuration, then its weights."""
    if (path / "adapter_config.json").is_file():
        fix = phrase("Give the merged model instead: the folder model beside the adapter, or what peft merges.")
        return [_found("base.adapter", phrase("{path} holds an adapter, which is no model by itself.", path=path), fix)]
    if not (path / "config.json").is_file():
        return [_no_folder(path)]
    config = _json(path / "config.json")
    if config is None:
        return [_unreadable(path / "config.json")]
    kind = str(config.get("model_type") or "")
    if "auto_map" in config and not _transformers_knows(kind):
        return [_own_code(path / "config.json")]
    architectures = [str(one) for one in config.get("architectures") or ()]
    if architectures and not any(one.endswith(("ForCausalLM", "LMHeadModel")) for one in architectures):
        return [
            _found(
                "base.architecture",
                phrase(
                    "{path} holds a {architectures:or}, which writes no replies.",
                    path=path,
                    architectures=architectures,
                ),
                phrase("Give a causal language model, such as Phi3ForCausalLM."),
            )
        ]
    return list(_of_weights(path))


def _of_weights(path: Path) -> Iterator[Finding]:
    index, single = path / INDEX, path / WEIGHTS
    if single.is_file():
        shards = [single]
    elif index.is_file():
        table = _json(index)
        if table is None or not isinstance(table.get("weight_map"), dict):
            yield _unreadable(index)
            return
        shards = [path / name for name in sorted(set(table["weight_map"].values()))]
    else:
        pickles = sorted(file for file in path.iterdir() if file.suffix in _PICKLES)
        yield (
            _pickle(pickles[0])
            if pickles
            else _found(
                "base.weights",
                phrase("{path} has no {file}.", path=path, file=WEIGHTS),
                phrase("Only safetensors are loaded: copy the weights there, or convert them."),
            )
        )
        return
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        yield _found(
            "base.shards",
            phrase("{path} lacks {files}, which {index} names.", path=path, files=missing, index=INDEX),
            phrase("Copy the missing files there, or download the checkpoint again."),
        )
        return
    for shard in shards:
        trouble = damage(shard)
        if trouble is not None:
            yield _found("base.weights", trouble, phrase("Copy the file again, or download the checkpoint again."))
            return


def _of_tokenizer(path: Path) -> Iterator[Finding]:
    """The first thing wrong with how conversations become tokens."""
    settings = _json(path / "tokenizer_config.json") if (path / "tokenizer_config.json").is_file() else {}
    if settings is None:
        yield _unreadable(path / "tokenizer_config.json")
        return
    if not any((path / name).is_file() for name in _TOKENIZERS):
        if "auto_map" in settings:
            yield _own_code(path / "tokenizer_config.json")
            return
        yield _found(
            "base.tokenizer",
            phrase("{path} has no tokenizer.", path=path),
            phrase("Copy tokenizer.json and tokenizer_config.json of the model there."),
        )
        return
    if (path / "tokenizer.json").is_file() and _json(path / "tokenizer.json") is None:
        yield _unreadable(path / "tokenizer.json")
        return
    beside = ("chat_template.jinja", "chat_template.json", "additional_chat_templates", "chat_templates")
    if not settings.get("chat_template") and not any((path / name).exists() for name in beside):
        yield _found(
            "base.template",
            phrase("The tokenizer in {path} has no chat template.", path=path),
            phrase("Give an instruct model, or put its template into chat_template.jinja there."),
        )
        return
    yield from _of_stopping(path)


def _of_stopping(path: Path) -> Iterator[Finding]:
    """Without a stop token a reply would go on to the end of the window."""
    file = path / "generation_config.json"
    generation = _json(file) if file.is_file() else {}
    if generation is None:
        yield _unreadable(file)
        return
    config = _json(path / "config.json") or {}
    nested = config.get("text_config")
    places = [generation, config, nested if isinstance(nested, dict) else {}]
    if all(place.get("eos_token_id") is None for place in places):
        yield _found(
            "base.stop",
            phrase("{path} names no stop token, so a reply would never end.", path=path),
            phrase("Add eos_token_id to generation_config.json there."),
        )


def _of_code(path: Path) -> Iterator[Finding]:
    """What is left aside, for those who would expect it to run: transformers has a class of its own."""
    code = sorted(file.name for file in path.glob("*.py"))
    if code:
        yield Finding(
            "base.code",
            Severity.INFO,
            phrase("{path} brings code along ({files}), which is never run.", path=path, files=code),
            phrase("Nothing: transformers has its own code for this model."),
        )


def _own_code(file: Path) -> Finding:
    return _found(
        "base.code",
        phrase("{file} asks for code of its own (auto_map), which Errata never runs.", file=file),
        phrase("Choose a model that transformers knows by itself: every Phi is one."),
    )


def _pickle(file: Path) -> Finding:
    return _found(
        "base.pickle",
        phrase("{file} is a pickle, which can run any code when it is opened; only safetensors are loaded.", file=file),
        phrase(
            "If you trust it, convert it where nothing is at stake: load it with transformers and call save_pretrained."
        ),
    )


def _unreadable(file: Path) -> Finding:
    return _found(
        "base.file",
        phrase("{file} is cut off or damaged: it is no JSON.", file=file),
        phrase("Copy the file again, or download the checkpoint again."),
    )


def _found(rule: str, message: str, fix: str) -> Finding:
    return Finding(rule, Severity.ERROR, message, fix)


def _json(file: Path) -> Mapping[str, Any] | None:
    """The object in a JSON file; None where there is none."""
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return table if isinstance(table, dict) else None


@cache
def _transformers_knows(kind: str) -> bool:
    """Whether the installed transformers has a class of its own for this ``model_type``; true where none is installed.

    Looked up in the text of its tables: importing it would take seconds, and memory for as long as the bot lives.
    """
    spec = importlib.util.find_spec("transformers")
    places = spec.submodule_search_locations if spec is not None else None
    if not places:
        return True
    tables = (Path(places[0]) / "models" / "auto").glob("*.py")
    return any(f'("{kind}", "' in table.read_text(encoding="utf-8") for table in tables)
