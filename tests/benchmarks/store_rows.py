"""A store of a support team's years: candidates, corrections and reviews, generated from a seed.

Written past the ORM in the shape of revision 0006, so that the next migration builds its indexes and its
search over them as it would over a real database. Six languages, a dozen topics whose shares differ, three
assistants, two hundred authors of whom one imported a fifth of everything; old rows are decided, of the newest
many wait.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Any

import psycopg
from alembic import command
from sqlalchemy.engine import make_url

from bot import migrations
from curation.screening.likeness import BANDS
from curation.store.engine import open_engine

BEFORE = "0006"
"""The revision that the rows are written at."""
START = datetime(2024, 1, 1, tzinfo=UTC)
TEAM = "T1"
IMPORTER = f"{TEAM}/UIMPORTER"
AUTHORS = [f"{TEAM}/UAUTHOR{number}" for number in range(200)]
REVIEWERS = [f"{TEAM}/UREVIEWER{number}" for number in range(20)]
ASSISTANTS = ["Bris", "Fjord", "Lumen"]
TOPICS = ["billing", "delivery", "account", "device", "returns", "filters", "app", "warranty", "press", "jobs"]
LANGUAGES = {"en": 40, "de": 25, "nb": 15, "zh": 8, "id": 7, "fil": 5}

# What reviewers look for; the rest of each vocabulary is made of syllables, rare words by the thousand.
_SPOKEN = {
    "en": ["refund", "invoice", "delivery", "password", "warranty", "filter", "lamp", "account", "cancel", "battery"],
    "de": ["Rückgabe", "Rechnung", "Lieferung", "Passwort", "Garantie", "Filter", "Lampe", "Konto", "Kündigung"],
    "nb": ["refusjon", "faktura", "levering", "passord", "garanti", "filter", "lampe", "konto", "pære"],
    "fil": ["bayad", "resibo", "padala", "garantiya", "ilaw", "ibalik", "kanselahin", "sira"],
    "id": ["pengembalian", "faktur", "pengiriman", "sandi", "garansi", "lampu", "akun", "baterai"],
    "zh": ["退款", "发票", "配送", "密码", "保修", "滤芯", "台灯", "账户", "取消", "电池"],
}
_RARE = 8_000
_POOL = 200_000
_CANDIDATE = (
    "id, kind, status, source, thread, assistant_id, turns, reply, reason, topic, language, note, flagged_by, "
    "flagged_at, version"
)
_CORRECTION = "id, candidate_id, text, author, written_at"
_REVIEW = "candidate_id, reviewer, verdict, comment, self_approved, decided_at"
_SCREENED = "candidate_id, correction_id, author, fingerprint, screened_at"
_NOTICE = "kind, subject, destination, message_key, status, attempts, not_before, owed_at, delivered_at"
_VERDICTS = {"approved": "approve", "rejected": "reject", "returned": "return"}


@dataclass
class Years:
    """``count`` candidates in the order in which they were flagged; the same seed gives the same ones."""

    count: int
    seed: int = 1
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._pools = {language: self._pool(language) for language in LANGUAGES}

    def words(self, language: str) -> list[str]:
        """Its vocabulary, from the most frequent word to the rarest."""
        return self._vocabularies[language]

    @cached_property
    def _vocabularies(self) -> dict[str, list[str]]:
        rng = random.Random(self.seed)
        made = {}
        for language, spoken in _SPOKEN.items():
            if language == "zh":
                rare = ["".join(chr(rng.randrange(0x4E00, 0x5600)) for _ in range(2)) for _ in range(_RARE)]
            else:
                syllables = [consonant + vowel for consonant in "bdfghklmnprstv" for vowel in "aeiou"]
                rare = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(_RARE)]
            made[language] = [*spoken, *rare]
        return made

    def _pool(self, language: str) -> list[str]:
        """Words as often as they are used (Zipf's law), to cut sentences from."""
        words = self._vocabularies[language]
        return self._rng.choices(words, weights=[1 / (rank + 10) for rank in range(len(words))], k=_POOL)

    def _sentence(self, language: str, length: int) -> str:
        start = self._rng.randrange(_POOL - length)
        cut = self._pools[language][start : start + length]
        return ("" if language == "zh" else " ").join(cut) + ("。" if language == "zh" else ".")

    def rows(self) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...] | None]]:
        """Each candidate with its correction and, where there is one, its review."""
        rng = self._rng
        languages, shares = list(LANGUAGES), list(LANGUAGES.values())
        popularity = [1 / (rank + 1) for rank in range(len(TOPICS))]
        for key in range(1, self.count + 1):
            age = key / self.count
            at = START + timedelta(seconds=60 * key)
            stamp = at.strftime("%Y-%m-%d %H:%M:%S.%f")
            language = rng.choices(languages, shares)[0]
            topic = rng.choices(TOPICS, popularity)[0] if rng.random() < 0.9 else None
            imported = rng.random() < 0.2
            author = IMPORTER if imported else AUTHORS[int(len(AUTHORS) * rng.random() ** 2)]
            kind = "imported" if imported else ("endorsement" if rng.random() < 0.4 else "correction")
            waits = 0.3 if age > 0.9 else 0.02
            draw = rng.random()
            status = "pending" if draw < waits else ("approved" if draw < 0.86 else "rejected")
            status = "returned" if draw > 0.985 else status
            question = f"{self._sentence(language, rng.randint(8, 20))} ERR-{key % 9973}"
            reply = self._sentence(language, rng.randint(15, 35))
            better = reply if kind != "correction" else self._sentence(language, rng.randint(15, 35))
            thread = f"{TEAM}/C{key % 40}/{1_700_000_000 + 60 * key}.000100"
            turns = json.dumps([{"role": "user", "content": question}])
            reason = "wrong_fact" if kind == "correction" else None
            assistant = None if imported else 1 + key % len(ASSISTANTS)
            candidate = (
                *(key, kind, status, thread, thread, assistant, turns, reply, reason, topic, language, None),
                *(author, stamp, 1 if status == "pending" else 2),
            )
            review = None
            if status in _VERDICTS:
                reviewer = REVIEWERS[int(len(REVIEWERS) * rng.random() ** 2)]
                review = (key, reviewer, _VERDICTS[status], None, False, stamp)
            yield candidate, (key, key, better, author, stamp), review


