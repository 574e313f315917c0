"""An endpoint answers OpenAI's own client: many at once, with adapters that come and go."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import torch
import uvicorn
from openai.types.chat import ChatCompletion
from peft import LoraConfig, PeftModel, get_peft_model
from prometheus_client.parser import text_string_to_metric_families
from transformers import AutoModelForCausalLM, AutoTokenizer

from curation.errors import Unavailable
from training.backends.local.serving.endpoint import bound
from training.backends.local.serving.engine import Engine
from training.backends.local.serving.entries import Entry
from training.backends.local.serving.http import adapters, chat
from training.backends.local.serving.http.app import build_app
from training.backends.local.serving.http.figures import Figures
from training.backends.local.serving.roster import Roster
from training.backends.local.tuning.rehearsal import build_base
from training.hyperparameters import RehearsalModel

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = RehearsalModel(hidden=32, layers=2, heads=2, vocabulary=300)
WINDOW = 160
TARGETS = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
QUESTIONS = [f"Question {'x' * number}{number}?" for number in range(16)]


@dataclass(frozen=True)
class Served:
    """An endpoint in this process, and the folders behind it."""

    url: str
    client: openai.OpenAI
    base: Path
    adapters: Path
    server: uvicorn.Server

    def ask(self, question: str = "Hi", **wish: Any) -> ChatCompletion:
        wish = {"model": "one", "max_tokens": 24, "messages": turns(question), **wish}
        given: ChatCompletion = self.client.chat.completions.create(**wish)
        return given

    def post(self, path: str, **body: Any) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=body, timeout=30, trust_env=False)

    def figures(self) -> dict[str, float]:
        text = httpx.get(f"{self.url}/metrics", trust_env=False).text
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        return {".".join([one.name, *one.labels.values()]): one.value for one in samples}


def turns(question: str) -> list[Any]:
    return [{"role": "user", "content": question}]


def text_of(given: ChatCompletion) -> str:
    return given.choices[0].message.content or ""


def make_adapter(base: Path, directory: Path, seed: int, *, saved: tuple[str, ...] = ()) -> Path:
    """An adapter that changes what its base says, without any training."""
    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=16, target_modules=TARGETS, modules_to_save=list(saved) or None)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name or "modules_to_save" in name:
                weight.add_(torch.randn_like(weight) * 0.3)
    model.save_pretrained(directory, save_embedding_layers=False)
    return directory


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base, and a folder of adapters on it: two to begin with, one to come."""
    base, folder = tmp_path_factory.mktemp("base") / "model", tmp_path_factory.mktemp("adapters")
    build_base(base, ["Hello there, how may I help? Question one."], SIZE, window=WINDOW, seed=1)
    make_adapter(base, folder / "one", 1)
    make_adapter(base, folder / "two", 2, saved=("embed_tokens", "lm_head"))
    make_adapter(base, folder / "three", 3)
    return base, folder


@pytest.fixture(scope="module")
def served(made: tuple[Path, Path]) -> Iterator[Served]:
    """Two runs of one base."""
    base, folder = made
    entries = [Entry(name, str(base), folder / name) for name in ("one", "two")]
    roster, figures = Roster.load(entries), Figures()
    engine = Engine(figures)
    kinds = chat.router(roster, engine), adapters.router(roster, engine)
    app = build_app(roster.names, figures, *kinds, engine=engine)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
    with bound(0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        wait(lambda: server.started)
        with httpx.Client(trust_env=False) as line:
            client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", http_client=line, max_retries=0)
            yield Served(url, client, base, folder, server)
        server.should_exit = True
        thread.join()


def wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)


