"""How much of a dataset validates: as much as was asked for, or a warning with figures, however long threads are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shell import Shell, dialogue


def attested(errata: Shell, name: str, numbers: range, *, thread: str | None = None) -> None:
    rows = [dialogue(number) for number in numbers]
    for row in rows:
        row["metadata"] |= {"thread": thread} if thread else {}
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    code, _, err = errata("import", name, "--approve-as", "ana", "--reason", "Checked.")
    assert code == 0, err


def shares(found: list[dict[str, Any]]) -> list[str]:
    return [one["message"] for one in found if one["rule"] == "split.share"]


def test_one_long_thread_does_not_become_the_validation_side_and_the_missing_share_is_told(errata: Shell) -> None:
    attested(errata, "one.jsonl", range(1))
    assert json.loads(errata("dataset", "freeze", "--json")[1])["manifest"]["sides"]["train"] == 1
    attested(errata, "thread.jsonl", range(1, 11), thread="long")
    told = "Validation has 0 of 11 rows (0%); 10% was asked for."
    code, out, err = errata("dataset", "freeze")
    assert code == 0
    assert "v2 is frozen: 11 train (" in out
    assert told in err
    assert "Approve more examples in other threads" in err
    shown = json.loads(errata("dataset", "show", "v2", "--json")[1])
    assert shares(shown["manifest"]["findings"]) == shares(shown["findings_today"]) == [told]
    assert shown["manifest"]["rules"]["found"]["split.share"] == 1
    assert told in errata("dataset", "show", "v2")[1]

    attested(errata, "others.jsonl", range(11, 20))
    code, out, err = errata("dataset", "freeze")
    assert "v3 is frozen: 18 train, 2 validation (" in out
    assert "was asked for" not in err
    shown = json.loads(errata("dataset", "show", "v3", "--json")[1])
    assert shares(shown["manifest"]["findings"]) == shares(shown["findings_today"]) == []
    assert "split.share" in shown["manifest"]["rules"]["passed"]


def test_a_side_that_is_far_larger_than_what_is_asked_for_now_stays_and_is_told(errata: Shell) -> None:
    attested(errata, "first.jsonl", range(20))
    assert "10 train, 10 validation" in errata("dataset", "freeze", "--validation", "50%")[1]
    attested(errata, "second.jsonl", range(20, 30))
    code, out, err = errata("dataset", "freeze", "--validation", "10%")
    assert (code, "20 train, 10 validation" in out) == (0, True)
    assert "Validation has 10 of 30 rows (33%); 10% was asked for." in err
    attested(errata, "third.jsonl", range(30, 31))
    code, _, err = errata("dataset", "freeze", "--validation", "10%", "--strict")
    assert code == 1
    assert "Validation has 10 of 31 rows (32%); 10% was asked for." in err


def test_rows_of_ones_own_to_validate_with_have_the_share_that_they_have(errata: Shell) -> None:
    attested(errata, "first.jsonl", range(6))
    own = [json.dumps(dialogue(number)) for number in range(3)]
    Path("own.jsonl").write_text("\n".join(own) + "\n", encoding="utf-8")
    code, out, err = errata("dataset", "freeze", "--validation", "own.jsonl")
    assert (code, "3 train, 3 validation" in out) == (0, True)
    assert "was asked for" not in err
