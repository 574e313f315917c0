from __future__ import annotations

import os
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiktoken_ext import openai_public  # type: ignore[import-untyped]  # published without types
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from curation.conversation import Conversation, Message, Role, Tool, ToolCall
from curation.errors import Invalid
from curation.tokens.counters import SAFE_FACTOR, SAFE_FACTORS, TokenCount, TokenCounter, TokenizerFamily, counter_for
from curation.tokens.vocabularies import _SOURCES, Vocabulary, bulk_counts_of, counts_of, encoding_of

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


def count(counter: TokenCounter, conversation: Conversation, language: str | None = None) -> TokenCount:
    return counter.count_all([conversation], [language])[0]


def words_of(vocabulary: Vocabulary, *texts: str) -> int:
    return sum(len(encoding_of(vocabulary).encode_ordinary(text)) for text in texts)


@pytest.mark.parametrize(("family", "per_turn", "at_end"), [("o200k", 2, 1), ("cl100k", 4, 0)])
def test_a_chat_counts_its_words_and_what_the_template_adds(family: str, per_turn: int, at_end: int) -> None:
    counter = counter_for(TokenizerFamily(family))
    words = [words_of(Vocabulary(f"{family}_base"), message.content) for message in CHAT.messages]
    assert counter.exact
    tokens = sum(words) + 3 * per_turn + at_end
    assert count(counter, CHAT) == TokenCount(tokens, tokens, words[-1])


def test_a_reply_of_weight_0_counts_but_is_not_learned() -> None:
    turns = (*CHAT.messages, Message(Role.USER, "Danke"), Message(Role.ASSISTANT, "Gern geschehen!", weight=0))
    with_more = count(counter_for(TokenizerFamily.O200K), Conversation(turns))
    before = count(counter_for(TokenizerFamily.O200K), CHAT)
    assert with_more.learned == before.learned
    assert with_more.lower > before.lower


def test_conversations_counted_together_are_counted_as_alone() -> None:
    # The same system prompt comes again, and is counted only once.
    other = Conversation((CHAT.messages[0], Message(Role.USER, "Hi"), Message(Role.ASSISTANT, "Hello 👋")))
    counter = counter_for(TokenizerFamily.O200K)
    assert counter.count_all([CHAT, other, CHAT]) == [count(counter, one) for one in (CHAT, other, CHAT)]
    assert counter.count_all([]) == []


def test_tools_count_as_their_json_with_a_mark_on_either_side() -> None:
    tool = Tool("track", "Where a parcel is", {"type": "object", "properties": {"number": {"type": "string"}}})
    call = ToolCall("c1", "track", '{"number": "17"}')
    turns = (
        *CHAT.messages[:2],
        Message(Role.ASSISTANT, "", tool_calls=(call,)),
        Message(Role.TOOL, "on its way", tool_call_id="c1"),
        CHAT.messages[2],
    )
    definitions = (
        '[{"name": "track", "description": "Where a parcel is", '
        '"parameters": {"type": "object", "properties": {"number": {"type": "string"}}}}]'
    )
    words = words_of(Vocabulary.O200K, definitions, *(turn.text for turn in turns))
    counted = count(counter_for(TokenizerFamily.O200K), Conversation(turns, (tool,)))
    assert counted.lower == words + 2 + 5 * 2 + 1
    assert "track" in turns[2].text


def test_each_role_is_one_token_in_cl100k_so_phi_4_adds_four_to_a_turn() -> None:
    assert [words_of(Vocabulary.CL100K, role) for role in ("system", "user", "assistant")] == [1, 1, 1]


def test_special_tokens_that_a_customer_typed_are_counted_as_text() -> None:
    counter = counter_for(TokenizerFamily.O200K)
    typed = count(counter, Conversation((Message(Role.USER, "<|endoftext|>"),)))
    assert typed.lower > count(counter, Conversation((Message(Role.USER, "a"),))).lower + 3


