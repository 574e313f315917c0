"""A slice of the fuzz: a few hundred payloads, the good ones done, the bad ones refused, and nothing falls over."""

from __future__ import annotations

from pathlib import Path

from chaos.fuzz import play

PAYLOADS, SEED = 150, 20261120


def test_whatever_slack_sends_is_done_or_refused_and_every_listener_copes(tmp_path: Path) -> None:
    result = play(PAYLOADS, SEED, tmp_path)
    assert result.failures == [], f"seed {SEED}"
    assert set(result.reached) == result.listeners
    assert result.sent["valid"] >= 0.3 * result.total
    assert min(result.sent[how] for how in ("mutated", "forged", "unsigned", "stale", "replayed", "garbled")) > 0
