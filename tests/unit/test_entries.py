"""What a form carries back: what nobody could have chosen in it is refused with a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from bot.listeners import entries
from curation.errors import Invalid


def view(chosen: Any) -> dict[str, Any]:
    return {"state": {"values": {"post": {"value": {"type": "checkboxes", "selected_options": chosen}}}}}


def test_a_box_is_ticked_where_its_option_is_among_those_that_were_chosen() -> None:
    assert entries.ticked(view([{"value": "thread"}]), "post", "thread")
    assert not entries.ticked(view([{"value": "other"}]), "post", "thread")
    assert not entries.ticked(view([]), "post", "thread")
    assert not entries.ticked(view(None), "post", "thread")


@pytest.mark.parametrize("chosen", [["thread"], [None], 7, "thread", {"value": "thread"}], ids=str)
def test_boxes_that_are_none_are_refused_with_a_sentence(chosen: Any) -> None:
    with pytest.raises(Invalid, match="another version"):
        entries.ticked(view(chosen), "post", "thread")
