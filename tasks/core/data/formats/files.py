"""Opens the files of one split as a Dataset, whatever they are."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from datasets import ClassLabel, Dataset, Features, Value

from tasks.core.data.datasets_internals import is_read_from_a_file
from tasks.core.data.formats.archives import is_web_dataset, told_of, unpacked
from tasks.core.data.formats.batch import Batch
from tasks.core.data.formats.contents import Kind, contents_of
from tasks.core.data.formats.images import with_metadata
from tasks.core.data.formats.listing import files_in
from tasks.core.data.formats.rows import Reading, read_rows
from tasks.core.data.formats.staging import digest_of, staged_rows, staged_table
from tasks.core.data.formats.tables import table_batches
from tasks.core.data.meter import Meter
from tasks.core.text import counted

# What this program does not read itself; with the features that are declared, where the columns are those.
type OpenOthers = Callable[[Sequence[Path], Features | None], Dataset]


def open_files(
    files: Sequence[Path], split: str, reading: Reading, others: OpenOthers, declared: Features | None = None
) -> Dataset:
    """The rows of all files of a split. `declared`: what the data set's card says of its columns.

    Raises:
        InputError: they are not read together, or one cannot be read whole.
    """
    contents = contents_of(files)
    match contents.kind:
        case Kind.ROWS:
            return open_rows(contents.files, split, reading, declared)
        case Kind.TABLES:
            return _as_declared(open_tables(contents.files), declared)
        case Kind.ARCHIVES if not any(map(is_web_dataset, contents.files)):
            folder = unpacked(contents.files)
            with told_of(contents.files):
                return open_files([folder / name for name in files_in(folder)], split, reading, others, declared)
        case _:
            if not contents.metadata:
                return others(contents.files, declared)
            where, cells = str(contents.metadata[0].parent), open_rows(contents.metadata, split, reading, declared)
            return with_metadata(others(contents.files, None), cells, where)


def open_rows(files: Sequence[Path], split: str, reading: Reading, declared: Features | None = None) -> Dataset:
    """Rows of CSV, JSON, text and Excel files, every cell as it is written; classes by name."""
    labels = labels_of(declared)
    kinds = ["".join(file.suffixes[-2:]).lower() for file in files]
    digest = digest_of(files, kinds, split, reading.encoding, reading.delimiter, labels)

    def batches() -> Iterator[Batch]:
        return Meter(_reading(files)).over(read_rows(files, split, reading, labels), lambda batch: batch.rows)

    table = staged_rows(digest, batches)
    return _as_declared(table, media_paths(table.features, declared))


def labels_of(declared: Features | None) -> dict[str, list[str]]:
    """The columns of classes, and their names."""
    return {name: kind.names for name, kind in (declared or {}).items() if isinstance(kind, ClassLabel)}


def media_paths(features: Features, declared: Features | None) -> Features:
    """Those of the declared media whose column is text: the paths of files."""
    return Features(
        {
            name: kind
            for name, kind in (declared or {}).items()
            if is_read_from_a_file(kind) and features.get(name) == Value("string")
        }
    )


def _as_declared(table: Dataset, declared: Features | None) -> Dataset:
    """With the features that the data set's card declares for its columns."""
    features = Features({name: (declared or {}).get(name, own) for name, own in table.features.items()})
    return table if features == table.features else table.cast(features)


def open_tables(files: Sequence[Path]) -> Dataset:
    """Rows of Arrow, Feather or Parquet files, in their types. A file of no bytes has no rows."""
    filled = [file for file in files if file.stat().st_size]
    if not filled:
        return Dataset.from_dict({})

    def batches() -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        schema, found = table_batches(filled)
        return schema, Meter(_reading(filled)).over(found, len)

    return staged_table(digest_of(filled, "tables"), batches)


def _reading(files: Sequence[Path]) -> str:
    size = sum(file.stat().st_size for file in files)
    more = f" and {counted(len(files) - 1, 'more file')}" if len(files) > 1 else ""
    return f"Reading {files[0].name}{more} ({size:,} bytes)"
