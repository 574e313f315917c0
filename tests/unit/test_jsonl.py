from __future__ import annotations

import codecs
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.conversation import Conversation, Message, Role, Tool, ToolCall
from curation.errors import Invalid
from curation.findings import Finding, Severity
from curation.formats.jsonl import Row, careful_row, open_jsonl, read, read_range
from curation.formats.lines import MAX_LINE_BYTES
from curation.formats.rules import RULES

USER = {"role": "user", "content": "Where is my parcel?"}
REPLY = {"role": "assistant", "content": "It arrives on Monday."}


def line(*messages: object, **row: object) -> bytes:
    return json.dumps({"messages": list(messages), **row}).encode() + b"\n"


def rules(*lines: bytes) -> list[str]:
    return [item.rule for item in read(lines) if isinstance(item, Finding)]


def reply(**changes: object) -> dict[str, object]:
    return {**REPLY, **changes}


def test_a_valid_row_keeps_its_turns_its_line_and_its_metadata() -> None:
    system = {"role": "system", "content": "Be brief."}
    metadata = {"topic": "shipping", "language": "en", "nested": {"a": [1, 2]}}
    (row,) = read([line(system, USER, reply(weight=1, name="Robin"), metadata=metadata)])
    assert row == Row(
        1,
        Conversation(
            (
                Message(Role.SYSTEM, "Be brief."),
                Message(Role.USER, "Where is my parcel?"),
                Message(Role.ASSISTANT, "It arrives on Monday.", weight=1, name="Robin"),
            )
        ),
        metadata,
    )


TOOLS = [{"type": "function", "function": {"name": "track", "parameters": {"type": "object"}}}]


def call(key: str = "a", *, name: str = "track", arguments: object = "{}") -> dict[str, object]:
    return {"id": key, "type": "function", "function": {"name": name, "arguments": arguments}}


def calls(*made: object, **changes: object) -> dict[str, object]:
    return {"role": "assistant", "tool_calls": list(made), **changes}


def result(key: str = "a") -> dict[str, object]:
    return {"role": "tool", "tool_call_id": key, "content": "It left Oslo."}


def tooled(*messages: object, tools: object = TOOLS, **row: object) -> bytes:
    return line(*messages, tools=tools, **row)


