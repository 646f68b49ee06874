"""What a column looks like, images or conversations, where nobody says so: by the first cells, as they are stored."""

import re
from collections.abc import Mapping
from typing import Any

from datasets import Dataset

from tasks.core.media.cell import cells_of
from tasks.core.prompts.conversation import messages_in

LOOKED_AT = 5  # rows with something in the cell
ROWS = 100
_NAME = re.compile(r"\.(png|jpe?g|webp|gif|bmp|tiff?|heic|heif|avif)$", re.IGNORECASE)
_SIGNATURES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")


def looks_like_images(table: Dataset, column: str) -> bool:
    """Whether all of the first cells do. Reads no file."""
    found = _first_cells(table, column)[:LOOKED_AT]
    return bool(found) and all(map(_is_image, found))


def holds_conversations(table: Dataset, column: str) -> bool:
    """Whether a column of text has them as JSON, as a CSV file must, in any of its first cells."""
    return any(isinstance(cell, str) and messages_in(cell) is not None for cell in _first_cells(table, column))


def _first_cells(table: Dataset, column: str) -> list[Any]:
    try:
        cells = table.select_columns([column]).with_format("arrow")[:ROWS].column(0).to_pylist()
    except (OverflowError, UnicodeDecodeError):  # no value of Python
        return []
    return [cell for cell in cells if cell not in (None, "", b"")]


def _is_image(cell: Any) -> bool:
    if isinstance(cell, list) and cell:
        return _is_image(cell[0])
    if isinstance(cell, Mapping):
        return any(_is_image(value) for value in (cell.get("bytes"), cell.get("path")) if value)
    if isinstance(cell, bytes):
        return cell.startswith(_SIGNATURES) or (cell[:4] == b"RIFF" and cell[8:12] == b"WEBP")
    if not isinstance(cell, str):
        return False
    if cell.startswith(("[", "{")) and (inner := [found.value for found in cells_of("", cell, True)]) != [cell]:
        return bool(inner) and _is_image(inner[0])
    return cell.startswith("data:image/") or ("\n" not in cell and len(cell) < 1000 and bool(_NAME.search(cell)))
