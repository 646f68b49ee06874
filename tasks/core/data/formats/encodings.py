"""In which encoding a file is written: the one asked for, a byte order mark's, UTF-8, or a Korean one.

A file is read whole before it is said to be in an encoding; what fits none is refused with the line that does not.
"""

import codecs
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from tasks.core.data.formats.compression import open_bytes
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
# The most frequent syllables: half of any Korean text, a twentieth of other text misread as Korean.
_FREQUENT = frozenset(
    "이다는에의을를가한고하지로도사기은시서자어대리인과그나정해일수들있으라아전보부제세상스장구만원"
    "주조했성비면게여것동무소안생트년적요관공경유계거위선중산치연개모우신문화내었선된국오재드미당실방르용회금번호"
    "민결니심두째녕질답글름말물게할데때였습네저우리"
)


def open_text(path: Path, encoding: str) -> TextIO:
    """The text of a file, line ends as they are written."""
    return io.TextIOWrapper(open_bytes(path), encoding, newline="")


def encoding_of(path: Path, asked: str | None, always_utf8: bool = False) -> str:
    """The encoding of the whole file, as Python calls it. `always_utf8`: it is, by its format, but for a mark.

    Raises:
        InputError: it is not written in the one asked for; or in none that can be told.
    """
    if asked:
        return _checked(path, asked)
    with open_bytes(path) as file:
        start = file.read(4096)
    marked = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None) or _by_zeros(start)
    if marked:
        return _checked(path, marked)
    if (wrong := _first_wrong(path, "utf-8")) is None:
        return "utf-8"
    korean = _is_korean(path)
    if korean and not always_utf8:
        return _KOREAN
    such = "which may be cp949" if korean else "such as cp1252, shift_jis or gb18030"
    raise InputError(f"{path}, line {wrong}: not UTF-8; correct the line, or name the encoding with --encoding, {such}")


def _checked(path: Path, name: str) -> str:
    try:
        "".encode(name)
    except LookupError:
        raise InputError(f"--encoding {name!r} is no encoding of text that Python knows") from None
    if codecs.lookup(name).name == "utf-8":
        name = "utf-8-sig"  # which takes away a mark where there is one
    if wrong := _first_wrong(path, name):
        raise InputError(f"{path}, line {wrong}: not {name}; name the encoding with --encoding")
    return name


def _by_zeros(start: bytes) -> str | None:
    """UTF-16 without its mark: every other byte of plain text is 0."""
    even, odd = start[::2].count(0), start[1::2].count(0)
    if (even and odd) or even + odd < max(2, len(start) // 8):
        return None
    return "utf-16-le" if odd else "utf-16-be"


def _first_wrong(path: Path, encoding: str) -> int | None:
    """The number of the first line that is not in `encoding`; None where there is none."""
    line = 1
    try:
        for text in _decoded(path, encoding):
            line += text.count("\n")
    except UnicodeDecodeError as error:
        whole: bytes = error.object
        return line + whole[: error.start].count(b"\n")
    return None


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    with open_bytes(path) as file:
        while block := file.read(_BLOCK):
            yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


def _is_korean(path: Path) -> bool:
    """Whether the file reads as Korean: Chinese in GBK or French in Latin-1 gives Hangul too, but rare syllables."""
    hangul = foreign = frequent = 0
    try:
        for text in _decoded(path, _KOREAN):
            for char in text:
                if char > "\x7f":
                    foreign += 1
                    hangul += "가" <= char <= "힣"
                    frequent += char in _FREQUENT
    except UnicodeDecodeError:
        return False
    return hangul >= max(1, 0.8 * foreign) and frequent >= 0.2 * hangul
