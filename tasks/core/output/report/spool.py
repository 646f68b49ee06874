"""The rows of a page, deflated on disk until it is written; beyond what a browser bears, a fair sample of them.

Fair: of the group that has the most rows every second one goes, drawn by its number, until there is room. What is rare
stays whole, and what stays is spread evenly over the data.
"""

import base64
import json
import tempfile
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

MOST_ROWS, MOST_BYTES = 200_000, 64_000_000  # of a page
_PART_ROWS, _PART_BYTES = 100, 200_000  # which are read at once where a row of them is looked at
_BETWEEN = b",\n"  # JSON on one line has no newline
_LEVEL = 4
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class Spool(AbstractContextManager["Spool"]):
    """`columns`: the numbers that rows are sorted by. They are added in the order of the data, then read."""

    def __init__(self, columns: Sequence[str], most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES) -> None:
        self._columns, self._most_rows, self._most_bytes = columns, most_rows, most_bytes
        self._shares: dict[int, float] = {}  # of groups of which not all rows are kept
        self._kept = _Kept(columns)

    @property
    def groups(self) -> Counter[int]:
        """Rows kept of each group."""
        return Counter(self._kept.groups)

    def wants(self, row: int, group: int) -> bool:
        """Whether it would be kept: others need not be made."""
        return group not in self._shares or drawn(row) < self._shares[group]

    def add(self, row: int, group: int, numbers: Sequence[float | None], shown: Any) -> None:
        self._kept.add(row, group, numbers, _json(shown))
        while len(self._kept.rows) > self._most_rows or self._kept.size > self._most_bytes:
            self._thin()

    def index(self) -> str:
        """What is known of each row without reading its part: its number, its group, what it is sorted by."""
        self._kept.finish_part()
        kept = self._kept
        columns = {name: [_number(n) for n in each] for name, each in zip(self._columns, kept.columns, strict=True)}
        index = {"row": list(kept.rows), "group": list(kept.groups), "starts": kept.starts, "columns": columns}
        return base64.b64encode(zlib.compress(_json(index))).decode()

    def parts(self) -> Iterator[str]:
        self._kept.finish_part()
        return (base64.b64encode(part).decode() for part in self._kept.parts())

    def __exit__(self, *error: object) -> None:
        self._kept.close()

    def _thin(self) -> None:
        """Halve the largest group that has two rows or more."""
        self._kept.finish_part()
        largest, _ = self.groups.most_common(1)[0]
        self._shares[largest] = self._shares.get(largest, 1.0) / 2
        before, self._kept = self._kept, _Kept(self._columns)
        for row, group, numbers, shown in before:
            if self.wants(row, group):
                self._kept.add(row, group, numbers, shown)
        before.close()


class _Kept:
    """Rows as JSON, a part after the other in a file; what the index needs, in memory: some 30 bytes a row."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.rows, self.groups = array("q"), bytearray()
        self.columns = [array("d") for _ in columns]
        self.starts: list[int] = []  # position of the first row of each part
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # it is gone with this
        self._ends = [0]
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    @property
    def size(self) -> int:
        """Bytes in the page, base64."""
        return self._ends[-1] * 4 // 3

    def add(self, row: int, group: int, numbers: Sequence[float | None], shown: bytes) -> None:
        if not self._waiting:
            self.starts.append(len(self.rows))
        self.rows.append(row)
        self.groups.append(group)
        for column, number in zip(self.columns, numbers, strict=True):
            column.append(float("nan") if number is None else number)
        self._waiting.append(shown)
        self._waiting_bytes += len(shown)
        if len(self._waiting) >= _PART_ROWS or self._waiting_bytes >= _PART_BYTES:
            self.finish_part()

    def close(self) -> None:
        self._file.close()

    def finish_part(self) -> None:
        if self._waiting:
            part = zlib.compress(b"[" + _BETWEEN.join(self._waiting) + b"]", _LEVEL)
            self._file.seek(self._ends[-1])
            self._file.write(part)
            self._ends.append(self._ends[-1] + len(part))
            self._waiting.clear()
            self._waiting_bytes = 0

    def parts(self) -> Iterator[bytes]:
        for start, end in zip(self._ends, self._ends[1:], strict=False):
            self._file.seek(start)
            yield self._file.read(end - start)

    def __iter__(self) -> Iterator[tuple[int, int, list[float | None], bytes]]:
        texts = (text for part in self.parts() for text in zlib.decompress(part)[1:-1].split(_BETWEEN))
        for place, text in enumerate(texts):
            numbers = [_number(column[place]) for column in self.columns]
            yield self.rows[place], self.groups[place], numbers, text


def drawn(row: int) -> float:
    """From 0 to 1, evenly over any stretch of rows: multiples of the golden ratio."""
    return (row * 0x9E3779B1 & 0xFFFFFFFF) / 2**32


def _number(number: float) -> float | None:
    if number != number:
        return None
    return int(number) if number.is_integer() else round(number, 6)


def _json(value: Any) -> bytes:
    """Half a surrogate pair becomes the escape that JSON has for it."""
    return _JSON.encode(value).encode("utf-8", "backslashreplace")
