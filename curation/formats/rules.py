"""The rules about rows of a file, by id: what must hold and what to do where it does not.

Owns ``Rule`` and the list ``RULES`` from which the reference is generated. Refuses to judge: one decoded row is
judged by ``curation.formats.profile``, bytes by ``curation.formats.parsing``, a format of its own by
``curation.formats``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from curation.findings import Finding, Severity
from curation.wording import phrase

MAX_DEPTH = 100
"""How deep objects and lists of a row may nest: more is a mistake, and would exhaust whoever reads it later."""

_SHORT = 40


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that is looked for.

    Attributes:
        id: stable and dotted, such as ``turns.last``.
        severity: of every finding under this rule.
        summary: what must hold, in one sentence.
        fix: what to do where it does not, in one imperative sentence.
    """

    id: str
    severity: Severity
    summary: str
    fix: str

    def found(self, message: str, line: int | None = None, *, fix: str | None = None) -> Finding:
        """A finding under this rule; ``fix`` replaces the general advice where more is known."""
        return Finding(self.id, self.severity, message, phrase(fix or self.fix), line)


def _error(rule: str, summary: str, fix: str) -> Rule:
    return Rule(rule, Severity.ERROR, summary, fix)


def _warning(rule: str, summary: str, fix: str) -> Rule:
    return Rule(rule, Severity.WARNING, summary, fix)


