"""What is wrong with a base model is said in one sentence, before a run starts and wherever a model is loaded."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import in_this_process
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from curation.errors import Unavailable
from curation.findings import blocking
from training.backends.base import Base, Job, JobStatus, Progress
from training.backends.local import checkpoint, folder, inspection, process
from training.backends.local.backend import LocalBackend
from training.backends.local.tuning import trainer
from training.backends.local.tuning.rehearsal import build_base
from training.hyperparameters import Lora, Method, Precision, Recipe, RehearsalModel

SIZE = RehearsalModel(hidden=32, layers=1, heads=2, vocabulary=300)
RECIPE = Recipe(
    name="tiny",
    method=Method.LORA,
    learning_rate=1e-3,
    epochs=2,
    batch_tokens=64,
    warmup_share=0.0,
    weight_decay=0.0,
    max_grad_norm=1.0,
    seed=7,
    max_length=64,
    snapshot_minutes=0,
    precision=Precision.FP32,
    lora=Lora(2, 4, 0.0, ("qkv_proj",), ()),
)
REPLIES = {"Hi": "Hello!", "Price?": "9 euros.", "Hvor?": "Oslo."}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint in its own folder; tests spoil copies of it."""
    path = tmp_path_factory.mktemp("base") / "model"
    build_base(path, REPLIES.values(), SIZE, window=64, seed=1)
    return path


@pytest.fixture
def base(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "model"))


def make_job(root: Path, base: Path, **changes: Any) -> Job:
    turns = [
        [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]
        for question, reply in REPLIES.items()
    ]
    for name in ("train", "validation"):
        lines = (json.dumps({"messages": one}, ensure_ascii=False) + "\n" for one in turns)
        (root / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    files = (root / "train.jsonl", root / "validation.jsonl")
    return Job("run-1", Base("checkpoint", base), replace(RECIPE, **changes), *files, root / "job")


def ended(backend: LocalBackend, job: Job) -> Progress:
    deadline = time.monotonic() + 90
    while not backend.poll(job).status.final:
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)
    return backend.poll(job)


def edit(file: Path, **changes: Any) -> None:
    """Change keys of a JSON file; None takes one out."""
    table = {**json.loads(file.read_text(encoding="utf-8")), **changes}
    kept = {key: value for key, value in table.items() if value is not None}
    file.write_text(json.dumps(kept), encoding="utf-8")


def cut(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])


def move(file: Path, name: str) -> None:
    file.rename(file.with_name(name))


def split_weights(base: Path, *, lose: bool) -> None:
    """The weights in two files and an index, as large checkpoints have them."""
    weights = load_file(base / inspection.WEIGHTS)
    names = sorted(weights)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for shard, held in shards.items():
        save_file({name: weights[name] for name in held}, base / shard, metadata={"format": "pt"})
    table = {name: shard for shard, held in shards.items() for name in held}
    (base / inspection.INDEX).write_text(json.dumps({"metadata": {}, "weight_map": table}), encoding="utf-8")
    (base / inspection.WEIGHTS).unlink()
    if lose:
        (base / "model-00002-of-00002.safetensors").unlink()


def forge_length(base: Path) -> None:
    file = base / inspection.WEIGHTS
    file.write_bytes(struct.pack("<Q", 1 << 60) + file.read_bytes()[8:])


def as_adapter(base: Path) -> None:
    (base / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "x/y"}')


def with_code(base: Path) -> None:
    edit(base / "config.json", model_type="of_my_own", auto_map={"AutoModelForCausalLM": "mine.Model"})


def with_tokenizer_code(base: Path) -> None:
    (base / "tokenizer.json").unlink()
    edit(base / "tokenizer_config.json", auto_map={"AutoTokenizer": ["mine.Tokenizer", None]})


def without_stop_token(base: Path) -> None:
    for name in ("config.json", "generation_config.json"):
        edit(base / name, eos_token_id=None)


def without_template(base: Path) -> None:
    (base / "chat_template.jinja").unlink(missing_ok=True)
    edit(base / "tokenizer_config.json", chat_template=None)


