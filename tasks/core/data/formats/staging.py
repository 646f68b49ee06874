"""Puts the rows of files into one Arrow file, which memory holds none of, and keeps it by what the files contain.

Every cell becomes text as it is written; a column with a list or an object in any of its rows becomes JSON. All
of every file is read before the first row can be sent, so that a mistake in the last line costs no money.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from datasets import Dataset, Features, Json, Value

from tasks.core.data.formats.batch import Batch
from tasks.core.data.formats.json_values import Number, as_json, as_text

VERSION = 2  # of what is kept; another one is read anew
_STRUCTURES = frozenset({dict, list})
_TEXTS = frozenset({str, Number, type(None)})  # which Arrow takes as they are
type Batches = Callable[[], Iterator[Batch]]


@dataclass(slots=True)
class Columns:
    """Names in the order in which they first appear, each with whether it holds structures."""

    structured: dict[str, bool] = field(default_factory=dict)

    def learn(self, batch: Batch) -> None:
        for name, cells in batch.columns.items():
            known = self.structured.setdefault(name, False)
            self.structured[name] = known or (not batch.text and not _STRUCTURES.isdisjoint(map(type, cells)))

    @property
    def features(self) -> Features:
        return Features(
            {name: Json() if structured else Value("string") for name, structured in self.structured.items()}
        )

    @property
    def schema(self) -> pa.Schema:
        return self.features.arrow_schema


def digest_of(paths: Sequence[Path], *settings: Any) -> str:
    """32 hex digits for the contents of files, in order, and how they are read. Never for their times or names."""
    digest = hashlib.blake2b(json.dumps([VERSION, *settings]).encode(), digest_size=16)
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()


def kept(name: str) -> Path:
    """Where something made from files lies."""
    return Path(datasets.config.HF_DATASETS_CACHE) / "gemini-infer" / name


def staged_rows(digest: str, batches: Batches) -> Dataset:
    """The rows of `batches` as a Dataset, memory-mapped. `batches` is called where they are not kept, at most twice."""

    def write(draft: str) -> None:
        columns = Columns()
        if not _write_as_learned(draft, batches(), columns):  # a later row had something that the first ones had not
            _write_batches(draft, (record_batch(each, columns.schema) for each in batches()), columns.schema)

    return _staged(digest, write)


def staged_table(digest: str, batches: Callable[[], tuple[pa.Schema, Iterator[pa.RecordBatch]]]) -> Dataset:
    """The same for rows that are Arrow already, and keep their types."""

    def write(draft: str) -> None:
        schema, found = batches()
        _write_batches(draft, found, schema)

    return _staged(digest, write)


def made(path: Path, write: Callable[[str], None]) -> Path:
    """`path`, which `write` has made where it was not there: whole, or not at all."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent)
        os.close(handle)
        try:
            write(draft)
            Path(draft).replace(path)
        finally:
            Path(draft).unlink(missing_ok=True)
    return path


def _staged(digest: str, write: Callable[[str], None]) -> Dataset:
    return Dataset.from_file(str(made(kept(f"{digest}.arrow"), write)))


def _write_as_learned(draft: str, batches: Iterator[Batch], columns: Columns) -> bool:
    """Write with the columns of the first batch, and learn all. Returns whether they were the same to the end."""
    first = next(batches, Batch({}, 0))
    columns.learn(first)
    schema, fits = columns.schema, True
    with pa.OSFile(draft, "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        writer.write_batch(record_batch(first, schema))
        for batch in batches:
            columns.learn(batch)
            fits = fits and columns.schema == schema
            if fits:
                writer.write_batch(record_batch(batch, schema))
    return fits


def _write_batches(draft: str, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> None:
    with pa.OSFile(draft, "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def record_batch(batch: Batch, schema: pa.Schema) -> pa.RecordBatch:
    """The cells of `batch`; columns that it does not have are empty."""
    return pa.record_batch(
        [_array(batch, name, kind) for name, kind in zip(schema.names, schema.types, strict=True)], schema=schema
    )


def _array(batch: Batch, name: str, kind: pa.DataType) -> pa.Array:
    cells = batch.columns.get(name)
    if cells is None:
        return pa.nulls(batch.rows, kind)
    if isinstance(kind, pa.JsonType):
        storage = pa.array([None if cell is None else as_json(cell) for cell in cells], pa.string())
        return pa.ExtensionArray.from_storage(kind, storage)
    if not batch.text and not _TEXTS.issuperset(map(type, cells)):
        cells = [as_text(cell) for cell in cells]
    return pa.array(cells, pa.string())
