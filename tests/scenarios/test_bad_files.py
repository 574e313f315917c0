"""Bad files through the front door: what people type, the sentence they read, and the exit code."""

from __future__ import annotations

import codecs
import io
import json
import os
import resource
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from shell import Shell

USER = {"role": "user", "content": "Where is my parcel?"}
REPLY = {"role": "assistant", "content": "It arrives on Monday."}
CALL = {"id": "a", "type": "function", "function": {"name": "track", "arguments": "{}"}}
TOOLS = [{"type": "function", "function": {"name": "track"}}]
MODEL = ("--model", "phi-4-mini-instruct")


def line(*messages: object, **row: object) -> bytes:
    return json.dumps({"messages": list(messages), **row}).encode()


def weighted(weight: object) -> bytes:
    return line(USER, {**REPLY, "weight": weight})


BAD: dict[str, tuple[bytes, str]] = {
    "a byte order mark in the middle": (
        codecs.BOM_UTF8 + line(USER, REPLY),
        (
            "line 2: the line starts with a byte order mark. "
            "Remove it; it is usually left over from joining two files. [encoding.bom]"
        ),
    ),
    "old Mac line ends": (
        line(USER, REPLY) + b"\r" + line(USER, REPLY),
        (
            "line 2: a carriage return stands where the row ends. "
            "Replace the carriage returns (CR) between the rows with newlines. [row.line_break]"
        ),
    ),
    "another encoding": (
        line(USER, REPLY).replace(b"Monday", b"M\xe4rz"),
        "line 2: byte 116 of the line is not UTF-8. Save the file as UTF-8. [encoding.utf8]",
    ),
    "an endless line": (
        line({**USER, "content": "x" * 10_100_000}, REPLY),
        (
            "line 2: the line is longer than 10,000,000 bytes. "
            "Split the dialogue, or check that lines end in a newline. [row.too_long]"
        ),
    ),
    "deep nesting": (
        b"[" * 100_000,
        "line 2: the row is nested too deeply to be read. Flatten what is nested. [json.depth]",
    ),
    "a key twice": (
        b'{"messages": [], "messages": []}',
        "line 2: the key 'messages' stands more than once in one object. Keep one of the two. [json.duplicate_key]",
    ),
    "NaN": (
        line(USER, REPLY, metadata={"score": float("nan")}),
        "line 2: NaN is not a JSON number. Write a finite number, or leave the key out. [json.number]",
    ),
    "half a character": (
        line(USER, {**REPLY, "content": "\ud83d"}),
        (
            "line 2: the row holds half of a surrogate pair. "
            "Write the whole character, or remove it. [encoding.surrogate]"
        ),
    ),
    "NUL": (
        line(USER, {**REPLY, "content": "a\0b"}),
        "line 2: the row holds a NUL character. Remove the character U+0000. [encoding.null]",
    ),
    "a weight in quotes": (
        weighted("1"),
        "line 2: turn 2 has the weight '1'. Write 0, write 1, or leave the key out. [weight.value]",
    ),
    "a weight that is true": (
        weighted(True),
        "line 2: turn 2 has the weight true. Write 0, write 1, or leave the key out. [weight.value]",
    ),
    "a weight of 2": (
        weighted(2),
        "line 2: turn 2 has the weight 2. Write 0, write 1, or leave the key out. [weight.value]",
    ),
    "a weight on a user's turn": (
        line({**USER, "weight": 1}, REPLY),
        "line 2: turn 1 has a weight and is not the assistant's. Remove it here. [weight.role]",
    ),
    "nothing but weight 0": (
        weighted(0),
        (
            "line 2: every reply has the weight 0, so nothing is learned from the row. "
            "Give one reply the weight 1. [weight.all_zero]"
        ),
    ),
    "a late system turn": (
        line(USER, REPLY, {"role": "system", "content": "Be brief."}, USER, REPLY),
        "line 2: turn 3 is a system turn. Make it the first message, or remove it. [role.system_late]",
    ),
    "a result without a call": (
        line(USER, {"role": "tool", "tool_call_id": "a", "content": "Oslo"}, REPLY),
        (
            "line 2: turn 2 answers the call 'a', which does not wait for a result there. "
            "Set tool_call_id to the id of the call, or remove the turn. [tools.unasked]"
        ),
    ),
    "a call without a result": (
        line(USER, {"role": "assistant", "tool_calls": [CALL]}, REPLY, tools=TOOLS),
        (
            "line 2: turn 3 comes before the result of the call 'a'. "
            'Add {"role": "tool", "tool_call_id": "...", "content": "..."} after the call. [tools.unanswered]'
        ),
    ),
}


