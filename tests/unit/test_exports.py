from __future__ import annotations

import codecs
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.conversation import Conversation, Message, Role
from curation.errors import Invalid, Unavailable
from curation.exports import ExportFormat, ExportRow, losses, write, write_atomically
from curation.jsonl import Row, open_jsonl

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), min_size=1).filter(str.strip)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    turns = [Message(Role.SYSTEM, draw(TEXT))] if draw(st.booleans()) else []
    name = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"))
    for weight in draw(st.lists(st.sampled_from([None, 0, 1]), min_size=1, max_size=4).filter(lambda w: set(w) != {0})):
        turns.append(Message(Role.USER, draw(TEXT), name=draw(name)))
        turns.append(Message(Role.ASSISTANT, draw(TEXT), weight=weight, name=draw(name)))
    return Conversation(tuple(turns))


def example(reply: str = "On Monday.", *, weight: int | None = None, rejected: str | None = None) -> ExportRow:
    turns = (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "When?"), Message(Role.ASSISTANT, reply, weight))
    return ExportRow(Conversation(turns), rejected)


def written(rows: list[ExportRow], target: ExportFormat, path: Path) -> list[object]:
    assert write(rows, target, path) == len(path.read_bytes().splitlines())
    return [json.loads(line) for line in path.read_text(encoding="utf-8-sig").splitlines()]


@given(st.lists(conversations(), min_size=1, max_size=4), st.sampled_from([ExportFormat.OPENAI, ExportFormat.AZURE]))
def test_what_is_exported_for_openai_and_azure_is_read_back_equal(
    originals: list[Conversation], target: ExportFormat
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.jsonl"
        assert write((ExportRow(original) for original in originals), target, path) == len(originals)
        rows = list(open_jsonl(path))
        # Readers that split at every Unicode line break see the same rows.
        assert len(path.read_text(encoding="utf-8-sig").splitlines()) == len(originals)
    assert rows == [Row(line, original) for line, original in enumerate(originals, start=1)]


def test_azure_gets_one_byte_order_mark_and_nobody_else_does(tmp_path: Path) -> None:
    for target in ExportFormat:
        write([example(rejected="Never."), example(rejected="Never.")], target, tmp_path / target)
        marks = (tmp_path / target).read_bytes().count(codecs.BOM_UTF8)
        assert marks == (1 if target is ExportFormat.AZURE else 0)


def test_phi_rows_hold_roles_and_contents_only(tmp_path: Path) -> None:
    assert written([example(weight=1)], ExportFormat.PHI, tmp_path / "phi.jsonl") == [
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "When?"},
                {"role": "assistant", "content": "On Monday."},
            ]
        }
    ]


def test_sharegpt_rows_name_the_speakers_its_way(tmp_path: Path) -> None:
    assert written([example()], ExportFormat.SHAREGPT, tmp_path / "s.jsonl") == [
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
    assert written(rows, ExportFormat.DPO, tmp_path / "dpo.jsonl") == [
        {
            "input": {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "When?"}]},
            "preferred_output": [{"role": "assistant", "content": "On Monday."}],
            "non_preferred_output": [{"role": "assistant", "content": "On Sunday."}],
        }
    ]
    assert [finding.message for finding in losses(rows, ExportFormat.DPO)] == [
        "1 of 2 rows have no rejected reply and are left out."
    ]


def test_a_pair_that_does_not_end_with_the_assistant_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    row = ExportRow(Conversation((Message(Role.USER, "When?"),)), rejected="Never.")
    with pytest.raises(Invalid, match="must end with the assistant"):
        write([example(rejected="No."), row], ExportFormat.DPO, tmp_path / "dpo.jsonl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("target", "lost"),
    [(ExportFormat.OPENAI, []), (ExportFormat.PHI, ["export.weight"]), (ExportFormat.SHAREGPT, ["export.weight"])],
)
def test_a_target_that_ignores_weights_says_so(target: ExportFormat, lost: list[str]) -> None:
    assert [finding.rule for finding in losses([example(weight=0), example()], target)] == lost


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write([example(), example("Übermorgen 🙂")], ExportFormat.OPENAI, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert "Übermorgen 🙂" in (tmp_path / "one").read_text(encoding="utf-8")


def test_a_failure_half_way_leaves_the_earlier_file_and_no_remains(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("earlier")

    def rows() -> Iterator[ExportRow]:
        yield example()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(rows(), ExportFormat.OPENAI, path)
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["missing/out.jsonl", "folder"])
def test_a_disk_that_refuses_is_a_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(Unavailable, match="could not be written"):
        write_atomically(tmp_path / name, [b"x"])
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