SYSTEM = {"role": "system", "content": "Be brief."}
BROKEN: list[tuple[str, bytes, str]] = [
    ("encoding.utf8", line(USER, REPLY).replace(b"Monday", b"M\xffnday"), "byte 116 of the line is not UTF-8."),
    ("encoding.bom", line(USER, reply(content="a\ufeffb")), "a text in the row holds a byte order mark (U+FEFF)."),
    ("encoding.null", line(USER, reply(content="a\0b")), "the row holds a NUL character."),
    ("encoding.surrogate", line(USER, reply(content="\ud800")), "the row holds half of a surrogate pair."),
    ("json.syntax", b'{"messages": [', "not JSON at character 15: Expecting value."),
    ("json.not_object", b'["messages"]', "the row is a list, not an object."),
    (
        "json.depth",
        line(USER, REPLY, metadata=json.loads('{"a":' * 101 + "1" + "}" * 101)),
        "objects and lists nest 102 deep.",
    ),
    (
        "json.duplicate_key",
        line(USER, REPLY).replace(b'"role": "user"', b'"role": "user", "role": "user"'),
        "the key 'role' stands more than once in one object.",
    ),
    ("json.number", line(USER, REPLY, metadata={"score": float("nan")}), "NaN is not a JSON number."),
    (
        "row.line_break",
        line(USER, REPLY).rstrip() + b"\r" + line(USER, REPLY),
        "a carriage return stands where the row ends.",
    ),
    ("row.keys", line(USER, REPLY, id=7), "the row has the unknown key 'id'."),
    ("metadata.type", line(USER, REPLY, metadata=["en"]), "metadata is a list, not an object."),
    ("messages.missing", b'{"prompt": "Hi", "metadata": {}}', "the row has no messages."),
    ("messages.missing", b'{"messages": {}}', "messages is an object, not a list."),
    ("messages.empty", line(), "messages is an empty list."),
    ("message.not_object", line(USER, REPLY, "Bye"), "turn 3 is a string, not an object."),
    ("message.keys", line(USER, reply(author="Robin")), "turn 2 has the unknown key 'author'."),
    ("role.unknown", line(USER, reply(role="bot")), "turn 2 has the role 'bot'."),
    ("role.unknown", line({"content": "Hi"}, REPLY), "turn 1 has no role."),
    ("role.system_late", line(USER, SYSTEM, REPLY), "turn 2 is a system turn."),
    ("turns.alternation", line(USER, USER, REPLY), "turn 2 is the user's; the assistant's was due."),
    (
        "turns.alternation",
        tooled(USER, calls(call()), result(), USER, REPLY),
        "turn 4 is the user's; the assistant's was due.",
    ),
    ("turns.last", line(USER), "the last turn is the user's; it must be the assistant's."),
    ("turns.last", tooled(USER, calls(call()), result()), "the last turn is the tool's; it must be the assistant's."),
    ("turns.no_user", line(SYSTEM, REPLY), "no user speaks."),
    ("content.missing", line(USER, {"role": "assistant"}), "turn 2 has no content."),
    ("content.missing", line({"role": "user", "content": None}, REPLY), "turn 1 has no content."),
    ("content.empty", line(USER, reply(content=" \n")), "turn 2 is blank."),
    ("content.empty", line(USER, reply(content="")), "turn 2 is blank."),
    ("content.empty", tooled(USER, calls(call(), content=" ")), "turn 2 is blank."),
    (
        "content.type",
        line(USER, reply(content=[{"type": "text", "text": "Hi"}])),
        "the content of turn 2 is a list, not a string.",
    ),
    ("weight.value", line(USER, reply(weight=2)), "turn 2 has the weight 2."),
    ("weight.value", line(USER, reply(weight=True)), "turn 2 has the weight true."),
    ("weight.value", line(USER, reply(weight=None)), "turn 2 has the weight null."),
    ("weight.value", line(USER, reply(weight="1")), "turn 2 has the weight '1'."),
    ("weight.role", line({**USER, "weight": 0}, REPLY), "turn 1 has a weight and is not the assistant's."),
    (
        "weight.all_zero",
        line(USER, reply(weight=0)),
        "every reply has the weight 0, so nothing is learned from the row.",
    ),
    ("name.type", line({**USER, "name": 7}, REPLY), "the name in turn 1 is a number, not a string."),
    ("tools.legacy", line(USER, REPLY, functions=[]), "the row has functions, the older form of tool calls."),
    (
        "tools.legacy",
        line(USER, {"role": "assistant", "function_call": {"name": "track", "arguments": "{}"}}),
        "turn 2 has function_call, the older form of tool calls.",
    ),
    (
        "tools.legacy",
        line(USER, {"role": "function", "name": "track", "content": "42"}, REPLY),
        "turn 2 has the role function, the older form of tool results.",
    ),
    ("tools.definition", tooled(USER, REPLY, tools=[]), "tools is an empty list."),
    ("tools.definition", tooled(USER, REPLY, tools={}), "tools is an object, not a list."),
    ("tools.definition", tooled(USER, REPLY, tools=["track"]), "tool 1 is a string, not an object."),
    ("tools.definition", tooled(USER, REPLY, tools=[{"type": "function"}]), "tool 1 has no function."),
    (
        "tools.definition",
        tooled(USER, REPLY, tools=[{"type": "retrieval", "function": {"name": "track"}}]),
        "tool 1 has the type 'retrieval'; function is the only one.",
    ),
    (
        "tools.definition",
        tooled(USER, REPLY, tools=[{"type": "function", "function": {"name": "track", "parameters": "{}"}}]),
        "parameters of tool 1 is a string, not an object.",
    ),
    (
        "tools.keys",
        tooled(USER, REPLY, tools=[{"type": "function", "function": {"name": "track", "returns": "text"}}]),
        "tool 1 has the unknown key 'returns'.",
    ),
    ("tools.name", tooled(USER, REPLY, tools=[*TOOLS, *TOOLS]), "2 tools have the name 'track'."),
    (
        "tools.name",
        tooled(USER, REPLY, tools=[{"type": "function", "function": {"name": "track parcel"}}]),
        "tool 1 has the name 'track parcel'.",
    ),
    ("tools.name", tooled(USER, REPLY, tools=[{"type": "function", "function": {}}]), "tool 1 has no name."),
    ("tools.parallel", line(USER, REPLY, parallel_tool_calls=True), "the row has parallel_tool_calls and no tools."),
    (
        "tools.parallel",
        tooled(USER, REPLY, parallel_tool_calls=1),
        "parallel_tool_calls is a number, not true or false.",
    ),
    (
        "tools.parallel",
        tooled(USER, calls(call("a"), call("b")), parallel_tool_calls=False),
        "turn 2 makes several calls where parallel_tool_calls is false.",
    ),
    ("tools.call", tooled(USER, calls()), "tool_calls in turn 2 is an empty list."),
    ("tools.call", tooled(USER, calls(tool_calls=None)), "tool_calls in turn 2 is null, not a list."),
    ("tools.call", tooled(USER, calls("track")), "call 1 in turn 2 is a string, not an object."),
    ("tools.call", tooled(USER, calls({**call(), "id": " "})), "call 1 in turn 2 has the id ' '."),
    ("tools.call", tooled(USER, calls(call("a"), call("a"))), "turn 2 repeats the call id 'a'."),
    (
        "tools.call",
        tooled({**USER, "tool_calls": [call()]}, REPLY),
        "turn 1 has tool_calls and is not the assistant's.",
    ),
    ("tools.call", tooled(USER, calls(call(name=7))), "call 1 in turn 2 names no function."),  # type: ignore[arg-type]
    (
        "tools.arguments",
        tooled(USER, calls(call(arguments={"n": 1}))),
        "the arguments of call 1 in turn 2 are an object, not a string.",
    ),
    (
        "tools.arguments",
        tooled(USER, calls(call(arguments="{n: 1}"))),
        "the arguments of call 1 in turn 2 are not JSON.",
    ),
    (
        "tools.arguments",
        tooled(USER, calls(call(arguments='{"n": NaN}'))),
        "the arguments of call 1 in turn 2 are not JSON.",
    ),
    (
        "tools.arguments",
        tooled(USER, calls(call(arguments="[1]"))),
        "the arguments of call 1 in turn 2 are a list in a string, not an object.",
    ),
    ("tools.arguments", tooled(USER, calls(call(arguments=None))), "the arguments of call 1 in turn 2 are missing."),
    ("tools.undefined", line(USER, calls(call())), "call 1 in turn 2 names 'track', which is not under tools."),
    (
        "tools.unanswered",
        tooled(USER, calls(call()), REPLY),
        "turn 3 comes before the result of the call 'a'.",
    ),
    (
        "tools.unanswered",
        tooled(USER, calls(call("a"), call("b")), result("a")),
        "the dialogue ends before the result of the call 'b'.",
    ),
    (
        "tools.unasked",
        tooled(USER, result(), REPLY),
        "turn 2 answers the call 'a', which does not wait for a result there.",
    ),
    (
        "tools.unasked",
        tooled(USER, {"role": "tool", "content": "42"}, REPLY),
        "turn 2 is a tool's and names no call that it answers.",
    ),
    ("tools.unasked", tooled({**USER, "tool_call_id": "a"}, REPLY), "turn 1 has a tool_call_id and is not a tool's."),
    (
        "tools.order",
        tooled(USER, calls(call("a"), call("b")), result("b"), result("a"), REPLY),
        "turn 3 answers the call 'b' before 'a'.",
    ),
]


