"""Records of a CSV file whose quotes are escaped by backslashes, as MySQL and Spark write them.

A backslash before a quote or a backslash is taken away inside a quoted cell; any other stays: `C:\\new`.
"""

import re
from collections.abc import Iterator
from typing import TextIO

_ESCAPE = re.compile(r'\\([\\"])|""')
_PAIR = re.compile(r"\\.", re.DOTALL)


class Malformed(Exception):
    """`line` is the number of the first line of a record that cannot be read."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


def escaped_records(text: TextIO, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(number of its first line, cells) of every record.

    Raises:
        Malformed: a quote is not closed, or something follows a closing one.
    """
    stop = re.escape(delimiter)
    cell = re.compile(rf'(?:"((?:[^"\\]++|\\.|"")*+)"|([^"{stop}][^{stop}]*+|))(?={stop}|\Z)', re.DOTALL)
    start, lines = 1, list[str]()
    is_open = False
    for number, line in enumerate(text, start=1):
        lines.append(line)
        is_open ^= _PAIR.sub("", line).count('"') % 2 == 1  # quotes that are not escaped come in pairs
        if not is_open:
            yield start, list(_cells(start, "".join(lines).rstrip("\r\n"), cell))
            start, lines = number + 1, []
    if lines:
        raise Malformed(start, "unexpected end of data")


def _cells(line: int, record: str, cell: re.Pattern[str]) -> Iterator[str]:
    position = 0 if record else 1
    while position <= len(record):
        found = cell.match(record, position)
        if found is None:
            raise Malformed(line, "expected after")
        quoted, plain = found.groups()
        yield plain if quoted is None else _ESCAPE.sub(lambda escape: escape[1] or '"', quoted)
        position = found.end() + 1  # over the delimiter
