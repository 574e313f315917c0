from __future__ import annotations

import codecs
import json
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import TypeAdapter

from curation.conversation import Conversation, Message, Role, Tool, ToolCall
from curation.errors import Invalid, Unavailable
from curation.findings import Finding, Severity
from curation.formats.exports import ExportRow, limits, losses, write, write_atomically
from curation.formats.format import AZURE_LIMIT_BYTES, Format
from curation.formats.jsonl import Row
from curation.formats.reading import open_rows
from curation.formats.unseen import is_blank

MESSAGE_TYPE: TypeAdapter[Any] = TypeAdapter(ChatCompletionMessageParam)
TOOL_TYPE: TypeAdapter[Any] = TypeAdapter(ChatCompletionToolParam)
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")
TEXT = st.text(CHARACTERS, min_size=1).filter(lambda text: not is_blank(text))
NAME = st.none() | st.text(CHARACTERS)
TOOLS = (Tool("track", "Where a parcel is.", {"type": "object"}, strict=True), Tool("lost_and-found"))
ARGUMENTS = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(-9, 9) | TEXT, max_size=2)


@st.composite
def turns_with_calls(draw: st.DrawFn, keys: Iterator[int], *, plain: bool) -> list[Message]:
    """Calls of one assistant turn and their results; ``plain``: one call, and nothing said beside it."""
    ids = [f"call_{next(keys)}" for _ in range(1 if plain else draw(st.integers(1, 3)))]
    names = st.sampled_from([tool.name for tool in TOOLS])
    calls = tuple(ToolCall(key, draw(names), json.dumps(draw(ARGUMENTS), ensure_ascii=False)) for key in ids)
    weight = None if plain else draw(st.sampled_from([None, 0, 1]))
    asking = Message(Role.ASSISTANT, "" if plain else draw(st.just("") | TEXT), weight=weight, tool_calls=calls)
    return [asking, *(Message(Role.TOOL, draw(TEXT), tool_call_id=key) for key in ids)]


@st.composite
def conversations(draw: st.DrawFn, *, tools: bool = True, plain: bool = False) -> Conversation:
    """Valid dialogues; ``plain`` ones have neither weights nor names."""
    turns = [Message(Role.SYSTEM, draw(TEXT))] if draw(st.booleans()) else []
    offered = tools and draw(st.booleans())
    weights = st.just(None) if plain else st.sampled_from([None, 0, 1])
    keys = count(1)
    for weight in draw(st.lists(weights, min_size=1, max_size=4).filter(lambda given: set(given) != {0})):
        name = None if plain else draw(NAME)
        turns.append(Message(Role.USER, draw(TEXT), name=name))
        if offered and draw(st.booleans()):
            turns += draw(turns_with_calls(keys, plain=plain))
        turns.append(Message(Role.ASSISTANT, draw(TEXT), weight=weight, name=None if plain else draw(NAME)))
    parallel = draw(st.sampled_from([None, True])) if offered and not plain else None
    return Conversation(tuple(turns), TOOLS if offered else (), parallel)


def example(reply: str = "On Monday.", *, weight: int | None = None, rejected: str | None = None) -> ExportRow:
    turns = (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "When?"), Message(Role.ASSISTANT, reply, weight))
    return ExportRow(Conversation(turns), rejected)


def written(rows: list[ExportRow], target: Format, path: Path) -> list[object]:
    assert write(rows, target, path) == len(path.read_bytes().splitlines())
    return [json.loads(line) for line in path.read_text(encoding="utf-8-sig").splitlines()]


def read_back(rows: list[ExportRow], target: Format) -> list[Row | Finding]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.jsonl"
        assert write(iter(rows), target, path) == len(rows)
        # Readers that split at every Unicode line break see the same rows.
        assert len(path.read_text(encoding="utf-8-sig").splitlines()) == len(rows)
        assert losses(rows, target) == []
        detected = list(open_rows(path))
        told = [item for item in open_rows(path, target) if getattr(item, "rule", "") != "phi.system"]
        assert told == detected
        return detected


@given(st.lists(conversations(), min_size=1, max_size=4), st.sampled_from([Format.OPENAI, Format.AZURE]))
def test_openai_and_azure_carry_weights_names_and_tools(originals: list[Conversation], target: Format) -> None:
    rows = read_back([ExportRow(original) for original in originals], target)
    assert rows == [Row(line, original) for line, original in enumerate(originals, start=1)]


