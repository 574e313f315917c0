from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.conversation import Conversation, Message, Role
from curation.errors import Invalid
from curation.findings import Finding, Severity
from curation.jsonl import MAX_LINE_BYTES, RULES, Row, _read_any, open_jsonl, read

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


BROKEN = {
    "encoding.utf8": line(USER, REPLY).replace(b"Monday", b"M\xffnday"),
    "encoding.null": line(USER, reply(content="a\0b")),
    "encoding.surrogate": line(USER, REPLY, metadata={"topic": "\ud800"}),
    "json.syntax": b'{"messages": [',
    "json.not_object": b'["messages"]',
    "json.duplicate_key": line(USER, REPLY).replace(b'"role": "user"', b'"role": "user", "role": "user"'),
    "json.number": line(USER, REPLY, metadata={"score": float("nan")}),
    "row.keys": line(USER, REPLY, id=7),
    "metadata.type": line(USER, REPLY, metadata=["en"]),
    "messages.missing": b'{"prompt": "Hi", "metadata": {}}',
    "messages.empty": line(),
    "message.not_object": line(USER, REPLY, "Bye"),
    "message.keys": line(USER, reply(author="Robin")),
    "role.unknown": line(USER, reply(role="bot")),
    "role.system_late": line(USER, {"role": "system", "content": "Be brief."}, REPLY),
    "turns.alternation": line(USER, USER, REPLY),
    "turns.last": line(USER),
    "turns.no_user": line({"role": "system", "content": "Be brief."}, REPLY),
    "content.missing": line(USER, {"role": "assistant"}),
    "content.empty": line(USER, reply(content=" \n")),
    "content.type": line(USER, reply(content=[{"type": "text", "text": "Hi"}])),
    "weight.value": line(USER, reply(weight=2)),
    "weight.role": line({**USER, "weight": 0}, REPLY),
    "weight.all_zero": line(USER, reply(weight=0)),
    "name.type": line({**USER, "name": 7}, REPLY),
    "tools.unsupported": line(USER, {"role": "tool", "content": "42"}, REPLY),
}


@pytest.mark.parametrize(("rule", "raw"), BROKEN.items(), ids=BROKEN)
def test_each_rule_finds_the_row_that_breaks_it_and_names_its_line(rule: str, raw: bytes) -> None:
    items = list(read([line(USER, REPLY), raw]))
    findings = [item for item in items if isinstance(item, Finding)]
    assert rule in [finding.rule for finding in findings]
    assert {finding.line for finding in findings} == {2}
    has_row = any(isinstance(item, Row) and item.line == 2 for item in items)
    assert has_row == all(finding.severity is Severity.WARNING for finding in findings)


def test_every_rule_of_the_list_is_shown_broken_by_a_test() -> None:
    elsewhere = {"file.empty", "row.too_long", "encoding.bom"}
    assert {rule.id for rule in RULES} == {*BROKEN, *elsewhere}


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


@pytest.mark.parametrize("extra", [{"tools": []}, {"functions": []}, {"parallel_tool_calls": True}])
def test_rows_with_tools_are_refused_in_words(extra: dict[str, Any]) -> None:
    findings = [item for item in read([line(USER, REPLY, **extra)]) if isinstance(item, Finding)]
    assert [finding.rule for finding in findings] == ["tools.unsupported"]
    assert "not supported yet" in findings[0].message


def test_an_assistant_that_speaks_first_breaks_the_alternation() -> None:
    assert rules(line(REPLY, USER, REPLY)) == ["turns.alternation"]


@pytest.mark.parametrize("raw", [b'{"a":1e999}', b'{"a":-Infinity}', b'{"a":' + b"9" * 5000 + b"}"])
def test_numbers_that_cannot_be_kept_are_found(raw: bytes) -> None:
    assert "json.number" in rules(raw)


def test_a_row_nested_too_deeply_is_a_syntax_finding() -> None:
    assert rules(b'{"messages":' + b"[" * 200_000 + b"]" * 200_000 + b"}") == ["json.syntax"]


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


FRAGMENTS = (
    rb'"|\|:|,|{|}| |\u0000|\ud800|NaN|1e999|"role":"user"|"content":"a",|"weight":1,|"weight":true,|"name":"N",'
    rb'|"messages":[],|1.0|"metadata":{"a":1,"a":2},|\":|"metadata" :{}|\u0063|tool|null|0|"x\\":1,|'
).split(b"|")
FRAGMENTS += [b"\t", b"\xff", b"\xef\xbb\xbf"]


@given(st.data())
def test_the_fast_path_takes_only_rows_that_the_careful_path_takes_alike(data: st.DataObject) -> None:
    raw = data.draw(
        st.sampled_from(
            [
                line(USER, REPLY).rstrip(),
                line(USER, reply(weight=1, name="N"), metadata={"a": 1, "b": {"c": "d"}}).rstrip(),
                b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","weight":1}]}',
            ]
        )
    )
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.integers(start, min(len(raw), start + 12)))
        raw = raw[:start] + data.draw(st.sampled_from(FRAGMENTS)) + raw[end:]
    if raw.strip():
        assert [item for item in read([b"{}", raw]) if item.line == 2] == list(_read_any(raw, 2))


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail(raw: bytes) -> None:
    for item in read([raw]):
        assert isinstance(item, Row | Finding)
