from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from curation.checking import windows
from curation.checking.checks import CheckReport, check
from curation.conversation import Conversation, Message, Role
from curation.findings import Finding, Severity
from curation.formats.jsonl import read
from curation.similarity.repeats import judge_sides
from curation.tokens.counters import TokenCount


@dataclass(frozen=True)
class WordCounter:
    """Counts words; as an estimate up to twice as many."""

    name: str = "words"
    exact: bool = True

    def count_all(
        self, conversations: Sequence[Conversation], languages: Sequence[str | None] | None = None
    ) -> list[TokenCount]:
        assert languages is not None
        words = [sum(len(message.content.split()) for message in one.messages) for one in conversations]
        return [TokenCount(count, count if self.exact else 2 * count, 5) for count in words]


def question(number: int) -> str:
    """Six words that no other number has."""
    rng = random.Random(number)
    words = ("".join(rng.choices("abcdefghijklmnoprstuvw", k=7)) for _ in range(5))
    return f"{' '.join(words)} {number}?"


def row(number: int, reply: str | None = None, **metadata: str) -> bytes:
    messages = [
        {"role": "user", "content": question(number)},
        {"role": "assistant", "content": reply or f"Parcel {number} arrives on Monday."},
    ]
    labels = {"topic": "shipping", "language": "en", "kind": "endorsement", **metadata}
    return json.dumps({"messages": messages, "metadata": labels}).encode() + b"\n"


def report(
    *lines: bytes, window: int = 100, exact: bool = True, pending: dict[tuple[str, str], list[int]] | None = None
) -> CheckReport:
    counter = WordCounter(exact=exact)
    return check(read(lines), counter=counter, window=window, model="phi-3-mini-4k-instruct", pending=pending)


def rules(found: CheckReport) -> list[str]:
    return [finding.rule for finding in found.findings]


FIFTY = [row(number) for number in range(50)]


def test_a_good_dataset_has_no_findings() -> None:
    assert report(*FIFTY).findings == []


def test_a_dialogue_over_the_window_is_named_with_its_line_and_its_tokens() -> None:
    found = report(*FIFTY, row(50, "word " * 5_206), window=4_096)
    (finding,) = found.findings
    assert finding.sentence() == (
        "line 51: the dialogue has 5,212 tokens; the window of phi-3-mini-4k-instruct is 4,096. "
        "Split it or choose a 128k model. [tokens.over_window]"
    )
    assert finding.severity is Severity.ERROR


def test_a_dialogue_of_exactly_the_window_fits() -> None:
    assert report(*FIFTY, row(50, "word " * 94), window=100).findings == []
    assert rules(report(*FIFTY, row(50, "word " * 95), window=100)) == ["tokens.over_window"]


def test_an_estimate_that_may_be_over_the_window_is_a_warning_and_one_that_is_surely_over_an_error() -> None:
    found = report(*FIFTY, row(50, "word " * 60), row(51, "word " * 100), window=100, exact=False)
    assert [(finding.rule, finding.line, finding.severity) for finding in found.findings] == [
        ("tokens.maybe_over", 51, Severity.WARNING),
        ("tokens.over_window", 52, Severity.ERROR),
        ("tokens.estimated", None, Severity.WARNING),
    ]
    assert "between 66 and 132 tokens" in found.findings[0].message
    assert "at least 106 tokens" in found.findings[1].message


def test_a_dialogue_that_stands_twice_is_named_with_the_line_of_the_first() -> None:
    found = report(*FIFTY, row(7, "PARCEL 7  arrives on Monday."))
    assert [(finding.rule, finding.line, finding.message) for finding in found.findings] == [
        ("duplicates.exact", 51, "the dialogue is the same as on line 8.")
    ]


def test_nine_examples_are_too_few_and_forty_nine_are_few() -> None:
    assert rules(report(*FIFTY[:9])) == ["dataset.too_small"]
    assert rules(report(*FIFTY[:10])) == ["dataset.small"]
    assert rules(report(*FIFTY[:49])) == ["dataset.small"]
    assert report(*FIFTY[:9]).findings[0].severity is Severity.ERROR


def test_findings_about_the_format_come_through_and_broken_rows_are_not_counted() -> None:
    found = report(b"{\n", *FIFTY)
    assert rules(found) == ["json.syntax"]
    assert found.balance.total == 50


def test_an_empty_file_says_that_it_is_empty() -> None:
    assert rules(report()) == ["file.empty", "dataset.too_small"]
    assert report().as_json()["tokens"]["max"] == 0


def test_corrections_alone_are_warned_of() -> None:
    found = report(*(row(number, kind="correction") for number in range(50)))
    assert rules(found) == ["balance.endorsements"]


def test_a_language_that_nobody_wrote_down_is_detected() -> None:
    german = {
        "messages": [
            {"role": "user", "content": "Wo ist meine Bestellung?"},
            {"role": "assistant", "content": "Sie kommt am Montag an."},
        ],
        "metadata": {"topic": "shipping", "language": " "},
    }
    found = report(*FIFTY, json.dumps(german).encode())
    assert found.balance.cells == {("shipping", "en"): 50, ("shipping", "de"): 1}
    assert found.balance.kinds == {"endorsement": 50, "imported": 1}


def test_the_report_as_json_has_its_four_parts_and_survives_json() -> None:
    found = report(*FIFTY, row(51, language="de"), pending={("shipping", "de"): [3, 5, 8, 9]})
    document = json.loads(json.dumps(found.as_json()))
    assert set(document) == {"findings", "tokens", "balance", "advice"}
    assert document["tokens"] == {
        "total": 51 * 11,
        "at_least": 51 * 11,
        "learned": 51 * 5,
        "p5": 11,
        "p50": 11,
        "p95": 11,
        "max": 11,
        "exact": True,
        "counter": "words",
    }
    assert document["balance"]["table"] == {"shipping": {"de": 1, "en": 50}}
    (advice,) = document["advice"]
    assert advice["sentence"].startswith("Add 9 German shipping examples; 4 wait in the queue: 3, 5, 8, 9; review them")


