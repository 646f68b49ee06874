"""The table as JSON Lines: an object a row, with all of its columns."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TextIO

from tasks.core.files.atomic import Draft
from tasks.core.output.columns import About, columns_of
from tasks.core.output.rows import ResultRow


@contextmanager
def begun(draft: Draft, about: About) -> Iterator["JsonLinesFile"]:
    yield JsonLinesFile(draft.file, about)


class JsonLinesFile:
    """Text as it is, moments as ISO 8601; what is not known is null."""

    def __init__(self, file: TextIO, about: About) -> None:
        self._file, self._about, self._names = file, about, about.names

    def write(self, rows: Sequence[ResultRow]) -> None:
        for line in zip(*columns_of(rows, self._about), strict=True):
            cells = dict(zip(self._names, line, strict=True))
            self._file.write(json.dumps(cells, ensure_ascii=False, default=_plain) + "\n")

    def close(self) -> str:
        return ""


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    raise TypeError(f"{type(value).__name__} has no JSON")
