"""What is looked at when somebody presses Save: does it fit the model that will be tuned, whose data does it hold?"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import PROMPT, Office, open_office
from shell import Shell
from sqlmodel import select
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from bot.app import build, now
from bot.gauging import at_start
from curation import assistants
from curation.errors import Invalid
from curation.store.tables import Candidate, Correction, Example, HandledRequest
from curation.tokens.vocabularies import counts_of, encoding_of

QUESTION = "How long is the filter good for?"
WRONG = "The filter lasts for ever."
RIGHT = "A filter lasts six months."
TOKEN = "xoxb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx"
WINDOW = 4096
SPECIALS = ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")


def rows(office: Office, table: type) -> list[Any]:
    with office.store.read() as session:
        return list(session.exec(select(table)))


def a_token_a_word(folder: Path) -> Path:
    """A tokenizer.json as large as Phi-3's and with its special tokens, in which each word of letters is a token."""
    filling = {f"never a word {number}": number for number in range(1, 32_000)}
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, **filling}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(special, rstrip=special != "<|endoftext|>") for special in SPECIALS])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def words(number: int) -> str:
    return " ".join(["word"] * number)


def before_the_reply(question: str) -> int:
    """Tokens of prompt and question: a word each, two around a turn, and one at the end."""
    return len(PROMPT.split()) + len(question.split()) + 2 * 3 + 1


@pytest.fixture
def exact(tmp_path: Path) -> Iterator[Office]:
    """An office that has the tokenizer of the model that will be tuned."""
    with open_office(tmp_path, ERRATA_TOKENIZER=str(a_token_a_word(tmp_path))) as office:
        yield office


@pytest.fixture
def estimating(tmp_path: Path) -> Iterator[Office]:
    """An office that has none, and tunes a model with a window of 2,048 tokens."""
    with open_office(tmp_path, ERRATA_MODEL="rehearsal") as office:
        yield office


def modal_text(person: Any) -> str:
    return json.dumps(person.modal, ensure_ascii=False)


def test_a_correction_that_is_too_long_is_refused_in_the_form_with_figures_and_its_text_stays(exact: Office) -> None:
    question = words(3900)
    _, reply = exact.ask(question, WRONG)
    too_long = words(400)
    errors = exact.correct(exact.ana, reply, too_long, topic="filters")
    total = before_the_reply(question) + 400
    over = total - WINDOW
    assert errors == {
        "correction": f"With this reply the conversation has {total:,} tokens; the window of phi-3-mini-4k-instruct is "
        f"4,096. Shorten the reply by {over} tokens, about {-(-len(too_long) * over // 400 // 10) * 10:,} characters."
    }
    kept = exact.ana.modal["state"]["values"] if exact.ana.modal else {}
    assert [kept[block]["value"]["value"] for block in ("correction", "topic")] == [too_long, "filters"]
    assert rows(exact, Candidate) == []

    assert exact.ana.submit({"correction": words(400 - over)}) == {}
    assert exact.ana.modal is None
    assert len(rows(exact, Candidate)) == 1


def test_a_conversation_that_leaves_no_room_says_who_can_do_something_about_it(exact: Office) -> None:
    question = words(WINDOW)
    _, reply = exact.ask(question, WRONG)
    (sentence,) = exact.correct(exact.ana, reply, RIGHT).values()
    assert sentence == (
        "No reply fits: before it, system prompt included, the conversation has "
        f"{before_the_reply(question):,} tokens; the window of phi-3-mini-4k-instruct is 4,096. "
        "An owner can set ERRATA_MODEL to a model with a larger window."
    )
    exact.ana.close_modal()
    assert exact.endorse(exact.ana, reply) == {"topic": sentence}
    assert rows(exact, Candidate) == []


def test_the_form_shows_how_much_of_the_window_is_taken_before_anything_is_written(exact: Office) -> None:
    _, reply = exact.ask(QUESTION, WRONG)
    exact.ana.message_shortcut(exact.channel, reply, "correct_reply")
    exact.wait_for_thread(exact.ana)
    taken = before_the_reply(QUESTION) - 2
    assert f"Before your reply: {taken} of the 4,096 tokens that phi-3-mini-4k-instruct takes" in modal_text(exact.ana)


def test_what_is_measured_is_the_conversation_under_the_prompt_of_its_channel(exact: Office) -> None:
    _, reply = exact.ask(QUESTION, WRONG)
    with exact.store.write() as session:
        for text, channel in ((words(700), "C0THER"), (words(500), exact.channel), (words(600), None)):
            assistants.set_prompt(session, exact.actor("olga"), now(), name="Bris", text=text, channel=channel)
        bris = assistants.find(session, "Bris")
        for place in (f"{bris.team_id}/C0THER", f"{bris.team_id}/{exact.channel}", f"{bris.team_id}/C1", None):
            prompt = assistants.current_prompt(session, bris.key, place)
            assert prompt is not None
            assert assistants.prompt_text(session, bris.key, place) == prompt.text
    exact.ana.message_shortcut(exact.channel, reply, "correct_reply")
    exact.wait_for_thread(exact.ana)
    assert f"Before your reply: {500 + len(QUESTION.split()) + 2 * 2 + 1} of" in modal_text(exact.ana)


