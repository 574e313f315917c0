"""What people say, and what accidents leave in its place."""

from __future__ import annotations

from typing import Any

WORDS = (
    "A filter lasts six months.",
    "Der Filter hält sechs Monate; die App erinnert dich.",
    "フィルターは六か月もちます。",
    "<!channel> *bold* `code` <https://evil.test|click> &amp;",
    "\u202ereversed and \u200binvisible 👩‍👩‍👧‍👦 e\u0301",
    "x" * 2900,
    "line\nline\r\nline\ttab",
    "'; DROP TABLE candidates; --",
    "=HYPERLINK(1)",
    "@here " + "ä" * 1500,
)
STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, 1.5, 1e308),
    *(
        "",
        " ",
        "0",
        "-1",
        "1",
        "1:1",
        "999999:1",
        "1:999999",
        "1:1:1",
        "９",
        "½",
        "9" * 30,
        "9" * 5000,
        "null",
        "\ufeff",
    ),
    *(
        "x" * 50_000,
        "\U0001f600" * 3000,
        "a\nb",
        "[1]",
        "{}",
        '{"candidate": 1}',
        "T1/U1",
        "../../etc/passwd",
        "file:///",
    ),
    *('{"candidate": [], "seen": {}, "verdict": "approve"}', '{"candidate": "1", "seen": "1", "verdict": "destroy"}'),
    *("[" * 400, "%00", "<!everyone>", "approve", "run-", "%", "_", "http://127.0.0.1:1/"),
    *([], [1], [[]], [{}], {}, {"a": 1}, {"id": 7}, {"id": "U1"}, {"value": 7}, {"value": None}, {"type": "button"}),
)
COMMANDS = (
    *("", "help", "queue", "runs", "freeze", "freeze first", "freeze x 200%", "freeze x nan", "train", "train first"),
    *(
        "train first rehearsal",
        "train nothing",
        "train first ../../x",
        "train first rehearsal nosuch",
        "cancel",
        "resume",
        "cancel run-",
    ),
    *(
        "cancel %",
        "resume run-",
        "deploy",
        "deploy run-",
        "undeploy run-",
        "undeploy",
        *("rollback", "models", "costs", "check", "check first", "run", "run run-", "train first phi-4", "review"),
        '"',
        "help " * 900,
        "unknown <!channel>",
        *("\\", "'a b' c", "“freeze", "runs ５", "Review", "/queue", "rewiew", "stats", "flags", "doctor", "language"),
        *("language klingon", "language slack", "digest", "digest on", "digest off", "digest maybe", "roles"),
        *("roles grant", "roles grant nobody agent", "roles grant <@U0|x> chief", "roles revoke <@U0> owner"),
        *("correct", "correct nonsense", "correct https://evil.test/archives/C1/p1", "correct <https://a.b|c>"),
        "correct https://acme.slack.com/archives/C0000000000/p1700000000000100",
    ),
)
