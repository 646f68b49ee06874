"""Opens the files of one split as a Dataset, whatever they are."""

from collections.abc import Callable, Sequence
from pathlib import Path

from datasets import ClassLabel, Dataset, Features, Value

from tasks.core.data.datasets_internals import is_read_from_a_file
from tasks.core.data.formats.archives import is_web_dataset, told_of, unpacked
from tasks.core.data.formats.contents import Kind, contents_of
from tasks.core.data.formats.images import with_metadata
from tasks.core.data.formats.listing import files_in
from tasks.core.data.formats.rows import Reading, read_rows
from tasks.core.data.formats.staging import digest_of, staged_rows, staged_table
from tasks.core.data.formats.tables import table_batches

type OpenOthers = Callable[[Sequence[Path]], Dataset]  # what this program does not read itself


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
            table = others(contents.files)
            if not contents.metadata:
                return table
            where = str(contents.metadata[0].parent)
            return with_metadata(table, open_rows(contents.metadata, split, reading), where)


def open_rows(files: Sequence[Path], split: str, reading: Reading, declared: Features | None = None) -> Dataset:
    """Rows of CSV, JSON, text and Excel files, every cell as it is written; classes by name."""
    labels = labels_of(declared)
    kinds = ["".join(file.suffixes[-2:]).lower() for file in files]
    digest = digest_of(files, kinds, split, reading.encoding, reading.delimiter, labels)
    table = staged_rows(digest, lambda: read_rows(files, split, reading, labels))
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
    return staged_table(digest_of(filled, "tables"), lambda: table_batches(filled))
