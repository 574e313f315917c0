"""Some hours of a training at each backend of Azure's, by a clock that is moved.

Whole days are ``tests/chaos/day.py``'s.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.day import MOST_AN_HOUR, most_tokens, spend

from training.backends.base import JobStatus
from training.backends.foundry.access import clients, plain, stores
from training.backends.names import BackendName

HOURS = 1.6

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # of the connections below


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Each renewed token has brought new clients: they go here, with their connections, and not in anybody's test."""
    yield
    for kept in (
        clients._arm,
        clients._workspace_client,
        clients._openai_client,
        plain._client,
        stores._container,
    ):
        kept.cache_clear()
    gc.collect()


@pytest.mark.parametrize("name", [BackendName.FOUNDRY, BackendName.OPENAI, BackendName.AZUREML])
def test_a_run_that_goes_on_for_hours_is_asked_about_once_a_minute_and_outlives_its_tokens(
    tmp_path: Path, name: BackendName
) -> None:
    day = spend(tmp_path, name, hours=HOURS)
    assert day.strayed is None
    assert 0 < day.longest <= MOST_AN_HOUR
    assert 1 <= day.tokens <= most_tokens(HOURS)
    assert day.refused == 0  # another token was fetched before the last one ended
    assert day.status is JobStatus.COMPLETED
    # Our own trainer only seemed to run for hours, and has really run at their end.
    assert (tmp_path / "job" / "model" / "model.safetensors").is_file() is (name is BackendName.AZUREML)
