"""Does a classifier know what dialogues are about? Beside TF-IDF with logistic regression, and with labels permuted.

``python tests/benchmarks/topics.py DIALOGUES.jsonl`` goes the way that a team goes: it imports the dialogues, freezes
them, and trains the recipe rehearsal-topic on them, which never reads a system turn. scikit-learn gets the same words
of the same rows on the same sides. Then everything once more with the topics dealt out at random: such a model must
know no more than chance. JSON lines; exit 1 where a goal is missed. A few minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from curation.conversation import Conversation
from training.backends.local import labels
from training.backends.local.chat import read_rows
from training.backends.local.evaluating.classifying import PARTICULARS
from training.backends.local.labels import Sample
from training.hyperparameters import Label
from training.particulars import read_particulars

GOAL = 0.03
"""Of macro-F1 that the classifier may lie below logistic regression."""
RECIPE = "rehearsal-topic"


def main() -> None:
    """Train twice, print what came of it; exit 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dialogues", type=Path, help="chat JSONL whose metadata has a topic")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--recipe", default=RECIPE, help="another recipe's name or file")
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.dialogues.read_text(encoding="utf-8").splitlines()[: options.rows]]
    with TemporaryDirectory() as folder:
        true = _measured(Path(folder) / "true", rows, options.recipe)
        permuted = _measured(Path(folder) / "permuted", _permuted(rows), options.recipe)
    figures = [
        {
            "name": "topics.macro_f1",
            "value": true["candidate"]["macro_f1"],
            "logistic_regression": true["logistic_regression"],
            "logistic_regression_first_turn": true["first_turn"],
            "naive_bayes": true["yardstick"]["macro_f1"],
            "accuracy": true["candidate"]["accuracy"],
            "rows": true["rows"],
            "cpu_seconds": true["cpu_seconds"],
            "met": true["candidate"]["macro_f1"] >= max(true["logistic_regression"], true["first_turn"]) - GOAL,
        },
        {
            "name": "topics.permuted",
            "value": permuted["candidate"]["macro_f1"],
            "accuracy": permuted["candidate"]["accuracy"],
            "most": permuted["most"],
            # As often right as whoever always gives the most frequent topic, but for three standard errors.
            "met": permuted["candidate"]["accuracy"] <= permuted["most"] + 3 * (0.25 / permuted["rows"]) ** 0.5,
        },
    ]
    for figure in figures:
        print(json.dumps({key: round(one, 4) if isinstance(one, float) else one for key, one in figure.items()}))
    sys.exit(0 if all(figure["met"] for figure in figures) else 1)


def _measured(home: Path, rows: list[dict[str, Any]], recipe: str) -> dict[str, Any]:
    """The ``labels`` table of a run's report, with what scikit-learn makes of the same rows."""
    home.mkdir()
    file = home / "dialogues.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    _errata(home, "people", "grant", "olga", "owner")
    attested = ("--approve-as", "olga", "--reason", "A benchmark.", "--skip-invalid")
    _errata(home, "--as", "olga", "import", str(file), *attested)
    _errata(home, "--as", "olga", "dataset", "freeze", "v1")
    before = sum(os.times()[2:4])
    run = json.loads(_errata(home, "--as", "olga", "train", "v1", "--recipe", recipe, "--json"))
    spent = sum(os.times()[2:4]) - before
    data = home / "runs" / run["id"] / "data"
    learned, held_out = (_samples(data, side) for side in ("train", "validation"))
    counts = Counter(sample.name for sample in held_out)
    return {
        **run["report"]["labels"],
        "logistic_regression": _logistic_regression(learned, held_out, _all_said),
        "first_turn": _logistic_regression(learned, held_out, Conversation.first_user_text),
        "most": counts.most_common(1)[0][1] / counts.total(),
        "cpu_seconds": round(spent, 1),
    }


def _permuted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same dialogues, each with the topic of another."""
    topics = [row["metadata"]["topic"] for row in rows]
    random.Random(1).shuffle(topics)
    return [{**row, "metadata": {**row["metadata"], "topic": topic}} for row, topic in zip(rows, topics, strict=True)]


def _samples(data: Path, side: str) -> list[Sample]:
    """The rows of a side, with their topics."""
    return labels.samples(Label.TOPIC, read_rows(data / f"{side}.jsonl"), read_particulars(data / PARTICULARS))


def _all_said(conversation: Conversation) -> str:
    """What the classifier reads."""
    return labels.text_of(Label.TOPIC, conversation)


def _logistic_regression(
    learned: list[Sample], held_out: list[Sample], text_of: Callable[[Conversation], str]
) -> float:
    """Its macro-F1 over TF-IDF of words, with scikit-learn's own settings."""
    words = TfidfVectorizer()
    model = LogisticRegression(max_iter=1000)
    model.fit(words.fit_transform([text_of(one.conversation) for one in learned]), [one.name for one in learned])
    said = model.predict(words.transform([text_of(one.conversation) for one in held_out]))
    return float(f1_score([one.name for one in held_out], said, average="macro"))


def _errata(home: Path, *command: str) -> str:
    """Run the command line as somebody types it; what it printed."""
    print(f"errata {' '.join(command)}", file=sys.stderr)
    environ = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    done = subprocess.run(  # noqa: S603 - our own module, no shell
        [sys.executable, "-m", "bot.cli", "--home", str(home), *command],
        stdout=subprocess.PIPE,
        check=False,
        env=environ,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"errata {command[0]} ended with {done.returncode}: {done.stdout[-500:]}")
    return done.stdout


if __name__ == "__main__":
    main()
