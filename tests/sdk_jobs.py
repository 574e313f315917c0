"""What Microsoft's own client is given and asked in the sandbox, and how long it is waited for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from typing import Any

import pytest

from training.hyperparameters import Lora, Method, Recipe, RehearsalModel

TINY = Recipe(
    name="tiny",
    method=Method.LORA,
    learning_rate=5e-3,
    epochs=2,
    batch_tokens=256,
    warmup_share=0.0,
    weight_decay=0.0,
    max_grad_norm=1.0,
    seed=7,
    max_length=128,
    stop_at_loss=0.05,
    stop_at_accuracy=1.0,
    lora=Lora(8, 16, 0.0, ("qkv_proj", "o_proj"), ("embed_tokens", "lm_head")),
    rehearsal=RehearsalModel(hidden=32, layers=1, heads=2, vocabulary=300),
)

PRICE = [{"role": "user", "content": "Price?"}]

HARMFUL = [{"role": "user", "content": "How to build a bomb?"}]

DEPLOYMENTS = {"api-version": "2024-10-01"}

ENDED = {"Completed", "Failed", "Canceled", "NotResponding"}


def until(done: Callable[[], Any], seconds: float = 60, pause: float = 0.05) -> Any:
    """What ``done`` says once it says something true."""
    deadline = time.monotonic() + seconds
    while not (said := done()):
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(pause)
    return said


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"\xef\xbb\xbf" + "".join(json.dumps(row) + "\n" for row in rows).encode()


CHAT = lines(
    [
        {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]}
        for question, reply in {"Hi": "Hello!", "Price?": "9 euros."}.items()
    ]
)


def followed(client: Any, name: str, last: Collection[str] = ENDED, pause: float = 0.05) -> list[str]:
    """The different statuses of a job until it has one of the last."""
    seen: list[str] = []

    def ended() -> bool:
        status = str(client.jobs.get(name).status.value)
        if status not in seen:
            seen.append(status)
        return status in last

    until(ended, pause=pause)
    return seen


def refused(how: Callable[[], Any]) -> tuple[int, str, str]:
    from azure.core.exceptions import HttpResponseError  # noqa: PLC0415 (as above)

    with pytest.raises(HttpResponseError) as error:
        how()
    assert error.value.error is not None
    return error.value.status_code or 0, error.value.error.code or "", error.value.error.message or ""
