"""Renders a prompt template over a row's cells: Jinja, in its sandbox. Must not read media or files.

A template says `{{ question }}` for a column of that name, `{{ row["a name"] }}` for any, `{{ split }}`, and
`{{ image }}` or `{{ media }}` where the row's media stand, or the name of a media column for those of that column.
"""

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import TemplateSyntaxError, meta

from tasks.core.errors import InputError
from tasks.core.prompts.draft import DraftPart, Slot
from tasks.core.prompts.sandbox import check_names, column_finder, environment
from tasks.core.text import visible

ALL_MEDIA = ("image", "images", "media")
# Where media stand in a rendered text. Letters of no script, which no filter turns into others and nobody's data has.
_PRIVATE = 0xF0000
_OPENS, _CLOSES = ("".join(chr(0x100000 + secrets.randbelow(0xFFFE)) for _ in range(4)) for _ in range(2))
_MARKS = re.compile(f"{_OPENS}([^{_CLOSES}]*){_CLOSES}")
_BROKEN = re.compile(f"[{_OPENS}{_CLOSES}]")


class _Placeholder:
    """Stands for media in a template; only where they stand can be said of them."""

    def __init__(self, column: str) -> None:
        self._column = column

    def __str__(self) -> str:
        name = "".join(chr(_PRIVATE + byte) for byte in self._column.encode("utf-8", "surrogatepass"))
        return f"{_OPENS}{name}{_CLOSES}"


def _column_of(name: str) -> str:
    return bytes(ord(char) - _PRIVATE for char in name).decode("utf-8", "surrogatepass")


@lru_cache(maxsize=8)  # not kept in Template, which travels to other processes
def _compiled(source: str) -> Any:
    return environment().from_string(source)


@dataclass(frozen=True, slots=True)
class Template:
    """`source`: Jinja. `flag`: how the user calls it. `media`: columns of media. `places`: whether they may stand."""

    source: str
    flag: str
    split: str = ""
    media: tuple[str, ...] = ()
    places: bool = True

    def check(self, columns: Sequence[str]) -> None:
        """Raises InputError where it is no template, names what is no column, or media where none may stand."""
        check_names(self.flag, self.names - {*ALL_MEDIA}, columns)
        media = sorted(self.names & {*self.media, *(set(ALL_MEDIA) - {*columns})})
        if media and not self.places:
            raise InputError(f"{self.flag} asks for {', '.join(media)}, and media stand in the prompt alone")

    @property
    def names(self) -> set[str]:
        """The columns, or what it takes for such."""
        try:
            parsed = column_finder().parse(self.source)
            if any(meta.find_referenced_templates(parsed)):
                raise InputError(f"{self.flag} asks for another template, and there is none; write it into this one")
            return meta.find_undeclared_variables(parsed)
        except TemplateSyntaxError as error:
            raise InputError(f"{self.flag} is no template: line {error.lineno}: {error.message}") from None

    @property
    def opening(self) -> str:
        """What every prompt begins with, whatever the row: whole lines, where there are any."""
        _, kind, text = next(environment().lex(self.source), (0, "", ""))
        lines, end, _ = text.rpartition("\n")
        return (lines + end or text) if kind == "data" else ""

    def render(self, cells: Mapping[str, Any]) -> str:
        """The text, with a mark wherever media stand; see `parts`.

        Raises:
            ValueError: why this row's cells cannot be rendered.
        """
        row = {**cells, **self._of_columns()}
        everywhere = {name: _Placeholder("") for name in ALL_MEDIA if self.places and name not in row}
        try:
            text: str = _compiled(self.source).render({"row": row, "split": self.split, **everywhere, **row})
        except RecursionError:
            raise ValueError(f"{self.flag} cannot be rendered: it calls itself without end") from None
        except Exception as error:  # a filter may raise anything on a cell that is not what it expects
            raise ValueError(visible(f"{self.flag} cannot be rendered: {error}")) from None
        if _BROKEN.search(_MARKS.sub("", text)):
            raise ValueError(f"{self.flag} cannot be rendered: it changes the place of media, which can only stand")
        return text

    def _of_columns(self) -> dict[str, _Placeholder]:
        """Where the only one is called like all media, they are those."""
        all_there_are = len(self.media) == 1 and self.media[0] in ALL_MEDIA
        return {name: _Placeholder("" if all_there_are else name) for name in self.media if self.places}


def parts(rendered: str) -> Iterator[DraftPart]:
    """The texts of a rendered template, and the slots between them; media that it does not place stand first."""
    pieces = _MARKS.split(rendered)
    texts, columns = pieces[::2], [_column_of(name) for name in pieces[1::2]]
    if "" not in columns:
        yield Slot()
    for text, column in zip(texts, [*columns, None], strict=True):
        if text.strip() or not columns:
            yield text.strip("\n") if columns else text
        if column is not None:
            yield Slot(frozenset({column}) if column else None)


def text_of(rendered: str) -> str:
    """What is read by a person: media by name."""
    return _MARKS.sub(lambda match: f"[{_column_of(match[1]) or 'media'}]", rendered)
