"""Rendered conversations are what the models' makers publish, and what is learned of them is what TRL learns.

The expected strings are written by hand after the model cards on huggingface.co (microsoft/Phi-3-mini-4k-instruct,
Phi-3-medium-4k-instruct, Phi-3.5-mini-instruct, Phi-4-mini-instruct, phi-4) and llama.cpp's
``tests/test-chat-template.cpp``. A small tokenizer trained on the spot stands in for theirs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

trl = pytest.importorskip("trl")  # of the extra `test`; before torch, which is slow to load

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402 - trl decides
from transformers import PreTrainedTokenizerFast  # noqa: E402
from trl.chat_template_utils import get_training_chat_template  # noqa: E402

from curation.conversation import Conversation, Message, Role  # noqa: E402
from curation.errors import Invalid  # noqa: E402
from training.backends.local.chat import ChatFormat  # noqa: E402

SHIPPED = Path(trl.__file__).parent / "chat_templates"


def shipped(name: str) -> str:
    """A template as its maker publishes it, from the copy in TRL's package."""
    return (SHIPPED / f"{name}.jinja").read_text(encoding="utf-8")


# What these do is published, the wording is ours. The first templates of Phi-3-mini and -medium know no system turn.
PHI_3_AT_FIRST = (
    "{{ bos_token }}{% for turn in messages %}{% if turn['role'] == 'user' %}"
    "{{ '<|user|>\n' + turn['content'] + '<|end|>\n<|assistant|>\n' }}"
    "{% elif turn['role'] == 'assistant' %}{{ turn['content'] + '<|end|>\n' }}{% endif %}{% endfor %}"
)
PHI_4_MINI = (
    "{% for turn in messages %}{{ '<|' + turn['role'] + '|>' + turn['content'] + '<|end|>' }}{% endfor %}"
    "{{ '<|assistant|>' if add_generation_prompt else eos_token }}"
)
PHI_4 = (
    "{% for turn in messages %}"
    "{{ '<|im_start|>' + turn['role'] + '<|im_sep|>' + turn['content'] + '<|im_end|>' }}{% endfor %}"
    "{{ '<|im_start|>assistant<|im_sep|>' if add_generation_prompt else '' }}"
)
MISTRAL = (
    "{{ bos_token }}{% for turn in messages %}"
    "{% if turn['role'] == 'user' %}{{ '[INST] ' + turn['content'] + '[/INST]' }}"
    "{% elif turn['role'] == 'assistant' %}{{ ' ' + turn['content'] + eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)

PHI_3_TOKENS = ("<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>")
PHI_4_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_sep|>", "<|im_end|>")
LLAMA_TOKENS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
GEMMA_TOKENS = ("<bos>", "<start_of_turn>", "<end_of_turn>")
MISTRAL_TOKENS = ("<s>", "</s>", "[INST]", "[/INST]")

TEXTS = [
    "You help the customers of a shop with bicycles.",
    "Where is my order? It left us on Monday.",
    "Hvor er pakken min? Den kommer på tirsdag, æøå.",
    "我的包裹在哪里？它星期二到。",
    "أين طردي؟ سيصل يوم الثلاثاء.",
]


def tokenizer_for(template: str, tokens: tuple[str, ...], *, eats_line_breaks: bool = False) -> Any:
    """A byte-level BPE with these special tokens first.

    Args:
        eats_line_breaks: as Phi-3's published tokenizers do, whose role tokens take the white space behind them along
            (``rstrip`` in ``tokenizer_config.json``).
    """
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(TEXTS, trainer)
    special = [AddedToken(one, rstrip=eats_line_breaks and one != "<|endoftext|>", special=True) for one in tokens]
    made.add_special_tokens(special)
    end = "</s>" if "</s>" in tokens else tokens[0]
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=tokens[0],
        eos_token=end,
        extra_special_tokens=special,
        chat_template=template,
    )


def conversation(*turns: str, system: str | None = None) -> Conversation:
    roles = [Role.USER, Role.ASSISTANT] * len(turns)
    return Conversation(tuple(Message(role, text) for role, text in zip(roles, turns, strict=False))).with_system(
        system
    )


