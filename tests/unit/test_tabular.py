"""Tables of dialogues: which cells become a conversation, and what is said about those that do not."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from curation.conversation import Role
from curation.errors import Invalid
from curation.findings import Finding
from curation.formats.format import TableEncoding
from curation.formats.jsonl import Row
from curation.formats.tabular import columns_of, open_table

BOTH = ["question=user", "answer=assistant"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tickets.csv"


def read(
    file: Path, content: str | bytes, *columns: str, encoding: TableEncoding = TableEncoding.UTF8
) -> tuple[list[Row], list[Finding]]:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    items = list(open_table(file, columns_of(columns or BOTH), encoding))
    return [one for one in items if isinstance(one, Row)], [one for one in items if isinstance(one, Finding)]


def said(row: Row) -> list[tuple[str, str]]:
    return [(turn.role.value, turn.text) for turn in row.conversation.messages]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_delimiter_is_the_one_under_which_the_header_names_the_columns(
    file: Path, delimiter: str, end: str
) -> None:
    lines = [["id", "question", "answer"], ["1", "Open on Sunday?", "No."], ["2", "Where?", "Oslo."]]
    rows, findings = read(file, end.join(delimiter.join(line) for line in lines))
    assert findings == []
    assert [said(row) for row in rows] == [
        [("user", "Open on Sunday?"), ("assistant", "No.")],
        [("user", "Where?"), ("assistant", "Oslo.")],
    ]


def test_a_better_reply_makes_a_pair_and_an_equal_or_missing_one_does_not(file: Path) -> None:
    content = "question,answer,better\nQ1?,Wrong.,Right.\nQ2?,Right.,Right.\nQ3?,Fine.,\n"
    rows, findings = read(file, content, *BOTH, "better=correction")
    assert findings == []
    assert [(said(row)[-1][1], row.rejected) for row in rows] == [
        ("Right.", "Wrong."),
        ("Right.", None),
        ("Fine.", None),
    ]


def test_every_part_of_a_dialogue_may_have_its_column(file: Path) -> None:
    columns = [*BOTH, "prompt=system", "about=topic", "lang=language", "ticket=thread", "who=customer"]
    rows, _ = read(file, "prompt,question,answer,about,lang,ticket,who\nBe brief.,Q?,A.,billing,en,T7,Kari\n", *columns)
    assert rows[0].conversation.messages[0].role is Role.SYSTEM
    assert rows[0].metadata == {"topic": "billing", "language": "en", "thread": "T7", "customer": "Kari"}


def test_a_cell_of_many_lines_is_one_turn_and_its_row_has_the_number_of_its_first_line(file: Path) -> None:
    rows, findings = read(file, 'question,answer\n"One,\r\n""two""",A.\n\nQ?,\nQ2?,B.\n')
    assert [(row.line, said(row)[0][1]) for row in rows] == [(2, 'One,\r\n"two"'), (6, "Q2?")]
    assert [(one.rule, one.line) for one in findings] == [("content.empty", 5)]


