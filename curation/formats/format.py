"""Format: the shapes in which trainers and other tools keep dialogues.

Owns their names and how a row's shape is recognised. How each is read and written is in the modules beside.
"""

from __future__ import annotations

from enum import StrEnum

AZURE_LIMIT_BYTES = 512_000_000
"""Azure takes files under 512 MB; of the two meanings of MB the smaller one is safe."""


class Format(StrEnum):
    """The shape of a file, by whom it is for."""

    OPENAI = "openai"
    """Chat completions: ``{"messages": [...]}`` with weights, names and tools."""
    AZURE = "azure"
    """The same with a byte order mark, as Azure OpenAI and Foundry ask for."""
    PHI = "phi"
    """Azure ML's fine-tune component: roles and contents only."""
    SHAREGPT = "sharegpt"
    """``{"conversations": [{"from": "human", "value": ...}]}``."""
    DPO = "dpo"
    """Preference pairs as OpenAI and Azure take them; only rows that carry a rejected reply."""

    @property
    def shape(self) -> Format:
        """The format whose rows look the same: ``openai`` for azure and phi, else the format itself."""
        return Format.OPENAI if self in (Format.AZURE, Format.PHI) else self


class TableEncoding(StrEnum):
    """How the letters of a CSV file are written as bytes."""

    UTF8 = "utf-8"
    CP1252 = "cp1252"


_MARKS = {
    Format.OPENAI: ("messages",),
    Format.SHAREGPT: ("conversations",),
    Format.DPO: ("preferred_output", "non_preferred_output"),
}


def shapes_of(row: object) -> list[Format]:
    """The shapes that a decoded row may have, by its keys: ``{"messages": []}`` gives ``[Format.OPENAI]``."""
    if not isinstance(row, dict):
        return []
    return [shape for shape, keys in _MARKS.items() if any(key in row for key in keys)]
