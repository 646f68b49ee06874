"""Values of JSON out of a text, each with its place, so that what is wrong can be named by its line."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.data.formats.json_values import DECODER, without_halves
from tasks.core.errors import InputError

_SHOWN = 60  # characters of what is wrong
_CHUNK = 1 << 20
_SPACE = " \t\r\n"
_CUT = 16  # characters before the end of a part in which an error may only mean that the part ends
_KINDS = {list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
type Row = dict[str, Any]


@dataclass(slots=True)
class Source:
    """A file, and the number of the line that is being read."""

    path: Path
    line: int

    def values(self, text: str) -> Iterator[tuple[Row, int]]:
        """The objects of `text`, one after another, with their lengths. Raises InputError."""
        end = self.passed(text, 0, skipped(text, 0))
        while end < len(text):
            start = end
            value, end = self.value(text, start)
            yield self.checked(value, text[start:end]), end - start
            end = self.passed(text, start, skipped(text, end))
            if end < len(text) and text[end] != "{":
                raise self.error(f"something follows the object: {text[end : end + _SHOWN].strip()!r}")

    def value(self, text: str, start: int) -> tuple[Any, int]:
        """The value that begins at `start`, and where it ends. Raises InputError."""
        try:
            return DECODER.raw_decode(text, start)
        except json.JSONDecodeError as error:
            self.passed(text.rstrip(_SPACE), start, error.pos)
            rest = text[error.pos : error.pos + _SHOWN].strip()
            column = error.pos - text.rfind("\n", 0, error.pos)
            where = f" at character {column}: {rest!r}" if rest else ", where it ends"
            raise self.error(f"not JSON: {error.msg.removesuffix(' at')}{where}") from None
        except RecursionError:
            raise self.error("nested too deeply") from None
        except ValueError as error:
            raise self.error(str(error)) from None

    def checked(self, value: Any, source: str) -> Row:
        """`value` as a row, read from `source`. Raises InputError."""
        if not isinstance(value, dict):
            kind = _KINDS.get(type(value), "a number")
            raise self.error(f"expected an object with the cells of a row, found {kind}")
        row: Row = without_halves(value) if "\\ud" in source or "\\uD" in source else value
        return row

    def passed(self, text: str, start: int, end: int) -> int:
        """Count the lines up to `end`; returns it."""
        self.line += text.count("\n", start, end)
        return end

    def error(self, what: str) -> InputError:
        return InputError(f"{self.path}, line {self.line}: {what}")


def listed(source: Source, text: Iterable[str]) -> Iterator[tuple[Row, int]]:
    """The elements of a list, with their lengths. Texts alone are rows with a column `text`. Raises InputError."""
    window = _Window(source, text)
    window.take()
    if window.peek() != "]":
        yield window.row()
        while window.peek() == ",":
            window.take()
            window.peek()
            yield window.row()
    if (found := window.take()) != "]":
        raise source.error(
            f"expected a comma or the end of the list, {f'found {found!r}' if found else 'where it ends'}"
        )
    if found := window.peek():
        raise source.error(f"something follows the list: {found!r}")


class _Window:
    """The part of a long text that is in memory."""

    def __init__(self, source: Source, text: Iterable[str]) -> None:
        self._source, self._rest = source, iter(text)
        self._held, self._at = "", 0

    def peek(self) -> str:
        """The next character that says something; "" at the end."""
        while True:
            self._at = self._source.passed(self._held, self._at, skipped(self._held, self._at))
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._read_on():
                return ""

    def take(self) -> str:
        found = self.peek()
        self._at += len(found)
        return found

    def row(self) -> tuple[Row, int]:
        while self._is_cut() and self._read_on():
            pass
        start = self._at
        value, end = self._source.value(self._held, start)
        text = self._held[start:end]
        row = self._source.checked({"text": value} if type(value) is str else value, text)
        self._at = self._source.passed(self._held, start, end)
        return row, end - start

    def _is_cut(self) -> bool:
        try:
            DECODER.raw_decode(self._held, self._at)
        except json.JSONDecodeError as error:
            return error.msg.startswith("Unterminated string") or error.pos > len(self._held) - _CUT
        except (ValueError, RecursionError):
            return False
        return False

    def _read_on(self) -> bool:
        """Let go of what is read, and read as much again as is held. Returns whether there was more."""
        parts = [self._held[self._at :]]
        wanted = max(_CHUNK, len(parts[0]))
        for line in self._rest:
            parts.append(line)
            wanted -= len(line)
            if wanted <= 0:
                break
        self._held, self._at = "".join(parts), 0
        return len(parts) > 1


def skipped(text: str, position: int) -> int:
    """The place of the next character that is no white space."""
    while position < len(text) and text[position] in _SPACE:
        position += 1
    return position
