"""Jinja as templates and conditions have it: in its sandbox, over a row's cells. Must not read media or files."""

from collections.abc import Collection
from typing import Any

from jinja2 import StrictUndefined, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tasks.core.data.formats.json_values import as_json
from tasks.core.errors import InputError
from tasks.core.text import closest

KNOWN = frozenset({"row", "split"})


def _as_written(value: Any) -> Any:
    """A cell as text, as it stands in the data and in the CSV's `input_query`."""
    if value is None:
        return ""
    if isinstance(value, bool | float | dict | list | tuple):
        return as_json(value)
    if callable(value) and not isinstance(value, Undefined):
        raise TypeError(f"{getattr(value, '__name__', 'this')} is a function, no text")
    return value


class _Sandbox(ImmutableSandboxedEnvironment):
    def getattr(self, obj: Any, attribute: str) -> Any:
        """A cell comes before what every dict can do: `row.items` where a column is called so."""
        return obj[attribute] if isinstance(obj, dict) and attribute in obj else super().getattr(obj, attribute)


def environment() -> ImmutableSandboxedEnvironment:
    """Jinja as the user's templates and conditions have it: no files, no globals, nothing undefined."""
    sandbox = _Sandbox(undefined=StrictUndefined, finalize=_as_written, autoescape=False)
    sandbox.filters["tojson"] = as_json
    sandbox.tests["none"] = lambda value: value is None or value == ""  # an empty cell, which CSV has no other of
    del sandbox.globals["lipsum"]
    return sandbox


def check_names(flag: str, names: Collection[str], columns: Collection[str]) -> None:
    """Raises InputError where `names`, which templates or conditions ask for, are neither columns nor what all know."""
    for name in sorted({*names} - {*columns, *KNOWN, *environment().globals}):
        where = f"columns: {', '.join(columns)}{closest(name, columns)}"
        raise InputError(f"{flag} asks for {name}, which is no column; {where}")


def column_finder() -> ImmutableSandboxedEnvironment:
    """One without functions: a column may be called like one of them, such as `range`."""
    sandbox = environment()
    sandbox.globals.clear()
    return sandbox