@settings(max_examples=30)
@given(conversations(), TEXT)
def test_the_types_of_the_openai_package_take_what_is_written(original: Conversation, rejected: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for target in (Format.OPENAI, Format.DPO):
            path = Path(folder) / target
            write([ExportRow(original, rejected)], target, path)
            row = json.loads(path.read_text(encoding="utf-8"))
            given = row if target is Format.OPENAI else row["input"]
            outputs = [turn for key in ("preferred_output", "non_preferred_output") for turn in row.get(key, [])]
            for turn in [*given["messages"], *outputs]:
                # Weights are of fine-tuning files; requests, which the types describe, have none.
                turn.pop("weight", None)
                taken = MESSAGE_TYPE.validate_python(turn, strict=True)
                assert {**taken, "tool_calls": list(taken.get("tool_calls", []))} == {"tool_calls": [], **turn}
            tools = given.get("tools", [])
            assert [TOOL_TYPE.validate_python(tool, strict=True) for tool in tools] == tools


@given(st.lists(conversations(tools=False, plain=True), min_size=1, max_size=4))
def test_phi_carries_roles_and_contents(originals: list[Conversation]) -> None:
    rows = read_back([ExportRow(original) for original in originals], Format.PHI)
    assert rows == [Row(line, original) for line, original in enumerate(originals, start=1)]


@given(st.lists(conversations(plain=True), min_size=1, max_size=4))
def test_sharegpt_carries_turns_and_tools(originals: list[Conversation]) -> None:
    rows = read_back([ExportRow(original) for original in originals], Format.SHAREGPT)
    assert rows == [Row(line, original) for line, original in enumerate(originals, start=1)]


@given(st.lists(st.tuples(conversations(), TEXT), min_size=1, max_size=4))
def test_a_pair_carries_turns_tools_and_both_replies(originals: list[tuple[Conversation, str]]) -> None:
    bare = [
        (Conversation(tuple(replace(turn, weight=None, name=None) for turn in one.messages), *box(one)), f"{rejected}!")
        for one, rejected in originals
        if one.messages[-1].content.strip() != f"{rejected}!".strip()
    ]
    rows = read_back([ExportRow(*pair) for pair in bare], Format.DPO) if bare else []
    assert rows == [Row(line, one, {}, rejected) for line, (one, rejected) in enumerate(bare, start=1)]


def box(conversation: Conversation) -> tuple[tuple[Tool, ...], bool | None]:
    return conversation.tools, conversation.parallel_tool_calls


def test_azure_gets_one_byte_order_mark_and_nobody_else_does(tmp_path: Path) -> None:
    for target in Format:
        write([example(rejected="Never."), example(rejected="Never.")], target, tmp_path / target)
        marks = (tmp_path / target).read_bytes().count(codecs.BOM_UTF8)
        assert marks == (1 if target is Format.AZURE else 0)


def test_phi_rows_hold_roles_and_contents_only(tmp_path: Path) -> None:
    assert written([example(weight=1)], Format.PHI, tmp_path / "phi.jsonl") == [
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "When?"},
                {"role": "assistant", "content": "On Monday."},
            ]
        }
    ]


def test_sharegpt_rows_name_the_speakers_its_way(tmp_path: Path) -> None:
    assert written([example()], Format.SHAREGPT, tmp_path / "s.jsonl") == [
        {
            "conversations": [
                {"from": "system", "value": "Be brief."},
                {"from": "human", "value": "When?"},
                {"from": "gpt", "value": "On Monday."},
            ]
        }
    ]


def test_a_correction_gives_a_preference_pair_and_an_endorsement_gives_none(tmp_path: Path) -> None:
    rows = [example(), example("On Monday.", weight=1, rejected="On Sunday.")]
    assert written(rows, Format.DPO, tmp_path / "dpo.jsonl") == [
        {
            "input": {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "When?"}]},
            "preferred_output": [{"role": "assistant", "content": "On Monday."}],
            "non_preferred_output": [{"role": "assistant", "content": "On Sunday."}],
        }
    ]
    assert [finding.message for finding in losses(rows, Format.DPO)] == [
        "1 of 2 rows have no rejected reply and are left out."
    ]


def test_a_pair_that_does_not_end_with_the_assistant_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    row = ExportRow(Conversation((Message(Role.USER, "When?"),)), rejected="Never.")
    with pytest.raises(Invalid, match="must end with the assistant"):
        write([example(rejected="No."), row], Format.DPO, tmp_path / "dpo.jsonl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("target", "lost"),
    [
        (Format.OPENAI, []),
        (Format.AZURE, []),
        (Format.PHI, ["export.weight"]),
        (Format.SHAREGPT, ["export.weight"]),
    ],
)
def test_a_target_that_ignores_weights_says_so(target: Format, lost: list[str]) -> None:
    assert [finding.rule for finding in losses([example(weight=0), example()], target)] == lost


