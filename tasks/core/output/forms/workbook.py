"""The table as an Excel workbook, in memory that does not grow with it: its sheets wait in temporary files."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from tasks.core.files.atomic import Draft
from tasks.core.files.own_results import WORKBOOK_CREATOR
from tasks.core.output.columns import About, columns_of
from tasks.core.output.forms.excel import MOST_CELL_CHARS, MOST_ROWS, length
from tasks.core.output.rows import ResultRow
from tasks.core.text import counted

# What XML cannot hold, a carriage return, which it does not keep, and what would be read as one of these escapes.
_ESCAPED = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_CUT = " … [cut]"


@contextmanager
def begun(draft: Draft, about: About) -> Iterator["WorkbookFile"]:
    yield WorkbookFile(draft.path, about)


class WorkbookFile:
    """As many sheets as the rows need. No text is a formula; what is too long for a cell is cut, and told."""

    def __init__(self, path: Path, about: About) -> None:
        self._path, self._about = path, about
        self._book = Workbook(write_only=True)
        self._book.properties.creator = WORKBOOK_CREATOR
        self._sheets = self._rows = self._cut = 0
        self._begin_sheet()

    def write(self, rows: Sequence[ResultRow]) -> None:
        for line in zip(*columns_of(rows, self._about), strict=True):
            if self._rows == MOST_ROWS:
                self._begin_sheet()
            self._sheet.append([*map(self._cell, line)])
            self._rows += 1

    def close(self) -> str:
        self._book.save(self._path)
        said = []
        if self._cut:
            cells = f"{counted(self._cut, 'cell')} of the .xlsx had to be cut"
            said.append(f"{cells}: Excel's hold {MOST_CELL_CHARS:,} characters")
        if self._sheets > 1:
            said.append(f"the .xlsx has {self._sheets} sheets: Excel's hold {MOST_ROWS:,} rows")
        return "; ".join(said)

    def _begin_sheet(self) -> None:
        self._sheets += 1
        self._sheet = self._book.create_sheet("result" if self._sheets == 1 else f"result {self._sheets}")
        self._sheet.append(self._about.names)
        self._rows = 1

    def _cell(self, value: Any) -> Any:
        if isinstance(value, datetime):
            return value.replace(tzinfo=None)  # UTC: Excel knows no time zones
        if isinstance(value, (dict, list)):
            value = json.dumps(value, ensure_ascii=False) if value else None
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> Any:
        escaped = _ESCAPED.sub(lambda found: f"_x{ord(found[0]):04X}_", text)
        if length(escaped) > MOST_CELL_CHARS:
            self._cut += 1
            escaped = _fitted(escaped)
        if escaped[:1] not in ("=", "#"):
            return escaped
        cell = WriteOnlyCell(self._sheet, escaped)
        cell.data_type = "s"  # neither a formula nor an error
        return cell


def _fitted(escaped: str) -> str:
    """As much as a cell holds, no character and no escape in two."""
    most = MOST_CELL_CHARS - len(_CUT)
    whole = escaped.encode("utf-16-le")[: 2 * most].decode("utf-16-le", "ignore")
    return re.sub(r"_x?[0-9A-Fa-f]{0,4}$", "", whole) + _CUT