@pytest.mark.parametrize(("raw", "sentence"), BAD.values(), ids=BAD)
def test_an_import_is_refused_with_the_line_and_the_remedy(
    errata: Shell, tmp_path: Path, raw: bytes, sentence: str
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(line(USER, REPLY) + b"\r\n" + raw + b"\n")
    code, out, err = errata("import", str(file))
    assert (code, out) == (1, "")
    assert f"  {sentence}\n" in err
    assert "nothing was imported. Correct the lines, or import the others with --skip-invalid." in err
    assert "1 candidates added" in errata("import", str(file), "--skip-invalid")[1]


def test_a_check_reports_every_bad_line_in_one_pass(errata: Shell, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"\n".join(raw for raw, _ in BAD.values()))
    code, out, _ = errata("check", str(file), *MODEL, "--json")
    assert code == 1
    found = {(finding["line"], finding["rule"]) for finding in json.loads(out)["findings"]}
    wanted = {(number, sentence.split()[-1].strip("[]")) for number, (_, sentence) in enumerate(BAD.values(), start=1)}
    # A mark that starts the whole file is none in the middle.
    assert wanted - found == {(1, "encoding.bom")}
    code, out, _ = errata("check", str(file), *MODEL)
    assert (code, "Next: correct what is named above, then check again." in out) == (1, True)


def test_a_file_of_each_format_is_checked_as_what_it_is(errata: Shell, tmp_path: Path) -> None:
    said = [{"from": "human", "value": "Where is it?"}, {"from": "gpt", "value": "In Oslo."}]
    pair = {"input": {"messages": [USER]}, "preferred_output": [REPLY], "non_preferred_output": [USER]}
    for name, row, rule in (
        ("sharegpt", {"conversations": [*said, said[1]]}, "turns.alternation"),
        ("dpo", pair, "pair.output"),
        ("phi", {"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}], "tools": TOOLS}, "phi.tools"),
        ("azure", {"messages": [USER, REPLY]}, "azure.bom"),
    ):
        (tmp_path / name).write_text(json.dumps(row))
        given = ("--from", name) if name in ("phi", "azure") else ()
        code, out, _ = errata("check", name, *MODEL, *given, "--json")
        assert (name, code) == (name, 1)
        assert rule in [finding["rule"] for finding in json.loads(out)["findings"]]
    assert errata("check", "dpo", *MODEL, "--from", "parquet")[0] == 2


def test_a_preference_pair_is_imported_as_a_correction_of_the_rejected_reply(errata: Shell, tmp_path: Path) -> None:
    flagged = {"role": "assistant", "content": "Never."}
    pair = {"input": {"messages": [USER]}, "preferred_output": [REPLY], "non_preferred_output": [flagged]}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(pair))
    assert errata("import", "pairs.jsonl")[0] == 0
    (waiting,) = json.loads(errata("queue", "--json")[1])
    assert (waiting["reply"], waiting["correction"]) == ("Never.", "It arrives on Monday.")
    attested = ("--approve-as", "ana", "--reason", "Reviewed before.")
    assert errata("import", "pairs.jsonl", *attested)[0] == 0
    assert errata("export", "--format", "dpo", "--out", "again.jsonl")[0] == 0
    assert json.loads((tmp_path / "again.jsonl").read_text()) == pair


def test_a_dialogue_with_tools_goes_in_and_comes_out_whole(errata: Shell, tmp_path: Path) -> None:
    result = {"role": "tool", "content": "It left Oslo.", "tool_call_id": "a"}
    row = {"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}, result, REPLY], "tools": TOOLS}
    (tmp_path / "tools.jsonl").write_text(json.dumps(row))
    assert errata("import", "tools.jsonl", "--approve-as", "ana", "--reason", "Reviewed before.")[0] == 0
    assert errata("export", "--format", "openai", "--out", "again.jsonl")[0] == 0
    assert json.loads((tmp_path / "again.jsonl").read_text()) == row
    code, _, err = errata("export", "--format", "phi", "--out", "phi.jsonl")
    assert (code, "all of the 1 rows use tools in a way that phi cannot hold" in err) == (1, True)
    (tmp_path / "plain.jsonl").write_bytes(line(USER, REPLY))
    assert errata("import", "plain.jsonl", "--approve-as", "ana", "--reason", "Reviewed before.")[0] == 0
    code, out, err = errata("export", "--format", "phi", "--out", "phi.jsonl")
    assert (code, out.startswith("1 row is in phi.jsonl.")) == (0, True)
    assert "1 of 2 rows use tools in a way that phi cannot hold and are left out." in err
    assert errata("import", "tools.jsonl")[0] == 0
    (waiting,) = json.loads(errata("queue", "--json")[1])
    assert waiting["turns"][1][1] == '{"name": "track", "arguments": "{}"}'


def test_a_row_that_ends_with_calls_is_attested_or_not_taken(errata: Shell, tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl").write_bytes(line(USER, {"role": "assistant", "tool_calls": [CALL]}, tools=TOOLS))
    code, _, err = errata("import", "calls.jsonl")
    assert (code, err.startswith("line 1: the last turn calls tools, and a reviewer decides about words.")) == (2, True)
    assert errata("import", "calls.jsonl", "--approve-as", "ana", "--reason", "Reviewed before.")[0] == 0


NO_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "The file holds no rows. Export the dialogues again, one JSON object per line. [file.empty]"),
    "wide": (
        f"{json.dumps({'messages': [USER, REPLY]})}\n".encode("utf-16"),
        "The file is UTF-16 or UTF-32. Save the file as UTF-8. [encoding.utf16]",
    ),
    "packed": (
        b"PK\x03\x04...",
        "The file is a zip archive. Unpack it first, and name a JSONL file that was in it. [file.packed]",
    ),
    "array": (
        json.dumps([{"messages": [USER, REPLY]}], indent=1).encode(),
        "The file is one JSON array. Write a row per line: jq -c '.[]' FILE > rows.jsonl [file.array]",
    ),
}


@pytest.mark.parametrize(("raw", "sentence"), NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_of_rows_is_said_once(errata: Shell, tmp_path: Path, raw: bytes, sentence: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(raw)
    for command in (("check", "rows.jsonl", *MODEL), ("import", "rows.jsonl")):
        code, out, err = errata(*command)
        assert code == 1
        assert (out + err).count(sentence) == 1


def test_a_directory_and_a_missing_file_are_wrong_use(errata: Shell, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    refusal = "folder is a directory; name one JSONL file in it.\n"
    assert errata("check", "folder", *MODEL) == (2, "", refusal)
    assert errata("import", "folder") == (2, "", refusal)
    assert errata("import", "nothing.jsonl") == (2, "", "nothing.jsonl: there is no such file; check the path.\n")
    assert errata("export", "--format", "openai", "--out", "folder")[0] == 2


def test_a_file_that_may_not_be_read_is_said_to_be(errata: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder, acting_as_nobody(Path(folder), monkeypatch):
        refusal = "secret.jsonl cannot be opened (Permission denied); check who may read it.\n"
        assert errata("import", "secret.jsonl") == (2, "", refusal)


@contextmanager
def acting_as_nobody(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In a folder where anybody may look around, beside a file that nobody may read; root may read every file."""
    (folder / "secret.jsonl").write_bytes(line(USER, REPLY))
    (folder / "secret.jsonl").chmod(0)
    folder.chmod(0o755)
    monkeypatch.chdir(folder)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if before == 0:
            os.seteuid(0)


def test_standard_input_is_a_file_like_others(errata: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def typed(raw: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))

    typed(line(USER) + b"\n" + line(USER, REPLY))
    code, out, _ = errata("check", "-", *MODEL)
    assert code == 1
    assert "line 1: the last turn is the user's; it must be the assistant's." in out
    typed(b"\n".join(line({**USER, "content": f"Where is {number}?"}, REPLY) for number in range(10)))
    code, out, _ = errata("check", "-", *MODEL)
    assert (code, out.splitlines()[-1]) == (0, "Next: put the rows into a file, then: errata import FILE")
    typed(line(USER, REPLY))
    assert "1 candidates added" in errata("import", "-")[1]


def test_a_named_pipe_is_read_to_its_end(errata: Shell, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(line(USER, REPLY),))
    writer.start()
    code, out, _ = errata("import", "pipe")
    writer.join()
    assert (code, "1 candidates added" in out) == (0, True)


def test_an_export_to_a_full_disk_writes_nothing_under_the_name(errata: Shell, tmp_path: Path) -> None:
    long = {**REPLY, "content": "Monday. " * 25_000}
    (tmp_path / "rows.jsonl").write_bytes(line(USER, long))
    assert errata("import", "rows.jsonl", "--approve-as", "ana", "--reason", "Reviewed before.")[0] == 0
    assert errata("privacy", "scan", "--examples")[0] == 0  # what an export looks for first is known, and kept
    out = tmp_path / "out" / "rows.jsonl"
    out.parent.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        code, said, err = errata("export", "--format", "openai", "--out", str(out))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (code, said) == (3, "")
    assert err == f"{out} could not be written (File too large); check the folder, its rights and free space.\n"
    assert list(out.parent.iterdir()) == []
    exported = [entry["action"] for entry in json.loads(errata("audit", "search", "--json")[1])]
    assert "examples.exported" not in exported


def test_nothing_takes_the_place_of_a_pipe_a_device_or_standard_output(errata: Shell, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(line(USER, REPLY))
    assert errata("import", "rows.jsonl", "--approve-as", "ana", "--reason", "Reviewed before.")[0] == 0
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to-pipe").symlink_to("pipe")
    (tmp_path / "circle").symlink_to("circle")
    for out, sentence in (
        ("pipe", "pipe is a device or a pipe, whose place no file may take; name a file.\n"),
        ("to-pipe", "to-pipe is a device or a pipe, whose place no file may take; name a file.\n"),
        ("circle", "circle is a link that leads to itself; name a file.\n"),
        ("-", "- is no file: what is written here is written whole or not at all. Name a file.\n"),
    ):
        assert errata("export", "--format", "openai", "--out", out) == (2, "", sentence)
        assert errata("clean", "rows.jsonl", "--out", out) == (2, "", sentence)
    assert (tmp_path / "pipe").is_fifo()
    assert not (tmp_path / "-").exists()


def test_an_export_to_a_link_is_written_where_the_link_leads(errata: Shell, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(line(USER, REPLY))
    assert errata("import", "rows.jsonl", "--approve-as", "ana", "--reason", "Reviewed before.")[0] == 0
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.jsonl").symlink_to("elsewhere/rows.jsonl")
    for _ in range(2):
        assert errata("export", "--format", "openai", "--out", "link.jsonl")[0] == 0
    assert (tmp_path / "link.jsonl").is_symlink()
    assert json.loads((tmp_path / "elsewhere" / "rows.jsonl").read_text())["messages"] == [USER, REPLY]


def test_a_table_with_a_broken_row_is_not_imported_by_guesses(errata: Shell, tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text('q,a\nOpen?,No.\n"He said "x\nWell, that is it\nbye",A.\nWhere?,Oslo.\n')
    mapped = ("--map", "q=user", "--map", "a=assistant")
    for more in ((), ("--skip-invalid",)):
        code, out, err = errata("import", "tickets.csv", *mapped, *more)
        assert (code, out) == (1, "")
        assert "line 3: the quotes do not match" in err
        assert "Where rows begin after line 3 is a guess, so none of them is taken." in err
        assert err.endswith("tickets.csv: nothing was imported. Correct the lines.\n")
    (tmp_path / "tickets.csv").write_text("q,a\nOpen?,No.\nWhere?\n")
    assert "1 candidates added" in errata("import", "tickets.csv", *mapped, "--skip-invalid")[1]


def test_a_turn_in_which_nobody_sees_anything_is_blank(errata: Shell, tmp_path: Path) -> None:
    for number, nothing in enumerate(("\u200b", " \u2060\n", "\u00ad", "\x1b[31m")):
        (tmp_path / "rows.jsonl").write_text(json.dumps({"messages": [USER | {"content": nothing}, REPLY]}))
        code, out, _ = errata("check", "rows.jsonl", *MODEL)
        assert (number, code, "line 1: turn 1 is blank." in out) == (number, 1, True)


def test_personal_data_is_looked_for_in_whatever_can_be_read(
    errata: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"line": 2, "kind": "email", "value": "kari@nordmann.no"}
    said = b"\xef\xbb\xbf" + b"[" * 100_000 + b'\n{"a": ["kari@nordmann.no"]}\n' + b"[" * 950 + b"1" + b"]" * 950
    (tmp_path / "deep.txt").write_bytes(said)
    assert json.loads(errata("privacy", "scan", "deep.txt", "--json")[1]) == {"findings": [found]}
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(said,))
    writer.start()
    assert json.loads(errata("privacy", "scan", "pipe", "--json")[1]) == {"findings": [found]}
    writer.join()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(said)))
    assert json.loads(errata("privacy", "scan", "-", "--json")[1]) == {"findings": [found]}


def test_what_cannot_be_looked_through_is_told_with_its_line(errata: Shell, tmp_path: Path) -> None:
    for raw, sentence in (
        (b"a\n\xff\n", "rows.txt, line 2: it is not UTF-8; save the file as UTF-8 text.\n"),
        (b"a" * 10_000_001, "rows.txt, line 1: it is longer than 10,000,000 bytes; split it.\n"),
    ):
        (tmp_path / "rows.txt").write_bytes(raw)
        assert errata("privacy", "scan", "rows.txt") == (2, "", sentence)
    refused = errata("privacy", "scan", "nothing.txt")
    assert refused == (2, "", "nothing.txt: there is no such file; check the path.\n")


def test_cleaning_names_what_it_passes_on_and_reads_standard_input(
    errata: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy = line({**USER, "content": "Hei <@U123ABC>\u200b"}, REPLY)
    said = noisy + b"\nno row\n\n" + b"[" * 100_000 + b'\n{"conversations": []}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(said)))
    code, out, err = errata("clean", "-", "--out", "out.jsonl")
    assert (code, out) == (
        0,
        "1 of 5 rows are changed. They are in out.jsonl. Next: errata check out.jsonl --model MODEL\n",
    )
    assert "3 lines are no rows of chat and passed on as they are; errata check says what is wrong: 2, 4, 5\n" in err
    assert "1 line is left with a chat program's mentions, links or entities; write what people saw: 1\n" in err
    assert (tmp_path / "out.jsonl").read_bytes().splitlines()[1:] == said.splitlines()[1:]
    told = json.loads(errata("clean", "out.jsonl", "--json")[1])
    assert (told["unread"], told["marked"], told["changed"]) == ([2, 4, 5], [1], 0)
    code, out, _ = errata("check", "out.jsonl", *MODEL)
    assert "line 1: a chat program's markup in turn 1." in out


def test_an_import_tells_the_same_in_json_whether_it_was_refused_or_not(errata: Shell, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(line(USER, REPLY) + b"\nno row\n")
    refused = json.loads(errata("import", "rows.jsonl", "--json")[1])
    taken = json.loads(errata("import", "rows.jsonl", "--json", "--skip-invalid")[1])
    assert refused.keys() == taken.keys()
    assert (refused["kind"], refused["added"], refused["copies"]) == ("candidates", 0, {})
    attested = ("--approve-as", "ana", "--reason", "Reviewed before.")
    assert json.loads(errata("import", "rows.jsonl", "--json", *attested)[1])["kind"] == "examples"


def test_one_long_topic_widens_no_table(errata: Shell, tmp_path: Path) -> None:
    rows = [line(USER, REPLY, metadata={"topic": "t" * 5_000}), line({**USER, "content": "Open?"}, REPLY)]
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(rows))
    assert errata("import", "rows.jsonl", "--approve-as", "ana", "--reason", "Reviewed before.")[0] == 0
    for command in (("topics", "list"), ("examples", "list")):
        code, out, _ = errata(*command)
        assert (code, max(map(len, out.splitlines())) < 400, out.count("t") > 5_000) == (0, True, True)


def test_a_freeze_of_nothing_is_a_state_as_an_export_of_nothing_is(errata: Shell) -> None:
    assert errata("dataset", "freeze", "v1")[0] == 1
    assert errata("export", "--format", "openai", "--out", "out.jsonl")[0] == 1
