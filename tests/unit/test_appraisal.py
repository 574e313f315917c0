"""What is measured of a model is what plain transformers say of it, conversation by conversation and reply by reply."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from curation.conversation import Conversation
from training.backends.base import EvaluationRequest
from training.backends.local import checkpoint
from training.backends.local.chat import ChatFormat, Encoded, Row
from training.backends.local.evaluating.appraisal import Appraisal, appraise
from training.backends.local.evaluating.asked import Asked
from training.backends.local.evaluating.generation import greedy_replies
from training.backends.local.evaluating.measuring import margins, pair_of, row_scores
from training.backends.local.evaluating.reporting import compose
from training.backends.local.evaluating.yardsticks import bigram_perplexity, unigram_perplexity
from training.backends.local.tuning.loss import SupervisedLoss, measure
from training.backends.local.tuning.rehearsal import build_base
from training.hyperparameters import RehearsalModel

SIZE = RehearsalModel(hidden=32, layers=1, heads=2, vocabulary=300)
WINDOW = 160
EXCHANGES = [
    ("Where is it?", "In Oslo."),
    ("Price?", "Nine euros."),
    ("Hvor?", "På lager i dag."),
    ("多少钱？", "九欧元。"),
]


def turns(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(texts)]


def case(question: str, expected: str, flagged: str | None, kind: str = "correction") -> dict[str, Any]:
    return {"id": "1", "kind": kind, "messages": turns(question), "expected": expected, "flagged": flagged}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    build_base(folder, [text for pair in EXCHANGES for text in pair], SIZE, window=WINDOW, seed=1)
    return folder


@dataclass(frozen=True)
class Ready:
    """A model, loaded once for packed rows and once as plain transformers have it."""

    chat: ChatFormat
    objective: SupervisedLoss
    plain: Any
    tokenizer: Any

    def log_probabilities(self, conversation: list[dict[str, str]]) -> tuple[list[int], torch.Tensor]:
        """Token ids and, from plain logits, the log-probability of each but the first."""
        ids = self.tokenizer.apply_chat_template(conversation, return_tensors="pt", return_dict=False)
        with torch.no_grad():
            said = torch.log_softmax(self.plain(ids).logits.double(), -1)
        return ids[0].tolist(), said[0, :-1].gather(1, ids[0, 1:, None])[:, 0]

    def mean_of_reply(self, prompt: list[dict[str, str]], reply: str) -> float:
        """Of the tokens that the reply adds to its prompt, in nats."""
        start = self.tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
        ids, said = self.log_probabilities([*prompt, {"role": "assistant", "content": reply}])
        assert ids[: len(start)] == start
        return said[len(start) - 1 :].mean().item()


@pytest.fixture(scope="module")
def ready(base: Path) -> Ready:
    loaded = checkpoint.load(base, device=torch.device("cpu"))
    plain, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    return Ready(ChatFormat(loaded.tokenizer), SupervisedLoss(loaded.model), plain.eval(), tokenizer)


CPU = torch.device("cpu")


def test_the_losses_of_conversations_are_plain_ones_and_sum_to_the_perplexity(ready: Ready) -> None:
    conversations = [turns(*pair) for pair in EXCHANGES] + [turns(*EXCHANGES[0], *EXCHANGES[2])]
    rows = [ready.chat.encode(Conversation.from_json(one)) for one in conversations]
    scores = row_scores(ready.objective, rows, device=CPU, batch_tokens=90)
    for conversation, row, nats in zip(conversations, rows, scores.nats, strict=True):
        _, said = ready.log_probabilities(conversation)
        assert nats == pytest.approx(-said[torch.tensor(row.supervised[1:])].sum().item(), rel=1e-5)
    together = measure(ready.objective, rows, batch_tokens=1000, device=CPU)
    assert scores.fit.perplexity == pytest.approx(together.perplexity, rel=1e-5)
    assert math.exp(sum(scores.nats) / sum(scores.tokens)) == pytest.approx(together.perplexity, rel=1e-5)
    assert (scores.fit.accuracy, scores.fit.tokens) == pytest.approx((together.accuracy, together.tokens))


def test_a_margin_is_the_difference_of_the_mean_log_probabilities_of_two_replies(ready: Ready) -> None:
    cases = [
        case(question, reply, flagged) for question, reply in EXCHANGES for flagged in ("No.", "Ask later, please.")
    ]
    found = margins(ready.objective, [pair_of(ready.chat, one, WINDOW) for one in cases], device=CPU, batch_tokens=200)
    for one, margin in zip(cases, found, strict=True):
        wanted, flagged = (ready.mean_of_reply(one["messages"], one[name]) for name in ("expected", "flagged"))
        assert margin == pytest.approx(wanted - flagged, abs=1e-4)
    assert len({margin > 0 for margin in found if margin is not None}) == 2


def test_earlier_replies_of_the_conversation_do_not_count_in_a_margin(ready: Ready) -> None:
    one = {**case("", "In Oslo.", "No."), "messages": turns("Hi", "Hello!", "Where is it?")}
    (margin,) = margins(ready.objective, [pair_of(ready.chat, one, WINDOW)], device=CPU)
    wanted, flagged = (ready.mean_of_reply(one["messages"], one[name]) for name in ("expected", "flagged"))
    assert margin == pytest.approx(wanted - flagged, abs=1e-4)


@pytest.mark.parametrize(
    "nothing",
    [
        case("Hi", "Hello!", None),
        case("Hi", "Hello!", None, kind="endorsement"),
        case("Hi", "Hello!", "Hello!"),
        case("Hi", "Hello!", "x" * 400),
    ],
    ids=["not-flagged", "endorsed", "the-same", "too-long"],
)
def test_without_two_replies_that_fit_there_is_no_margin(ready: Ready, nothing: dict[str, Any]) -> None:
    pairs = [pair_of(ready.chat, one, WINDOW) for one in (nothing, case("Hi", "Hello!", "No."))]
    found = margins(ready.objective, pairs, device=CPU)
    assert (found[0], found[1] is None) == (None, False)


def asked(**changes: Any) -> Asked:
    rows = [Conversation.from_json(turns(*pair)) for pair in EXCHANGES]
    return replace(Asked(train=rows, validation=[Row(row) for row in rows[:2]], cases=[]), **changes)


def appraised(base: Path, what: Asked) -> Appraisal:
    return appraise(base, what, replies=True, yardsticks=True, done=lambda _: None, measured=lambda: None)


def test_a_case_is_shortened_as_in_training_and_left_out_only_where_its_last_exchange_is_too_long(base: Path) -> None:
    long = turns("x" * 150, "Yes.", "Price?")
    cases = [
        {**case("", "Nine.", None), "messages": long},
        {**case("", "Nine.", None), "messages": long[2:]},
        case("x" * 200, "No.", None),
    ]
    shortened, short, left_out = appraised(base, asked(cases=cases)).cases
    assert shortened == short is not None
    assert left_out is None


def test_a_reply_that_the_window_cuts_has_not_stopped(base: Path) -> None:
    (reply,) = appraised(base, asked(cases=[case("x" * 100, "Nine.", None)])).cases
    assert reply is not None
    assert not reply.stopped  # a random model never does
    assert 20 < len(reply.ids) < 96


@pytest.mark.parametrize(("wanted", "most"), [("Nine.", 96), ("x" * 30, 120)], ids=["short", "longer"])
def test_a_reply_of_four_times_the_longest_wanted_one_is_cut(base: Path, wanted: str, most: int) -> None:
    (reply,) = appraised(base, asked(cases=[case("Price?", wanted, None)])).cases
    assert (reply is not None, len(reply.ids) if reply else 0) == (True, most)


def test_replies_are_those_of_plain_transformers_one_at_a_time_up_to_where_they_stop(base: Path, ready: Ready) -> None:
    loaded = checkpoint.load(base, device=CPU)
    prompts = [ready.chat.prompt(Conversation.from_json(turns(question))) for question, _ in EXCHANGES]
    plain = [
        ready.plain.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=40)[0, len(ids) :].tolist()
        for ids in prompts
    ]
    stop = plain[0][5]  # a random model has no use for its stop token
    loaded.model.generation_config.eos_token_id = [*loaded.stop_tokens, stop]
    counted: list[int] = []
    replies = greedy_replies(loaded, prompts, max_new_tokens=40, done=counted.append)
    expected = [ids[: ids.index(stop)] if stop in ids else ids for ids in plain]
    assert [list(reply.ids) for reply in replies] == expected
    assert [reply.stopped for reply in replies] == [stop in ids for ids in plain]
    assert [reply.text for reply in replies] == [
        ready.tokenizer.decode(ids, skip_special_tokens=True) for ids in expected
    ]
    assert {reply.stopped for reply in replies} == {True, False}
    assert sum(counted) == len(prompts)


def test_what_fails_while_replies_grow_ends_the_evaluation_as_what_it_was(base: Path) -> None:
    with pytest.raises(IndexError):
        greedy_replies(checkpoint.load(base, device=CPU), [[10**9]], max_new_tokens=2, done=lambda _: None)


def test_a_golden_file_that_cannot_be_read_costs_no_evaluation(tmp_path: Path) -> None:
    golden, rows = tmp_path / "golden.jsonl", tmp_path / "rows.jsonl"
    golden.write_text('{"messages": [{"role": "user", "content": "Hi"}]}\n')
    rows.write_text(json.dumps({"messages": turns("Hi", "Hello!")}) + "\n")
    (tmp_path / "cases.jsonl").touch()
    here = Path()
    found = Asked.read(
        EvaluationRequest("r", here, here, None, here, rows, rows, tmp_path / "cases.jsonl", golden=golden)
    )
    assert (found.golden, len(found.validation)) == ([], 1)
    assert "golden.jsonl" in str(found.problem)


def rows_of(*lines: list[int]) -> list[Encoded]:
    return [Encoded(line, [False, *[True] * (len(line) - 1)]) for line in lines]


def test_the_unigram_yardstick_is_add_one_over_supervised_tokens() -> None:
    seen = [Encoded([1, 2, 2, 3], [False, True, True, True])]
    # Counts 2: 2, 3: 1; vocabulary 10, so 13 in all; the token 2 has (2 + 1) / 13, the unseen 9 has 1 / 13.
    assert unigram_perplexity(seen, rows_of([7, 2, 9]), vocabulary=10) == pytest.approx((13 / 3 * 13) ** 0.5)


def test_the_bigram_yardstick_weighs_a_pair_by_how_few_successors_its_first_token_had() -> None:
    seen = rows_of([1, 2, 3], [1, 2, 2])
    # After 2 came 3 and 2, once each: (1 + 2 * p) / (2 + 2), and p is the unigram's (1 + 1) / (4 + 10) of the token 3.
    assert bigram_perplexity(seen, rows_of([2, 3]), vocabulary=10) == pytest.approx(1 / ((1 + 2 * 2 / 14) / 4))
    # Nothing is known of what follows 5.
    assert bigram_perplexity(seen, rows_of([5, 2]), vocabulary=10) == pytest.approx(1 / (4 / 14))


def test_the_bigram_yardstick_shares_out_exactly_all_likelihood() -> None:
    seen = rows_of([1, 2, 3, 2, 2, 4], [4, 1, 2])
    for first in (1, 2, 9):
        likelihoods = [1 / bigram_perplexity(seen, rows_of([first, token]), vocabulary=10) for token in range(10)]
        assert sum(likelihoods) == pytest.approx(1)


def test_neighbours_help_where_there_is_order_and_do_no_good_where_there_is_none() -> None:
    rng = random.Random(2)
    ordered = rows_of(*([place % 7 for place in range(start, start + 30)] for start in range(20)))
    shuffled = rows_of(*(rng.sample(row.ids, len(row.ids)) for row in ordered))
    for rows, helps in ((ordered, True), (shuffled, False)):
        alone, together = (one(rows[:10], rows[10:], vocabulary=7) for one in (unigram_perplexity, bigram_perplexity))
        assert (together < alone / 3) is helps


def test_losses_of_models_with_different_tokenizers_are_not_put_side_by_side(base: Path, tmp_path: Path) -> None:
    build_base(tmp_path, ["Nine euros."] * 9, SIZE, window=WINDOW, seed=1)
    general = [Conversation.from_json(turns("Where is it?", "Nine."))]
    what = asked(general=general, cases=[case("Price?", "Nine.", "No."), case("x" * 200, "No.", "Yes.")])
    one, other = appraised(base, what), appraised(tmp_path, what)
    apart = compose(what, {"candidate": one, "base": other}, other)
    assert apart["validation"]["base"]["comparable"] is False
    assert set(apart["losses"]) == {"candidate", "tokens", "kinds"}
    assert (apart["sets"]["general"]["rows"], apart["sets"]["general"]["left_out"]) == (0, 1)
    # Replies, and which of two is likelier, can be.
    assert [set(found["margins"]) for found in apart["cases"]] == [{"before", "after", "base"}]
    assert apart["left_out"] == {"validation": 0, "cases": 1}
    assert apart["pairs"] == []
    together = compose(what, {"candidate": one, "baseline": one, "base": one}, one)
    assert together["losses"]["candidate"] == together["losses"]["baseline"] == together["losses"]["base"]
    assert together["sets"]["general"]["before"] == together["sets"]["general"]["after"] != []


def test_an_imported_pair_is_asked_which_reply_is_likelier_and_for_no_reply(base: Path, tmp_path: Path) -> None:
    pair = {**case("Price?", "Nine.", "No.", kind="imported"), "side": "validation"}
    rows, cases = tmp_path / "rows.jsonl", tmp_path / "cases.jsonl"
    rows.write_text(json.dumps({"messages": turns("Hi", "Hello!")}) + "\n")
    cases.write_text("".join(json.dumps(one) + "\n" for one in (case("Price?", "Nine.", "No."), pair)))
    here = Path()
    what = Asked.read(EvaluationRequest("r", here, here, None, here, rows, rows, cases))
    found = appraised(base, what)
    report = compose(what, {"candidate": found, "base": found}, found)
    assert (len(found.cases), report["sanity"]["candidate"]["replies"]) == (1, 1)
    assert report["pairs"] == [{"id": "1", "side": "validation", "margins": report["cases"][0]["margins"]}]
