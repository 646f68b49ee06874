"""In which encoding a file is written: the one asked for, a byte order mark's, UTF-8, or a Korean one.

A file is read whole before it is said to be in an encoding; what fits none is refused with the line that does not.
"""

import codecs
import io
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from tasks.core.data.formats.compression import open_bytes
from tasks.core.data.formats.korean import reads_as_korean
from tasks.core.errors import InputError

_BLOCK = 1 << 20
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, with whose mark it starts
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_KOREAN = "cp949"  # which includes EUC-KR
_NO_LETTER = frozenset({"Cc", "Cn", "Co", "Cs"})
_FOREIGN = re.compile(rb"[\x80-\xff]")
_SHIFT = "\x1b$"  # of ISO-2022, whose 7 bits pass for UTF-8


def open_text(path: Path, encoding: str) -> TextIO:
    """The text of a file, line ends as they are written."""
    return io.TextIOWrapper(open_bytes(path), encoding, newline="")


def encoding_of(path: Path, asked: str | None, always_utf8: bool = False) -> str:
    """The encoding of the whole file, as Python calls it. `always_utf8`: it is, by its format, but for a mark.

    Raises:
        InputError: it is not written in the one asked for; or in none that can be told.
    """
    with open_bytes(path) as file:
        start = file.read(4096)
    mark = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
    if asked:
        return _checked(path, _as_marked(path, _known(asked), mark))
    if marked := mark or _by_zeros(start):
        return _checked(path, marked)
    if (wrong := _first_wrong(path, "utf-8")) is None:
        return "utf-8"
    if unmarked := next((name for name in ("utf-16-le", "utf-16-be") if _is_plain(start, name)), None):
        return _checked(path, unmarked)
    korean = _is_korean(path)
    if korean and not always_utf8:
        return _KOREAN
    such = "which may be cp949" if korean else "such as cp949, cp1252, shift_jis or gb18030"
    raise InputError(f"{path}, line {wrong}: not UTF-8; correct the line, or name the encoding with --encoding, {such}")


def _as_marked(path: Path, asked: str, mark: str | None) -> str:
    """The encoding of the mark, which names the byte order too, where it is of the same family."""
    if mark is None:
        return asked
    if asked.startswith(mark.removesuffix("-sig")):
        return mark
    raise InputError(f"{path} begins with the mark of {mark.removesuffix('-sig')}; leave out --encoding {asked}")


def _known(asked: str) -> str:
    try:
        "".encode(asked)
    except LookupError:
        raise InputError(f"--encoding {asked!r} is no encoding of text that Python knows") from None
    return codecs.lookup(asked).name


def _checked(path: Path, name: str) -> str:
    if wrong := _first_wrong(path, name):
        raise InputError(f"{path}, line {wrong}: not {name}; name the encoding with --encoding")
    return name


def _by_zeros(start: bytes) -> str | None:
    """UTF-16 without its mark: every other byte of plain text is 0."""
    even, odd = start[::2].count(0), start[1::2].count(0)
    if (even and odd) or even + odd < max(2, len(start) // 8):
        return None
    name = "utf-16-le" if odd else "utf-16-be"
    return name if _is_plain(start, name) else None


def _is_plain(start: bytes, encoding: str) -> bool:
    """Whether the start of a file in UTF-16 is a text with lines in it."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(start)
    except UnicodeDecodeError:
        return False
    signs = set(text) - set("\t\r\n")
    return not signs.issuperset(text) and not any(unicodedata.category(sign) in _NO_LETTER for sign in signs)


def _first_wrong(path: Path, encoding: str) -> int | None:
    """The number of the first line that is not in `encoding`; None where there is none."""
    line = 1
    try:
        for text in _decoded(path, encoding):
            if encoding == "utf-8" and _SHIFT in text:
                return line + text[: text.index(_SHIFT)].count("\n")
            line += text.count("\n")
    except UnicodeDecodeError as error:
        whole: bytes = error.object
        return line + whole[: error.start].count(b"\n")
    except UnicodeError:  # UTF-16 and UTF-32 without the mark that they are asked with
        return line
    return None


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    with open_bytes(path) as file:
        while block := file.read(_BLOCK):
            yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


def _is_korean(path: Path) -> bool:
    return _first_wrong(path, _KOREAN) is None and reads_as_korean(_beyond_ascii(path))


def _beyond_ascii(path: Path) -> bytes:
    """Some of the file, from its first letter on that is not ASCII."""
    with open_bytes(path) as file:
        while block := file.read(_BLOCK):
            if found := _FOREIGN.search(block):
                return (block[found.start() :] + file.read(_BLOCK))[:_BLOCK]
    return b""