def test_without_the_exact_tokenizer_the_form_shows_bounds_and_that_they_are_estimated(estimating: Office) -> None:
    _, reply = estimating.ask(QUESTION, WRONG)
    estimating.ana.message_shortcut(estimating.channel, reply, "correct_reply")
    estimating.wait_for_thread(estimating.ana)
    said = r"Before your reply: (\d+) to (\d+) of the 2,048 tokens that rehearsal takes, counted as phi3 \(estimated"
    bounds = re.search(said, modal_text(estimating.ana))
    assert bounds is not None
    assert int(bounds[1]) < int(bounds[2])


@pytest.mark.parametrize(
    ("question", "correction"),
    [
        ("Wie lange hält der Filter? " * 100, "Der Filter hält sechs Monate, dann meldet sich die App. " * 52),
        ("滤芯可以使用多久？" * 40, "滤芯可以使用六个月，应用会提前两周提醒您。" * 40),
    ],
    ids=["German", "Chinese"],
)
def test_what_may_be_too_long_is_saved_and_its_author_sees_both_bounds(
    estimating: Office, question: str, correction: str
) -> None:
    _, reply = estimating.ask(question, WRONG)
    assert estimating.correct(estimating.ana, reply, correction) == {}
    shown = modal_text(estimating.ana)
    assert "Your correction is saved and waits for review." in shown
    assert re.search(r"between 1,\d{3} and 2,\d{3} tokens, counted as phi3 \(estimated from cl100k\)", shown)
    assert "the window of rehearsal is 2,048." in shown
    assert "(ERRATA_TOKENIZER)" in shown
    assert len(rows(estimating, Candidate)) == 1


def test_what_is_too_long_even_by_the_lower_bound_is_refused(estimating: Office) -> None:
    _, reply = estimating.ask("Where is order 4711? " * 250, WRONG)
    (sentence,) = estimating.correct(estimating.ana, reply, "It is on its way to you. " * 110).values()
    assert re.fullmatch(
        r"With this reply the conversation has at least 2,\d{3} tokens; the window of rehearsal is 2,048\. "
        r"Shorten the reply by at least [\d,]+ tokens, about [\d,]+0 characters\.",
        sentence,
    )
    assert rows(estimating, Candidate) == []


def test_personal_data_stops_nothing_and_its_author_hears_what_was_found_and_who_decides(office: Office) -> None:
    _, reply = office.ask(QUESTION, WRONG)
    text = f"Write to kari@nordmann.no and send us {TOKEN}."
    assert office.correct(office.ana, reply, text) == {}
    shown = modal_text(office.ana)
    assert "Your correction is saved and waits for review." in shown
    assert "The reply seems to hold an e-mail address and a Slack token. A reviewer decides about them; " in shown
    assert "what nobody has decided about is redacted in whatever leaves Errata." in shown
    assert "Revoke it if it is a real key or token" in shown
    assert "kari@nordmann.no" not in shown
    assert TOKEN not in shown
    assert not any(b"nordmann" in request.body for request in rows(office, HandledRequest))
    assert [version.text for version in rows(office, Correction)] == [text]


@pytest.mark.parametrize(
    ("policy", "told"), [("review", "keeps this example from leaving Errata"), ("off", None)], ids=["review", "off"]
)
def test_what_is_said_about_personal_data_is_what_the_installation_does_with_it(
    tmp_path: Path, policy: str, told: str | None
) -> None:
    with open_office(tmp_path, ERRATA_PRIVACY=policy) as office:
        _, reply = office.ask(QUESTION, WRONG)
        assert office.correct(office.ana, reply, "Schreiben Sie an kari@nordmann.no.") == {}
        if told is None:
            assert office.ana.modal is None
        else:
            assert told in modal_text(office.ana)


def test_whoever_endorses_a_reply_is_not_told_what_they_cannot_change(office: Office) -> None:
    _, reply = office.ask(QUESTION, "Hi Kari, write to help@klarbris.no.")
    assert office.endorse(office.ana, reply) == {}
    assert office.ana.modal is None


def test_a_correction_with_nothing_to_mind_closes_its_form(office: Office) -> None:
    _, reply = office.ask(QUESTION, WRONG)
    assert office.correct(office.ana, reply, RIGHT) == {}
    assert office.ana.modal is None


