"""The metrics of replies and labels are those of the packages that everybody quotes."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import CHRF
from scipy import stats
from sklearn import metrics as sklearn

from curation.measures.diversity import words
from training.evaluation import metrics
from training.evaluation.intervals import paired_bootstrap, wilson_interval

# Few letters, so that texts share much; every kind of white space, a combining accent, Chinese, an astral letter.
TEXTS = st.one_of(
    st.text("abcÅåe\u0301 \t\n\u3000包裹,.!?'𝒳0", max_size=40),
    st.text(max_size=20),
    st.sampled_from(
        ["", "Hei, pakken er i Oslo.", "Das Paket ist in Köln.", "您的包裹在奥斯陆。", "Nasa Maynila na po."]
    ),
)
SLOWLY = settings(deadline=None, max_examples=60)  # a shared core may sleep in the middle of one
LABELS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcde")), min_size=1, max_size=30)


class OurWords:
    """As rouge-score wants a tokenizer."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


@SLOWLY
@given(TEXTS, TEXTS)
def test_chrf_is_that_of_sacrebleu(reply: str, wanted: str) -> None:
    assert metrics.chrf(reply, wanted) == pytest.approx(CHRF().sentence_score(reply, [wanted]).score / 100, abs=1e-9)


@SLOWLY
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_chrf_of_a_corpus_is_that_of_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    replies, wanted = zip(*pairs, strict=True)
    theirs = CHRF().corpus_score(list(replies), [list(wanted)]).score / 100
    assert metrics.corpus_chrf(pairs) == pytest.approx(theirs, abs=1e-9)


@SLOWLY
@given(TEXTS, TEXTS)
def test_rouge_l_is_that_of_rouge_score_over_our_words(reply: str, wanted: str) -> None:
    theirs = RougeScorer(["rougeL"], tokenizer=OurWords()).score(wanted, reply)["rougeL"].fmeasure
    assert metrics.rouge_l(reply, wanted) == pytest.approx(theirs, abs=1e-9)


@SLOWLY
@given(*[st.text("abcDE 12.,!'-\n", max_size=60)] * 2)
def test_rouge_l_of_plain_english_is_that_of_rouge_score_over_its_own_words(reply: str, wanted: str) -> None:
    theirs = RougeScorer(["rougeL"]).score(wanted, reply)["rougeL"].fmeasure
    assert metrics.rouge_l(reply, wanted) == pytest.approx(theirs, abs=1e-9)


def test_chinese_characters_and_norwegian_letters_are_words_too() -> None:
    assert metrics.rouge_l("包裹在上海", "包裹在北京") == pytest.approx(3 / 5)
    assert metrics.token_f1("på vei", "på lager") == pytest.approx(1 / 2)


def test_a_long_reply_is_compared_in_no_time_and_as_exactly() -> None:
    rng = random.Random(5)
    said, wanted = (" ".join(rng.choice("abcdefgh") for _ in range(400)) for _ in range(2))
    theirs = RougeScorer(["rougeL"], tokenizer=OurWords()).score(wanted, said)["rougeL"].fmeasure
    assert metrics.rouge_l(said, wanted) == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("reply", "wanted", "score"),
    # SQuAD's own measure, by hand: 2 of 3 words of the reply, 2 of 4 of the wanted one.
    [
        ("your parcel left", "Your parcel is here", 4 / 7),
        ("b b a", "a b", 4 / 5),
        ("x", "y", 0),
        ("", "", 1),
        ("a", "", 0),
    ],
    ids=["some", "as-often-as-both", "none", "both-empty", "one-empty"],
)
def test_token_f1_counts_the_words_that_both_have(reply: str, wanted: str, score: float) -> None:
    assert metrics.token_f1(reply, wanted) == pytest.approx(score)