TWO = conversation("Hello", "Hi there", "Who are you", "   A bot   ", system="Be kind")
ALONE = conversation("Hello", "Hi there")

# Rendered; then what is learned of it, the replies parted by a bar.
PUBLISHED = [
    pytest.param(
        shipped("phi3"),
        PHI_3_TOKENS,
        TWO,
        "<|system|>\nBe kind<|end|>\n<|user|>\nHello<|end|>\n<|assistant|>\nHi there<|end|>\n"
        "<|user|>\nWho are you<|end|>\n<|assistant|>\n   A bot   <|end|>\n<|endoftext|>",
        "Hi there<|end|>\n|   A bot   <|end|>\n<|endoftext|>",
        id="phi-3",
    ),
    pytest.param(
        shipped("phi3_5"),
        PHI_3_TOKENS,
        TWO,
        "<|system|>\nBe kind<|end|>\n<|user|>\nHello<|end|>\n<|assistant|>\nHi there<|end|>\n"
        "<|user|>\nWho are you<|end|>\n<|assistant|>\n   A bot   <|end|>\n<|endoftext|>",
        "Hi there<|end|>\n|   A bot   <|end|>\n<|endoftext|>",
        id="phi-3.5",
    ),
    pytest.param(
        PHI_3_AT_FIRST,
        PHI_3_TOKENS,
        conversation("Hello", "Hi there", "Who are you", "A bot"),
        "<|endoftext|><|user|>\nHello<|end|>\n<|assistant|>\nHi there<|end|>\n"
        "<|user|>\nWho are you<|end|>\n<|assistant|>\nA bot<|end|>\n",
        "Hi there<|end|>\n|A bot<|end|>\n",
        id="phi-3-at-first",
    ),
    pytest.param(
        PHI_4_MINI,
        PHI_3_TOKENS,
        TWO,
        "<|system|>Be kind<|end|><|user|>Hello<|end|><|assistant|>Hi there<|end|>"
        "<|user|>Who are you<|end|><|assistant|>   A bot   <|end|><|endoftext|>",
        "Hi there<|end|>|   A bot   <|end|><|endoftext|>",
        id="phi-4-mini",
    ),
    pytest.param(
        PHI_4,
        PHI_4_TOKENS,
        TWO,
        "<|im_start|>system<|im_sep|>Be kind<|im_end|><|im_start|>user<|im_sep|>Hello<|im_end|>"
        "<|im_start|>assistant<|im_sep|>Hi there<|im_end|><|im_start|>user<|im_sep|>Who are you<|im_end|>"
        "<|im_start|>assistant<|im_sep|>   A bot   <|im_end|>",
        "Hi there<|im_end|>|   A bot   <|im_end|>",
        id="phi-4",
    ),
    pytest.param(
        shipped("llama3"),
        LLAMA_TOKENS,
        TWO,
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe kind<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHi there<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWho are you<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nA bot<|eot_id|>",
        "Hi there<|eot_id|>|A bot<|eot_id|>",
        id="llama-3",
    ),
    pytest.param(
        shipped("gemma"),
        GEMMA_TOKENS,
        conversation("Hello", "Hi there", "Who are you", "A bot"),
        "<bos><start_of_turn>user\nHello<end_of_turn>\n<start_of_turn>model\nHi there<end_of_turn>\n"
        "<start_of_turn>user\nWho are you<end_of_turn>\n<start_of_turn>model\nA bot<end_of_turn>\n",
        "Hi there<end_of_turn>\n|A bot<end_of_turn>\n",
        id="gemma",
    ),
    pytest.param(
        MISTRAL,
        MISTRAL_TOKENS,
        conversation("Hello", "Hi there", "Who are you", "A bot"),
        "<s>[INST] Hello[/INST] Hi there</s>[INST] Who are you[/INST] A bot</s>",
        " Hi there</s>| A bot</s>",
        id="mistral",
    ),
]


