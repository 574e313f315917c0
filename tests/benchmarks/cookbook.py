"""The OpenAI cookbook's data preparation, written plainly: what Errata's check is measured against.

Source: openai-cookbook, examples/Chat_finetuning_data_prep.ipynb: its format checks, token counts and estimates, in
its order. Differences: the vocabulary is o200k, ``weight`` is passed over instead of crashing the count, and
nothing is printed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MAX_TOKENS_PER_EXAMPLE = 16_385
TARGET_EPOCHS, MIN_TARGET_EXAMPLES, MAX_TARGET_EXAMPLES = 3, 100, 25_000
MIN_DEFAULT_EPOCHS, MAX_DEFAULT_EPOCHS = 1, 25
_KEYS = ("role", "content", "name", "function_call", "weight")
_ROLES = ("system", "user", "assistant", "function")

Encode = Callable[[str], list[int]]


def prepare(path: Path, encode: Encode) -> dict[str, Any]:
    """Load, check and count the file; the figures that the notebook prints."""
    with path.open("r", encoding="utf-8") as file:
        dataset = [json.loads(line) for line in file]
    errors = format_errors(dataset)
    missing_system = missing_user = 0
    messages_per_example, lengths, assistant_lengths = [], [], []
    for example in dataset:
        messages = example["messages"]
        missing_system += not any(message["role"] == "system" for message in messages)
        missing_user += not any(message["role"] == "user" for message in messages)
        messages_per_example.append(len(messages))
        lengths.append(num_tokens_from_messages(messages, encode))
        assistant_lengths.append(num_assistant_tokens_from_messages(messages, encode))
    epochs = TARGET_EPOCHS
    if len(dataset) * TARGET_EPOCHS < MIN_TARGET_EXAMPLES:
        epochs = min(MAX_DEFAULT_EPOCHS, MIN_TARGET_EXAMPLES // len(dataset))
    elif len(dataset) * TARGET_EPOCHS > MAX_TARGET_EXAMPLES:
        epochs = max(MIN_DEFAULT_EPOCHS, MAX_TARGET_EXAMPLES // len(dataset))
    billed = sum(min(MAX_TOKENS_PER_EXAMPLE, length) for length in lengths)
    return {
        "examples": len(dataset),
        "errors": dict(errors),
        "missing_system": missing_system,
        "missing_user": missing_user,
        "messages": distribution(messages_per_example),
        "tokens": distribution(lengths),
        "assistant_tokens": distribution(assistant_lengths),
        "too_long": sum(length > MAX_TOKENS_PER_EXAMPLE for length in lengths),
        "epochs": epochs,
        "billed": billed,
        "charged": epochs * billed,
    }


def format_errors(dataset: list[Any]) -> dict[str, int]:
    """Counts by kind of error."""
    errors: dict[str, int] = defaultdict(int)
    for example in dataset:
        if not isinstance(example, dict):
            errors["data_type"] += 1
            continue
        messages = example.get("messages", None)
        if not messages:
            errors["missing_messages_list"] += 1
            continue
        for message in messages:
            if "role" not in message or "content" not in message:
                errors["message_missing_key"] += 1
            if any(key not in _KEYS for key in message):
                errors["message_unrecognized_key"] += 1
            if message.get("role", None) not in _ROLES:
                errors["unrecognized_role"] += 1
            content = message.get("content", None)
            if (not content and not message.get("function_call", None)) or not isinstance(content, str):
                errors["missing_content"] += 1
        if not any(message.get("role", None) == "assistant" for message in messages):
            errors["example_missing_assistant_message"] += 1
    return errors


def num_tokens_from_messages(messages: list[dict[str, Any]], encode: Encode) -> int:
    """Tokens of every value of every message, three around each and three at the end."""
    tokens = 0
    for message in messages:
        tokens += 3
        for key, value in message.items():
            if key != "weight":
                tokens += len(encode(value))
            if key == "name":
                tokens += 1
    return tokens + 3


def num_assistant_tokens_from_messages(messages: list[dict[str, Any]], encode: Encode) -> int:
    """Tokens of the assistant's contents."""
    tokens = 0
    for message in messages:
        if message["role"] == "assistant":
            tokens += len(encode(message["content"]))
    return tokens


def distribution(values: list[int]) -> dict[str, float]:
    """As the notebook prints it, and the sum."""
    return {
        "min": min(values),
        "max": max(values),
        "mean": float(np.mean(values)),
        "median": float(np.median(values)),
        "p5": float(np.quantile(values, 0.05)),
        "p95": float(np.quantile(values, 0.95)),
        "sum": sum(values),
    }
