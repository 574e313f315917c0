"""The committed sample of a dataset is what the code makes today, to the byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sample_dataset import FOLDER, write

FILES = ["lineage.json", "manifest.json", "train.jsonl", "validation.jsonl"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write(folder)
    return folder


def test_the_sample_has_these_files_and_no_others() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == FILES


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_the_sample_is_what_the_code_makes(made: Path, name: str) -> None:
    assert (FOLDER / name).read_bytes() == (made / name).read_bytes(), "if that was meant: make sample"


def test_the_sample_tells_of_every_topic_in_every_language_and_of_both_sides() -> None:
    manifest = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["name"], manifest["rows"]) == ("sample", 60)
    assert {len(row) for row in manifest["cells"].values()} == {6}
    assert len(manifest["cells"]) == 5
    for side in ("train", "validation"):
        assert (FOLDER / f"{side}.jsonl").read_bytes().count(b"\n") == manifest["sides"][side] > 0
