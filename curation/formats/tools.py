"""Tools in a row: their definitions, and the calls that the assistant makes.

Owns what a definition and a call must be, after OpenAI's chat completions API. Which result answers which call is a
matter of order and belongs to ``curation.formats.turns``. Refuses the older form (functions, function_call), which
trainers take in different ways, and says how it is rewritten.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from typing import Any, NoReturn

from curation.conversation import Role
from curation.findings import Finding
from curation.formats.rules import found, kind_of, short, unknown_keys
from curation.formats.turns import call_ids

LEGACY_KEYS = ("functions", "function_call")
LEGACY_ROLE = "function"
# Source: the description of FunctionObject.name in OpenAI's API.
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)
_FUNCTION_KEYS = {"name", "description", "parameters", "strict"}
_KINDS = {"description": (str, "a string"), "parameters": (dict, "an object"), "strict": (bool, "true or false")}


def judge_toolbox(row: Mapping[str, Any], line: int) -> Iterator[Finding]:
    """Every violation in the keys ``tools`` and ``parallel_tool_calls`` of a row."""
    if "parallel_tool_calls" in row:
        if not isinstance(row["parallel_tool_calls"], bool):
            message = f"parallel_tool_calls is {kind_of(row['parallel_tool_calls'])}, not true or false."
            yield found("tools.parallel", message, line)
        if "tools" not in row:
            yield found("tools.parallel", "the row has parallel_tool_calls and no tools.", line)
    if "tools" not in row:
        return
    tools = row["tools"]
    if not isinstance(tools, list) or not tools:
        what = "an empty list" if tools == [] else f"{kind_of(tools)}, not a list"
        yield found("tools.definition", f"tools is {what}.", line)
        return
    for position, tool in enumerate(tools, start=1):
        yield from _judge_definition(tool, f"tool {position}", line)
    for name, count in Counter(_defined(row)).items():
        if count > 1:
            yield found("tools.name", f"{count} tools have the name {short(name)}.", line)


def judge_calls(messages: list[Any], row: Mapping[str, Any], line: int) -> Iterator[Finding]:
    """Every violation in the calls of a row's turns, and ids on turns that are no results."""
    defined = set(_defined(row))
    seen: set[str] = set()
    for position, message in enumerate(messages, start=1):
        if not isinstance(message, dict):
            continue
        where = f"turn {position}"
        if "tool_call_id" in message and message.get("role") in (Role.SYSTEM, Role.USER, Role.ASSISTANT):
            yield found("tools.unasked", f"{where} has a tool_call_id and is not a tool's.", line)
        if "tool_calls" not in message:
            continue
        if message.get("role") != Role.ASSISTANT:
            yield found("tools.call", f"{where} has tool_calls and is not the assistant's.", line)
        yield from _judge_calls_of(message, where, defined, line)
        for key in call_ids(message):
            if key in seen:
                yield found("tools.call", f"{where} repeats the call id {short(key)}.", line)
            seen.add(key)
        if row.get("parallel_tool_calls") is False and len(call_ids(message)) > 1:
            yield found("tools.parallel", f"{where} makes several calls where parallel_tool_calls is false.", line)


def _judge_calls_of(message: Mapping[str, Any], where: str, defined: set[str], line: int) -> Iterator[Finding]:
    calls = message["tool_calls"]
    if not isinstance(calls, list) or not calls:
        what = "an empty list" if calls == [] else f"{kind_of(calls)}, not a list"
        yield found("tools.call", f"tool_calls in {where} is {what}.", line)
        return
    for number, call in enumerate(calls, start=1):
        yield from _judge_call(call, f"call {number} in {where}", defined, line)


def _judge_definition(tool: object, where: str, line: int) -> Iterator[Finding]:
    function = yield from _function_of(tool, where, "tools.definition", {"type", "function"}, line)
    if function is None:
        return
    yield from unknown_keys(function, _FUNCTION_KEYS, "tools.keys", where, line)
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        what = f"the name {short(name)}" if "name" in function else "no name"
        yield found("tools.name", f"{where} has {what}.", line)
    for key, (wanted, words) in _KINDS.items():
        # OpenAI's SDK writes null for what was not said.
        if function.get(key) is not None and not isinstance(function[key], wanted):
            message = f"{key} of {where} is {kind_of(function[key])}, not {words}."
            yield found("tools.definition", message, line)


def _judge_call(call: object, where: str, defined: set[str], line: int) -> Iterator[Finding]:
    function = yield from _function_of(call, where, "tools.call", {"id", "type", "function"}, line)
    if function is None or not isinstance(call, dict):
        return
    yield from unknown_keys(function, {"name", "arguments"}, "tools.keys", where, line)
    key = call.get("id")
    if not isinstance(key, str) or not key.strip():
        what = f"the id {short(key)}" if "id" in call else "no id"
        yield found("tools.call", f"{where} has {what}.", line)
    name = function.get("name")
    if not isinstance(name, str):
        yield found("tools.call", f"{where} names no function.", line)
    elif name not in defined:
        yield found("tools.undefined", f"{where} names {short(name)}, which is not under tools.", line)
    if (trouble := _trouble_with(function.get("arguments"))) is not None:
        yield found("tools.arguments", f"the arguments of {where} are {trouble}.", line)


def _function_of(
    record: object, where: str, rule: str, known: set[str], line: int
) -> Generator[Finding, None, dict[str, Any] | None]:
    """Yield what is wrong with the shell of a definition or call; return the object under ``function``, or None."""
    if not isinstance(record, dict):
        yield found(rule, f"{where} is {kind_of(record)}, not an object.", line)
        return None
    yield from unknown_keys(record, known, "tools.keys", where, line)
    if record.get("type") != "function":
        what = f"the type {short(record['type'])}" if "type" in record else "no type"
        yield found(rule, f"{where} has {what}; function is the only one.", line)
    function = record.get("function")
    if not isinstance(function, dict):
        what = f"{kind_of(function)} under function" if "function" in record else "no function"
        yield found(rule, f"{where} has {what}.", line)
        return None
    return function


def _defined(row: Mapping[str, Any]) -> list[str]:
    """The names of the functions that a row defines, as far as they can be read."""
    tools = row.get("tools")
    functions = [tool.get("function") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    names = [function.get("name") for function in functions if isinstance(function, dict)]
    return [name for name in names if isinstance(name, str)]


def _trouble_with(arguments: object) -> str | None:
    """What a call's arguments are instead of a JSON object in a string; None where they are one."""
    if not isinstance(arguments, str):
        return f"{kind_of(arguments)}, not a string" if arguments is not None else "missing"
    try:
        value = json.loads(arguments, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return "not JSON"
    return None if isinstance(value, dict) else f"{kind_of(value)} in a string, not an object"


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)
