"""Addresses behind the root at which a model answers."""

from __future__ import annotations

import pytest

from training.backends.addresses import within
from training.backends.foundry.managed import scoring

HOST = "https://run-1.eastus2.models.ai.azure.com"


@pytest.mark.parametrize(
    ("root", "address"),
    [
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1/models"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1/models"),
        (f"{HOST}?api-version=1", f"{HOST}/models?api-version=1"),
        (f"{HOST}/openai?a=1&b=2", f"{HOST}/openai/models?a=1&b=2"),
    ],
)
def test_what_is_asked_for_comes_before_the_query_of_a_root(root: str, address: str) -> None:
    assert within(root, "models") == address


@pytest.mark.parametrize(
    "given", [HOST, f"{HOST}/", f"{HOST}/v1", f"{HOST}/v1/chat/completions", f"{HOST}/chat/completions"]
)
def test_a_model_at_azure_is_asked_where_content_safety_stands_before_it_whatever_route_azure_names(given: str) -> None:
    asked = within(scoring.root(given), "chat/completions")
    assert asked == f"{HOST}/chat/completions?api-version=2024-05-01-preview"
