"""``errata check``: what it reports, what its exit code says, and what it sends people to next."""

from __future__ import annotations

import json
from pathlib import Path

from shell import Shell, write_dialogues
from tokenizers import Tokenizer, models


def test_a_check_reports_and_its_exit_code_decides(frozen: Shell, tmp_path: Path) -> None:
    code, out, _ = frozen("check", "v1", "--model", "phi-4-mini-instruct", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["tokens"]["exact"] is True
    assert report["balance"]["total"] == 60
    few = write_dialogues(tmp_path / "few.jsonl", 3)
    code, out, _ = frozen("check", str(few), "--model", "phi-4-mini-instruct")
    assert code == 1
    assert "dataset.too_small" in out
    some = write_dialogues(tmp_path / "some.jsonl", 20)
    assert frozen("check", str(some), "--model", "phi-4-mini-instruct")[0] == 0
    assert frozen("check", str(some), "--model", "phi-4-mini-instruct", "--strict")[0] == 1


def test_a_check_refuses_estimates_where_exact_counts_are_asked_for(frozen: Shell, tmp_path: Path) -> None:
    rows = str(write_dialogues(tmp_path / "some.jsonl", 20))
    code, out, err = frozen("check", rows, "--model", "phi-3-mini-4k-instruct", "--exact")
    assert (code, out) == (2, "")
    assert "can only be estimated here; give its tokenizer.json with --tokenizer" in err
    assert frozen("check", rows, "--model", "phi-4-mini-instruct", "--exact")[0] == 0
    code, out, _ = frozen("check", rows, "--model", "phi-3-mini-4k-instruct", "--json")
    estimated = [finding for finding in json.loads(out)["findings"] if finding["rule"] == "tokens.estimated"]
    assert (code, len(estimated), estimated[0]["severity"]) == (0, 1, "warning")


def test_a_check_refuses_the_tokenizer_of_another_model(frozen: Shell, tmp_path: Path) -> None:
    rows = str(write_dialogues(tmp_path / "some.jsonl", 20))
    small = str(tmp_path / "small.json")
    specials = ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
    Tokenizer(models.WordLevel({word: number for number, word in enumerate(("[UNK]", *specials))}, "[UNK]")).save(small)
    for model, room in (("phi-4-mini-instruct", "200,064"), ("phi-3-mini-4k-instruct", "32,064")):
        code, out, err = frozen("check", rows, "--model", model, "--tokenizer", small)
        assert (code, out) == (2, "")
        assert f"small.json has 6 tokens, and the model has room for {room}: it belongs to another model" in err
    # Its tokenizer is made of the rows that it is rehearsed with.
    assert frozen("check", rows, "--model", "rehearsal", "--tokenizer", small)[0] == 0


def test_a_check_names_what_stands_in_the_validation_file_too(frozen: Shell, tmp_path: Path) -> None:
    rows = write_dialogues(tmp_path / "some.jsonl", 20)
    others = write_dialogues(tmp_path / "others.jsonl", 5, first=18)
    code, out, _ = frozen("check", str(rows), "--model", "phi-4-mini-instruct", "--validation", str(others), "--json")
    across = [one["line"] for one in json.loads(out)["findings"] if one["rule"] == "duplicates.across_sides"]
    assert (code, across) == (0, [19, 20])
    missing = str(tmp_path / "none.jsonl")
    assert frozen("check", str(rows), "--model", "phi-4-mini-instruct", "--validation", missing)[0] == 2


def test_a_check_ends_with_what_the_subject_waits_for(frozen: Shell, tmp_path: Path) -> None:
    def following(subject: str) -> str:
        return frozen("check", subject, "--model", "phi-4-mini-instruct")[1].splitlines()[-1]

    assert following("v1") == "Next: errata train v1 --model rehearsal"
    assert following("dialogues.jsonl") == "Next: errata dataset freeze"  # attested already
    new = write_dialogues(tmp_path / "new.jsonl", 20, first=60)
    assert following(new.name) == "Next: errata import new.jsonl"
    frozen("import", str(new))
    assert following(new.name) == "Next: errata review"
    frozen("people", "grant", "ben", "reviewer")
    frozen("review", "1", "--approve", acting="ben")
    frozen("export", "--format", "openai", "--out", "all.jsonl")
    assert following("all.jsonl") == "Next: errata dataset freeze"  # importing it would repeat every row
    few = write_dialogues(tmp_path / "few.jsonl", 2)
    assert following(few.name) == "Next: correct what is named above, then check again."
    again = frozen("dataset", "freeze", "v2")[1]
    assert "Next: errata check v2 --model MODEL, then errata train v2 --model rehearsal" in again