@pytest.mark.parametrize(("rule", "raw", "message"), BROKEN, ids=[f"{rule}: {message}" for rule, _, message in BROKEN])
def test_each_rule_finds_the_row_that_breaks_it_and_says_so_word_for_word(rule: str, raw: bytes, message: str) -> None:
    items = list(read([line(USER, REPLY), raw]))
    findings = [item for item in items if isinstance(item, Finding)]
    assert (rule, message) in [(finding.rule, finding.message) for finding in findings]
    assert {finding.line for finding in findings} == {2}
    has_row = any(isinstance(item, Row) and item.line == 2 for item in items)
    assert has_row == all(finding.severity is Severity.WARNING for finding in findings)


def test_every_rule_of_the_list_is_shown_broken_by_a_test() -> None:
    elsewhere = {"file.empty", "row.too_long", "table.cells", "table.quotes", "table.rows", *SHOWN_WITH_FORMATS}
    assert {rule.id for rule in RULES} == {*(rule for rule, _, _ in BROKEN), *elsewhere}


SHOWN_WITH_FORMATS = {"file.packed", "file.array", "format.mixed", "encoding.utf16", "azure.bom", "azure.size"}
SHOWN_WITH_FORMATS |= {"phi.tools", "phi.weight", "phi.system", "pair.input", "pair.output", "pair.same"}
SHOWN_WITH_FORMATS |= {"sharegpt.conversations", "sharegpt.speaker", "sharegpt.call", "sharegpt.tools"}
"""Rules that ``test_formats`` shows."""


