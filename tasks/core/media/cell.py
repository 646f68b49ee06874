"""A medium of a row as the data has it. Plain values: reads nothing."""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.core.media.signed import without_signature

LONGEST_NAME = 300


@dataclass(frozen=True, slots=True)
class Cell:
    """One medium. `column`: whose; `images_only`: nothing else is sent of it."""

    column: str
    value: Any
    images_only: bool = True

    @property
    def name(self) -> str:
        """The path or address that it is, else the column."""
        value = self.value.get("path") if isinstance(self.value, Mapping) else self.value
        is_name = isinstance(value, str) and len(value) <= LONGEST_NAME and not value.startswith("data:")
        return without_signature(str(value)) if is_name else self.column


def cells_of(column: str, value: Any, images_only: bool) -> list[Cell]:
    """The media of a cell, in order: none, one, or those of a list, at any depth, also where text stands for it."""
    if value is None or (isinstance(value, str | bytes) and not value):
        return []
    if isinstance(value, str) and (structure := _structure(value)) is not None:
        value = structure
    if isinstance(value, list | tuple):
        return [cell for inner in value for cell in cells_of(column, inner, images_only)]
    return [Cell(column, value, images_only)]


def _structure(text: str) -> list[Any] | dict[str, Any] | None:
    """The list or object that `text` is, as files without types have it: in JSON, or as Python writes it."""
    if not text.lstrip().startswith(("[", "{")):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        return found if isinstance(found, list | dict) else None
    return None