@pytest.mark.parametrize(("template", "tokens", "said", "rendered", "learned"), PUBLISHED)
def test_a_conversation_is_rendered_as_published_and_its_replies_are_learned_with_their_stop_tokens(
    template: str, tokens: tuple[str, ...], said: Conversation, rendered: str, learned: str
) -> None:
    tokenizer = tokenizer_for(template, tokens)
    encoded = ChatFormat(tokenizer).encode(said)
    assert tokenizer.decode(encoded.ids) == rendered
    assert _learned(tokenizer, encoded.ids, encoded.supervised) == learned
    prompt = tokenizer.decode(ChatFormat(tokenizer).prompt(Conversation(said.messages[:-1])))
    assert rendered.startswith(prompt)
    assert learned.endswith(rendered.removeprefix(prompt))


UGLY = [
    pytest.param(ALONE, id="one-exchange"),
    # A reply without white space in front: where a role token eats it, TRL learns the role token as well.
    pytest.param(conversation("Hi", "Hello", "Who?", "A bot   ", system="Be kind"), id="two-with-a-system-prompt"),
    pytest.param(conversation("我的包裹在哪里？", "它星期二到。", system="你帮助顾客。"), id="chinese"),
    pytest.param(conversation("أين طردي؟", "سيصل يوم الثلاثاء."), id="arabic"),
    pytest.param(conversation("Hvor er pakken?", "Den kommer på tirsdag, æøå 🚲👩🏽‍🔧."), id="norwegian-with-emoji"),
    pytest.param(conversation("a\n\nb", "one\n\n- two\n- three\n"), id="line-breaks"),
    pytest.param(
        conversation("What is <|end|", "It is <| end |> and |assistant|>.", system="<system>"), id="near-tokens"
    ),
    pytest.param(conversation("Hi", "Hello", "And?", "Yes", "Well?", "No", system="Be brief."), id="three-exchanges"),
    pytest.param(conversation("Hi", "Hello", "Are you there?"), id="the-user-speaks-last"),
]


@pytest.mark.parametrize("eats_line_breaks", [False, True], ids=["plain", "rstrip"])
@pytest.mark.parametrize("model", ["phi3", "phi3_5"])
@pytest.mark.parametrize("said", UGLY)
def test_what_is_learned_under_phi_3s_templates_is_what_trl_learns(
    said: Conversation, model: str, eats_line_breaks: bool
) -> None:
    tokenizer = _tokenizer(model, eats_line_breaks=eats_line_breaks)
    encoded = ChatFormat(tokenizer).encode(said)
    theirs = tokenizer.apply_chat_template(
        _turns(said),
        chat_template=get_training_chat_template(tokenizer),
        return_assistant_tokens_mask=True,
        return_dict=True,
    )
    assert encoded.ids == theirs["input_ids"]
    assert [int(one) for one in encoded.supervised] == theirs["assistant_masks"]
    assert 0 < sum(encoded.supervised) < len(encoded.ids)


def test_words_that_spell_a_stop_token_end_no_turn_where_trl_would_end_it() -> None:
    tokenizer = _tokenizer("phi3", eats_line_breaks=False)
    said = conversation("Say <|end|>", "Gladly: <|end|>\n<|user|>\nNow me.")
    chat = ChatFormat(tokenizer)
    encoded = chat.encode(said)
    assert encoded.ids.count(chat.end_id) == 2
    learned = _learned(tokenizer, encoded.ids, encoded.supervised)
    assert learned == "Gladly: <|end|>\n<|user|>\nNow me.<|end|>\n<|endoftext|>"
    theirs = tokenizer.apply_chat_template(_turns(said), return_dict=False)
    assert theirs.count(chat.end_id) == 4


@pytest.mark.parametrize(("template", "tokens"), [(PHI_4, PHI_4_TOKENS), (PHI_4_MINI, PHI_3_TOKENS)])
def test_trl_has_no_masks_for_phi_4(template: str, tokens: tuple[str, ...]) -> None:
    # Should this ever pass, compare ours with theirs as for Phi-3.
    with pytest.raises(ValueError, match="not training-compatible"):
        get_training_chat_template(tokenizer_for(template, tokens))


