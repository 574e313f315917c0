"""``errata estimate``: whether to tune, the five questions, and a run that would not fit."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from builders import NOON, Team
from shell import Shell, write_dialogues

from curation.candidates import Reason
from curation.datasets import dataset
from curation.datasets.preparing import Options
from curation.reviews import Verdict
from training.planning import estimates
from training.planning.counsel import Cure

QUESTIONS = (
    "1. Which model, and for what?",
    "2. What does it cost?",
    "3. How far can it be customised?",
    "4. How convenient is it?",
    "5. What protects from harm?",
)
LLAMA = {
    "model_type": "llama",
    "vocab_size": 32_000,
    "hidden_size": 2_048,
    "intermediate_size": 5_632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2_048,
}


def estimated(shell: Shell, *arguments: str) -> dict[str, Any]:
    code, out, err = shell("estimate", "v1", *arguments, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def checkpoint(folder: Path, **config: Any) -> str:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**LLAMA, **config}), encoding="utf-8")
    return str(folder)


def test_an_estimate_opens_with_the_counsel_and_answers_five_questions(frozen: Shell) -> None:
    code, out, _ = frozen("estimate", "v1", "--model", "phi-4-mini-instruct", "--gpu", "L4")
    lines = out.splitlines()
    assert (code, lines[0].split(":")[0]) == (0, "Tune")
    assert [line for line in lines if line[:1].isdigit()] == list(QUESTIONS)
    assert "phi-4-mini-instruct (3.8 billion weights, a window of 131,072 tokens, licence MIT) can be tuned" in out
    assert "(counted)" in out
    assert "data sheet of L4" in out
    assert "of L4, which has 24.0 GB free. It fits." in out
    assert lines[-1] == "Next: errata train v1 --model phi-4-mini-instruct --recipe phi-lora"


def test_the_figures_are_those_of_the_dataset_and_the_recipe(frozen: Shell) -> None:
    found = estimated(frozen, "--model", "phi-4", "--recipe", "phi-14b-80gb", "--gpu", "H100")
    manifest = json.loads(frozen("dataset", "show", "v1", "--json")[1])["manifest"]
    assert found["tokens"]["train"] == manifest["tokens"]["cl100k (tiktoken)"]["train"]
    assert found["tokens"]["all_epochs"] == 3 * found["tokens"]["train"]
    assert found["tokens"]["counted"] == "exact"
    assert found["shape"]["parameters"] == 14_659_507_200
    assert 29e9 < found["memory"]["weights"] < 30e9
    assert found["memory"]["total"] == sum(value for name, value in found["memory"].items() if name != "total")
    assert found["fits"] is True
    assert found["seconds"] == pytest.approx(found["tokens"]["all_epochs"] * 70e9 / (0.35 * 989e12), rel=0.3)
    assert found["trained_weights"] / found["shape"]["parameters"] < 0.01


def test_what_does_not_fit_is_not_yet_and_the_change_that_makes_it_fit_fits(frozen: Shell, tmp_path: Path) -> None:
    found = estimated(frozen, "--model", "phi-4", "--gpu", "24")
    assert (found["counsel"]["cure"], found["fits"]) == ("Not yet", False)
    assert found["change"] == "Set lora.four_bit = true in the recipe, or take the recipe phi-14b-24gb."
    assert found["counsel"]["reason"].endswith(found["change"])
    assert estimated(frozen, "--model", "phi-4", "--gpu", "24", "--recipe", "phi-14b-24gb")["fits"] is True
    greedy = tmp_path / "greedy.toml"
    text = Path(__file__).parents[2].joinpath("training/recipes/phi-lora.toml").read_text(encoding="utf-8")
    greedy.write_text(text.replace("gradient_checkpointing = true", "gradient_checkpointing = false"), encoding="utf-8")
    many = write_dialogues(tmp_path / "many.jsonl", 400, first=100)
    assert frozen("import", str(many), "--approve-as", "ana", "--reason", "Checked by hand.")[0] == 0
    assert frozen("dataset", "freeze", "large")[0] == 0
    code, out, _ = frozen("estimate", "large", "--model", "phi-4-mini-instruct", "--gpu", "24", "--recipe", str(greedy))
    assert code == 0
    assert out.startswith("Not yet: Training needs about ")
    assert "Set device_tokens = 2048 in the recipe, or take the recipe phi-mini-24gb." in out
    following = "errata estimate large --model phi-4-mini-instruct --recipe phi-mini-24gb"
    assert out.splitlines()[-1] == f"Next: {following}"
    assert frozen(*following.split()[1:], "--gpu", "24")[1].startswith("Tune: ")
    code, out, _ = frozen("estimate", "v1", "--model", "phi-4", "--gpu", "8", "--strict")
    assert code == 1
    assert "No change of the recipe makes it fit: it takes " in out


def test_a_checkpoint_of_ones_own_is_read_and_its_tokens_are_guessed(frozen: Shell, tmp_path: Path) -> None:
    llama = checkpoint(tmp_path / "llama")
    found = estimated(frozen, "--model", llama, "--gpu", "16")
    assert found["shape"]["parameters"] == 1_100_048_384  # TinyLlama's own count
    assert (found["recipe"], found["fits"]) == ("chat-lora", True)
    assert found["tokens"]["counted"] == "guessed from bytes"
    wrong = estimated(frozen, "--model", llama, "--gpu", "16", "--recipe", "phi-lora")
    assert wrong["counsel"]["cure"] == "Not yet"
    assert "has no such layers. Set lora.targets to q_proj, k_proj" in wrong["counsel"]["reason"]
    odd = estimated(frozen, "--model", checkpoint(tmp_path / "odd", model_type="mamba"), "--gpu", "16")
    assert (odd["shape"], odd["memory"], odd["seconds"]) == (None, None, None)
    assert "does not know the architecture mamba" in odd["answers"][0]["answer"]


def test_a_tuned_phi_counts_with_the_tokenizer_of_the_phi_it_was(frozen: Shell, tmp_path: Path) -> None:
    sizes = {"model_type": "phi3", "vocab_size": 200_064, "hidden_size": 3_072, "intermediate_size": 8_192}
    heads = {"num_hidden_layers": 32, "num_attention_heads": 24, "num_key_value_heads": 8, "tie_word_embeddings": True}
    own = estimated(frozen, "--model", checkpoint(tmp_path / "own", **sizes, **heads), "--gpu", "24")
    listed = estimated(frozen, "--model", "phi-4-mini-instruct", "--gpu", "24")
    assert own["tokens"] == listed["tokens"]
    assert own["memory"] == listed["memory"]


def test_a_hub_id_that_was_never_downloaded_is_said_to_be_unknown(frozen: Shell) -> None:
    found = estimated(frozen, "--model", "somebody/chat-9b", "--gpu", "24")
    assert "not in the catalogue and not downloaded yet" in found["answers"][0]["answer"]
    assert found["answers"][3]["answer"].endswith("Prove the pipeline first: errata train v1 --model rehearsal")
    assert estimated(frozen, "--model", "microsoft/Phi-4", "--gpu", "24")["model"] == "phi-4"


def test_on_a_machine_without_a_gpu_a_large_model_takes_days_and_four_bits_are_refused(
    frozen: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)  # whatever this machine has
    found = estimated(frozen, "--model", "phi-4", "--recipe", "phi-14b-24gb")
    assert found["machine"]["gpus"] == []
    assert {"local.gpu", "local.memory"} & {one["rule"] for one in found["findings"]}
    assert found["counsel"]["cure"] == "Not yet"
    rehearsed = estimated(frozen, "--model", "rehearsal")
    assert (rehearsed["fits"], rehearsed["counsel"]["cure"]) == (True, "Tune")
    assert "GFLOP/s for each of" in rehearsed["time_by"]


def test_a_service_is_not_said_to_do_what_it_cannot_and_one_that_is_not_set_up_here_is_named(frozen: Shell) -> None:
    code, out, _ = frozen("estimate", "v1", "--model", "gpt-4.1", "--backend", "openai")
    assert (code, [line for line in out.splitlines() if line[:1].isdigit()]) == (0, list(QUESTIONS))
    assert "gpt-4.1, to write replies" in out
    assert "Whether Azure tunes it there, the run asks before anything is uploaded." in out
    assert "or learn preferences" in out
    for untrue in ("can be tuned by", "not downloaded yet", "every weight", "loses its oldest turns"):
        assert untrue not in out
    assert "The backend openai is not set up here; it takes AZURE_SUBSCRIPTION_ID, ERRATA_AZURE_GROUP" in out
    assert out.splitlines()[-1] == "Next: errata doctor --foundry"


def test_wrong_words_are_refused_with_the_right_ones(frozen: Shell) -> None:
    assert frozen("estimate", "v9", "--model", "phi-4")[0] == 2
    assert frozen("estimate", "v1", "--model", "phi-5")[0] == 2
    code, _, err = frozen("estimate", "v1", "--model", "phi-4", "--gpu", "Voodoo")
    assert code == 2
    assert "There is no data sheet of a GPU 'Voodoo' here; give B200, H200," in err
    assert frozen("estimate", "v1", "--model", "phi-4", "--backend", "foundry", "--gpu", "24")[0] == 2
    assert frozen("estimate", "v1", "--model", "production", "--gpu", "24")[0] == 1
    assert frozen("estimate", "v1", "--model", "rehearsal", "--recipe", "phi-lora")[0] == 1


def test_corrections_of_facts_that_change_send_people_to_the_source(team: Team) -> None:
    reasons = (Reason.CHANGING_FACT, Reason.CHANGING_FACT, Reason.CHANGING_FACT, Reason.WRONG_FACT, Reason.TONE)
    for number, reason in enumerate(reasons):
        candidate = team.flag(f"What does a jug number {number} cost?", "Nine euros.", reason=reason)
        team.decide(candidate, Verdict.APPROVE)
    options = Options(include_changing=True)
    dataset.freeze(team.store, team.olga, NOON, name="v1", options=options)
    with team.store.read() as session:
        found = estimates.of(
            session, dataset_name="v1", model="phi-4", recipe=None, home=Path(), machine=estimates.assumed("L4")
        )
    assert (found.grounds.corrections, found.grounds.facts, found.grounds.changing) == (5, 4, 3)
    assert found.counsel.cure is Cure.FIX_THE_SOURCE