def test_a_dialogue_with_tools_keeps_definitions_calls_and_results() -> None:
    asks = calls(call("a", arguments='{"n": 1}'), call("b"), weight=0)
    (row,) = read([tooled(USER, asks, result("a"), result("b"), REPLY, parallel_tool_calls=True)])
    assert isinstance(row, Row)
    assert row.conversation == Conversation(
        (
            Message(Role.USER, "Where is my parcel?"),
            Message(
                Role.ASSISTANT,
                "",
                weight=0,
                tool_calls=(ToolCall("a", "track", '{"n": 1}'), ToolCall("b", "track", "{}")),
            ),
            Message(Role.TOOL, "It left Oslo.", tool_call_id="a"),
            Message(Role.TOOL, "It left Oslo.", tool_call_id="b"),
            Message(Role.ASSISTANT, "It arrives on Monday."),
        ),
        (Tool("track", parameters={"type": "object"}),),
        parallel_tool_calls=True,
    )


@pytest.mark.parametrize("content", [None, ""])
def test_whoever_calls_a_tool_need_not_say_anything(content: str | None) -> None:
    assert rules(tooled(USER, calls(call(), content=content), result(), REPLY)) == []
    assert rules(tooled(USER, calls(call()), result(), REPLY)) == []


def test_a_dialogue_may_end_with_calls_since_they_are_what_is_learned() -> None:
    assert rules(tooled(USER, calls(call("a"), call("b")))) == []


def test_calls_may_follow_results() -> None:
    assert rules(tooled(USER, calls(call("a")), result("a"), calls(call("b")), result("b"), REPLY, USER, REPLY)) == []


def test_the_older_form_of_tools_comes_with_the_way_to_the_newer() -> None:
    (finding,) = [item for item in read([line(USER, REPLY, functions=[])]) if isinstance(item, Finding)]
    assert "List each function under tools" in finding.fix
    assert "write function_call as tool_calls with an id" in finding.fix
    assert "role tool with that id as tool_call_id" in finding.fix


def test_the_digest_of_a_dialogue_without_tools_is_what_it_always_was() -> None:
    turns = (
        Message(Role.SYSTEM, "Be brief."),
        Message(Role.USER, "Wann kommt es? 🙂", name="Ada"),
        Message(Role.ASSISTANT, "On Monday.", weight=1),
    )
    # Datasets are named by it and rows found again.
    assert Conversation(turns).digest == "9844fe5c4288da09d606f7bebc6f4d416afe2b0a0552589702746aa499c962a0"
    assert Conversation(turns, (Tool("track"),)).digest != Conversation(turns).digest


