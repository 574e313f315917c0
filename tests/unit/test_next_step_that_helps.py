"""Resuming is offered where it can help, another run where it cannot; and what Azure's half says can be translated."""

from __future__ import annotations

from pathlib import Path

import pytest
from worker_shop import WorkerShop

from curation.errors import Invalid
from curation.findings import Finding, Severity
from curation.wording import Phrase
from training.backends.foundry.account.files import Written, findings, notes
from training.backends.foundry.place import AzurePlace
from training.commands.reports import next_step

FEW = Finding("foundry.few", Severity.ERROR, "The dataset has 2 rows.", "Approve more.")
ELSEWHERE = Finding("foundry.region", Severity.ERROR, "It is tuned in eastus2 only.", "Make a project there.")
FULL = Finding("local.disk", Severity.ERROR, "The disk is full.", "Free some space.")


@pytest.mark.parametrize(
    ("found", "anew"), [([FEW], True), ([ELSEWHERE], False), ([FULL], False), ([ELSEWHERE, FEW], True)]
)
def test_what_a_run_is_made_of_takes_another_run_and_everything_else_a_resumption(
    shop: WorkerShop, found: list[Finding], anew: bool
) -> None:
    run_id = shop.request()
    shop.backend.findings = found
    shop.worker.tick()
    summary = shop.summary(run_id)
    assert (summary.status, summary.unfit) == ("failed", anew)
    told, step = shop.says(f"run:{run_id}"), next_step(summary)
    assert ("run_resume" in told) is not anew
    assert ("give it another dataset, model or recipe" in told) is anew
    assert ("errata run resume" in step) is not anew
    assert step.startswith("errata train v1 --model rehearsal, with another dataset") is anew
    shop.backend.findings = [FULL]
    shop.resume(run_id)
    shop.worker.tick()
    assert not shop.summary(run_id).unfit  # it is the last refusal that counts


@pytest.mark.parametrize("name", ["GROUP", "HUB", "PROJECT", "REGION", "ACCOUNT", "COMPUTE", "INSTANCE"])
def test_every_part_of_a_refused_name_can_be_said_in_another_language(name: str) -> None:
    with pytest.raises(Invalid) as raised:
        AzurePlace.read({f"ERRATA_AZURE_{name}": "no such name!"})
    assert isinstance(raised.value.sentence.values["what"], Phrase)
    assert str(raised.value).startswith(f"ERRATA_AZURE_{name} is not a")


def test_no_name_of_a_side_stands_untranslated_in_a_sentence(tmp_path: Path) -> None:
    sides = {side: Written(tmp_path, 12, 600_000_000, 0, 3) for side in ("train", "validation")}
    told = [one.message for one in findings(sides, pairs=True)] + notes(sides)
    assert [str(one) for one in told] == [
        "The training side has 600,000,000 bytes; the provider takes fewer than 512,000,000.",
        "The validation side has 600,000,000 bytes; the provider takes fewer than 512,000,000.",
        "3 rows of the training side were left out: there is no rejected reply to compare with.",
        "3 rows of the validation side were left out: there is no rejected reply to compare with.",
    ]
    assert all(isinstance(one, Phrase) and "side" not in one.values for one in told)