def test_estimated_tokens_are_summed_on_the_safe_side() -> None:
    tokens = report(*FIFTY, exact=False).tokens
    assert (tokens.total, tokens.exact, tokens.lengths.max) == (50 * 22, False, 22)


def asked(question: str, reply: str, system: str | None = None) -> bytes:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]
    messages = [{"role": "system", "content": system}, *turns] if system else turns
    labels = {"topic": "shipping", "language": "en", "kind": "endorsement"}
    return json.dumps({"messages": messages, "metadata": labels}).encode() + b"\n"


def test_the_same_turns_answered_in_two_ways_are_a_conflict_named_with_both_lines() -> None:
    rows = [asked("Are you open on Sundays?", "Yes."), asked("are you open on  sundays?", "No."), asked("Hi", "Hello")]
    (finding,) = report(*FIFTY, *rows).findings
    assert finding.sentence() == (
        "line 52: the same turns are answered otherwise on line 51. Decide which reply is right and leave the other "
        "out: taught both, a model gives either. [duplicates.conflict]"
    )
    assert finding.severity is Severity.WARNING


def test_under_another_system_prompt_another_reply_is_no_conflict() -> None:
    rows = [asked("Are you open?", "Yes.", "You are a shop."), asked("Are you open?", "No.", "You are a bank.")]
    assert rules(report(*FIFTY, *rows)) == ["duplicates.near"]


def test_what_users_nearly_repeat_is_one_finding_with_an_example() -> None:
    question = "I have waited for the blue kettle since Monday and nobody answers the telephone, what now?"
    rows = [asked(question.replace("Monday", day), f"Sorry about {day}.") for day in ("Monday", "Sunday", "Friday")]
    (finding,) = report(*FIFTY, *rows).findings
    assert (finding.rule, finding.severity, finding.line) == ("duplicates.near", Severity.INFO, None)
    assert finding.message == (
        "In 2 of 53 rows the user says, or nearly says, what one did before: line 52 what line 51 says."
    )


def test_an_estimate_is_one_finding_with_both_bounds() -> None:
    found = report(*FIFTY, row(50, "word " * 60), window=1_000, exact=False)
    (finding,) = found.findings
    assert (finding.rule, finding.line) == ("tokens.estimated", None)
    assert finding.message == (
        "Tokens are an estimate, words: between 616 and 1,232 in all, and up to 132 in a dialogue."
    )
    assert (found.tokens.at_least, found.tokens.total) == (616, 1_232)


def test_rows_on_both_sides_are_named_by_their_line_in_either_file() -> None:
    train = [(1, "Where is my parcel with the blue kettle?"), (4, "Do you repair toasters?")]
    validation = [(2, "where is my parcel with the blue kettle"), (3, "Bye")]
    (finding,) = judge_sides(train, validation)
    assert (finding.rule, finding.severity, finding.line) == ("duplicates.across_sides", Severity.WARNING, 1)
    assert "on line 2 of the validation file" in finding.message


def test_the_window_is_judged_at_the_moment_of_correction_as_it_is_in_a_file() -> None:
    def judged(lower: int, upper: int) -> Finding | None:
        return windows.judge(TokenCount(lower, upper, 0), window=100, model="phi-4")

    assert judged(100, 100) is None
    surely, perhaps = judged(101, 160), judged(90, 101)
    assert surely is not None
    assert perhaps is not None
    assert (surely.rule, surely.severity) == ("tokens.over_window", Severity.ERROR)
    assert (perhaps.rule, perhaps.severity) == ("tokens.maybe_over", Severity.WARNING)
    assert surely.message == "the dialogue has at least 101 tokens; the window of phi-4 is 100."


def test_a_reply_is_judged_by_the_same_bounds_and_hears_how_much_is_too_much() -> None:
    asked = Conversation((Message(Role.USER, "one two three four"),))

    def judged(words: int, window: int, *, exact: bool = True) -> Finding | None:
        gauge = windows.Gauge("phi-4", window, WordCounter(exact=exact))
        return windows.judge_reply(gauge, asked, " ".join(["word"] * words), "en")

    assert judged(6, 10) is None
    surely, perhaps, surely_at_least = judged(7, 10), judged(6, 19, exact=False), judged(8, 10, exact=False)
    assert surely is not None
    assert (surely.rule, surely.severity) == ("tokens.over_window", Severity.ERROR)
    assert surely.fix == "Shorten the reply by 1 token, about 10 characters."
    assert perhaps is not None
    assert (perhaps.rule, perhaps.severity) == ("tokens.maybe_over", Severity.WARNING)
    assert "between 10 and 20 tokens, counted as words; the window of phi-4 is 19." in perhaps.message
    assert surely_at_least is not None
    assert surely_at_least.fix == "Shorten the reply by at least 2 tokens, about 10 characters."
    no_room = judged(1, 4)
    assert no_room is not None
    assert no_room.message == (
        "No reply fits: before it, system prompt included, the conversation has 4 tokens; the window of phi-4 is 4."
    )


def test_a_finding_in_the_stream_is_passed_on_as_it_is() -> None:
    finding = Finding("mine", Severity.INFO, "a", "b", 3)
    assert check([finding], counter=WordCounter(), window=1, model="m").findings[0] == finding