@pytest.mark.parametrize(
    ("reply", "wanted", "same"),
    [
        (" Hei  Kåre! ", "Hei Kåre!", True),
        ("Hei Ka\u030are!", "Hei Kåre!", True),
        ("Hei Kari Nordmann!", "Hei [NAME]!", True),
        ("Hei\nKari!", "Hei Kari!", False),
        ("hei Kåre!", "Hei Kåre!", False),
        ("Hei!", "Hei [NAME]!", False),
    ],
    ids=["white-space", "accents", "redacted", "lines", "case", "nothing-for-the-name"],
)
def test_exact_is_the_wanted_reply_but_for_spaces_spelling_and_what_was_redacted(
    reply: str, wanted: str, same: bool
) -> None:
    assert metrics.exact(reply, wanted) is same


@SLOWLY
@given(LABELS)
def test_accuracy_macro_f1_and_confusion_are_those_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truth, said = map(list, zip(*pairs, strict=True))
    assert metrics.accuracy(truth, said) == pytest.approx(sklearn.accuracy_score(truth, said))
    theirs = sklearn.f1_score(truth, said, average="macro", zero_division=0)
    assert metrics.macro_f1(truth, said) == pytest.approx(theirs)
    names = list("abcde")
    assert metrics.confusion(truth, said, names) == sklearn.confusion_matrix(truth, said, labels=names).tolist()


def test_nothing_labelled_is_nothing_right() -> None:
    assert (metrics.accuracy([], []), metrics.macro_f1([], []), metrics.confusion([], [], ["a"])) == (0, 0, [[0]])


@pytest.mark.parametrize("weighted", [False, True], ids=["mean", "per-token"])
def test_the_paired_bootstrap_is_that_of_scipy(weighted: bool) -> None:
    rng = np.random.default_rng(1)
    first, weights = rng.gamma(2, 3, 120), rng.integers(5, 60, 120).astype(float)
    second = first + rng.normal(0.3, 1, 120)
    ours = paired_bootstrap(
        first.tolist(), second.tolist(), weights=weights.tolist() if weighted else None, resamples=20_000
    )
    theirs = stats.bootstrap(
        (first, second, weights if weighted else np.ones(120)),
        lambda a, b, w, axis=-1: (a - b).sum(axis=axis) / w.sum(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=20_000,
        batch=2_000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=width / 30)
    assert ours.high == pytest.approx(theirs.high, abs=width / 30)
    assert ours.low < ours.estimate < ours.high


def test_it_holds_the_truth_about_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(3), 0
    for seed in range(200):
        hard = rng.gamma(2, 3, 60)  # what makes a row hard for both models
        first, second = hard + rng.normal(0.5, 1, 60), hard + rng.normal(0, 1, 60)
        interval = paired_bootstrap(first.tolist(), second.tolist(), seed=seed, resamples=400)
        held += interval.low <= 0.5 <= interval.high
    assert 0.90 <= held / 200 <= 0.99


def test_pairs_say_more_than_two_groups_would() -> None:
    rng = np.random.default_rng(4)
    hard = rng.gamma(2, 30, 60)
    better = paired_bootstrap((hard + 1).tolist(), hard.tolist())
    assert better == pytest.approx((1, 1, 1))


def test_the_same_seed_gives_the_same_interval_and_many_rows_are_drawn_in_parts() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.normal(0, 1, (2, 30_000)).tolist()
    drawn = [paired_bootstrap(first, second, seed=seed, resamples=300) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0].high - drawn[0].low == pytest.approx(2 * 1.96 * math.sqrt(2 / 30_000), rel=0.2)


@pytest.mark.parametrize(
    ("first", "second", "weights"), [([], [], None), ([1.0], [1.0, 2.0], None), ([1.0], [1.0], [])]
)
def test_other_rows_on_one_side_are_refused(
    first: list[float], second: list[float], weights: list[float] | None
) -> None:
    with pytest.raises(ValueError, match="the same rows"):
        paired_bootstrap(first, second, weights=weights)


def test_a_share_of_nothing_may_be_any() -> None:
    assert wilson_interval(0, 0) == (0, 1)