def test_the_encoding_is_utf8_with_or_without_a_mark_unless_somebody_says_otherwise(file: Path) -> None:
    content = "question,answer\nTür?,Grün.\n"
    assert said(read(file, b"\xef\xbb\xbf" + content.encode())[0][0]) == [("user", "Tür?"), ("assistant", "Grün.")]
    rows, findings = read(file, content.encode("cp1252") + b"Q?,A.\n")
    assert [row.line for row in rows] == [3]
    assert [one.sentence() for one in findings] == [
        (
            "line 2: a cell holds bytes that are not utf-8. Save the file as UTF-8, or give --encoding cp1252. "
            "[encoding.utf8]"
        )
    ]
    rows, findings = read(file, content.encode("cp1252"), encoding=TableEncoding.CP1252)
    assert (said(rows[0])[0], findings) == (("user", "Tür?"), [])
    assert [one.rule for one in read(file, content.encode("utf-16"))[1]] == ["encoding.utf16"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", r"The file holds no rows\. Export the table again, with its header\. \[file.empty\]"),
        ("question,answer\n\n , \n", r"The file holds no rows\..* \[file.empty\]"),
        ("question,answer\nQ?,A.,more\n", r"line 2: the row has 3 cells, the header 2\. Quote cells .*\[table.cells\]"),
        ("question,answer\rQ?,A.\r", r"line 1: the lines end in carriage returns\. .*\[row.line_break\]"),
        (
            b"question,answer,\xe5\nQ?,A.,\n",
            r"line 1: the line with the columns' names holds bytes .* --encoding cp1252",
        ),
        (b"x" * 10_000_001, r"line 1: the line with the columns' names is longer than 10 MB\. .*\[row.too_long\]"),
        ("sep=;\n", r"The file holds no rows\."),
        ("question,answer\nQ?,A\0.\n", r"line 2: .*NUL.*\[encoding.null\]"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_line(file: Path, content: str | bytes, sentence: str) -> None:
    rows, findings = read(file, content)
    assert rows == []
    assert len(findings) == 1
    assert re.search(sentence, findings[0].sentence())


BROKEN = {
    "a quote in a cell": ('"Q"?,A.', "table.quotes", "the quotes do not match (',' expected after '\"')."),
    "a quote that is closed too late": ('"Q?,A.', "table.quotes", "the quotes do not match (',' expected after '\"')."),
    "a carriage return": ("Q?,A.\rQ?,A.", "row.line_break", "a carriage return stands alone."),
    "a huge line": (
        "x" * 10_000_100 + ",A.",
        "row.too_long",
        "a cell is longer than 10 MB, or a quote is never closed.",
    ),
    "a huge quoted line": ('"' + "x" * 10_000_100 + '",A.', "row.too_long", "a cell is longer than 10 MB, or a quote"),
}


@pytest.mark.parametrize(("broken", "rule", "message"), BROKEN.values(), ids=BROKEN)
def test_every_bad_line_after_a_broken_row_is_named_and_no_row_taken(
    file: Path, broken: str, rule: str, message: str
) -> None:
    rows, findings = read(file, f"question,answer\nQ?,A.\n{broken}\nQ2?,A.\nQ3?\n{broken}\nQ4?,\n")
    assert [row.line for row in rows] == [2]
    assert [(one.rule, one.line) for one in findings] == [
        (rule, 3),
        ("table.cells", 5),
        (rule, 6),
        ("content.empty", 7),
        ("table.rows", None),
    ]
    assert findings[0].message.startswith(message)
    assert findings[-1].message == "Where rows begin after line 3 is a guess, so none of them is taken."


def test_a_quote_that_is_never_closed_hides_no_bad_line_below_it(file: Path) -> None:
    rows, findings = read(file, 'question,answer\nQ?,A.\n"Q?,A.\nQ?\nQ?,A.\n')
    assert [row.line for row in rows] == [2]
    assert [(one.rule, one.line) for one in findings] == [("table.quotes", 3), ("table.cells", 4), ("table.rows", None)]


def test_a_broken_row_in_each_of_many_lines_is_read_once_or_twice(file: Path) -> None:
    began = time.process_time()
    rows, findings = read(file, 'question,answer\n"Q?,A.\n' + 'Q?,A.\n"Q"?,A.\n' * 20_000)
    assert (rows, len(findings)) == ([], 20_002)
    assert time.process_time() - began < 10


@pytest.mark.parametrize("first", ["sep=;\n", '"sep=;"\r\n', "SEP=;\n"])
def test_the_line_in_which_excel_names_the_delimiter_is_taken_at_its_word(file: Path, first: str) -> None:
    rows, findings = read(file, f"{first}question;answer\nOne, two?;A.\n")
    assert (findings, [(row.line, said(row)[0][1]) for row in rows]) == ([], [(3, "One, two?")])


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (["question=user"], "Say which column the assistant speaks in, for example --map answer=assistant"),
        (["answer=assistant"], "Say which column the user speaks in"),
        (
            ["question=person", "answer=assistant"],
            "--map question=person is not COLUMN=PART; the parts are system, user",
        ),
        (["question"], "--map question is not COLUMN=PART"),
        (["question=user", "question=assistant"], "names the column question twice"),
        (["question=user", "other=user", "answer=assistant"], "question and other cannot both be the user"),
        (
            ["frage=user", "answer=assistant"],
            "no column is named frage; the first line names question, answer, answer2",
        ),
        (["question=user", "twice=assistant"], "2 columns are named twice; rename all but one"),
    ],
)
def test_a_mapping_that_does_not_fit_is_told_so(file: Path, columns: list[str], sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence):
        read(file, "question,answer,answer2,twice,twice\nQ?,A.,B.,C.,D.\n", *columns)
