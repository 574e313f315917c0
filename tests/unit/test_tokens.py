from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiktoken_ext import openai_public  # type: ignore[import-untyped]  # published without types
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from curation.conversation import Conversation, Message, Role
from curation.errors import Invalid
from curation.tokens import SAFE_FACTOR, TokenCount, TokenizerFamily, counter_for
from curation.vocabularies import _SOURCES, Vocabulary, encoding_of

PHI_SPECIALS = ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
CHAT = Conversation(
    (
        Message(Role.SYSTEM, "You help customers."),
        Message(Role.USER, "Wo ist meine Bestellung?"),
        Message(Role.ASSISTANT, "Sie kommt am Montag an.", weight=1, name="Robin"),
    )
)
SAMPLE = ["You help customers.", "Wo ist meine Bestellung?", "Hvor er pakken min? 谢谢 😀", "Nasaan ang order ko?"]


def tokenizer_file(folder: Path, specials: tuple[str, ...] = PHI_SPECIALS, *, truncate_at: int | None = None) -> Path:
    """A small byte-level BPE with Phi-3's special tokens, which swallow the white space behind them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        SAMPLE, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens([AddedToken(special, rstrip=special != "<|endoftext|>") for special in specials])
    if truncate_at is not None:
        tokenizer.enable_truncation(truncate_at)
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.mark.parametrize("vocabulary", Vocabulary)
def test_the_installed_vocabularies_are_the_public_ones(vocabulary: Vocabulary) -> None:
    # Ids taken from tiktoken's own tests and OpenAI's cookbook.
    known = {
        Vocabulary.CL100K: {"hello world": [15339, 1917], "tiktoken is great!": [83, 1609, 5963, 374, 2294, 0]},
        Vocabulary.O200K: {"hello world": [24912, 2375], "tiktoken is great!": [83, 8251, 2488, 382, 2212, 0]},
    }
    for text, ids in known[vocabulary].items():
        assert encoding_of(vocabulary).encode_ordinary(text) == ids


def test_our_patterns_and_pinned_hashes_are_those_of_the_installed_tiktoken(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: dict[str, str | None] = {}

    def note(url: str, expected_hash: str | None = None) -> dict[bytes, int]:
        pinned[Path(url).stem] = expected_hash
        return {}

    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", note)
    for vocabulary in Vocabulary:
        assert openai_public.ENCODING_CONSTRUCTORS[vocabulary]()["pat_str"] == _SOURCES[vocabulary].pattern
        assert pinned[vocabulary] == _SOURCES[vocabulary].sha256


@pytest.mark.parametrize(("family", "per_turn", "at_end"), [("o200k", 2, 1), ("cl100k", 4, 0)])
def test_a_chat_counts_its_words_and_what_the_template_adds(family: str, per_turn: int, at_end: int) -> None:
    counter = counter_for(TokenizerFamily(family))
    encoding = encoding_of(Vocabulary(f"{family}_base"))
    words = sum(len(encoding.encode_ordinary(message.content)) for message in CHAT.messages)
    assert counter.exact
    assert counter.count(CHAT) == TokenCount(words + 3 * per_turn + at_end, words + 3 * per_turn + at_end)


def test_each_role_is_one_token_in_cl100k_so_phi_4_adds_four_to_a_turn() -> None:
    assert [len(encoding_of(Vocabulary.CL100K).encode_ordinary(role)) for role in ("system", "user", "assistant")] == [
        1,
        1,
        1,
    ]


def test_special_tokens_that_a_customer_typed_are_counted_as_text() -> None:
    counter = counter_for(TokenizerFamily.O200K)
    typed = counter.count(Conversation((Message(Role.USER, "<|endoftext|>"),)))
    assert typed.lower > counter.count(Conversation((Message(Role.USER, "a"),))).lower + 3


def test_phi_3_without_its_tokenizer_is_a_range_and_says_so() -> None:
    counter = counter_for(TokenizerFamily.PHI3)
    count = counter.count(CHAT)
    assert not counter.exact
    assert not count.exact
    assert "estimated" in counter.name
    words = sum(len(encoding_of(Vocabulary.CL100K).encode_ordinary(message.content)) for message in CHAT.messages)
    assert count.lower == words + 7
    assert words * SAFE_FACTOR < count.upper <= words * SAFE_FACTOR + 15


def test_phi_3_with_its_tokenizer_is_exact_and_its_template_adds_two_to_a_turn(tmp_path: Path) -> None:
    path = tokenizer_file(tmp_path)
    tokenizer = Tokenizer.from_file(str(path))
    words = sum(len(tokenizer.encode(message.content).ids) for message in CHAT.messages)
    for given_path in (path, tmp_path):
        counter = counter_for(TokenizerFamily.PHI3, tokenizer_path=given_path)
        assert counter.exact
        assert counter.count(CHAT) == TokenCount(words + 3 * 2 + 1, words + 3 * 2 + 1)


def test_a_tokenizer_that_would_cut_still_counts_everything(tmp_path: Path) -> None:
    whole = counter_for(TokenizerFamily.PHI3, tokenizer_path=tokenizer_file(tmp_path)).count(CHAT)
    cutting = counter_for(TokenizerFamily.PHI3, tokenizer_path=tokenizer_file(tmp_path, truncate_at=5)).count(CHAT)
    assert cutting == whole
    assert whole.lower > 5


def test_the_tokenizer_of_another_family_is_refused(tmp_path: Path) -> None:
    path = tokenizer_file(tmp_path, PHI_SPECIALS[:4])
    with pytest.raises(Invalid, match=r"has no token <\|end\|>; give the tokenizer.json of a phi3 model"):
        counter_for(TokenizerFamily.PHI3, tokenizer_path=path)


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(Invalid, match="cannot be read as a tokenizer"):
        counter_for(TokenizerFamily.PHI3, tokenizer_path=tmp_path)
    with pytest.raises(Invalid, match="cannot be read as a tokenizer"):
        counter_for(TokenizerFamily.PHI3, tokenizer_path=tmp_path / "missing.json")


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3), st.sampled_from(TokenizerFamily))
def test_more_turns_are_more_tokens_and_the_lower_bound_is_below_the_upper(
    contents: list[str], family: TokenizerFamily
) -> None:
    counter = counter_for(family)
    counts = [
        counter.count(Conversation(tuple(Message(Role.USER, content) for content in contents[:length])))
        for length in range(len(contents) + 1)
    ]
    assert all(count.lower <= count.upper for count in counts)
    assert all(fewer.lower < more.lower and fewer.upper < more.upper for fewer, more in pairwise(counts))
