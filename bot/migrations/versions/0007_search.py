"""Search in the queue, and the indexes that its pages and counts are read from.

``candidate_search`` holds the words of every candidate: an FTS5 table on SQLite, a tsvector per candidate on
PostgreSQL. Neither is a model: the program only asks them, and triggers keep them in step, so that no writer
forgets. ``curation.search`` says what a word and a label are.

Revision: 0007
Revises: 0006
"""

# ruff: noqa: S608 (statements made of this module's own constants)

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# What is searched: the first so many characters of the newest correction, the reply, the note and the turns.
_SEARCHED_CHARACTERS = 16_000
# Kana and Chinese characters, which are written without spaces: their words are pairs of neighbours.
_FIRST_UNSPACED, _LAST_UNSPACED = 0x3040, 0x9FFF
_LABEL = 0xE000  # a private-use character, so that no text holds a label


def upgrade() -> None:
    """Apply."""
    op.drop_index("ix_candidates_status", table_name="candidates")
    columns = ["status", "id", "topic", "language", "kind", "assistant_id", "flagged_by"]
    op.create_index("ix_candidates_queue", "candidates", columns)
    op.create_index("ix_candidates_status_topic_language", "candidates", ["status", "topic", "language"])
    op.create_index("ix_reviews_reviewer_verdict", "reviews", ["reviewer", "verdict"])
    op.drop_index("ix_corrections_candidate_id", table_name="corrections")
    op.create_index("ix_corrections_candidate_id_author", "corrections", ["candidate_id", "author"])
    op.create_index("ix_corrections_author", "corrections", ["author"])
    statements = _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRES
    for statement in statements:
        op.get_bind().exec_driver_sql(statement)


_UNSPACED_GLOB = f"[{chr(_FIRST_UNSPACED)}-{chr(_LAST_UNSPACED)}]"
_SQLITE_CONTENT = f"""replace(substr(
    coalesce((SELECT text FROM corrections WHERE candidate_id = c.id ORDER BY id DESC LIMIT 1), '')
    || char(10) || c.reply || char(10) || coalesce(c.note, '') || char(10) || coalesce(
        (SELECT group_concat(json_extract(value, '$.content'), char(10)) FROM json_each(c.turns)), ''),
    1, {_SEARCHED_CHARACTERS}), char({_LABEL}), ' ')"""

# A character at a time, in pieces of 200: cutting the first one off a long text copies all the others.
_SQLITE_PAIRS = f"""(
    WITH RECURSIVE piece(content, start) AS (
        SELECT {_SQLITE_CONTENT}, 1 UNION ALL
        SELECT content, start + 200 FROM piece WHERE start + 200 <= length(content))
    SELECT group_concat((
        WITH RECURSIVE place(rest, pair, number) AS (
            SELECT substr(content, start, 201), '', 0 UNION ALL
            SELECT substr(rest, 2), substr(rest, 1, 2), number + 1 FROM place WHERE rest <> '' AND number < 200)
        SELECT group_concat(CASE
            WHEN pair GLOB '{_UNSPACED_GLOB}{_UNSPACED_GLOB}' THEN ' ' || pair
            WHEN pair GLOB '{_UNSPACED_GLOB}*' THEN ' ' || substr(pair, 1, 1) || ' '
            ELSE substr(pair, 1, 1) END, '') FROM place), '') FROM piece)"""

_SQLITE_WORDS = f"""INSERT INTO candidate_search (rowid, words, labels)
    SELECT c.id,
        CASE WHEN {_SQLITE_CONTENT} GLOB '*{_UNSPACED_GLOB}*'
            THEN {_SQLITE_PAIRS} ELSE {_SQLITE_CONTENT} END,
        char({_LABEL}) || 's' || c.status || ' ' || char({_LABEL}) || 'k' || c.kind
        || coalesce(' ' || char({_LABEL}) || 't' || hex(c.topic), '')
        || coalesce(' ' || char({_LABEL}) || 'l' || hex(c.language), '')
        || coalesce(' ' || char({_LABEL}) || 'a' || c.assistant_id, '')
    FROM candidates AS c"""


def _sqlite_trigger(name: str, event: str, key: str) -> str:
    return f"""CREATE TRIGGER {name} AFTER {event} BEGIN
        DELETE FROM candidate_search WHERE rowid = {key};
        {_SQLITE_WORDS} WHERE c.id = {key};
    END"""


_SQLITE = [
    # Without places and counts in the index it is half as large, and no question of ours needs them.
    """CREATE VIRTUAL TABLE candidate_search USING fts5(
        words, labels, detail=none, columnsize=0, tokenize='unicode61 remove_diacritics 0')""",
    _SQLITE_WORDS,
    _sqlite_trigger("search_correction_written", "INSERT ON corrections", "new.candidate_id"),
    _sqlite_trigger("search_correction_changed", "UPDATE OF text ON corrections", "new.candidate_id"),
    _sqlite_trigger("search_correction_gone", "DELETE ON corrections", "old.candidate_id"),
    _sqlite_trigger(
        "search_candidate_changed",
        "UPDATE OF status, kind, topic, language, assistant_id, reply, note, turns ON candidates",
        "new.id",
    ),
    """CREATE TRIGGER search_candidate_gone AFTER DELETE ON candidates BEGIN
        DELETE FROM candidate_search WHERE rowid = old.id;
    END""",
]

