"""Renders a prompt template over a row's cells: Jinja, in its sandbox. Must not read media or files.

A template says `{{ question }}` for a column of that name, `{{ row["a name"] }}` for any, `{{ split }}`, and
`{{ image }}` or `{{ media }}` where the row's media stand, or the name of a media column for those of that column.
"""

import json
import re
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tasks.core.errors import InputError
from tasks.core.prompts.draft import DraftPart, Slot
from tasks.core.text import closest, visible

ALL_MEDIA = ("image", "images", "media")
KNOWN = frozenset({"row", "split"})
_MARK = secrets.token_hex(16)  # nobody's data has it
_MARKS = re.compile(f"{_MARK}<(.*?)>", re.DOTALL)


class _Placeholder:
    """Stands for media in a template; only where they stand can be said of them."""

    def __init__(self, column: str) -> None:
        self._column = column

    def __str__(self) -> str:
        return f"{_MARK}<{self._column}>"


def _as_written(value: Any) -> Any:
    """A cell as text, as it stands in the data and in the CSV's `input_query`."""
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value


def environment() -> ImmutableSandboxedEnvironment:
    """Jinja as the user's templates and conditions have it: no files, no globals, nothing undefined."""
    sandbox = ImmutableSandboxedEnvironment(undefined=StrictUndefined, finalize=_as_written, autoescape=False)
    sandbox.filters["tojson"] = lambda value, indent=None: json.dumps(
        value, ensure_ascii=False, indent=indent, default=str
    )
    del sandbox.globals["lipsum"]
    return sandbox


def check_names(flag: str, names: Collection[str], columns: Collection[str]) -> None:
    """Raises InputError where `names`, which templates or conditions ask for, are neither columns nor what all know."""
    for name in sorted({*names} - {*columns, *KNOWN, *environment().globals}):
        where = f"columns: {', '.join(columns)}{closest(name, columns)}"
        raise InputError(f"{flag} asks for {name}, which is no column; {where}")


@lru_cache(maxsize=8)  # not kept in Template, which travels to other processes
def _compiled(source: str) -> Any:
    return environment().from_string(source)


@dataclass(frozen=True, slots=True)
class Template:
    """`source`: Jinja. `flag`: how the user calls it. `media`: columns of media that it may place."""

    source: str
    flag: str
    split: str = ""
    media: tuple[str, ...] = ()

    def check(self, columns: Sequence[str]) -> None:
        """Raises InputError where it is no template, or names what is no column."""
        check_names(self.flag, self.names - {*ALL_MEDIA}, columns)

    @property
    def names(self) -> set[str]:
        """The columns, or what it takes for such."""
        try:
            return meta.find_undeclared_variables(environment().parse(self.source))
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
        places = {name: _Placeholder("") for name in ALL_MEDIA if name not in cells or name in self.media}
        places |= {name: _Placeholder(name) for name in self.media if name not in places or len(self.media) > 1}
        known = {**cells, **places}
        try:
            text: str = _compiled(self.source).render({**known, "row": known, "split": self.split})
        except RecursionError:
            raise ValueError(f"{self.flag} cannot be rendered: it calls itself without end") from None
        except Exception as error:  # a filter may raise anything on a cell that is not what it expects
            raise ValueError(visible(f"{self.flag} cannot be rendered: {error}")) from None
        return text


def parts(rendered: str) -> Iterator[DraftPart]:
    """The texts of a rendered template, and the slots between them; media that it does not place stand first."""
    pieces = _MARKS.split(rendered)
    texts, columns = pieces[::2], pieces[1::2]
    if "" not in columns:
        yield Slot()
    for text, column in zip(texts, [*columns, None], strict=True):
        if text.strip() or not columns:
            yield text.strip("\n") if columns else text
        if column is not None:
            yield Slot(frozenset({column}) if column else None)


def text_of(rendered: str) -> str:
    """What is read by a person: media by name."""
    return _MARKS.sub(lambda match: f"[{match[1] or 'media'}]", rendered)