RULES: tuple[Rule, ...] = (
    _error("file.empty", "A file holds at least one row.", "Export the dialogues again, one JSON object per line."),
    _error("file.packed", "A file is plain text.", "Unpack it first, and name a JSONL file that was in it."),
    _error(
        "file.array",
        "A file holds one JSON object a line, not one array around all of them.",
        "Write a row per line: jq -c '.[]' FILE > rows.jsonl",
    ),
    _error(
        "format.mixed",
        "All rows of a file have one format.",
        "Write one file per format, or name the one that is meant with --from.",
    ),
    _error(
        "table.cells", "Every row of a table has as many cells as its header.", "Quote cells that hold the delimiter."
    ),
    _error("table.quotes", "Quotes in a table come in pairs.", 'Close the quote, or write "" for a quote in a cell.'),
    _error(
        "table.rows",
        "It is certain where each row of a table begins.",
        "Correct the lines that are named; --skip-invalid cannot take the others, as nobody knows which are rows.",
    ),
    _error("row.too_long", "A line is at most 10 MB.", "Split the dialogue, or check that lines end in a newline."),
    _error(
        "row.line_break",
        "A row ends in a newline (LF or CRLF).",
        "Replace the carriage returns (CR) between the rows with newlines.",
    ),
    _error("encoding.utf16", "A file is UTF-8, not UTF-16 or UTF-32.", "Save the file as UTF-8."),
    _error("encoding.utf8", "A file is UTF-8.", "Save the file as UTF-8."),
    _error(
        "encoding.bom",
        "A byte order mark stands only at the start of a file.",
        "Remove it; it is usually left over from joining two files.",
    ),
    _error("encoding.null", "Text holds no NUL character.", "Remove the character U+0000."),
    _error("encoding.surrogate", "Text holds no half of a surrogate pair.", "Write the whole character, or remove it."),
    _error("json.syntax", "A line is one JSON value.", "Write one complete JSON object on one line."),
    _error("json.not_object", "A row is a JSON object.", 'Write {"messages": [...]}.'),
    _error("json.depth", f"Objects and lists nest at most {MAX_DEPTH} deep.", "Flatten what is nested."),
    _error("json.duplicate_key", "No object names a key twice.", "Keep one of the two."),
    _error("json.number", "Numbers are finite.", "Write a finite number, or leave the key out."),
    _warning(
        "row.keys",
        "A row has only the keys messages, tools, parallel_tool_calls and metadata.",
        "Move what you want to keep under metadata; other keys are ignored.",
    ),
    _error(
        "metadata.type",
        "metadata is an object, and its topic, language, thread and customer are text or whole numbers.",
        'Write {"topic": "...", "language": "..."}, or leave it out.',
    ),
    _error("messages.missing", "A row has a list of messages.", 'Write {"messages": [...]}.'),
    _error("messages.empty", "messages is not empty.", "Give at least one user and one assistant turn."),
    _error("message.not_object", "A message is a JSON object.", 'Write {"role": "user", "content": "..."}.'),
    _warning(
        "message.keys",
        "A message has only the keys role, content, weight, name, tool_calls and tool_call_id.",
        "Leave other keys out; they are ignored.",
    ),
    _error("role.unknown", "A role is system, user, assistant or tool.", "Write system, user, assistant or tool."),
    _error("role.system_late", "A system turn comes first.", "Make it the first message, or remove it."),
    _error(
        "turns.alternation",
        "User and assistant take turns, the user first; tool results stand between two assistant turns.",
        "Join or remove turns.",
    ),
    _error("turns.last", "The last turn is the assistant's.", "Add the reply, or remove what follows the last one."),
    _error("turns.no_user", "A user speaks.", "Add the turn that the assistant replies to."),
    _error("content.missing", "A message has content, unless it calls tools.", 'Add "content".'),
    _error("content.empty", "Content is not blank.", "Write the text, or remove the turn."),
    _error("content.type", "Content is one string.", "Write the text as one string."),
    _error("weight.value", "A weight is the integer 0 or 1.", "Write 0, write 1, or leave the key out."),
    _error("weight.role", "Only assistant turns carry a weight.", "Remove it here."),
    _error("weight.all_zero", "At least one assistant turn is learned from.", "Give one reply the weight 1."),
    _error("name.type", "A name is a string.", "Write a string, or leave the key out."),
    _error(
        "tools.legacy",
        "A row uses tools, not their older form functions.",
        'List each function under tools as {"type": "function", "function": {...}}, write function_call as tool_calls '
        "with an id, and give its result the role tool with that id as tool_call_id.",
    ),
    _error(
        "tools.definition",
        "tools is a list of function definitions.",
        'Write {"type": "function", "function": {"name": "...", "description": "...", "parameters": {...}}}.',
    ),
    _warning(
        "tools.keys",
        "Definitions and calls of tools have only the keys of OpenAI's format.",
        "Leave other keys out; they are ignored.",
    ),
    _error(
        "tools.name",
        "A function's name is 1 to 64 letters, digits, underscores and dashes, and no two have the same.",
        "Rename the function, in its definition and in every call.",
    ),
    _error(
        "tools.parallel",
        "parallel_tool_calls is true or false, stands beside tools, and is true where a turn makes several calls.",
        "Correct it, or leave the key out.",
    ),
    _error(
        "tools.call",
        "tool_calls is a list of calls, each with an id of its own, on an assistant turn.",
        'Write {"id": "...", "type": "function", "function": {"name": "...", "arguments": "{...}"}}.',
    ),
    _error(
        "tools.arguments",
        "The arguments of a call are a JSON object, written as a string.",
        'Write "arguments": "{\\"city\\": \\"Oslo\\"}"; json.dumps(arguments) makes it.',
    ),
    _error(
        "tools.undefined",
        "A call names a function that is listed under tools.",
        "Add the function's definition, or correct the name.",
    ),
    _error(
        "tools.unanswered",
        "Every call has its result before anybody else speaks; only calls in the last turn have none.",
        'Add {"role": "tool", "tool_call_id": "...", "content": "..."} after the call.',
    ),
    _error(
        "tools.unasked",
        "A tool turn is the result of a call in the assistant turn before it.",
        "Set tool_call_id to the id of the call, or remove the turn.",
    ),
    _error("tools.order", "Results come in the order of the calls.", "Put the results in the order of tool_calls."),
    _error(
        "sharegpt.conversations",
        "A ShareGPT row has a list of conversations that is not empty.",
        'Write {"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}.',
    ),
    _error(
        "sharegpt.speaker",
        "from is system, human, gpt, function_call, observation, or another name in use for one of them.",
        "Write system, human, gpt, function_call or observation.",
    ),
    _error(
        "sharegpt.call",
        "The value of a function_call turn is a call, or a list of calls, as JSON.",
        'Write "value": "{\\"name\\": \\"track\\", \\"arguments\\": {...}}".',
    ),
    _error(
        "sharegpt.tools",
        "tools is a list of function definitions, or one written as a string.",
        'Write "tools": "[{\\"name\\": \\"track\\", \\"parameters\\": {...}}]", or leave the key out.',
    ),
    _error(
        "pair.input",
        "A preference pair has an input that is an object with messages.",
        'Write {"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}.',
    ),
    _error(
        "pair.output",
        "preferred_output and non_preferred_output are lists that hold one assistant turn with text each.",
        'Write [{"role": "assistant", "content": "..."}]; move earlier turns to input.messages.',
    ),
    _error("pair.same", "The two outputs differ.", "Leave the row out: it prefers nothing."),
    _warning(
        "azure.bom",
        "A file for Azure starts with a byte order mark.",
        "Save it as UTF-8 with BOM, or write it with errata export --format azure.",
    ),
    _error(
        "azure.size",
        "A file for Azure is smaller than 512 MB.",
        "Split it, or leave out rows that teach nothing new.",
    ),
    _error(
        "phi.tools",
        "A file for Azure ML's fine-tune component uses no tools.",
        "Leave the row out, or train it elsewhere: the component has no turn for calls and results.",
    ),
    _warning(
        "phi.weight",
        "A file for Azure ML's fine-tune component has no reply of weight 0.",
        "End the dialogue before that reply, or leave the row out: the component learns from every reply.",
    ),
    Rule(
        "phi.system",
        Severity.INFO,
        "A file for Azure ML's fine-tune component has no system turns, or its model has a system role.",
        "Nothing to do for a Phi model, which has the role; for one without it, the component writes the system turn "
        "into the first user turn, so do the same where the model is served.",
    ),
)
"""Every rule about the rows of a file, in the order in which the reference lists them."""

_BY_ID = {rule.id: rule for rule in RULES}


def found(rule: str, message: str, line: int | None, *, fix: str | None = None) -> Finding:
    """A finding under the rule of that id in ``RULES``; ``fix`` replaces the general advice."""
    return _BY_ID[rule].found(message, line, fix=fix)


def unknown_keys(
    record: Mapping[str, Any], known: Collection[str], rule: str, where: str, line: int | None
) -> list[Finding]:
    """A finding under ``rule`` for each key of ``record`` that is none of the ``known``."""
    return [found(rule, f"{where} has the unknown key {short(key)}.", line) for key in record if key not in known]


def kind_of(value: object) -> str:
    """What a JSON value is, for a sentence: ``an object``."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def short(value: object) -> str:
    """The value as the file has it, cut: a finding is one sentence, whatever the file holds."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"