def plain_reply(base: Path, adapter: Path | None, question: str, tokens: int = 24) -> str:
    """What plain transformers and peft reply."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter)
    ids = tokenizer.apply_chat_template(
        turns(question), add_generation_prompt=True, return_tensors="pt", return_dict=False
    )
    mask = torch.ones_like(ids)
    told = model.generate(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=tokens, pad_token_id=0)
    text: str = tokenizer.decode(told[0, ids.shape[1] :], skip_special_tokens=True)
    return text


@pytest.mark.parametrize("name", ["base", "one", "two"])
def test_every_name_replies_as_plain_transformers_and_peft_do(served: Served, name: str) -> None:
    adapter = None if name == "base" else served.adapters / name
    for question in QUESTIONS[:3]:
        assert text_of(served.ask(question, model=name)) == plain_reply(served.base, adapter, question)


def test_the_models_are_listed_and_the_endpoint_is_healthy(served: Served) -> None:
    assert [model.id for model in served.client.models.list()] == ["one", "two", "base"]
    assert httpx.get(f"{served.url}/health", trust_env=False).json()["status"] == "ok"


def test_sixteen_clients_at_once_are_told_what_each_would_be_told_alone(served: Served) -> None:
    names = ["one", "two", "base"]
    asked = [(question, names[number % 3], 8 + number) for number, question in enumerate(QUESTIONS)]

    def told(one: tuple[str, str, int]) -> str:
        return text_of(served.ask(one[0], model=one[1], max_tokens=one[2]))

    alone = [told(one) for one in asked]
    with ThreadPoolExecutor(16) as clients:
        assert list(clients.map(told, asked)) == alone


def test_a_streamed_reply_adds_up_to_the_whole_one_and_counts_its_tokens(served: Served) -> None:
    whole = served.ask()
    stream = served.client.chat.completions.create(
        model="one", messages=turns("Hi"), max_tokens=24, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text_of(whole)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == whole.choices[0].finish_reason
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert whole.usage is not None
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens


def test_a_stop_string_ends_a_reply_and_no_part_of_it_is_streamed(served: Served) -> None:
    whole = text_of(served.ask())
    stop = whole[5:9]
    upto = whole[: whole.find(stop)]
    told = served.ask(stop=[stop, "never said"])
    assert (text_of(told), told.choices[0].finish_reason) == (upto, "stop")
    stream = served.client.chat.completions.create(
        model="one", messages=turns("Hi"), max_tokens=24, stream=True, stop=stop
    )
    choices = [chunk.choices[0] for chunk in stream]
    assert "".join(choice.delta.content or "" for choice in choices) == upto
    assert choices[-1].finish_reason == "stop"


def test_a_reply_is_cut_at_its_limit_and_at_the_end_of_the_window(served: Served) -> None:
    cut = served.ask(max_tokens=3)
    assert cut.usage is not None
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 3)
    full = served.ask(max_tokens=1000)
    assert full.usage is not None
    assert (full.choices[0].finish_reason, full.usage.total_tokens) == ("length", WINDOW)


def test_a_seed_repeats_a_reply_whoever_else_is_answered_meanwhile(served: Served) -> None:
    drawn: dict[str, Any] = {"temperature": 1.5, "top_p": 0.9}
    alone = text_of(served.ask(seed=3, **drawn))
    with ThreadPoolExecutor(8) as clients:
        others = [clients.submit(served.ask, question, seed=4, **drawn) for question in QUESTIONS[:7]]
        assert text_of(served.ask(seed=3, **drawn)) == alone
        told = {text_of(one.result()) for one in others}
    assert len(told) == 7
    # Next to no share of probability leaves the most probable token.
    assert text_of(served.ask(temperature=1.5, top_p=1e-9)) == text_of(served.ask())


@pytest.mark.parametrize(
    ("wish", "error", "sentence"),
    [
        ({"model": "gpt-4"}, openai.NotFoundError, "This endpoint serves one, two, base, not gpt-4"),
        ({"temperature": 3}, openai.BadRequestError, "temperature: Input should be less than or equal to 2"),
        ({"n": 2}, openai.BadRequestError, "n: Input should be less than or equal to 1"),
        ({"question": "x" * 400}, openai.BadRequestError, "The conversation has"),
        ({"question": "x" * 400, "stream": True}, openai.BadRequestError, "The conversation has"),
        ({"stop": [""]}, openai.BadRequestError, "stop"),
        ({"messages": []}, openai.BadRequestError, "messages: List should have at least 1 item"),
    ],
)
def test_what_is_refused_is_openais_error_with_a_sentence(
    served: Served, wish: dict[str, Any], error: type[openai.APIStatusError], sentence: str
) -> None:
    with pytest.raises(error) as refused:
        served.ask(**wish)
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["message"].startswith(sentence)
    assert refused.value.body["type"] == "invalid_request_error"


def test_an_adapter_comes_and_goes_while_others_are_answered(served: Served) -> None:
    with ThreadPoolExecutor(2) as clients:
        meanwhile = clients.submit(served.ask, "Meanwhile", max_tokens=100)
        loaded = served.post("/v1/load_lora_adapter", lora_name="three", lora_path=str(served.adapters / "three"))
        assert loaded.status_code == 200
        assert "three" in [model.id for model in served.client.models.list()]
        assert text_of(served.ask(model="three")) == plain_reply(served.base, served.adapters / "three", "Hi")
        assert text_of(meanwhile.result()) == plain_reply(served.base, served.adapters / "one", "Meanwhile", 100)
    assert served.post("/v1/load_lora_adapter", lora_name="three", lora_path="/x").status_code == 400
    again = served.post("/v1/load_lora_adapter", lora_name="three", lora_path=str(served.adapters / "three"))
    assert again.status_code == 409
    assert served.post("/v1/unload_lora_adapter", lora_name="three").status_code == 200
    with pytest.raises(openai.NotFoundError):
        served.ask(model="three")
    assert text_of(served.ask(model="two")) == plain_reply(served.base, served.adapters / "two", "Hi")
    assert served.post("/v1/unload_lora_adapter", lora_name="base").status_code == 409


def test_an_adapter_saved_as_a_pickle_or_for_another_base_is_refused(served: Served, tmp_path: Path) -> None:
    (tmp_path / "adapter_model.bin").write_bytes(b"\x80\x04.")
    (tmp_path / "adapter_config.json").write_text("{}")
    refused = served.post("/v1/load_lora_adapter", lora_name="bad", lora_path=str(tmp_path))
    assert refused.json()["error"]["message"].endswith("adapter that was saved as safetensors.")
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (tmp_path / name).write_bytes((served.adapters / "one" / name).read_bytes()[:5000])
    refused = served.post("/v1/load_lora_adapter", lora_name="bad", lora_path=str(tmp_path))
    assert (refused.status_code, "does not fit" in refused.json()["error"]["message"]) == (400, True)
    assert text_of(served.ask(model="one")) == plain_reply(served.base, served.adapters / "one", "Hi")
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "somebody/else"}')
    refused = served.post("/v1/load_lora_adapter", lora_name="bad", lora_path=str(tmp_path))
    assert "was trained on somebody/else" in refused.json()["error"]["message"]


def test_whoever_hangs_up_frees_their_place(served: Served) -> None:
    served.ask(max_tokens=1)
    before = served.figures()["errata_endpoint_reply_seconds_count"]

    async def leave(**body: Any) -> None:
        request = {"model": "one", "messages": turns("Hi"), **body}
        async with (
            httpx.AsyncClient(trust_env=False) as line,
            line.stream("POST", f"{served.url}/v1/chat/completions", json=request) as answer,
        ):
            async for _ in _lines(answer):
                return

    async def leave_soon() -> None:
        await asyncio.gather(*(leave(stream=True) for _ in range(20)))

    asyncio.run(leave_soon())
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{served.url}/v1/chat/completions",
            json={"model": "one", "messages": turns("Hi")},
            timeout=0.05,
            trust_env=False,
        )
    wait(lambda: served.figures()["errata_endpoint_growing"] == 0)
    # A whole reply of some 140 tokens takes far longer than to leave after its first words.
    assert served.figures()["errata_endpoint_reply_seconds_count"] < before + 20
    assert served.figures()["errata_endpoint_requests_total.499"] == 1


async def _lines(answer: httpx.Response) -> AsyncIterator[str]:
    async for line in answer.aiter_lines():
        yield line


def test_the_figures_count_requests_tokens_and_seconds(served: Served) -> None:
    before = served.figures()
    given = served.ask(max_tokens=5)
    with pytest.raises(openai.NotFoundError):
        served.ask(model="nobody")
    after = served.figures()
    assert given.usage is not None
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert grown["errata_endpoint_requests_total.200"] == grown["errata_endpoint_requests_total.404"] == 1
    assert grown["errata_endpoint_tokens_total.in"] == given.usage.prompt_tokens
    assert grown["errata_endpoint_tokens_total.out"] == 5
    assert grown["errata_endpoint_first_token_seconds_count"] == grown["errata_endpoint_reply_seconds_count"] == 1
    assert grown["errata_endpoint_reply_seconds_sum"] > grown["errata_endpoint_first_token_seconds_sum"] > 0
    assert after["errata_endpoint_waiting"] == after["errata_endpoint_growing"] == 0


def test_each_word_is_sent_at_once(served: Served) -> None:
    served.ask(max_tokens=1)
    transports = [one.transport for one in served.server.server_state.connections]  # type: ignore[union-attr]  # of h11
    lines = [one.get_extra_info("socket") for one in transports if one is not None]
    assert lines
    assert all(line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for line in lines)


def test_the_former_port_is_taken_where_it_is_free() -> None:
    with bound(0) as first:
        first.listen()
        port = first.getsockname()[1]
        with bound(0, former=port) as second:
            assert second.getsockname()[1] not in {0, port}
        with pytest.raises(Unavailable, match=f"Port {port} cannot be used"):
            bound(port)
    with bound(0, former=port) as third:
        assert third.getsockname()[1] == port


def test_a_page_that_calls_this_machine_by_another_name_is_refused(served: Served) -> None:
    answer = httpx.get(f"{served.url}/v1/models", headers={"host": "evil.example"}, trust_env=False)
    assert answer.status_code == 400