SPOILED = [
    pytest.param(shutil.rmtree, "base.folder", "holds no model. Give a checkpoint's", id="gone"),
    pytest.param(lambda base: (base / "config.json").unlink(), "base.folder", "holds no model.", id="no-config"),
    pytest.param(lambda base: cut(base / "config.json", 40), "base.file", "is no JSON. Copy", id="config-cut-off"),
    pytest.param(
        lambda base: edit(base / "config.json", architectures=["BertForSequenceClassification"]),
        "base.architecture",
        "BertForSequenceClassification, which writes no replies. Give a causal language model",
        id="another-architecture",
    ),
    pytest.param(as_adapter, "base.adapter", "no model by itself. Give the merged model", id="adapter"),
    pytest.param(with_code, "base.code", "config.json asks for code of its own (auto_map)", id="own-code"),
    pytest.param(
        with_tokenizer_code, "base.code", "tokenizer_config.json asks for code of its own", id="tokenizer-code"
    ),
    pytest.param(
        lambda base: move(base / inspection.WEIGHTS, "pytorch_model.bin"),
        "base.pickle",
        "pytorch_model.bin is a pickle, which can run any code when it is opened; only safetensors are loaded. If you",
        id="pickle",
    ),
    pytest.param(
        lambda base: (base / inspection.WEIGHTS).unlink(), "base.weights", "has no model.safetensors", id="no-weights"
    ),
    pytest.param(
        lambda base: cut(base / inspection.WEIGHTS, 5000),
        "base.weights",
        "is cut off or damaged: it has 5,000 of",
        id="cut",
    ),
    pytest.param(
        lambda base: cut(base / inspection.WEIGHTS, 100), "base.weights", "cut off: it has 100", id="head-cut"
    ),
    pytest.param(lambda base: cut(base / inspection.WEIGHTS, 0), "base.weights", "is no safetensors file", id="empty"),
    pytest.param(forge_length, "base.weights", "is no safetensors file, or is damaged. Copy the file", id="forged"),
    pytest.param(
        lambda base: split_weights(base, lose=True),
        "base.shards",
        "lacks model-00002-of-00002.safetensors, which model.safetensors.index.json names. Copy",
        id="shard-missing",
    ),
    pytest.param(
        lambda base: (base / "tokenizer.json").unlink(), "base.tokenizer", "has no tokenizer. Copy", id="no-tokenizer"
    ),
    pytest.param(
        lambda base: cut(base / "tokenizer.json", 500), "base.file", "tokenizer.json is cut", id="tokenizer-cut"
    ),
    pytest.param(without_template, "base.template", "has no chat template. Give an instruct model", id="no-template"),
    pytest.param(
        without_stop_token, "base.stop", "names no stop token, so a reply would never end", id="no-stop-token"
    ),
]


@pytest.mark.parametrize(("spoil", "rule", "sentence"), SPOILED)
def test_a_spoiled_checkpoint_is_refused_before_the_start_and_when_it_is_loaded_in_the_same_words(
    base: Path, tmp_path: Path, spoil: Callable[[Path], object], rule: str, sentence: str
) -> None:
    spoil(base)
    refused = blocking(LocalBackend().preflight(make_job(tmp_path, base)))
    assert [finding.rule for finding in refused] == [rule]
    said = f"{refused[0].message} {refused[0].fix}"
    assert sentence in said
    assert str(base) in said
    with pytest.raises(Unavailable) as error:
        checkpoint.load(base)
    assert str(error.value) == said


def test_a_sound_checkpoint_is_let_pass_whole_or_in_shards(base: Path, tmp_path: Path) -> None:
    assert LocalBackend().preflight(make_job(tmp_path, base)) == []
    split_weights(base, lose=False)
    assert LocalBackend().preflight(make_job(tmp_path, base)) == []
    assert checkpoint.load(base).window == 64


def test_a_hub_id_can_only_be_judged_once_it_is_fetched(tmp_path: Path) -> None:
    assert LocalBackend().preflight(make_job(tmp_path, Path("microsoft/Phi-3-mini-4k-instruct"))) == []


def test_a_pickle_given_by_its_own_name_is_refused_as_one(base: Path, tmp_path: Path) -> None:
    move(base / inspection.WEIGHTS, "model.pt")
    refused = LocalBackend().preflight(make_job(tmp_path, base / "model.pt"))
    assert [finding.rule for finding in refused] == ["base.pickle"]


def test_code_beside_a_model_that_transformers_knows_is_named_and_never_run(base: Path, tmp_path: Path) -> None:
    # As Microsoft publishes Phi-3 and Phi-4-mini.
    ran = tmp_path / "ran"
    (base / "modeling_phi3.py").write_text(f"open({str(ran)!r}, 'w').close()\n", encoding="utf-8")
    edit(base / "config.json", auto_map={"AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"})
    found = LocalBackend().preflight(make_job(tmp_path, base))
    assert [(finding.rule, finding.severity) for finding in found] == [("base.code", "info")]
    assert "(modeling_phi3.py), which is never run" in found[0].message
    assert type(checkpoint.load(base).model).__module__.startswith("transformers.")
    assert not ran.exists()