def test_phi_3_without_its_tokenizer_is_a_range_and_says_so() -> None:
    counter = counter_for(TokenizerFamily.PHI3)
    counted = count(counter, CHAT)
    assert not counter.exact
    assert not counted.exact
    assert "estimated" in counter.name
    words = words_of(Vocabulary.CL100K, *(message.content for message in CHAT.messages))
    assert counted.lower == words + 7
    assert words * SAFE_FACTOR <= counted.upper - 14 <= words * SAFE_FACTOR + 1


def test_the_language_narrows_the_range_and_an_unknown_one_gets_the_widest() -> None:
    counter = counter_for(TokenizerFamily.PHI3)
    chat = Conversation((Message(Role.USER, "Where is it? " * 100), Message(Role.ASSISTANT, "Here. " * 100)))
    upper = {language: count(counter, chat, language).upper for language in (*SAFE_FACTORS, "nb", None)}
    assert upper["en"] < upper["de"] < upper["id"] <= upper["zh"] == upper["nb"] == upper[None]
    assert len({count(counter, chat, language).lower for language in upper}) == 1
    assert max(SAFE_FACTORS.values()) <= SAFE_FACTOR


def test_the_estimate_allows_for_numbers_which_phi_3_spells_digit_by_digit() -> None:
    number = "408971852316" * 20
    counted = count(counter_for(TokenizerFamily.PHI3), Conversation((Message(Role.USER, number),)), "en")
    assert counted.upper >= len(number)


def test_phi_3_with_its_tokenizer_is_exact_and_its_template_adds_two_to_a_turn(tmp_path: Path) -> None:
    path = tokenizer_file(tmp_path)
    tokenizer = Tokenizer.from_file(str(path))
    words = [len(tokenizer.encode(message.content).ids) for message in CHAT.messages]
    for given_path in (path, tmp_path):
        counter = counter_for(TokenizerFamily.PHI3, tokenizer_path=given_path)
        assert counter.exact
        tokens = sum(words) + 3 * 2 + 1
        assert count(counter, CHAT) == TokenCount(tokens, tokens, words[-1])


def test_phi_3_takes_its_tokenizer_from_the_hugging_face_cache(tmp_path: Path) -> None:
    """In a process of its own: the library reads where its cache is when it is imported."""
    snapshot = tmp_path / "models--microsoft--Phi-3-mini-4k-instruct" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    tokenizer_file(snapshot)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    program = (
        "from curation.tokens.counters import *; "
        "found = [counter_for(TokenizerFamily.PHI3, hub_id=f'microsoft/{name}').exact "
        "for name in ('Phi-3-mini-4k-instruct', 'Phi-3-mini-128k-instruct')]; print(found)"
    )
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    assert done.stdout == "[True, False]\n"


def test_a_tokenizer_that_would_cut_still_counts_everything(tmp_path: Path) -> None:
    whole = count(counter_for(TokenizerFamily.PHI3, tokenizer_path=tokenizer_file(tmp_path)), CHAT)
    cutting = count(counter_for(TokenizerFamily.PHI3, tokenizer_path=tokenizer_file(tmp_path, truncate_at=5)), CHAT)
    assert cutting == whole
    assert whole.lower > 5


def test_the_tokenizer_of_another_family_is_refused(tmp_path: Path) -> None:
    path = tokenizer_file(tmp_path, PHI_SPECIALS[:4])
    with pytest.raises(Invalid, match=r"has no token <\|end\|>; give the tokenizer.json of a phi3 model"):
        counter_for(TokenizerFamily.PHI3, tokenizer_path=path)


def test_a_tokenizer_of_another_size_than_the_models_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tokenizer_file(tmp_path)
    tokens = Tokenizer.from_file(str(path)).get_vocab_size()
    hub_id = "microsoft/Phi-3-mini-4k-instruct"
    for rows in (tokens - 1, 32_064):
        with pytest.raises(Invalid, match=rf"has {tokens} tokens, and the model has room for {rows:,}: .* own token"):
            counter_for(TokenizerFamily.PHI3, tokenizer_path=path, hub_id=hub_id, vocabulary=rows)


