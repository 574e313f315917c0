from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.checking import processes
from curation.checking.columns import Columns
from curation.checking.processes import Progress
from curation.checking.scan import scan_file, scan_rows
from curation.checking.scanned import Scan, first_of
from curation.conversation import Conversation
from curation.errors import Invalid, Unavailable
from curation.findings import Finding
from curation.formats.jsonl import Row
from curation.formats.reading import open_rows
from curation.similarity.duplicates import clusters
from curation.tokens.counters import TokenCount

ROOT = Path(__file__).parents[2]
COLUMNS = ("line", "lower", "upper", "learned", "turns", "system", "topic", "language", "kind")
HASHES = ("thread", "customer", "dialogue", "prompt", "reply", "said")


class WordCounter:
    name = "words"
    exact = True

    def count_all(
        self, conversations: Sequence[Conversation], languages: Sequence[str | None] | None = None
    ) -> list[TokenCount]:
        assert languages is not None
        counts = (sum(len(message.content.split()) for message in one.messages) for one in conversations)
        return [TokenCount(count, count, 1) for count in counts]


def write_rows(path: Path, rows: int = 400) -> Path:
    """Rows of three topics and three languages; every tenth repeats an earlier one, every seventh nearly does."""
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnopö谢", k=rng.randint(3, 9))) for _ in range(2_000)]
    asked: list[str] = []
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            question = " ".join(rng.choices(words, k=30))
            if asked and number % 10 == 0:
                question = rng.choice(asked)
            elif asked and number % 7 == 0:
                question = f"{rng.choice(asked)} please"
            asked.append(question)
            metadata = {
                "topic": f"topic {rng.choice('abc')}",
                "language": rng.choice(("en", "de", "zh")),
                "thread": f"C1/{number // 2}",
            }
            system = [{"role": "system", "content": "Help."}] if number % 3 else []
            turns = [*system, {"role": "user", "content": question}, {"role": "assistant", "content": f"Hi {number}."}]
            file.write(json.dumps({"messages": turns, "metadata": metadata}, ensure_ascii=False) + "\n")
            if number % 50 == 0:
                file.write('{"broken": \n\n')
    return path


def rows_of(path: Path) -> list[Row]:
    return [row for row in open_rows(path) if isinstance(row, Row)]


def values(scan: Scan) -> dict[str, Any]:
    """What a scan says, without what depends on the run."""
    found: dict[str, Any] = {name: scan.column(name).tolist() for name in COLUMNS}
    found |= {f"first {name}": first_of(scan.column(name)).tolist() for name in HASHES}
    found |= {"labels": scan.labels, "findings": scan.findings, "clusters": scan.clusters().tolist()}
    found["sampled"] = (scan.sample.seen, sorted(scan.sample.texts))
    return found


@pytest.fixture
def cut_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a few kilobytes are shared as if they were large."""
    monkeypatch.setattr(processes, "_LEAST_BYTES", 1_000)
    monkeypatch.setattr(processes.ranges, "__kwdefaults__", {"least_bytes": 1_000})
    monkeypatch.setattr("curation.checking.scanned._SHARED_ROWS", 10)


@pytest.fixture
def forking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes, whatever this machine and the test runner's own threads would have allowed."""
    request.getfixturevalue("cut_small")
    monkeypatch.setattr(processes, "available", lambda: 2)


