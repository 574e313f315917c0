"""The file ``.env``: ``NAME=value`` lines, of which a variable of the environment wins over its own.

Refuses a line that is none, by its number and never by what it says.
"""

from __future__ import annotations

import re
from pathlib import Path

from curation.errors import Invalid

DOTENV = Path(".env")
"""Read from the working directory."""

_LINE = re.compile(r"(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(?P<value>.*)")
_VALUE = re.compile(r"""(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<plain>[^\s"'#]\S*)?)(?:(?:^|\s+)\#.*|\s*)""")


def read(path: Path) -> dict[str, str]:
    """The variables of the file, none where there is no file; quotes keep spaces and ``#``, nothing is expanded.

    Raises:
        Invalid: a line that is no ``NAME=value``, a variable that is set twice, or a file that cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read: make it a UTF-8 text file that you may read, or remove it.") from error
    values: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        value = _VALUE.fullmatch(match["value"]) if match else None
        if match is None or value is None:
            raise Invalid(
                f"{path} line {number} is not NAME=value: correct it, with quotes around a value with spaces."
            )
        if match["name"] in values:
            raise Invalid(f"{path} line {number} sets {match['name']} again: keep one of the lines.")
        values[match["name"]] = value["double"] or value["single"] or value["plain"] or ""
    return values
