"""Replies that grow together say what each would say alone: in windows, across longrope's border, in little memory."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models
from transformers import AutoModelForCausalLM, AutoTokenizer, Phi3Config, Phi3ForCausalLM, PreTrainedTokenizerFast

from training.backends.local.serving.drawing import Wish, draw
from training.backends.local.serving.engine import Busy, Engine
from training.backends.local.serving.entries import Entry
from training.backends.local.serving.growing import Reply, Said
from training.backends.local.serving.http.figures import Figures
from training.backends.local.serving.roster import Roster, Voice
from training.backends.local.serving.words import Words
from training.backends.local.tuning.rehearsal import build_base
from training.hyperparameters import RehearsalModel

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = RehearsalModel(hidden=32, layers=2, heads=2, vocabulary=300)
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 8, "long_factor": [9.0] * 8}
BORDER = {"original_max_position_embeddings": 40}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sliding": {"sliding_window": 9},
    "longrope": {"rope_parameters": {**LONGROPE, "original_max_position_embeddings": 40}, **BORDER},
}
TOKENS = 24


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny base of every kind, with the same tokenizer and weights."""
    made = {}
    for kind, changes in KINDS.items():
        made[kind] = path = tmp_path_factory.mktemp(kind) / "model"
        build_base(path, ["Hello there, how may I help?"], SIZE, window=160, seed=1)
        plain = Phi3ForCausalLM.from_pretrained(path)
        other = Phi3ForCausalLM(Phi3Config(**{**plain.config.to_dict(), **changes}))
        other.load_state_dict(plain.state_dict())
        with torch.no_grad():
            for layer in other.model.layers:  # until attention has a say, where a token stands makes no difference
                layer.self_attn.qkv_proj.weight.mul_(12)
                layer.self_attn.o_proj.weight.mul_(12)
        other.generation_config = plain.generation_config
        other.save_pretrained(path)
    return made


def prompts(count: int) -> list[list[int]]:
    rng = random.Random(2)
    return [[rng.randrange(5, 280) for _ in range(rng.randrange(3, 46))] for _ in range(count)]


def alone(path: Path, prompt: list[int]) -> str:
    """What plain transformers says."""
    model = AutoModelForCausalLM.from_pretrained(path)
    ids = torch.tensor([prompt])
    told = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=TOKENS, pad_token_id=0
    )
    return str(AutoTokenizer.from_pretrained(path).decode(told[0, len(prompt) :], skip_special_tokens=True))


def together(engine: Engine, voice: Voice, asked: list[list[int]]) -> list[str]:
    replies: dict[int, Reply] = {}
    done = threading.Event()

    def hear(number: int, said: Said) -> None:
        if isinstance(said, Reply):
            replies[number] = said
        if isinstance(said, Exception) or len(replies) == len(asked):
            done.set()

    for number, prompt in enumerate(asked):
        engine.submit(voice, prompt, Wish(max_tokens=TOKENS), lambda said, number=number: hear(number, said))
    engine.start()
    assert done.wait(30)
    engine.stop()
    return [replies[number].text for number in range(len(asked))]


@pytest.mark.parametrize("kind", KINDS)
def test_replies_that_grow_together_are_those_of_plain_transformers(paths: dict[str, Path], kind: str) -> None:
    voice = Roster.load([Entry("run", str(paths[kind]))]).find("run")
    asked = prompts(6)
    assert any(len(prompt) < 40 < len(prompt) + TOKENS for prompt in asked)
    assert voice.host.border == (40 if kind == "longrope" else None)
    assert together(Engine(Figures()), voice, asked) == [alone(paths[kind], prompt) for prompt in asked]


def test_where_memory_is_short_some_wait_and_say_the_same(paths: dict[str, Path]) -> None:
    voice = Roster.load([Entry("run", str(paths["plain"]))]).find("run")
    asked, figures = prompts(6), Figures()
    expected = together(Engine(Figures()), voice, asked)
    # Two of the longest rows fit at once, until they have grown.
    assert together(Engine(figures, slots=3, most_tokens=100), voice, asked) == expected
    assert "errata_endpoint_reply_seconds_count 6" in figures.exposition()


def test_more_than_anybody_would_wait_for_is_refused(paths: dict[str, Path]) -> None:
    voice = Roster.load([Entry("run", str(paths["plain"]))]).find("run")
    engine = Engine(Figures(), most_waiting=2)
    for _ in range(2):
        engine.submit(voice, [5], Wish(), print)
    with pytest.raises(Busy, match="2 replies to give already; ask later"):
        engine.submit(voice, [5], Wish(), print)


def test_a_batch_that_fails_is_said_and_the_next_one_is_answered(paths: dict[str, Path]) -> None:
    voice = Roster.load([Entry("run", str(paths["plain"]))]).find("run")
    engine, heard, done = Engine(Figures()), [], threading.Semaphore(0)

    def hear(said: Said) -> None:
        heard.append(said)
        if not isinstance(said, str):
            done.release()

    engine.start()
    engine.submit(voice, [10**9], Wish(max_tokens=2), hear)
    assert done.acquire(timeout=30)
    assert "The model failed at this" in str(heard[-1])
    engine.submit(voice, [5, 6], Wish(max_tokens=2), hear)
    assert done.acquire(timeout=30)
    engine.stop()
    assert isinstance(heard[-1], Reply)


def test_the_nucleus_holds_its_share_and_chance_follows_the_probabilities() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).repeat(4000, 1)
    chances = [random.Random(seed) for seed in range(4000)]
    drawn = draw(logits, [Wish(temperature=1.0, top_p=0.75)] * 4000, chances)
    assert set(drawn) == {0, 1}
    assert abs(drawn.count(0) / 4000 - 0.5 / 0.8) < 0.03
    warm = draw(logits, [Wish(temperature=2.0)] * 4000, chances)
    share = 0.05**0.5 / sum(one**0.5 for one in (0.5, 0.3, 0.15, 0.05))
    assert abs(warm.count(3) / 4000 - share) < 0.03


def test_no_half_character_goes_out_and_no_part_of_a_stop_string() -> None:
    letters = {chr(code): number for number, code in enumerate(range(33, 127))}
    bytes_of = {f"<0x{byte:02X}>": len(letters) + byte for byte in range(256)}
    model = Tokenizer(models.BPE(vocab={**letters, **bytes_of}, merges=[], byte_fallback=True))
    model.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=model)
    euro = [bytes_of[f"<0x{byte:02X}>"] for byte in "€".encode()]

    def pieces(tokens: list[int], *stops: str) -> list[str]:
        words = Words(tokenizer, stops)
        return [*(words.add(token) for token in tokens), words.end()]

    spell = [letters[letter] for letter in "ENEND!"]
    assert pieces(euro) == ["", "", "€", ""]
    assert pieces(spell, "END") == ["", "", "EN", "", "", "", ""]
    assert pieces(spell[:4], "END") == ["", "", "EN", "", "EN"]
    # A character that never became whole is shown as decoding the whole would show it.
    assert "".join(pieces(euro[:2])) == tokenizer.decode(euro[:2])
