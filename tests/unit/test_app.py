"""The composition root: what stands between the gate and the listeners."""

from __future__ import annotations

from builders import Office

from bot.app import _BodyMatcher, build


def test_every_matcher_of_bolts_reads_the_body_alone(office: Office) -> None:
    """Where a newer Bolt wants more, its matchers are asked in its own way, at seven times the price."""
    app = build(office.settings, office.store)
    assert app._listeners
    assert all(isinstance(matcher, _BodyMatcher) for listener in app._listeners for matcher in listener.matchers)
