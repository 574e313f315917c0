"""The README's picture, drawn from the report of an actual demo run.

    python tests/demo_picture.py errata-demo/report.json docs/images/demo.png

Owns the drawing. Shows what was learned from and what was held out apart: together they would flatter.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # without a screen; chosen before pyplot is imported

import matplotlib.pyplot as plt

WANTED = {"correction": {"fixed"}, "endorsement": {"kept"}}
_KEPT, _LOST = "#0072b2", "#d9d9d9"
_WIDTH = 52


def draw(report: dict[str, Any], path: Path) -> None:
    """Write the opening reply before and after, and the share of right replies by kind and side, as a PNG."""
    figure, (words, bars) = plt.subplots(1, 2, figsize=(11, 4.4), width_ratios=(1.25, 1), layout="constrained")
    words.axis("off")
    parts = (("Question", "question", "#333333"), ("Before", "before", "#b22222"), ("After", "after", _KEPT))
    height = 0.97
    for label, key, colour in parts:
        text = textwrap.fill(report[key], _WIDTH)
        words.text(0, height, label, weight="bold", color=colour, va="top", size=11)
        words.text(0, height - 0.065, text, color=colour, va="top", size=10.5, linespacing=1.3)
        height -= 0.13 + 0.062 * (text.count("\n") + 1)
    counts = Counter((case["kind"], case["side"], case["outcome"] in WANTED[case["kind"]]) for case in report["cases"])
    groups = [
        (kind, side)
        for side in ("train", "validation")
        for kind in ("correction", "endorsement")
        if counts[kind, side, True] + counts[kind, side, False]
    ]
    labels = []
    for row, (kind, side) in enumerate(groups):
        right, wrong = counts[kind, side, True], counts[kind, side, False]
        share = right / (right + wrong)
        bars.barh(row, 1, color=_LOST)
        bars.barh(row, share, color=_KEPT)
        bars.text(1.03, row, f"{right} of {right + wrong}", va="center")
        labels.append(f"{'fixed' if kind == 'correction' else 'kept'},\n{'learned' if side == 'train' else 'held out'}")
    bars.set_yticks(range(len(groups)), labels)
    bars.invert_yaxis()
    bars.set(xlim=(0, 1.3), xticks=[])
    bars.spines[:].set_visible(False)
    bars.set_title("Corrections fixed, good replies kept", size=11, loc="left")
    figure.text(0.01, -0.04, report["note"], size=9.5, color="#555555")
    figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": ""})


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