def test_a_scan_knows_every_row_by_its_line(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl")
    rows = rows_of(path)
    with scan_file(path, WordCounter()) as scan:
        assert scan.rows == len(rows) == 400
        assert scan.column("line").tolist() == [row.line for row in rows]
        assert [scan.labels["topic"][code - 1] for code in scan.column("topic")] == [
            row.metadata["topic"] for row in rows
        ]
        assert scan.column("turns").tolist() == [2] * 400
        assert scan.column("system").tolist() == [int(number % 3 != 0) for number in range(400)]
        assert first_of(scan.column("thread")).tolist() == [number // 2 * 2 for number in range(400)]
        assert scan.clusters().tolist() == clusters([row.conversation.user_text() for row in rows])
        assert len(scan.findings) == 8


@pytest.mark.parametrize("parts", [2, 3, 7])
@pytest.mark.usefixtures("cut_small")
def test_a_file_scanned_in_parts_gives_what_it_gives_as_a_whole(tmp_path: Path, parts: int) -> None:
    path = write_rows(tmp_path / "rows.jsonl")
    with scan_file(path, WordCounter(), parts=1) as whole, scan_file(path, WordCounter(), parts=parts) as cut:
        assert values(cut) == values(whole)


@pytest.mark.usefixtures("forking")
def test_processes_find_what_one_finds(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl")
    told: list[int] = []
    with (
        scan_rows(open_rows(path), WordCounter()) as alone,
        scan_file(path, WordCounter(), progress=told.append) as shared,
    ):
        assert len(shared._columns) == 2
        assert values(shared) == values(alone)
    assert told == sorted(told)
    assert told[-1] == path.stat().st_size


@pytest.mark.usefixtures("cut_small")
def test_a_byte_order_mark_is_passed_over_at_the_start_of_the_file_only(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 40)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"\xef\xbb\xbf" + b"".join(b"\xef\xbb\xbf" + line for line in lines))
    with scan_file(path, WordCounter(), parts=5) as scan:
        # The first line has two; the first of them is the file's.
        marked = [finding.line for finding in scan.findings if finding.rule == "encoding.bom"]
        assert marked[:2] == [1, 2]
        assert scan.rows == 0


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n", b"\n\n\n"])
@pytest.mark.usefixtures("cut_small")
def test_the_last_line_counts_however_the_file_ends(tmp_path: Path, ending: bytes) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 30)
    path.write_bytes(path.read_bytes().rstrip() + ending)
    with scan_file(path, WordCounter(), parts=4) as scan:
        assert scan.rows == 30
        assert scan.column("line").tolist() == [row.line for row in rows_of(path)]


@pytest.mark.usefixtures("cut_small")
def test_a_file_of_blank_lines_is_empty_in_parts_too(tmp_path: Path) -> None:
    path = tmp_path / "blank.jsonl"
    path.write_bytes(b" \n" * 5_000)
    with scan_file(path, WordCounter(), parts=4) as scan:
        assert [finding.rule for finding in scan.findings] == ["file.empty"]


def test_a_pipe_is_scanned_as_a_file_is(tmp_path: Path) -> None:
    path, pipe = write_rows(tmp_path / "rows.jsonl", 50), tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["/bin/cp", str(path), str(pipe)]), scan_file(pipe, WordCounter()) as scan:  # noqa: S603
        assert scan.rows == 50


def test_another_format_is_scanned_as_well(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    turns = [{"from": "human", "value": "Hi there"}, {"from": "gpt", "value": "Hello"}]
    path.write_text(json.dumps({"conversations": turns}) + "\n")
    with scan_file(path, WordCounter()) as scan:
        assert (scan.rows, scan.column("upper").tolist()) == (1, [3])


def test_what_cannot_be_opened_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="there is no such file"):
        scan_file(tmp_path / "none.jsonl", WordCounter())
    with pytest.raises(Invalid, match="is a directory"):
        scan_file(tmp_path, WordCounter())


def test_without_repeats_there_are_counts_only(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 20)
    with scan_file(path, WordCounter(), repeats=False) as scan:
        assert scan.column("upper").min() > 0
        with pytest.raises(KeyError):
            scan.column("dialogue")


def test_nothing_scanned_is_no_rows() -> None:
    with scan_rows(iter([]), WordCounter()) as scan:
        assert (scan.rows, scan.findings, scan.clusters().tolist()) == (0, [], [])


