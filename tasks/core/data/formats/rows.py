"""Rows of one file or several as one table: CSV, JSON, text and Excel, which may stand side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core.data.formats.batch import Batch
from tasks.core.data.formats.delimited import read_delimited
from tasks.core.data.formats.encodings import encoding_of
from tasks.core.data.formats.excel import read_excel
from tasks.core.data.formats.json_rows import read_json
from tasks.core.data.formats.suffixes import Format, format_of
from tasks.core.data.formats.text_lines import read_lines
from tasks.core.errors import InputError, kind_of


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are to be read, where they do not tell it themselves."""

    encoding: str | None = None
    delimiter: str | None = None


def read_rows(paths: Sequence[Path], split: str, reading: Reading, labels: Mapping[str, list[str]]) -> Iterator[Batch]:
    """The rows of all files, in order. `labels`: columns of class numbers, and the names of the classes.

    Raises:
        InputError: a file cannot be read whole, or has other columns than the others.
    """
    seen: dict[Path, dict[str, None]] = {}
    for path in paths:
        names = seen.setdefault(path, {})
        for batch in _batches(path, split, reading):
            names.update(dict.fromkeys(batch.columns))
            yield _labelled(batch, labels)
    check_columns(seen)


def _batches(path: Path, split: str, reading: Reading) -> Iterator[Batch]:
    """Whatever a library raises says which file it is about."""
    try:
        yield from _read(path, split, reading)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path} cannot be read: {error}", kind_of(error)) from None


def _read(path: Path, split: str, reading: Reading) -> Iterator[Batch]:
    kind = format_of(path)
    if path.stat().st_size == 0:
        return iter(())
    if kind is Format.EXCEL:
        return read_excel(path, split)
    encoding = encoding_of(path, reading.encoding, always_utf8=kind is Format.JSON)
    if kind is Format.JSON:
        return read_json(path, encoding)
    return read_lines(path, encoding) if kind is Format.TEXT else read_delimited(path, encoding, reading.delimiter)


def check_columns(seen: Mapping[Path, Mapping[str, None]]) -> None:
    """Raises InputError where files with a header do not all have its columns; in JSON a cell may be left out."""
    filled = {path: names for path, names in seen.items() if names}
    headed = next((path for path in filled if format_of(path) is not Format.JSON), None)
    if headed is None:
        return
    for path, names in filled.items():
        if names.keys() != filled[headed].keys():
            raise InputError(
                f"{path} has other columns than {headed}: {', '.join(names)}, not {', '.join(filled[headed])}"
            )


def _labelled(batch: Batch, labels: Mapping[str, list[str]]) -> Batch:
    named = {
        name: [_label(cell, labels[name]) for cell in batch.columns[name]] for name in labels.keys() & batch.columns
    }
    return Batch({**batch.columns, **named}, batch.rows, batch.text) if named else batch


def _label(cell: object, names: list[str]) -> object:
    number = str(cell)
    return names[int(number)] if number.isdecimal() and int(number) < len(names) else cell
