"""Fit for inference: whether rows are trained under what the deployed assistant really works with.

Owns the rules about a row's system prompt and about what the assistant had retrieved. A model tuned under
another prompt than it is served with learns the wrong thing, and one tuned without the documents that it
is served with learns to make facts up. Pure: prompts and rows come in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.conversation import Role
from curation.findings import Finding, Severity
from curation.formats.jsonl import Row
from curation.formats.rules import Rule
from curation.wording import Phrase, phrase

RULES: tuple[Rule, ...] = (
    Rule(
        "prompt.stale",
        Severity.WARNING,
        "Rows are trained under the prompt that the assistant uses now.",
        "Freeze again: the new dataset is made under the prompt in use.",
    ),
    Rule(
        "prompt.missing",
        Severity.WARNING,
        "Rows have a system prompt where the assistant is served with one.",
        "Freeze with --prompt ASSISTANT to train rows of files under that assistant's prompt.",
    ),
    Rule(
        "prompt.foreign",
        Severity.WARNING,
        "Rows of files are under a prompt that a watched assistant uses.",
        "Freeze with --prompt ASSISTANT to train rows of files under that assistant's prompt.",
    ),
    Rule(
        "context.unknown",
        Severity.INFO,
        "It is known for every row what the assistant had retrieved.",
        "If the assistant answers from documents, have it say which in the metadata of its messages; rows of files "
        "have it in theirs, as context.",
    ),
)
"""What ``findings`` looks for."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One version of an assistant's system prompt."""

    assistant: str
    version: int
    text: str
    current: bool


@dataclass(frozen=True, slots=True)
class Fit:
    """What matters of a row: its prompt's id or its own system turn, and whether its context was supplied."""

    prompt_id: int | None
    system: str | None
    context: bool


def context_in(metadata: Mapping[str, Any]) -> list[str] | None:
    """The texts under ``context``, a list or one text; None where there are none, which marks the row as unknown."""
    value = metadata.get("context")
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return None
    return [text for text in texts if text.strip()] or None


def fit_of(row: Row) -> Fit:
    """What matters of a row of a file."""
    first = row.conversation.messages[0]
    system = first.content if first.role is Role.SYSTEM else None
    return Fit(None, system, context_in(row.metadata) is not None)


def findings(rows: Iterable[Fit], prompts: Mapping[int, Prompt]) -> list[Finding]:
    """What ``RULES`` says about ``rows``, given every prompt version of every watched assistant by its id."""
    stale, missing, foreign, unknown = RULES
    by_text: dict[str, Prompt] = {}
    for prompt in sorted(prompts.values(), key=lambda one: one.current):
        by_text[prompt.text.strip()] = prompt  # the one in use comes last and stays
    counts: Counter[str] = Counter()
    older: Counter[tuple[str, int]] = Counter()
    for row in rows:
        counts["rows"] += 1
        counts["unknown"] += not row.context
        used = prompts[row.prompt_id] if row.prompt_id is not None else by_text.get((row.system or "").strip())
        if used is not None:
            older[used.assistant, used.version] += not used.current
        elif prompts:
            counts["missing" if row.system is None else "foreign"] += 1
    total = counts["rows"]
    found = [
        stale.found(_stale(count, total, version, assistant, prompts))
        for (assistant, version), count in sorted(older.items())
        if count
    ]
    if counts["missing"]:
        found.append(missing.found(_missing(counts["missing"], total, prompts)))
    if counts["foreign"]:
        found.append(
            foreign.found(
                phrase(
                    "{count:,} of {total:,} rows are under a prompt that no assistant uses.",
                    count=counts["foreign"],
                    total=total,
                )
            )
        )
    if counts["unknown"]:
        found.append(
            unknown.found(
                phrase(
                    "What the assistant had retrieved is not known of {count:,} of {total:,} rows.",
                    count=counts["unknown"],
                    total=total,
                )
            )
        )
    return found


def _stale(count: int, total: int, version: int, assistant: str, prompts: Mapping[int, Prompt]) -> Phrase:
    current = [prompt.version for prompt in prompts.values() if prompt.assistant == assistant and prompt.current]
    return phrase(
        "{count:,} of {total:,} rows are under version {version} of {assistant}'s prompt, which is at version "
        "{current}."
        if current
        else "{count:,} of {total:,} rows are under version {version} of {assistant}'s prompt.",
        count=count,
        total=total,
        version=version,
        assistant=assistant,
        current=current[0] if current else None,
    )


def _missing(count: int, total: int, prompts: Mapping[int, Prompt]) -> Phrase:
    names: Sequence[str] = sorted({prompt.assistant for prompt in prompts.values() if prompt.current})
    return phrase(
        "{count:,} of {total:,} rows have no system prompt, and {assistant} is served with one."
        if len(names) == 1
        else "{count:,} of {total:,} rows have no system prompt, and the assistants are served with one.",
        count=count,
        total=total,
        assistant=names[0] if names else None,
    )
