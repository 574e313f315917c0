"""A report as a page, a picture, tables and JSON: whole, escaped, and readable where an older Errata wrote it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from evaluated import RUN, kept, measured, older, summary

from bot.blocks import runs as blocks
from bot.entry import Entry
from bot.sandbox.limits import check_message
from bot.speech import ENGLISH_SPOKEN, OWN_NAMES, speaking
from curation.errors import Invalid
from training.backends.base import CurvePoint
from training.commands.reports import show_evaluation
from training.evaluation.breakdown import groups, standing_out, whole
from training.evaluation.evaluations import Case
from training.evaluation.handouts import Handouts, as_json, write
from training.evaluation.markdown_report import escaped, page
from training.evaluation.pictures import evaluation
from training.evaluation.tables import tables

REPORT = kept(measured())


def cases(report: dict[str, Any] = REPORT) -> list[Case]:
    return [Case.from_json(case) for case in report["cases"]]


def test_a_page_opens_with_the_verdict_and_what_it_rests_on() -> None:
    lines = page(summary(REPORT)).splitlines()
    assert lines[0] == f"# Evaluation of {RUN}"
    assert lines[2].startswith("**Better: fixed 32 of 40 corrections, kept 39 of 40 good replies; ")
    assert "- of 40 corrected replies 34 are preferred to the flagged ones, before 0; 34 of 34 changes" in "\n".join(
        lines
    )
    assert "| tuned | 5.21 | 64.0% |" in lines
    assert (
        "| reason | wrong\\_fact | 30 of 30 (89% to 100%) | – | 0 of 30 (0% to 11%) | 25 of 30 (66% to 93%) |" in lines
    )


def test_a_page_lists_what_was_lost_first() -> None:
    text = page(summary(REPORT))
    rows = [line for line in text.splitlines() if line.startswith("| ") and line.count(" | ") == 7][2:]
    assert rows[0].startswith("| 103 | endorsement | train | lost |")
    assert [row.split(" | ")[3] for row in rows[1:9]] == ["not fixed"] * 8


def test_nothing_that_a_customer_wrote_becomes_part_of_the_page() -> None:
    nasty = "| a | <script>alert(1)</script> ![x](http://evil.test/x.png)\n# b\x1b[31m `c` **d** [e](f) &lt;"
    shown = escaped(nasty)
    assert "\n" not in shown
    assert "\x1b" not in shown
    for mark in "|<>![]`*#&":
        assert all(shown[place - 1] == "\\" for place, letter in enumerate(shown) if letter == mark and mark != "!"), (
            mark
        )
    report = kept(measured())
    report["cases"][3] |= {"messages": [{"role": "user", "content": nasty}], "topic": "a | b"}
    header, *rows = [line for line in page(summary(report)).splitlines() if line.count(" | ") == 7]
    assert header.startswith("| Case | Kind |")
    assert len(rows) == 81  # the line of dashes, and a line for every case


def test_what_broke_is_what_a_page_has_first_to_read() -> None:
    report = kept(measured())
    report["sets"]["golden"]["cases"][2] |= {"right_before": True, "right_after": False, "after": "Na."}
    report["sets"]["safety"]["cases"][1] |= {
        "before": "No.",
        "after": "It is 4111",
        "after_findings": ["personal.card"],
    }
    lines = page(summary(report)).splitlines()
    assert "| golden | golden-2 | Yes. | Na. |  |" in lines
    assert lines.index("| safety | safety-1 | No. | It is 4111 | personal.card |") < lines.index(
        "| tuned | 5.21 | 64.0% |"
    )
    assert "Read these" not in page(summary(REPORT))


def test_small_groups_are_counted_together_and_sides_stand_by_themselves() -> None:
    found = groups(cases(), "topic", least=14)
    assert [(group.name, group.fixed.all) for group in found] == [("filters", 14), ("other", 26)]
    assert groups(cases(), "topic", least=1000) == []
    sides = groups(cases(), "side", least=1000)
    assert {group.name for group in sides} == {"train", "validation"}
    assert groups([one for one in cases() if one.language == "en"], "language") == []
    assert {group.name for group in groups(cases(), "reason")} == {"wrong_fact", "tone"}
    assert whole(cases()).kept.some == 39


def test_only_what_is_no_accident_stands_out() -> None:
    worst = standing_out(cases())
    assert worst is not None
    assert (worst.way, worst.name, worst.fixed.some, worst.fixed.all) == ("reason", "tone", 2, 10)
    assert standing_out([replace(one, reason="tone") for one in cases()]) is None
    assert standing_out([]) is None


def test_the_picture_has_words_for_everything_in_it(tmp_path: Path) -> None:
    words = evaluation(REPORT, tmp_path / "report.png", "Evaluation")
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
    assert "before, 0 of 40 corrected replies preferred (95 % interval 0% to 9%)" in words
    assert "39 of 40 good replies kept that were right before (95 % interval 87% to 100%)" in words
    assert "production: validation loss 1.94 nats per token" in words
    both = {**REPORT, "validation": {**REPORT["validation"], "base": REPORT["validation"]["baseline"]}}
    assert "base:" not in evaluation(both, tmp_path / "both.png", "Evaluation")
    again = tmp_path / "again.png"
    evaluation(REPORT, again, "Evaluation")
    assert again.read_bytes() == (tmp_path / "report.png").read_bytes()


def test_the_picture_of_a_head_shows_its_rivals(tmp_path: Path) -> None:
    figures = {"accuracy": 0.9, "macro_f1": 0.88}
    rivals = {"yardstick": {"accuracy": 0.8, "macro_f1": 0.7}, "majority": {"accuracy": 0.2, "macro_f1": 0.05}}
    report = {"labels": {"label": "topic", "rows": 50, "candidate": figures, **rivals}, "cases": []}
    words = evaluation(report, tmp_path / "labels.png", "Topics")
    assert "the tuned head: 45 of 50 labels right" in words
    assert "always the most frequent label: 10 of 50" in words
    assert [table.rows[0] for table in tables(report)] == [("tuned", "90.0%", "0.88")]
    with pytest.raises(Invalid, match="measured nothing"):
        evaluation({"cases": []}, tmp_path / "nothing.png", "Nothing")


def test_files_are_written_whole_and_the_page_links_to_its_picture(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    wanted = Handouts(tmp_path / "a.md", tmp_path / "pictures" / "a.png", tmp_path / "curve.png", tmp_path / "a.json")
    run = summary(REPORT, curve=(CurvePoint(1, 2.0, None, 10.0),))
    told = list(write(run, wanted))
    assert len(told) == 4
    assert "](pictures/a.png)" in (tmp_path / "a.md").read_text(encoding="utf-8")
    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert (found["run"], found["verdict"]) == (RUN, "better")
    assert {"by": "reason", "group": "tone"}.items() <= found["groups"][3].items()
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_that_cannot_be_is_named_before_any_is_written(tmp_path: Path) -> None:
    for wanted in (
        Handouts(tmp_path / "a.md", tmp_path / "gone" / "a.png"),
        Handouts(tmp_path / "a.md", report=tmp_path),
    ):
        with pytest.raises(Invalid, match="name a file in a folder that exists"):
            list(write(summary(REPORT), wanted))
    with pytest.raises(Invalid, match="no loss curve"):
        list(write(summary(REPORT), Handouts(tmp_path / "a.md", curve=tmp_path / "curve.png")))
    assert list(tmp_path.iterdir()) == []


def test_what_an_older_errata_measured_is_still_shown_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = summary(older())
    show_evaluation(Entry({}, debug=False), run)
    shown = capsys.readouterr().out
    assert shown.startswith("Better: fixed 33 of 40")
    assert "counting tokens" in shown
    assert "Preferred" not in shown
    assert "What the verdict rests on" not in page(run)
    assert "32 of 40 corrections fixed" in evaluation(run.report or {}, tmp_path / "old.png", "Old")
    check_message({"text": "x", "blocks": blocks.evaluated(ENGLISH_SPOKEN, run)})
    assert json.loads(json.dumps(as_json(run)))["groups"]


def test_a_case_whose_words_were_erased_is_still_counted(capsys: pytest.CaptureFixture[str]) -> None:
    report = kept(measured())
    first = report["cases"][0]
    del first["messages"]
    first |= {
        "expected": "[erased]",
        "after": "[erased]",
        "before": "[erased, another]",
        "flagged": "[erased, another]",
    }
    show_evaluation(Entry({}, debug=False), summary(report))
    assert "[erased, another]" in capsys.readouterr().out
    check_message({"text": "x", "blocks": blocks.evaluated(ENGLISH_SPOKEN, summary(report))})
    assert "\\[erased\\]" in page(summary(report))


@pytest.mark.parametrize("language", OWN_NAMES)
def test_the_message_in_slack_says_the_verdict_the_figures_and_what_stands_out(language: str) -> None:
    shown = blocks.evaluated(speaking(language), summary(REPORT))
    check_message({"text": "x", "blocks": shown})
    if language == "en":
        text = json.dumps(shown, ensure_ascii=False)
        assert ":tada: Better: fixed 32 of 40 corrections" in text
        assert "34 of 40 corrected replies preferred to the flagged ones, before 0" in text
        assert "Fixed least: Tone, 2 of 10" in text
        assert "Validation perplexity: tuned 5.21, production 6.93, base 12.40" in text


def test_the_terminal_says_what_was_looked_at_besides_the_deciding_figure(capsys: pytest.CaptureFixture[str]) -> None:
    show_evaluation(Entry({}, debug=False), summary(REPORT))
    shown = capsys.readouterr().out
    assert shown.startswith("Better: ")
    reasons = [line for line in shown.splitlines() if line.startswith("- ")]
    assert "- no new finding in 12 safety prompts" in reasons
    assert "- all 6 golden cases that were right still are" in reasons
    assert not any("round in circles" in line for line in reasons)
    assert all(line[2:] not in shown.splitlines()[0] for line in reasons)
    assert "counting pairs of tokens" in shown


def test_slack_names_production_that_is_also_the_base_once() -> None:
    report = kept(measured())
    fits = report["validation"]
    told = str(blocks.evaluated(ENGLISH_SPOKEN, summary(report)))
    assert "tuned 5.21, production 6.93, base 12.40" in told
    same = {**report, "validation": {**fits, "base": fits["baseline"]}}
    assert "base" not in str(blocks.evaluated(ENGLISH_SPOKEN, summary(same)))
