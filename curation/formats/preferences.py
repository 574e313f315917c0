"""Preference pairs as OpenAI and Azure take them for direct preference optimisation (DPO).

Owns both directions: chosen is the corrected reply, rejected the flagged one. Refuses outputs of several turns: a
correction replaces one reply. Source: Azure OpenAI's guide to DPO, whose outputs hold assistant and tool turns only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curation.conversation import Conversation, Message, Role
from curation.errors import Invalid
from curation.findings import Finding
from curation.formats.rules import found, kind_of, unknown_keys
from curation.formats.translation import Translation
from curation.formats.unseen import is_blank

_ROW_KEYS = ("input", "preferred_output", "non_preferred_output", "metadata")
_INPUT_KEYS = ("messages", "tools", "parallel_tool_calls")


def translate(row: Mapping[str, Any], line: int) -> Translation:
    """A decoded pair as chat: the input's turns and the preferred reply; the other one is ``rejected``."""
    made = Translation()
    made.findings += unknown_keys(row, _ROW_KEYS, "row.keys", "the row", line)
    given = row.get("input")
    chosen = _reply(row, "preferred_output", made.findings, line)
    rejected = _reply(row, "non_preferred_output", made.findings, line)
    if not isinstance(given, dict) or not isinstance(given.get("messages"), list):
        said = "holds no list of messages" if isinstance(given, dict) else f"is {kind_of(given)}, not an object"
        what = f"input {said if 'input' in row else 'is missing'}."
        made.findings.append(found("pair.input", what, line))
        return made
    made.findings += unknown_keys(given, _INPUT_KEYS, "row.keys", "the input", line)
    if chosen is None or rejected is None:
        return made
    made.findings += unknown_keys(rejected, ("role", "content"), "message.keys", "the rejected reply", line)
    if chosen["content"].strip() == rejected["content"].strip():
        made.findings.append(found("pair.same", "both outputs have the same text.", line))
    made.rejected = rejected["content"]
    box = {key: given[key] for key in _INPUT_KEYS[1:] if key in given}
    made.record = {"messages": [*given["messages"], chosen], **box}
    if "metadata" in row:
        made.record["metadata"] = row["metadata"]
    return made


def record_of(conversation: Conversation, rejected: str) -> dict[str, Any]:
    """The pair of a conversation that ends with the assistant's reply.

    Raises:
        Invalid: it does not, or the reply calls tools.
    """
    turns = conversation.messages
    if not turns or turns[-1].role is not Role.ASSISTANT or turns[-1].tool_calls:
        raise Invalid("A preference pair must end with the assistant's reply; check the dataset with errata check.")
    return {
        "input": {"messages": [_bare(turn) for turn in turns[:-1]], **conversation.toolbox()},
        "preferred_output": [_bare(turns[-1])],
        "non_preferred_output": [_bare(Message(Role.ASSISTANT, rejected))],
    }


def _bare(turn: Message) -> dict[str, Any]:
    """The turn without weight and name: nothing but the outputs is learned from."""
    return {key: value for key, value in turn.as_json().items() if key not in ("weight", "name")}


def _reply(row: Mapping[str, Any], key: str, findings: list[Finding], line: int) -> dict[str, Any] | None:
    """The one assistant turn of an output; None, and a finding, where it is something else."""
    output = row.get(key)
    if not isinstance(output, list):
        what = f"is {kind_of(output)}, not a list" if key in row else "is missing"
    elif len(output) != 1:
        what = f"holds {len(output)} turns"
    elif not isinstance(output[0], dict) or output[0].get("role") != Role.ASSISTANT:
        what = "holds no assistant turn"
    elif not isinstance(output[0].get("content"), str) or is_blank(output[0]["content"]):
        what = "holds a turn without text"
    else:
        return output[0]
    findings.append(found("pair.output", f"{key} {what}.", line))
    return None