# What separates words: everything below the letters, and the blocks of punctuation, symbols, private use and emoji.
_SEPARATORS = (
    r"\u0001-\u002F\u003A-\u0040\u005B-\u0060\u007B-\u00A9\u00AB-\u00B1\u00B4\u00B6-\u00B8\u00BB\u00BF\u00D7\u00F7"
    r"\u2000-\u206F\u20A0-\u20CF\u2190-\u245F\u2500-\u2BFF\u2E00-\u2E7F\u3000-\u3004\u3008-\u3020\u3030\u303D-\u303F"
    r"\uE000-\uF8FF\uFE10-\uFE6F\uFF00-\uFF0F\uFF1A-\uFF20\uFF3B-\uFF40\uFF5B-\uFF65\uFFE0-\uFFFF"
    r"\U0001F000-\U0001FAFF"
)
_UNSPACED = rf"\u{_FIRST_UNSPACED:04X}-\u{_LAST_UNSPACED:04X}"

_POSTGRES = [
    """CREATE TABLE candidate_search (
        candidate_id integer CONSTRAINT pk_candidate_search PRIMARY KEY
            CONSTRAINT fk_candidate_search_candidate_id_candidates REFERENCES candidates (id) ON DELETE CASCADE,
        words tsvector NOT NULL)""",
    # Lexemes of our own making, not the server's parser: it takes ERR-4041 for a word and a negative number.
    rf"""CREATE FUNCTION errata_words(content text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
    DECLARE
        spaced text := regexp_replace(lower(left(content, {_SEARCHED_CHARACTERS})), '[{_SEPARATORS}]+', ' ', 'g');
    BEGIN
        IF spaced ~ '[{_UNSPACED}]' THEN
            spaced := regexp_replace(spaced, '([{_UNSPACED}]+)', ' \1 ', 'g');
            -- Pairs from the first character of each run, and pairs from the second.
            spaced := regexp_replace(spaced, '([{_UNSPACED}][{_UNSPACED}])', '\1 ', 'g') || ' ' || regexp_replace(
                regexp_replace(spaced, '([^{_UNSPACED}])([{_UNSPACED}])', '\1\2 ', 'g'),
                '([{_UNSPACED}][{_UNSPACED}])', '\1 ', 'g');
        END IF;
        RETURN array(SELECT left(word, 200) FROM unnest(string_to_array(spaced, ' ')) AS word WHERE word <> '');
    END $$""",
    # json takes an escaped NUL that text does not: what is kept must not be refused because of its index.
    """CREATE FUNCTION errata_turns(turns json) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
    BEGIN
        RETURN (SELECT string_agg(turn->>'content', ' ') FROM json_array_elements(turns) AS turn);
    EXCEPTION WHEN data_exception THEN
        RETURN NULL;
    END $$""",
    f"""CREATE FUNCTION errata_lexemes(c candidates) RETURNS tsvector LANGUAGE sql STABLE AS $$
        SELECT array_to_tsvector(array_remove(errata_words(concat_ws(' ', ' ',
                (SELECT text FROM corrections WHERE candidate_id = c.id ORDER BY id DESC LIMIT 1),
                c.reply, c.note, errata_turns(c.turns)))
            || ARRAY[
                U&'\\{_LABEL:04X}s' || c.status,
                U&'\\{_LABEL:04X}k' || c.kind,
                U&'\\{_LABEL:04X}t' || encode(convert_to(c.topic, 'UTF8'), 'hex'),
                U&'\\{_LABEL:04X}l' || encode(convert_to(c.language, 'UTF8'), 'hex'),
                U&'\\{_LABEL:04X}a' || c.assistant_id], NULL))
    $$""",
    "INSERT INTO candidate_search SELECT c.id, errata_lexemes(c) FROM candidates AS c",
    # No list of pending entries beside the index: every question would read it through.
    "CREATE INDEX ix_candidate_search_words ON candidate_search USING gin (words) WITH (fastupdate = off)",
    """CREATE FUNCTION errata_search() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        changed integer;
    BEGIN
        IF TG_TABLE_NAME = 'candidates' THEN changed := NEW.id;
        ELSIF TG_OP = 'DELETE' THEN changed := OLD.candidate_id;
        ELSE changed := NEW.candidate_id;
        END IF;
        INSERT INTO candidate_search SELECT c.id, errata_lexemes(c) FROM candidates AS c WHERE c.id = changed
            ON CONFLICT (candidate_id) DO UPDATE SET words = excluded.words;
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER search_correction AFTER INSERT OR DELETE OR UPDATE OF text ON corrections
        FOR EACH ROW EXECUTE FUNCTION errata_search()""",
    """CREATE TRIGGER search_candidate
        AFTER UPDATE OF status, kind, topic, language, assistant_id, reply, note, turns ON candidates
        FOR EACH ROW EXECUTE FUNCTION errata_search()""",
]