def test_the_disk_that_refuses_a_temporary_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(Unavailable, match="temporary file could not be written"):
        scan_rows(iter([]), WordCounter())


def test_columns_give_back_what_was_written() -> None:
    columns = Columns()
    columns.append({"a": np.array([1, 2], "u4"), "b": np.array([7], "u1")})
    columns.append({"a": np.array([3], "u4"), "b": np.array([8, 9], "u1")})
    assert columns.read("a").tolist() == [1, 2, 3]
    assert columns.read("b", start=1).tolist() == [8, 9]
    assert columns.slices("a", [(1, 2), (0, 1)]).tolist() == [2, 3]
    columns.close()


def add(number: int, progress: Progress) -> int:
    progress(number)
    return number + 1


@pytest.mark.usefixtures("forking")
def test_each_piece_of_work_gives_its_result_in_order() -> None:
    assert processes.each([partial(add, number) for number in range(5)], lambda _: None) == [1, 2, 3, 4, 5]
    assert processes.each([], lambda _: None) == []


@pytest.mark.usefixtures("forking")
def test_a_refusal_in_a_process_is_the_same_refusal_here() -> None:
    def refuse(_: Progress) -> int:
        raise Invalid("line 3 is too long; split it.")

    with pytest.raises(Invalid, match=r"^line 3 is too long; split it\.$"):
        processes.each([partial(add, 1), refuse], lambda _: None)


@pytest.mark.usefixtures("forking")
def test_a_defect_in_a_process_comes_with_its_traceback() -> None:
    def fail(_: Progress) -> int:
        raise KeyError("lost")

    with pytest.raises(RuntimeError, match="in fail"):
        processes.each([partial(add, 1), fail], lambda _: None)


@pytest.mark.usefixtures("forking")
def test_a_process_that_is_killed_gives_one_sentence_and_the_others_end(tmp_path: Path) -> None:
    noted = tmp_path / "pid"

    def die(_: Progress) -> int:
        while not noted.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    def linger(_: Progress) -> int:
        noted.write_text(str(os.getpid()))
        time.sleep(200)
        return 0

    with pytest.raises(Unavailable, match="ended by SIGKILL"):
        processes.each([linger, die], lambda _: None)
    with pytest.raises(ProcessLookupError):
        os.kill(int(noted.read_text()), 0)


@pytest.mark.usefixtures("forking")
def test_a_process_that_leaves_early_gives_one_sentence() -> None:
    def leave(_: Progress) -> int:
        os._exit(3)

    with pytest.raises(Unavailable, match="with the code 3 before it was done"):
        processes.each([leave, partial(add, 1)], lambda _: None)


def test_a_process_with_other_threads_never_forks() -> None:
    program = (
        "import threading, time; from curation.checking import processes; alone = processes.available(); "
        "threading.Thread(target=time.sleep, args=(5,), daemon=True).start(); print(alone, processes.available())"
    )
    done = subprocess.run(  # noqa: S603 (ourselves)
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    alone, threaded = map(int, done.stdout.split())
    assert threaded == 1
    assert alone == min(8, len(os.sched_getaffinity(0)))


def test_control_c_ends_every_process() -> None:
    program = (
        # A shell lets what it starts in the background ignore the signal, and Python then leaves it at that.
        "import os, signal, time; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from curation.checking import processes; processes.available = lambda: 2\n"
        "def work(progress): os.write(1, b'%d\\n' % os.getpid()); time.sleep(60)\n"
        "processes.each([work, work], lambda _: None)"
    )
    process = subprocess.Popen(  # noqa: S603 (ourselves)
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        children = [int(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert errors.strip().endswith("KeyboardInterrupt")
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_findings_of_a_stream_keep_their_lines() -> None:
    def stream() -> Iterator[Row | Finding]:
        yield from open_rows(Path("/dev/null"))

    with scan_rows(stream(), WordCounter()) as scan:
        assert [finding.rule for finding in scan.findings] == ["file.empty"]
