"""One line of bytes as a JSON value, with a finding for everything that a lenient reader would let pass.

Owns encoding and JSON. Refuses to know what the value should be (``curation.formats.profile``, ``curation.formats``).
"""

from __future__ import annotations

import codecs
import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from curation.findings import Finding
from curation.formats.lines import MAX_LINE_BYTES
from curation.formats.rules import found


@dataclass(slots=True)
class Parsed:
    """What a line holds; ``broken`` where it holds no JSON value, so that ``value`` means nothing."""

    value: Any = None
    broken: bool = False
    findings: list[Finding] = field(default_factory=list)


def parse_line(line: bytes, number: int) -> Parsed:
    """Decode a line of any bytes.

    ``b'{"a": NaN}'`` gives ``{"a": None}`` and one finding, ``json.number``.
    """
    if len(line.rstrip(b"\r\n")) > MAX_LINE_BYTES:
        too_long = found("row.too_long", f"the line is longer than {MAX_LINE_BYTES:,} bytes.", number)
        return Parsed(broken=True, findings=[too_long])
    findings: list[Finding] = []
    if line.startswith(codecs.BOM_UTF8):
        findings.append(found("encoding.bom", "the line starts with a byte order mark.", number))
        line = line.removeprefix(codecs.BOM_UTF8)
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        text = line.decode(errors="replace")
        findings.append(found("encoding.utf8", f"byte {error.start + 1} of the line is not UTF-8.", number))
    parsed = parse_text(text, number)
    parsed.findings[:0] = findings
    return parsed


def parse_text(text: str, number: int) -> Parsed:
    """Decode with Python's json, which tells of repeated keys and of numbers that JSON has no name for."""
    parsed = Parsed()

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(items)
        if len(record) < len(items):
            key, _ = Counter(key for key, _ in items).most_common(1)[0]
            message = f"the key {key[:40]!r} stands more than once in one object."
            parsed.findings.append(found("json.duplicate_key", message, number))
        return record

    def constant(name: str) -> None:
        parsed.findings.append(found("json.number", f"{name} is not a JSON number.", number))

    def decimal(digits: str) -> float:
        value = float(digits)
        if math.isinf(value):
            parsed.findings.append(found("json.number", f"{digits[:20]} is too large for a number.", number))
        return value

    def integer(digits: str) -> int | None:
        try:
            return int(digits)
        except ValueError:  # Python refuses integers of more than 4,300 digits
            parsed.findings.append(found("json.number", f"a number has {len(digits):,} digits.", number))
            return None

    try:
        parsed.value = json.loads(
            text,
            object_pairs_hook=pairs,
            parse_constant=constant,
            parse_float=decimal,
            parse_int=integer,
        )
    except json.JSONDecodeError as error:
        parsed.broken = True
        parsed.findings.append(_syntax(error, number))
    except RecursionError:
        parsed.broken = True
        parsed.findings.append(found("json.depth", "the row is nested too deeply to be read.", number))
    return parsed


def _syntax(error: json.JSONDecodeError, number: int) -> Finding:
    # A value, a carriage return, and another value: the line breaks of old Mac files, which end no line.
    if error.msg == "Extra data" and "\r" in error.doc[: error.pos].lstrip():
        return found("row.line_break", "a carriage return stands where the row ends.", number)
    return found("json.syntax", f"not JSON at character {error.pos + 1}: {error.msg}.", number)