@pytest.mark.parametrize("weight", [True, False, "1", 1.0, 2, -1, None, [], {}])
def test_only_the_integers_0_and_1_are_weights(weight: object) -> None:
    assert "weight.value" in rules(line(USER, REPLY, USER, reply(weight=weight)))


def test_weights_0_and_1_pass() -> None:
    assert rules(line(USER, reply(weight=0), USER, reply(weight=1))) == []


def test_a_reply_without_a_weight_is_learned_beside_one_with_weight_0() -> None:
    assert rules(line(USER, reply(weight=0), USER, REPLY)) == []


def test_all_violations_of_a_row_are_reported_together() -> None:
    raw = line({**USER, "weight": 1, "content": ""}, {"role": "bot"}, reply(name=3), USER, extra=1)
    assert {"content.empty", "weight.role", "role.unknown", "content.missing", "name.type", "row.keys"} < set(
        rules(raw)
    )
    assert "turns.last" in rules(raw)


def test_every_malformed_line_is_reported_in_one_pass() -> None:
    lines = [b"{", line(USER, REPLY), b"[]", b"nonsense", line(USER)]
    found = [(item.line, item.rule) for item in read(lines) if isinstance(item, Finding)]
    assert found == [(1, "json.syntax"), (3, "json.not_object"), (4, "json.syntax"), (5, "turns.last")]


def test_an_assistant_that_speaks_first_breaks_the_alternation() -> None:
    assert rules(line(REPLY, USER, REPLY)) == ["turns.alternation"]


@pytest.mark.parametrize("raw", [b'{"a":1e999}', b'{"a":-Infinity}', b'{"a":' + b"9" * 5000 + b"}"])
def test_numbers_that_cannot_be_kept_are_found(raw: bytes) -> None:
    assert "json.number" in rules(raw)


def test_a_row_nested_too_deeply_to_be_read_is_found() -> None:
    assert rules(b'{"messages":' + b"[" * 200_000 + b"]" * 200_000 + b"}") == ["json.depth"]


def test_a_key_repeated_under_an_escape_is_found() -> None:
    raw = b'{"messages":[{"role":"user","content":"a","\\u0063ontent":"b"},{"role":"assistant","content":"c"}]}'
    assert rules(raw) == ["json.duplicate_key"]


def test_a_key_repeated_behind_a_space_is_found() -> None:
    raw = b'{"messages" :[],"messages":[{"role":"user","content":"b"},{"role":"assistant","content":"c"}]}'
    assert rules(raw) == ["json.duplicate_key"]


def test_a_key_repeated_in_metadata_is_found() -> None:
    raw = line(USER, REPLY, metadata={"topic": "a"}).replace(b'"topic": "a"', b'"topic": "a", "topic": "b"')
    assert rules(raw) == ["json.duplicate_key"]


def test_metadata_that_is_not_utf8_is_found() -> None:
    assert rules(line(USER, REPLY, metadata={"topic": "?"}).replace(b"?", b"\xff")) == ["encoding.utf8"]


def test_an_empty_file_is_a_finding() -> None:
    assert rules() == rules(b"\n", b"  \r\n") == rules(codecs.BOM_UTF8) == ["file.empty"]


def test_blank_lines_are_passed_over_and_counted() -> None:
    assert [item.line for item in read([b"\n", line(USER, REPLY), b"\r\n", line(USER, REPLY)])] == [2, 4]


def test_a_byte_order_mark_is_taken_at_the_start_of_the_file_only() -> None:
    marked = codecs.BOM_UTF8 + line(USER, REPLY)
    assert rules(marked) == []
    assert rules(line(USER, REPLY), marked) == ["encoding.bom"]
    assert rules(codecs.BOM_UTF8 + marked) == ["encoding.bom"]
    assert rules(line(USER, reply(content="a\ufeffb"))) == ["encoding.bom"]


def test_a_line_break_of_any_kind_ends_a_row() -> None:
    assert rules(line(USER, REPLY).rstrip() + b"\r\n", line(USER, REPLY).rstrip()) == []