def test_a_reviewers_edit_is_looked_at_like_a_correction(exact: Office) -> None:
    _, reply = exact.ask(words(3900), WRONG)
    exact.correct(exact.ana, reply, RIGHT)
    exact.review(exact.ben)
    exact.ben.click_in_modal("review_edit")
    (sentence,) = exact.ben.submit({"edited": words(400)}).values()
    assert "Shorten the reply by" in sentence
    assert rows(exact, Example) == []
    assert [candidate.status for candidate in rows(exact, Candidate)] == ["pending"]

    assert exact.ben.submit({"edited": "Ask kari@nordmann.no."}) == {}
    shown = modal_text(exact.ben)
    assert "You edited and approved #" in shown
    assert "The reply seems to hold an e-mail address. A reviewer decides about it" in shown
    assert rows(exact, Example)[0].messages[-1]["content"] == "Ask kari@nordmann.no."


def test_a_reworked_correction_is_looked_at_again(exact: Office) -> None:
    _, reply = exact.ask(words(3900), WRONG)
    exact.correct(exact.ana, reply, RIGHT)
    exact.review(exact.ben)
    assert exact.send_back(exact.ben, "Name the app.") == {}
    exact.deliver()
    (message,) = exact.ana.dms
    exact.ana.click(exact.ana.dm_channel, message["ts"], "review_amend")
    assert "Shorten the reply by" in exact.ana.submit({"correction": words(400)})["correction"]
    assert exact.ana.submit({"correction": "Call +47 22 33 44 55."}) == {}
    assert "a telephone number" in modal_text(exact.ana)
    assert [version.text for version in rows(exact, Correction)] == [RIGHT, "Call +47 22 33 44 55."]


def test_the_terminal_looks_at_an_edit_and_at_a_reworked_correction_in_the_same_words(
    errata: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERRATA_TOKENIZER", str(a_token_a_word(tmp_path)))
    row = {"messages": [{"role": "user", "content": words(3900)}, {"role": "assistant", "content": WRONG}]}
    (tmp_path / "one.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert errata("people", "grant", "ben", "agent")[0] == 0
    assert errata("import", "one.jsonl", acting="ben")[0] == 0

    code, out, err = errata("review", "1", "--edit", words(400))
    assert (code, out) == (1, "")
    assert "the window of phi-3-mini-4k-instruct is 4,096. Shorten the reply by" in err
    code, _, err = errata("amend", "1", "--text", words(400), acting="ben")
    assert code == 1
    assert "Shorten the reply by" in err
    code, out, err = errata("amend", "1", "--text", "Ask kari@nordmann.no.", acting="ben")
    assert code == 0
    assert out.startswith("#1 waits for review.")
    assert err.startswith("Warning: The reply seems to hold an e-mail address. A reviewer decides about it; ")
    code, out, err = errata("review", "1", "--edit", "Ask 22 33 44 55.")
    assert (code, out) == (0, "#1 is edited and approved.\n")
    assert "a telephone number" in err
    assert "22 33" not in err


def test_a_process_that_waits_for_its_vocabulary_takes_corrections_unmeasured_and_measures_later(
    office: Office,
) -> None:
    gauge = at_start(office.settings, patience_seconds=0)
    office.workspace.wait_until(lambda: gauge() is not None, what="the gauge")
    loaded = gauge()
    assert loaded is not None
    assert (loaded.model, loaded.window) == ("phi-3-mini-4k-instruct", WINDOW)


def test_where_no_vocabulary_can_be_had_corrections_are_taken_unmeasured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "bpe_openai", None)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "empty"))

    def offline(*_: Any, **__: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr("requests.get", offline)
    for loaded in (encoding_of, counts_of):
        loaded.cache_clear()
    with open_office(tmp_path) as office:
        assert "corrections are not measured: error=Unavailable" in caplog.text
        _, reply = office.ask(QUESTION, WRONG)
        assert office.correct(office.ana, reply, words(WINDOW // 8)) == {}
        assert len(rows(office, Candidate)) == 1


def test_a_tokenizer_that_is_none_is_said_at_the_start(tmp_path: Path) -> None:
    with open_office(tmp_path) as office, pytest.raises(Invalid, match=r"none\.json cannot be read as a tokenizer; "):
        build(replace(office.settings, tokenizer=tmp_path / "none.json"), office.store)


def test_the_tokenizer_of_another_model_is_said_at_the_start(tmp_path: Path) -> None:
    settings = {"tokenizer": a_token_a_word(tmp_path), "model": "phi-4-mini-instruct"}
    with (
        open_office(tmp_path) as office,
        pytest.raises(Invalid, match=r"32,005 tokens, and the model has .* 200,064: "),
    ):
        build(replace(office.settings, **settings), office.store)  # type: ignore[arg-type]  # two of its fields