@pytest.mark.parametrize("padding", [0, 53, 256])
def test_an_embedding_that_was_rounded_up_is_that_of_its_tokenizer(tmp_path: Path, padding: int) -> None:
    path = tokenizer_file(tmp_path)
    rows = Tokenizer.from_file(str(path)).get_vocab_size() + padding
    hub_id = "microsoft/Phi-3-mini-4k-instruct"
    counter = counter_for(TokenizerFamily.PHI3, tokenizer_path=path, hub_id=hub_id, vocabulary=rows)
    assert counter.exact


def test_the_rehearsal_model_has_a_tokenizer_of_any_size(tmp_path: Path) -> None:
    counter = counter_for(TokenizerFamily.PHI3, tokenizer_path=tokenizer_file(tmp_path), vocabulary=2_048)
    assert counter.exact


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
        count(counter, Conversation(tuple(Message(Role.USER, content) for content in contents[:length])))
        for length in range(len(contents) + 1)
    ]
    assert all(count.lower <= count.upper for count in counts)
    assert all(fewer.lower < more.lower and fewer.upper < more.upper for fewer, more in pairwise(counts))


def ranges(*bounds: tuple[int, int]) -> list[str]:
    return [chr(code) for start, stop in bounds for code in range(start, stop)]


SCRIPTS = {
    "Latin": ranges((0x20, 0x250)),
    "Greek, Cyrillic, Armenian, Hebrew, Arabic": ranges((0x370, 0x700)),
    "Indic and Thai": ranges((0x900, 0xE80)),
    "marks and spaces": [*ranges((0x300, 0x370), (0x2000, 0x2070)), *" \n\r\t\x85"],
    "Han, kana, Hangul": ranges((0x3040, 0x3100), (0x4E00, 0x5000), (0xAC00, 0xAD00)),
    "emoji": [*ranges((0x1F300, 0x1F700), (0x1F1E6, 0x1F200)), "\u200d", "\ufe0f", " "],
    "anything": ranges((0, 0x110000)),
    "contractions": list("'’sdmtlvreSDMTLVRE ſa1"),
    "white space": list(" \n\r\t\x0b\x0c\x85\u00a0\u2028\u3000a."),
}
ODD = [
    "",
    "<|endoftext|> <|im_start|>user<|im_sep|> <|end|>",
    "half \ud800 of a pair \udc00",
    "👩‍👩‍👧‍👦🇳🇴e\u0301\u0301ﷺ\x00",
    "I'LL don't y'all've ſ's",
    "1234567890" * 40,
    " " * 3_000 + "x" + "\n" * 500,
    "a" * 20_000,
    "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz" * 20,
    "这是一个很长的句子没有空格" * 200,
]


@pytest.mark.parametrize("vocabulary", Vocabulary)
def test_gigatoken_counts_as_tiktoken_does(vocabulary: Vocabulary) -> None:
    pytest.importorskip("gigatoken")
    assert bulk_counts_of(vocabulary) is not counts_of(vocabulary)
    rng = random.Random(7)
    texts = ODD + [
        "".join(rng.choices(letters, k=rng.randint(1, 80))) for letters in SCRIPTS.values() for _ in range(400)
    ]
    fast, plain = bulk_counts_of(vocabulary)(texts), counts_of(vocabulary)(texts)
    assert [ascii(text) for text, one, other in zip(texts, fast, plain, strict=True) if one != other] == []


@given(st.lists(st.text(st.characters(), max_size=60), max_size=5), st.sampled_from(Vocabulary))
def test_counting_in_bulk_is_counting(texts: list[str], vocabulary: Vocabulary) -> None:
    assert bulk_counts_of(vocabulary)(texts) == counts_of(vocabulary)(texts)


def test_without_gigatoken_tiktoken_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gigatoken", None)
    bulk_counts_of.cache_clear()
    assert bulk_counts_of(Vocabulary.CL100K) is counts_of(Vocabulary.CL100K)
    bulk_counts_of.cache_clear()


def test_one_long_text_among_many_does_not_make_a_huge_matrix() -> None:
    texts = ["a b c"] * 2_000
    texts[700] = "word " * 300_000
    assert bulk_counts_of(Vocabulary.CL100K)(texts)[699:702] == [3, 300_001, 3]
