"""A JSON file that is one object: a table by columns, as pandas writes it, or a single row."""

from pathlib import Path
from typing import Any

from tasks.core.errors import InputError

type Row = dict[str, Any]


def from_columns(path: Path, whole: Row, lines: bool) -> list[Row] | None:
    """The rows of a table that is one object; None where the object is a row itself.

    `lines`: the file is of the kind with an object a line, where lists in the only one are cells of a row.

    Raises:
        InputError: it is an object that holds rows in a way that cannot be told.
    """
    values = list(whole.values())
    if set(whole) == {"columns", "index", "data"} or set(whole) == {"columns", "data"}:
        return _split(path, whole)
    if values and all(isinstance(value, dict) for value in values):
        return _by_index(path, whole, lines)
    if lines or not values:
        return None
    if all(isinstance(value, list) for value in values):
        if len(values) == 1 and values[0] and all(isinstance(row, dict) for row in values[0]):
            raise _wrapped(path, next(iter(whole)))
        if len({len(value) for value in values}) > 1:
            raise InputError(f"{path} is one object, and the lists in it are of different lengths: no table")
        return [dict(zip(whole, row, strict=True)) for row in zip(*values, strict=True)]
    return None


def _wrapped(path: Path, name: str) -> InputError:
    return InputError(
        f"{path} is one object, with a list of objects as {name!r}; if those are the rows, write that list alone to a "
        f"file: jq '.[\"{name}\"]'"
    )


def _split(path: Path, whole: Row) -> list[Row]:
    names, rows = whole["columns"], whole["data"]
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == len(names) for row in rows):
        raise InputError(f"{path}: a row under 'data' has another number of cells than 'columns'")
    if len({str(name) for name in names}) < len(names):
        raise InputError(f"{path}: two of its 'columns' have the same name; rename one")
    return [dict(zip(map(str, names), row, strict=True)) for row in rows]


def _by_index(path: Path, whole: Row, lines: bool) -> list[Row] | None:
    """`{"id": {"0": …, "1": …}, …}` by columns, or `{"0": {"id": …}, …}` by rows: the index counts from 0."""
    inner = [list(value) for value in whole.values()]
    same = all(sorted(keys) == sorted(inner[0]) for keys in inner)
    if same and _counts(inner[0]):
        return [{name: cells[key] for name, cells in whole.items()} for key in inner[0]]
    if _counts(list(whole)):
        return list(whole.values())
    if lines:
        return None
    if len(whole) > 1 and (same or all(key.isdecimal() for keys in inner for key in keys)):
        raise InputError(
            f"{path} is one object of objects by the same names or numbers, and how they are rows cannot be told; "
            "write a list"
        )
    return None


def _counts(keys: list[str]) -> bool:
    return bool(keys) and sorted(keys) == sorted(map(str, range(len(keys))))
