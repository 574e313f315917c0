"""Files of every format: how each is recognised, read and judged."""

from __future__ import annotations

import codecs
import gzip
import json
import os
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.conversation import Conversation, Message, Role, Tool, ToolCall
from curation.errors import Invalid, Unavailable
from curation.findings import Finding
from curation.formats.format import AZURE_LIMIT_BYTES, Format
from curation.formats.jsonl import Row
from curation.formats.lines import opened
from curation.formats.reading import _careful as reading_of
from curation.formats.reading import judge_azure, open_rows

USER = {"role": "user", "content": "Where is my parcel?"}
REPLY = {"role": "assistant", "content": "It arrives on Monday."}
CHAT = {"messages": [USER, REPLY]}
TRACK = {"name": "track", "description": "Where a parcel is.", "parameters": {"type": "object"}}
TOOLS = [{"type": "function", "function": TRACK}]
SAID = [{"from": "human", "value": "Where is my parcel?"}, {"from": "gpt", "value": "It arrives on Monday."}]
ASKED = {"from": "function_call", "value": '{"name": "track", "arguments": {"number": 7}}'}
PAIR = {
    "input": {"messages": [USER]},
    "preferred_output": [REPLY],
    "non_preferred_output": [{"role": "assistant", "content": "Never."}],
}
DIALOGUE = Conversation((Message(Role.USER, "Where is my parcel?"), Message(Role.ASSISTANT, "It arrives on Monday.")))

KEYS = ["messages", "role", "content", "from", "value", "function", "name", "arguments", "id", "type", "tools"]