def test_an_over_long_line_is_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    fits = line(USER, reply(content="x")).rstrip()
    fits = fits.replace(b'"x"', b'"' + b"x" * (MAX_LINE_BYTES - len(fits) + 1) + b'"')
    path.write_bytes(fits + b"\n" + b"y" * (MAX_LINE_BYTES * 2 + 5) + b"\n" + line(USER, REPLY))
    kinds = [item.rule if isinstance(item, Finding) else "row" for item in open_jsonl(path)]
    assert kinds == ["row", "row.too_long", "row"]


def test_a_file_is_read_with_its_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "azure.jsonl"
    path.write_bytes(codecs.BOM_UTF8 + line(USER, REPLY))
    assert [type(item) for item in open_jsonl(path)] == [Row]


def test_a_missing_file_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"nothing\.jsonl: there is no such file"):
        list(open_jsonl(tmp_path / "nothing.jsonl"))


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="is a directory"):
        list(open_jsonl(tmp_path))


def test_a_name_too_long_for_the_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be opened"):
        list(open_jsonl(tmp_path / ("x" * 5000)))


def test_ranges_of_a_file_give_what_the_whole_file_gives(tmp_path: Path) -> None:
    lines = [
        codecs.BOM_UTF8 + line(USER, REPLY),
        b"\n",
        line(USER),
        line(USER, REPLY, metadata={"a": 1}),
        b"{\n",
        b"\r\n",
    ]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"".join(lines) + b"\n" + line(USER, REPLY).rstrip())
    ends = [sum(map(len, lines[:count])) for count in range(len(lines) + 1)]
    for number, middle in enumerate(ends, start=1):
        # A range ends with the line that begins before its end, wherever in that line the end lies.
        first = list(read_range(path, 0, max(0, middle - 1), 1))
        assert first + list(read_range(path, middle, path.stat().st_size, number)) == list(open_jsonl(path))


def test_a_range_begins_behind_an_over_long_line(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    long = b"y" * (MAX_LINE_BYTES + 5) + b"\n"
    path.write_bytes(long + line(USER, REPLY) + line(USER))
    items = [*read_range(path, 0, len(long), 1), *read_range(path, len(long), path.stat().st_size, 2)]
    assert [(item.line, getattr(item, "rule", "row")) for item in items] == [
        (1, "row.too_long"),
        (2, "row"),
        (3, "turns.last"),
    ]


FRAGMENTS = (
    rb'"|\|:|,|{|}| |\u0000|\ud800|NaN|1e999|"role":"user"|"content":"a",|"weight":1,|"weight":true,|"name":"N",'
    rb'|"messages":[],|"tools":[],|"tool_calls":[],|"tool_call_id":"a",'
    rb'|1.0|-0|18446744073709551616|"metadata":{"a":1,"a":2},|\":|"metadata" :{}|\u0063|tool|null|0|"x\\":1,|'
).split(b"|")
FRAGMENTS += [b"\t", b"\xff", b"\xef\xbb\xbf"]


@given(st.data())
def test_the_fast_path_takes_only_rows_that_the_careful_path_takes_alike(data: st.DataObject) -> None:
    raw = data.draw(
        st.sampled_from(
            [
                line(USER, REPLY).rstrip(),
                line(USER, reply(weight=1, name="N"), metadata={"a": 1, "b": {"c": "d"}}).rstrip(),
                line(USER, REPLY, metadata={"a": 1, "b": ["c"], "d": None, "e": True}).rstrip(),
                b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","weight":1}]}',
            ]
        )
    )
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.integers(start, min(len(raw), start + 12)))
        raw = raw[:start] + data.draw(st.sampled_from(FRAGMENTS)) + raw[end:]
    if raw.strip():
        assert [item for item in read([b"{}", raw]) if item.line == 2] == list(careful_row(raw, 2))


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail(raw: bytes) -> None:
    for item in read([raw]):
        assert isinstance(item, Row | Finding)