ASKS = ToolCall("a", "track", '{"number": 7}')
WITH_TOOLS = Conversation(
    (
        Message(Role.USER, "Where is it?", name="Ada"),
        Message(Role.ASSISTANT, "", tool_calls=(ASKS,)),
        Message(Role.TOOL, "Oslo", tool_call_id="a"),
        Message(Role.ASSISTANT, "In Oslo."),
    ),
    (Tool("track", parameters={"type": "object"}),),
)
SEVERAL = replace(
    WITH_TOOLS,
    messages=(
        WITH_TOOLS.messages[0],
        Message(Role.ASSISTANT, "", tool_calls=(ASKS, replace(ASKS, id="b"))),
        WITH_TOOLS.messages[2],
        Message(Role.TOOL, "Oslo", tool_call_id="b"),
        WITH_TOOLS.messages[3],
    ),
)


def test_tools_are_written_as_openai_documents_them(tmp_path: Path) -> None:
    (row,) = written([ExportRow(WITH_TOOLS)], Format.OPENAI, tmp_path / "tools.jsonl")
    assert row == {
        "messages": [
            {"role": "user", "content": "Where is it?", "name": "Ada"},
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "track", "arguments": '{"number": 7}'}}
                ],
            },
            {"role": "tool", "content": "Oslo", "tool_call_id": "a"},
            {"role": "assistant", "content": "In Oslo."},
        ],
        "tools": [{"type": "function", "function": {"name": "track", "parameters": {"type": "object"}}}],
    }


def test_sharegpt_gets_calls_and_results_as_turns(tmp_path: Path) -> None:
    (row,) = written([ExportRow(WITH_TOOLS)], Format.SHAREGPT, tmp_path / "tools.jsonl")
    assert row == {
        "conversations": [
            {"from": "human", "value": "Where is it?"},
            {"from": "function_call", "value": '{"name": "track", "arguments": {"number": 7}}'},
            {"from": "observation", "value": "Oslo"},
            {"from": "gpt", "value": "In Oslo."},
        ],
        "tools": '[{"name":"track","parameters":{"type":"object"}}]',
    }


@pytest.mark.parametrize(
    ("target", "left", "sentences"),
    [
        (Format.OPENAI, 3, []),
        (
            Format.PHI,
            1,
            ["2 of 3 rows use tools in a way that phi cannot hold and are left out."],
        ),
        (
            Format.SHAREGPT,
            2,
            [
                "1 of 3 rows use tools in a way that sharegpt cannot hold and are left out.",
                "1 of 3 rows have names of speakers; sharegpt leaves them out.",
            ],
        ),
    ],
)
def test_rows_that_a_target_cannot_hold_are_left_out_and_counted(
    tmp_path: Path, target: Format, left: int, sentences: list[str]
) -> None:
    rows = [example(), ExportRow(WITH_TOOLS), ExportRow(SEVERAL)]
    assert len(written(rows, target, tmp_path / "rows.jsonl")) == left
    assert [finding.message for finding in losses(rows, target)] == sentences


def test_labels_stay_in_errata_and_that_is_said() -> None:
    (finding,) = losses([replace(example(), labels=("topic",)), example()], Format.OPENAI)
    assert finding.message == "1 of 2 rows have a topic, a language or the like; openai carries none of them."
    assert finding.severity is Severity.INFO


@pytest.mark.parametrize("target", list(Format))
def test_fewer_than_ten_rows_are_a_finding_before_they_are_uploaded(target: Format) -> None:
    assert limits(10, 1_000, target) == []
    refused = target in (Format.OPENAI, Format.AZURE, Format.DPO)
    assert [finding.message for finding in limits(9, 1_000, target)] == (
        ["The file has 9 rows; 10 are the least."] if refused else []
    )


def test_a_file_too_large_for_azure_is_an_error() -> None:
    assert limits(10, AZURE_LIMIT_BYTES - 1, Format.AZURE) == limits(10, AZURE_LIMIT_BYTES, Format.OPENAI) == []
    (finding,) = limits(10, AZURE_LIMIT_BYTES, Format.AZURE)
    assert (finding.rule, finding.severity) == ("export.size", Severity.ERROR)


def test_a_full_disk_leaves_the_earlier_file_and_no_remains(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("earlier")
    with (
        file_size_at_most(50_000),
        pytest.raises(Unavailable, match=r"out\.jsonl could not be written \(File too large"),
    ):
        write([example("x" * 1_000)] * 100, Format.OPENAI, path)
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


@contextmanager
def file_size_at_most(size: int) -> Iterator[None]:
    """As on a full disk: the kernel refuses to write more of any file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write([example(), example("Übermorgen 🙂")], Format.OPENAI, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert "Übermorgen 🙂" in (tmp_path / "one").read_text(encoding="utf-8")


def test_a_failure_half_way_leaves_the_earlier_file_and_no_remains(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("earlier")

    def rows() -> Iterator[ExportRow]:
        yield example()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(rows(), Format.OPENAI, path)
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["missing/out.jsonl", "folder"])
def test_a_disk_that_refuses_is_a_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(Unavailable, match="could not be written"):
        write_atomically(tmp_path / name, [b"x"])
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