Read = Callable[..., list[Row | Finding]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write rows, or bytes as they stand, into a file and read it."""

    def write_and_read(*rows: Any, format: Format | None = None) -> list[Row | Finding]:  # noqa: A002
        path = tmp_path / "rows.jsonl"
        path.write_bytes(b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows))
        return list(open_rows(path, format))

    return write_and_read


def said(items: list[Row | Finding]) -> list[tuple[int | None, str, str]]:
    return [(item.line, item.rule, item.message) for item in items if isinstance(item, Finding)]


@pytest.mark.parametrize("row", [CHAT, {"conversations": SAID}, PAIR], ids=["chat", "sharegpt", "dpo"])
@pytest.mark.parametrize("start", [b"", codecs.BOM_UTF8, b"\n\n", codecs.BOM_UTF8 + b"\r\n"])
def test_the_rows_of_a_file_tell_what_it_is(read: Read, row: dict[str, Any], start: bytes) -> None:
    (found,) = read(start, row)
    assert isinstance(found, Row)
    assert found.conversation == DIALOGUE
    assert found.line == 1 + start.count(b"\n")


def test_broken_lines_at_the_start_do_not_hide_what_a_file_is(read: Read) -> None:
    items = read(b"{\n", b"\xff\n", {"conversations": SAID})
    assert [item.line for item in items] == [1, 2, 2, 3]
    assert isinstance(items[-1], Row)


def test_a_row_of_another_format_than_the_file_is_named(read: Read) -> None:
    assert said(read(CHAT, {"conversations": SAID}, PAIR, CHAT)) == [
        (2, "format.mixed", "the row looks like sharegpt in a file of openai."),
        (3, "format.mixed", "the row looks like dpo in a file of openai."),
    ]
    assert said(read(CHAT, format=Format.DPO)) == [
        (1, "format.mixed", "the row looks like openai in a file of dpo."),
    ]


def test_a_sharegpt_row_keeps_system_turns_tools_calls_and_results(read: Read) -> None:
    observed = {"from": "observation", "value": "It left Oslo."}
    row = {"conversations": [SAID[0], ASKED, observed, SAID[1]], "system": "Be brief.", "tools": json.dumps([TRACK])}
    (found,) = read({**row, "metadata": {"topic": "shipping"}})
    assert found == Row(
        1,
        Conversation(
            (
                Message(Role.SYSTEM, "Be brief."),
                Message(Role.USER, "Where is my parcel?"),
                Message(Role.ASSISTANT, "", tool_calls=(ToolCall("call_1", "track", '{"number": 7}'),)),
                Message(Role.TOOL, "It left Oslo.", tool_call_id="call_1"),
                Message(Role.ASSISTANT, "It arrives on Monday."),
            ),
            (Tool("track", "Where a parcel is.", {"type": "object"}),),
        ),
        {"topic": "shipping"},
    )


@pytest.mark.parametrize(
    ("human", "assistant"), [("human", "gpt"), ("user", "assistant"), ("human", "chatgpt"), ("user", "model")]
)
def test_speakers_of_sharegpt_go_by_several_names(read: Read, human: str, assistant: str) -> None:
    turns = [{"from": human, "value": SAID[0]["value"]}, {"from": assistant, "value": SAID[1]["value"], "weight": 1}]
    (found,) = read({"conversations": turns})
    assert isinstance(found, Row)
    assert [turn.role for turn in found.conversation.messages] == [Role.USER, Role.ASSISTANT]
    assert found.conversation.messages[1].weight == 1


def test_several_calls_in_one_sharegpt_turn_are_answered_in_their_order(read: Read) -> None:
    both = {"from": "function-call", "value": json.dumps([{"name": "track", "arguments": {}}] * 2)}
    results = [{"from": "tool", "value": "Oslo"}, {"from": "function_response", "value": "Bergen"}]
    (found,) = read({"conversations": [SAID[0], both, *results, SAID[1]], "tools": TOOLS})
    assert isinstance(found, Row)
    assert [turn.tool_call_id for turn in found.conversation.messages] == [None, None, "call_1", "call_2", None]


SHAREGPT: list[tuple[object, str, str]] = [
    ({"conversations": {}}, "sharegpt.conversations", "conversations is an object, not a list."),
    ({"conversations": []}, "sharegpt.conversations", "conversations is an empty list."),
    ({"conversations": ["Hi"]}, "message.not_object", "turn 1 is a string, not an object."),
    ({"conversations": [{"from": "alien", "value": "Hi"}]}, "sharegpt.speaker", "turn 1 is from 'alien'."),
    ({"conversations": [{"value": "Hi"}]}, "sharegpt.speaker", "turn 1 does not say whom it is from."),
    (
        {"conversations": [SAID[0], {"from": "function_call", "value": "track it"}]},
        "sharegpt.call",
        "the value of turn 2 is no call of a function.",
    ),
    (
        {"conversations": [SAID[0], {"from": "function_call", "value": '[{"name": "track"}]'}]},
        "sharegpt.call",
        "the value of turn 2 is no call of a function.",
    ),
    ({"conversations": SAID, "tools": "track"}, "sharegpt.tools", "tools holds no list of function definitions."),
    (
        {"conversations": [SAID[0], ASKED]},
        "tools.undefined",
        "call 1 in turn 2 names 'track', which is not under tools.",
    ),
    ({"conversations": [SAID[0], {"from": "gpt"}]}, "content.missing", "turn 2 has no content."),
    (
        {"conversations": SAID, "tools": json.dumps([{**TRACK, "description": "a\0b"}])},
        "encoding.null",
        "the row holds a NUL character.",
    ),
    (
        {"conversations": SAID, "tools": f'[{{"name": "track", "parameters": {{"a": {"[" * 100 + "]" * 100}}}}}]'},
        "json.depth",
        "objects and lists nest 105 deep.",
    ),
    ({"conversations": SAID[:1]}, "turns.last", "the last turn is the user's; it must be the assistant's."),
    ({"conversations": SAID, "id": 7}, "row.keys", "the row has the unknown key 'id'."),
    ({"conversations": [SAID[0], {**SAID[1], "score": 1}]}, "message.keys", "turn 2 has the unknown key 'score'."),
    (
        {"conversations": [SAID[0], {"from": "observation", "value": "Oslo"}, SAID[1]]},
        "tools.unasked",
        "turn 2 is a tool's and names no call that it answers.",
    ),
]


@pytest.mark.parametrize(("row", "rule", "message"), SHAREGPT, ids=[f"{rule}: {text}" for _, rule, text in SHAREGPT])
def test_what_is_wrong_with_a_sharegpt_row_is_said_word_for_word(
    read: Read, row: object, rule: str, message: str
) -> None:
    assert (2, rule, message) in said(read({"conversations": SAID}, row))


def test_a_sharegpt_turn_without_words_is_mended_in_the_words_of_its_format(read: Read) -> None:
    (finding,) = [item for item in read({"conversations": [SAID[0], {"from": "gpt"}]}) if isinstance(item, Finding)]
    assert finding.fix == 'Add "value".'


def test_a_preference_pair_keeps_both_replies(read: Read) -> None:
    (found,) = read(PAIR)
    assert found == Row(1, DIALOGUE, {}, "Never.")


PAIRS: list[tuple[object, str, str]] = [
    ({**PAIR, "input": [USER]}, "pair.input", "input is a list, not an object."),
    ({key: value for key, value in PAIR.items() if key != "input"}, "pair.input", "input is missing."),
    ({**PAIR, "input": {}}, "pair.input", "input holds no list of messages."),
    ({**PAIR, "preferred_output": {}}, "pair.output", "preferred_output is an object, not a list."),
    ({"input": PAIR["input"], "preferred_output": [REPLY]}, "pair.output", "non_preferred_output is missing."),
    ({**PAIR, "preferred_output": [REPLY, REPLY]}, "pair.output", "preferred_output holds 2 turns."),
    ({**PAIR, "preferred_output": [USER]}, "pair.output", "preferred_output holds no assistant turn."),
    (
        {**PAIR, "non_preferred_output": [{"role": "assistant", "content": " "}]},
        "pair.output",
        "non_preferred_output holds a turn without text.",
    ),
    ({**PAIR, "non_preferred_output": [REPLY]}, "pair.same", "both outputs have the same text."),
    (
        {**PAIR, "input": {"messages": [USER, REPLY]}},
        "turns.alternation",
        "turn 3 is the assistant's; the user's was due.",
    ),
    ({**PAIR, "id": 7}, "row.keys", "the row has the unknown key 'id'."),
    (
        {**PAIR, "non_preferred_output": [{**REPLY, "content": "No\0"}]},
        "encoding.null",
        "the row holds a NUL character.",
    ),
]


@pytest.mark.parametrize(("row", "rule", "message"), PAIRS, ids=[f"{rule}: {message}" for _, rule, message in PAIRS])
def test_what_is_wrong_with_a_preference_pair_is_said_word_for_word(
    read: Read, row: object, rule: str, message: str
) -> None:
    assert (2, rule, message) in said(read(PAIR, row))


def test_a_file_for_phi_uses_no_tools_and_no_weight_0(read: Read) -> None:
    unlearned = {"messages": [USER, {**REPLY, "weight": 0}, USER, {**REPLY, "weight": 0}, USER, REPLY]}
    calls = {"id": "a", "type": "function", "function": {"name": "track", "arguments": "{}"}}
    items = read(
        CHAT,
        unlearned,
        {"messages": [USER, {"role": "assistant", "tool_calls": [calls]}], "tools": TOOLS},
        {**CHAT, "tools": TOOLS},
        {"messages": [USER, {**REPLY, "weight": 0}, USER, REPLY]},
        format=Format.PHI,
    )
    assert said(items) == [
        (2, "phi.weight", "2 replies have the weight 0, and would be learned."),
        (3, "phi.tools", "the row calls tools."),
        (4, "phi.tools", "the row lists tools."),
        (5, "phi.weight", "a reply has the weight 0, and would be learned."),
    ]
    assert [item.line for item in items if isinstance(item, Row)] == [1, 2, 5]


def test_system_turns_for_phi_are_counted_since_some_models_have_no_place_for_them(read: Read) -> None:
    prompted = {"messages": [{"role": "system", "content": "Be brief."}, USER, REPLY]}
    items = read(CHAT, prompted, prompted, format=Format.PHI)
    assert said(items) == [(None, "phi.system", "2 rows open with a system turn, the first on line 2.")]
    assert said(read(prompted)) == []


def test_a_file_for_azure_starts_with_a_byte_order_mark(read: Read) -> None:
    assert said(read(CHAT, format=Format.AZURE)) == [(None, "azure.bom", "The file has no byte order mark.")]
    assert said(read(codecs.BOM_UTF8, CHAT, format=Format.AZURE)) == []
    assert said(read(CHAT)) == []


def test_a_file_for_azure_is_smaller_than_512_mb() -> None:
    assert list(judge_azure(AZURE_LIMIT_BYTES - 1, marked=True)) == []
    assert said(list(judge_azure(AZURE_LIMIT_BYTES, marked=True))) == [
        (None, "azure.size", "The file has 512,000,000 bytes; the limit is 512,000,000.")
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_file_in_a_wide_encoding_is_one_finding_not_one_a_line(read: Read, encoding: str) -> None:
    text = f"{json.dumps(CHAT)}\n" * 3
    if encoding == "utf-32-be":
        text = f"\ufeff{text}"
    assert said(read(text.encode(encoding))) == [(None, "encoding.utf16", "The file is UTF-16 or UTF-32.")]


def test_lines_of_another_encoding_are_named_and_the_others_are_read(read: Read) -> None:
    german = {"messages": [{"role": "user", "content": "Wo bleibt Größe M?"}, REPLY]}
    as_latin = json.dumps(german, ensure_ascii=False).encode("latin-1") + b"\n"
    as_utf8 = json.dumps(german, ensure_ascii=False).encode() + b"\n"
    items = read(as_utf8, as_latin, as_utf8)
    assert said(items) == [(2, "encoding.utf8", "byte 56 of the line is not UTF-8.")]
    assert [item.line for item in items if isinstance(item, Row)] == [1, 3]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (gzip.compress(b"{}\n", mtime=0), "a gzip archive"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"PAR1\0", "a Parquet table"),
    ],
    ids=["gzip", "zip", "parquet"],
)
def test_a_packed_file_is_to_be_unpacked_first(read: Read, raw: bytes, name: str) -> None:
    assert said(read(raw)) == [(None, "file.packed", f"The file is {name}.")]


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_around_all_rows_is_one_finding_with_the_way_out(read: Read, indent: int | None) -> None:
    (finding,) = read(json.dumps([CHAT, CHAT], indent=indent).encode())
    assert isinstance(finding, Finding)
    assert (finding.rule, finding.message) == ("file.array", "The file is one JSON array.")
    assert "jq -c '.[]' FILE > rows.jsonl" in finding.fix


def test_a_list_on_the_first_line_alone_is_a_row_that_is_no_object(read: Read) -> None:
    assert said(read(["messages"], CHAT)) == [(1, "json.not_object", "the row is a list, not an object.")]


def test_an_empty_file_is_a_finding(read: Read) -> None:
    assert said(read()) == said(read(b"\n \r\n")) == [(None, "file.empty", "The file holds no rows.")]


def test_a_line_of_fifty_megabytes_is_passed_over_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.write(json.dumps(CHAT).encode() + b'\n{"messages": [{"role": "user", "content": "')
        for _ in range(50):
            file.write(b"x" * 1_000_000)
        file.write(b'"}]}\n' + json.dumps(CHAT).encode())
    assert [(item.line, getattr(item, "rule", None)) for item in open_rows(path)] == [
        (1, None),
        (2, "row.too_long"),
        (3, None),
    ]
    assert peak_bytes(path) < 45_000_000


def small(folder: Path, rows: int) -> Path:
    path = folder / f"{rows}.jsonl"
    broken = json.dumps({"messages": [USER]}).encode() + b"\n"
    with path.open("wb") as file:
        for _ in range(rows):
            file.write(json.dumps(CHAT).encode() + b"\n" + broken)
    return path


def peak_bytes(path: Path) -> int:
    """The most memory that was allocated at once while the file was read, item by item."""
    tracemalloc.start()
    try:
        for _ in open_rows(path):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    few, many = small(tmp_path, 300), small(tmp_path, 15_000)
    assert many.stat().st_size > 40 * few.stat().st_size
    peak_bytes(few)  # what is loaded on first use is not of the file
    assert peak_bytes(many) < peak_bytes(few) + 50_000


def test_a_pipe_is_read_as_a_stream(tmp_path: Path) -> None:
    pipe = tmp_path / "rows"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(json.dumps({"conversations": SAID}).encode(),))
    writer.start()
    (found,) = open_rows(pipe)
    writer.join()
    assert isinstance(found, Row)


def test_a_pipe_that_nobody_writes_to_is_given_up(tmp_path: Path) -> None:
    pipe = tmp_path / "rows"
    os.mkfifo(pipe)
    with pytest.raises(
        Invalid, match=r"rows is a pipe, and for 0\.1 seconds nobody has written to it; start the program"
    ):
        opened(pipe, patience_seconds=0.1).__enter__()
    assert not [one for one in threading.enumerate() if one.name.startswith("ThreadPool")]


def test_a_disk_that_refuses_half_way_is_a_sentence() -> None:
    # The memory of a process can be opened, and not be read at its start.
    with pytest.raises(Unavailable, match="/proc/self/mem could not be read to its end"):
        list(open_rows(Path("/proc/self/mem")))


def test_a_file_nested_to_the_edge_of_the_stack_is_read_or_refused_and_never_fails(read: Read) -> None:
    for depth in range(90, 1100, 3):
        row = b'{"messages": [], "metadata": {"a": ' + b"[" * depth + b"]" * depth + b"}}\n"
        assert {item[1] for item in said(read(row))} <= {"json.depth", "messages.empty"}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 2)
    | st.sampled_from(["", "a", "tool", "assistant", "[]", "{}", "track"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=4,
)
WHOLE = [
    {
        "messages": [USER, {"role": "assistant", "tool_calls": []}, {"role": "tool", "tool_call_id": "a"}],
        "tools": TOOLS,
    },
    {"conversations": [SAID[0], ASKED, {"from": "observation", "value": "Oslo"}, SAID[1]], "tools": [TRACK]},
    {**PAIR, "metadata": {}},
]


@settings(max_examples=300)
@given(st.data())
def test_no_row_makes_a_reader_fail_whatever_stands_in_a_place(data: st.DataObject) -> None:
    row = json.loads(json.dumps(data.draw(st.sampled_from(WHOLE))))
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = row
        while True:
            spots = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not spots:
                break
            spot = data.draw(st.sampled_from(spots))
            if not isinstance(place[spot], dict | list) or data.draw(st.booleans()):
                place[spot] = data.draw(JSON)
                break
            place = place[spot]
    for shape in (Format.OPENAI, Format.SHAREGPT, Format.DPO):
        for item in reading_of(shape)(json.dumps(row).encode(), 1):
            assert isinstance(item, Row | Finding)