@pytest.mark.parametrize("bos", ["{{ bos_token }}", ""])
def test_the_first_templates_of_phi_3_lose_the_system_prompt_and_are_mended(bos: str) -> None:
    template = bos + PHI_3_AT_FIRST.removeprefix("{{ bos_token }}")
    tokenizer, untouched = (tokenizer_for(template, PHI_3_TOKENS) for _ in range(2))
    chat = ChatFormat(tokenizer)
    first = "<|endoftext|>" if bos else ""
    text = tokenizer.decode(chat.encode(TWO).ids)
    assert text.startswith(
        f"{first}<|system|>\nBe kind<|end|>\n<|user|>\nHello<|end|>\n<|assistant|>\nHi there<|end|>\n"
    )
    # What it renders without one is what it always did, and a server that reads the saved tokenizer does likewise.
    alone = _turns(ALONE)
    assert tokenizer.apply_chat_template(alone, tokenize=False) == untouched.apply_chat_template(alone, tokenize=False)
    assert tokenizer.apply_chat_template(_turns(TWO), tokenize=False) == text


def test_a_template_that_loses_the_system_prompt_in_another_way_is_refused_with_one() -> None:
    template = PHI_4.replace("{% for turn in messages %}", "{% for turn in messages if turn['role'] != 'system' %}")
    chat = ChatFormat(tokenizer_for(template, PHI_4_TOKENS))
    with pytest.raises(Invalid, match="drops the system turn"):
        chat.encode(TWO)
    assert chat.encode(ALONE).ids


@pytest.mark.parametrize(("template", "tokens"), [(shipped("gemma"), GEMMA_TOKENS), (MISTRAL, MISTRAL_TOKENS)])
def test_a_template_that_refuses_a_system_turn_itself_is_quoted(template: str, tokens: tuple[str, ...]) -> None:
    chat = ChatFormat(tokenizer_for(template, tokens))
    with pytest.raises(Invalid, match=r"refuses a conversation \((System role not|Only user and assistant)"):
        chat.encode(TWO)


def test_a_template_of_no_known_family_is_refused_with_the_known_ones() -> None:
    template = "{% for turn in messages %}{{ turn['role'] + ': ' + turn['content'] + '\n' }}{% endfor %}"
    with pytest.raises(Invalid, match="which are those of Phi, ChatML, Llama 3, Gemma, Mistral; choose"):
        ChatFormat(tokenizer_for(template, ("<|endoftext|>",)))


def test_a_reply_without_a_stop_token_of_its_own_does_not_borrow_that_of_the_next_turn() -> None:
    template = (
        "{% for turn in messages %}{{ '<|' + turn['role'] + '|>\n' + turn['content'] }}"
        "{{ '' if loop.first or turn['role'] == 'assistant' and not loop.last else '<|end|>\n' }}{% endfor %}"
        "{{ '<|assistant|>\n' if add_generation_prompt else eos_token }}"
    )
    with pytest.raises(Invalid, match="renders 1 complete assistant turns where the conversation has 2"):
        ChatFormat(tokenizer_for(template, PHI_3_TOKENS)).encode(conversation("Hi", "Hello", "And?", "Yes"))


_MADE: dict[tuple[str, bool], Any] = {}


def _tokenizer(model: str, *, eats_line_breaks: bool) -> Any:
    key = (model, eats_line_breaks)
    if key not in _MADE:
        _MADE[key] = tokenizer_for(shipped(model), PHI_3_TOKENS, eats_line_breaks=eats_line_breaks)
    return _MADE[key]


def _turns(said: Conversation) -> list[dict[str, str]]:
    return [{"role": turn.role.value, "content": turn.content} for turn in said.messages]


def _learned(tokenizer: Any, ids: list[int], supervised: list[bool]) -> str:
    """The supervised stretches as text, parted by bars."""
    stretches: list[list[int]] = []
    before = False
    for token, wanted in zip(ids, supervised, strict=True):
        if wanted:
            stretches = stretches if before else [*stretches, []]
            stretches[-1].append(token)
        before = wanted
    return "|".join(tokenizer.decode(one) for one in stretches)
