"""Pictures of balance: what is drawn, the words that stand in for it, and what happens without matplotlib."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from curation.errors import Invalid, Unavailable
from curation.measures import plots
from curation.measures.balance import Facet, measure

BALANCE = measure(
    [
        Facet("billing", "en", "endorsement", 120, 2, count=60),
        Facet("billing", "de", "correction", 480, 4, count=3),
        Facet("returns", "en", "imported", 5000, 6),
    ]
)
PNG = b"\x89PNG\r\n\x1a\n"


def test_each_picture_is_a_png_and_its_words_hold_its_figures(tmp_path: Path) -> None:
    drawn = dict(plots.write(BALANCE, tmp_path / "new", window=4096, model="phi-3"))
    assert [path.name for path in drawn] == ["topics.png", "tokens.png", "kinds.png"]
    assert all(path.read_bytes().startswith(PNG) for path in drawn)
    topics, tokens, kinds = drawn.values()
    assert "billing: German 3, English 60; returns: German 0, English 1." in topics
    assert "half at most 120" in tokens
    assert tokens.endswith("1 are over the window of phi-3, 4,096.")
    assert kinds.endswith("3 correction (5%), 60 endorsement (94%), 1 imported (2%).")


def test_growth_names_every_version(tmp_path: Path) -> None:
    path, alt = plots.growth([("v1", {"correction": 3, "endorsement": 4}), ("v2", {"endorsement": 20})], tmp_path)
    assert path.read_bytes().startswith(PNG)
    assert alt.endswith("oldest first: v1 7; v2 20.")


def test_names_in_any_script_and_with_dollars_are_drawn_as_they_are(tmp_path: Path) -> None:
    odd = measure(
        [Facet("账单 $x^2$ \n" + "long " * 40, "zh", "imported", 5, 2), Facet("สินค้า", "th", "imported", 7, 2)]
    )
    assert len(plots.write(odd, tmp_path, window=4096, model="$m$")) == 3


def test_of_many_topics_the_largest_are_drawn_and_the_others_counted(tmp_path: Path) -> None:
    many = measure([Facet(f"topic {number:02}", "en", "imported", 5, 2, count=number + 1) for number in range(40)])
    (_, alt), *_ = plots.write(many, tmp_path)
    assert "topic 39" in alt
    assert "topic 09" not in alt
    assert alt.endswith("10 smaller topics are not shown.")


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    assert plots.write(measure([]), tmp_path) == []


def test_without_matplotlib_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(Invalid, match=r"pip install 'errata\[train\]'"):
        plots.write(BALANCE, tmp_path)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("", encoding="utf-8")
    with pytest.raises(Unavailable, match="pictures cannot be written"):
        plots.write(BALANCE, tmp_path / "pictures")