def test_weights_of_another_model_are_refused_instead_of_begun_with_random_numbers(base: Path) -> None:
    weights = load_file(base / inspection.WEIGHTS)
    other = {name.replace("qkv_proj", "query"): value for name, value in weights.items()}
    save_file(other, base / inspection.WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(Unavailable, match=r"not those of Phi3ForCausalLM: 1 are missing, such as .*qkv_proj"):
        checkpoint.load(base)


def test_weights_of_another_size_are_refused(base: Path) -> None:
    edit(base / "config.json", intermediate_size=96)
    with pytest.raises(Unavailable, match="No model can be loaded from"):
        checkpoint.load(base)


def test_inspecting_loads_neither_torch_nor_transformers(sound: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from training.backends.local import inspection; "
        f"assert inspection.error(Path({str(sound)!r})) is None; "
        "print({'torch', 'transformers', 'safetensors', 'huggingface_hub'} & set(sys.modules))"
    )
    printed = subprocess.run(  # noqa: S603 - our own code, no shell
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "set()"


def test_of_a_hub_model_neither_pickles_nor_code_nor_copies_for_others_are_fetched() -> None:
    from huggingface_hub.utils import filter_repo_objects  # noqa: PLC0415

    wanted = ["config.json", "model-00001-of-00002.safetensors", inspection.INDEX, "tokenizer.model", "merges.txt"]
    others = [
        "pytorch_model.bin",
        "training_args.pt",
        "modeling_phi3.py",
        "onnx/model.json",
        "consolidated.safetensors",
    ]
    patterns = {"allow_patterns": checkpoint.FETCHED, "ignore_patterns": checkpoint.LEFT_THERE}
    assert list(filter_repo_objects([*wanted, *others], **patterns)) == wanted


def test_a_hub_model_that_was_fetched_is_judged_as_any_folder_is(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The hub's own cache on disk, as if it had been fetched before: nothing is reached over the network.
    from huggingface_hub import constants  # noqa: PLC0415

    cached = tmp_path / "models--maker--tiny"
    shutil.copytree(sound, cached / "snapshots" / "0123abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0123abc", encoding="ascii")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert checkpoint.load(Path("maker/tiny")).window == 64
    move(cached / "snapshots" / "0123abc" / inspection.WEIGHTS, "pytorch_model.bin")
    with pytest.raises(Unavailable, match="only safetensors are loaded"):
        checkpoint.load(Path("maker/tiny"))
    with pytest.raises(Unavailable, match="No model can be loaded from maker/other"):
        checkpoint.load(Path("maker/other"))


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What this process and those that it starts may write into one file: to them a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_at_the_end_loses_nothing_and_the_run_goes_on_once_there_is_room(
    base: Path, tmp_path: Path
) -> None:
    backend, job = LocalBackend(), make_job(tmp_path, base)
    with files_of_at_most((base / inspection.WEIGHTS).stat().st_size - 1):
        backend.submit(job)
    progress = ended(backend, job)
    assert progress.status is JobStatus.FAILED
    assert progress.reason is not None
    assert f"The disk is full: {job.directory / folder.MODEL} could not be written" in progress.reason
    assert "make room, then resume the run" in progress.reason
    assert not list(job.directory.glob(f"{folder.MODEL}*"))
    kept = sorted((job.directory / "snapshots").iterdir())
    assert kept
    for file in kept[-1].glob("*.safetensors"):
        with safe_open(file, "pt") as opened:
            assert opened.keys()
    with in_this_process.starting():
        backend.resume(job)
    assert backend.poll(job).status is JobStatus.COMPLETED
    assert checkpoint.load(backend.fetch(job).model).window == 64
    assert not [file for file in job.directory.rglob("*") if file.suffix in {".bin", ".pt", ".pkl", ".pth"}]


@pytest.fixture
def carried_out() -> Iterator[Callable[[Job], Progress]]:
    """What the training process does from its first line to its last, in this process: it comes to no long training."""
    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()

    def carry_out(job: Job) -> Progress:
        job.directory.mkdir()
        folder.write_json(job.directory / folder.REQUEST, job.as_json())
        assert process.carry_out(job.directory, trainer.train) == 1
        return LocalBackend().poll(job)

    yield carry_out
    signal.signal(signal.SIGTERM, handler)
    torch.set_num_threads(threads)


# peft asks transformers for an attribute under its old name.
def test_a_loss_that_is_no_number_fails_the_run_with_its_step(
    base: Path, tmp_path: Path, carried_out: Callable[[Job], Progress]
) -> None:
    weights = load_file(base / inspection.WEIGHTS)
    weights["model.norm.weight"][0] = torch.inf
    save_file(weights, base / inspection.WEIGHTS, metadata={"format": "pt"})
    progress = carried_out(make_job(tmp_path, base))
    assert progress.status is JobStatus.FAILED
    assert "no number at step 1" in (progress.reason or "")


def test_rows_that_teach_nothing_fail_the_run_with_their_line(
    base: Path, tmp_path: Path, carried_out: Callable[[Job], Progress]
) -> None:
    job = make_job(tmp_path, base)
    silent = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!", "weight": 0}]
    job.train.write_text(json.dumps({"messages": silent}) + "\n", encoding="utf-8")
    progress = carried_out(job)
    assert progress.status is JobStatus.FAILED
    assert "line 1: A conversation teaches nothing" in (progress.reason or "")
