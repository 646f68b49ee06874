"""Arrow, Feather and Parquet files: their columns have types, which stay. Staged as rows are, a part at a time."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features

from tasks.core.data.formats.suffixes import Format, format_of
from tasks.core.errors import InputError, kind_of

_PART_BYTES = 64_000_000
_MOST_ROWS = 10_000


def table_batches(paths: Sequence[Path]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema that the files share, and their rows.

    Raises:
        InputError: the columns of one are not those of another.
    """
    opened = [_schema(path) for path in paths]
    schema = _plain(opened[0])
    _check_types(paths[0], schema)
    for path, other in zip(paths[1:], opened[1:], strict=True):
        if _plain(other) != schema:
            raise InputError(
                f"{path} has other columns than {paths[0]}: {_described(other)}, not {_described(opened[0])}"
            )
    return schema, _all_batches(paths, schema)


def _all_batches(paths: Sequence[Path], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for path in paths:
        row = 0
        for batch in _batches(path):
            _check_text(path, batch, row)
            row += len(batch)
            yield batch if batch.schema.equals(schema) else batch.cast(schema)


def _check_text(path: Path, batch: pa.RecordBatch, first: int) -> None:
    """Raises InputError where a column of text holds what is none. `first`: the batch's first row in the file."""
    if _is_valid(batch):
        return
    row = next(n for n in range(len(batch)) if not _is_valid(batch.slice(n, 1)))
    name = next(name for name in batch.schema.names if not _is_valid(batch.slice(row, 1).select([name])))
    raise InputError(f"{path}, row {first + row}: {name} holds bytes that are no text in UTF-8; write it anew as text")


def _is_valid(batch: pa.RecordBatch) -> bool:
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _plain(schema: pa.Schema) -> pa.Schema:
    """Without types that datasets does not know: categories and views are what they stand for."""
    return pa.schema([field.with_type(_plain_type(field.type)) for field in schema], schema.metadata)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.large_string()
    return pa.large_binary() if pa.types.is_binary_view(kind) else kind


def _check_types(path: Path, schema: pa.Schema) -> None:
    """Raises InputError where a column is of a type that datasets has none for, such as a map."""
    for field in schema:
        try:
            Features.from_arrow_schema(pa.schema([field]))
        except ValueError:
            raise InputError(
                f"{path}: column {field.name!r} is a {field.type}, which is not read; write it anew as text, a list or "
                "a struct, or leave it out"
            ) from None


def _described(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)


def _schema(path: Path) -> pa.Schema:
    try:
        if format_of(path) is Format.PARQUET:
            return pq.read_schema(path)
        with ExitStack() as stack:
            schema: pa.Schema = _opened(path, stack).schema
            return schema
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read: {error}", kind_of(error)) from None


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    if format_of(path) is Format.PARQUET:
        yield from _parquet_batches(path)
        return
    with ExitStack() as stack:
        reader = _opened(path, stack)
        if isinstance(reader, pa.RecordBatchFileReader):
            yield from (reader.get_batch(n) for n in range(reader.num_record_batches))
        else:
            yield from reader


def _parquet_batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path, memory_map=True) as file:
        groups = [file.metadata.row_group(n) for n in range(file.metadata.num_row_groups)]
        bytes_a_row = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
        yield from file.iter_batches(batch_size=max(1, min(_MOST_ROWS, _PART_BYTES // max(bytes_a_row, 1))))


def _opened(path: Path, stack: ExitStack) -> Any:
    """An Arrow file or stream; Feather is the first of the two."""
    source = stack.enter_context(pa.memory_map(str(path)))
    if source.read(4) == b"FEA1":
        raise InputError(f"{path} is of Feather's first version; write it anew with pandas' to_feather")
    source.seek(0)
    try:
        return stack.enter_context(pa.ipc.open_file(source))
    except pa.ArrowInvalid:
        source.seek(0)
        return stack.enter_context(pa.ipc.open_stream(source))