def fill(url: str, years: Years) -> None:
    """Make the tables at ``BEFORE`` in an empty database and write the rows."""
    engine = open_engine(url)
    with engine.connect() as connection:
        config = migrations._config()
        config.attributes["connection"] = connection
        command.upgrade(config, BEFORE)
    engine.dispose()
    writer = _SqliteWriter(url) if make_url(url).get_backend_name() == "sqlite" else _PostgresWriter(url)
    with closing(writer):
        stamp = START.strftime("%Y-%m-%d %H:%M:%S.%f")
        people = [*AUTHORS, *REVIEWERS, IMPORTER]
        writer.write("people", "id, display_name, created_at", [(one, one[3:].title(), stamp) for one in people])
        grants = [(one, "reviewer", one, stamp) for one in people]
        writer.write("role_grants", "person_id, role, granted_by, granted_at", grants)
        named = [(number, name, TEAM, stamp) for number, name in enumerate(ASSISTANTS, start=1)]
        writer.write("assistants", "id, name, team_id, created_at", named)
        rows = years.rows()
        while batch := list(islice(rows, 50_000)):
            writer.write("candidates", _CANDIDATE, [candidate for candidate, _, _ in batch])
            writer.write("corrections", _CORRECTION, [correction for _, correction, _ in batch])
            writer.write("reviews", _REVIEW, [review for _, _, review in batch if review is not None])
            newest = [one for _, one, _ in batch if one[0] > years.count * 4 // 5]  # screening came late
            writer.write(
                "screened_prompts", _SCREENED, [(*one[:2], one[3], f"{one[0]:016x}", one[4]) for one in newest]
            )
            cards = [("candidate.card", f"candidate:{one[0]}", f"candidate:{one[0]}", one[4]) for _, one, _ in batch]
            delivered = [(kind, of, f"{TEAM}/C1", key, "delivered", 1, at, at, at) for kind, of, key, at in cards]
            writer.write("notices", _NOTICE, delivered)
            print(f"{batch[-1][0][0]:,} of {years.count:,} candidates", flush=True)
        numbers = ", ".join(f"({number})" for number in range(BANDS))
        every = f"(WITH numbers (number) AS (VALUES {numbers}) SELECT id FROM screened_prompts, numbers) AS every"  # noqa: S608 (ours)
        writer.run(f"INSERT INTO prompt_bands (prompt_id, band) SELECT id, {writer.RANDOM} AS band FROM {every}")  # noqa: S608 (ours)
        writer.finish()


class _SqliteWriter:
    RANDOM = "abs(random() / 2)"

    def __init__(self, url: str) -> None:
        self._connection = sqlite3.connect(str(make_url(url).database), isolation_level=None)
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute("BEGIN")

    def write(self, table: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
        places = ", ".join("?" * len(columns.split(",")))
        self._connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", rows)  # noqa: S608 (names of ours)

    def run(self, statement: str) -> None:
        self._connection.execute(statement)

    def finish(self) -> None:
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


class _PostgresWriter:
    RANDOM = "CAST(random() * 9e18 AS bigint)"

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url)

    def write(self, table: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
        with self._connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:  # type: ignore[call-overload]
            for row in rows:
                copy.write_row(row)

    def run(self, statement: str) -> None:
        self._connection.execute(statement)  # type: ignore[call-overload]

    def finish(self) -> None:
        for table in ("candidates", "corrections"):  # their keys were given
            self._connection.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"  # type: ignore[call-overload]  # noqa: S608
            )
        self._connection.commit()

    def close(self) -> None:
        self._connection.close()
