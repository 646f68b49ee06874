"""CSV, JSON and text files of the Hub that do not fit on the disk: fetched when their rows are read, and gone again.

They have no index, so all of them are fetched once before the first row is sent: to count their rows, to know all of
their columns, and to find what is wrong with them.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from datasets import Features, Value
from datasets.table import table_cast

from tasks.core.data.datasets_internals import is_read_from_a_file
from tasks.core.data.formats.batch import Batch
from tasks.core.data.formats.files import labels_of, media_paths
from tasks.core.data.formats.rows import Reading, check_columns, read_rows
from tasks.core.data.formats.splits import Span
from tasks.core.data.formats.staging import Columns, kept, made, record_batch
from tasks.core.data.formats.suffixes import is_compressed
from tasks.core.data.meter import Meter
from tasks.core.data.remote.files import fetched_into
from tasks.core.data.remote.windows import Part

_COPIES = 2  # of a file while it is read: itself, and its rows
_COMPRESSED = 8  # times as much is in it, about


@dataclass(frozen=True, slots=True)
class TextFiles:
    """The files of one split, `hf://…`. `sizes`: their bytes. `declared`: what the card says of the columns."""

    split: str
    files: Sequence[Path]
    sizes: Sequence[int]
    token: str | None
    reading: Reading
    declared: Features | None = None

    def batches(self, number: int) -> Iterator[Batch]:
        """The rows of a file, which is on this machine as long as they are read.

        Raises:
            InputError: it cannot be read whole.
        """
        kept("windows").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept("windows")) as folder:
            path = fetched_into(self.files[number], Path(folder), self.token)
            yield from read_rows([path], self.split, self.reading, labels_of(self.declared))

    @property
    def how(self) -> tuple[str | None, str | None]:
        """They are read: another way gives other rows."""
        return self.reading.encoding, self.reading.delimiter

    def bytes_of(self, number: int) -> int:
        """About what a file needs on disk while it is read."""
        return self.sizes[number] * (_COPIES * _COMPRESSED if is_compressed(self.files[number]) else _COPIES)

    @property
    def most_bytes(self) -> int:
        """What the largest one needs."""
        return max(map(self.bytes_of, range(len(self.files))), default=0)


@dataclass(frozen=True, slots=True)
class Counted:
    """What is known of files when all of them have been read. `structured`: columns, and whether they hold JSON."""

    rows: list[int]
    structured: dict[str, bool]


@dataclass(frozen=True, slots=True)
class TextPart:
    """Rows `first` to `first + rows` of a file. See windows.Part."""

    files: TextFiles
    number: int
    features: Features
    first: int
    rows: int
    start: int

    @property
    def bytes(self) -> int:
        return self.files.bytes_of(self.number)

    def batches(self) -> Iterator[pa.RecordBatch]:
        at, stop, written = 0, self.first + self.rows, _as_written(self.features)
        for batch in self.files.batches(self.number):
            found = pa.Table.from_batches([record_batch(batch, written.arrow_schema)])
            inside = found.slice(max(0, self.first - at), max(0, stop - max(at, self.first)))
            at += batch.rows
            if len(inside):
                yield from table_cast(inside, self.features.arrow_schema).to_batches()


def _as_written(features: Features) -> Features:
    """Before the card's word on them: paths of media are text."""
    return Features({name: Value("string") if is_read_from_a_file(f) else f for name, f in features.items()})


def counted(files: TextFiles, name: str) -> Counted:
    """All files are read, once: what is found is kept as `name`.

    Raises:
        InputError: one cannot be read whole, or has other columns than the others.
    """

    def write(draft: str) -> None:
        columns, rows, seen = Columns(), list[int](), dict[Path, Mapping[str, None]]()
        meter = Meter(f"Reading {files.split} once, for it does not fit on the disk", len(files.files), "files")
        for number, file in enumerate(meter.over(files.files)):
            names: dict[str, None] = {}
            rows.append(0)
            for batch in files.batches(number):
                columns.learn(batch)
                names.update(dict.fromkeys(batch.columns))
                rows[-1] += batch.rows
            seen[file] = names
        check_columns(seen)
        Path(draft).write_text(json.dumps([rows, columns.structured]))

    return Counted(*json.loads(made(kept(name), write).read_text()))


def features_of(found: Iterable[Counted], declared: Features | None) -> Features:
    """The columns that all splits have together."""
    columns = Columns()
    for each in found:
        for name, is_structured in each.structured.items():
            columns.structured[name] = is_structured or columns.structured.get(name, False)
    return Features({**columns.features, **media_paths(columns.features, declared)})


def text_parts(
    splits: Mapping[str, TextFiles], found: Mapping[str, Counted], spans: Sequence[Span], features: Features
) -> Iterator[Part]:
    """Of the rows of `spans`, a part for each file."""
    number = 0
    for span in spans:
        at = 0
        for file, rows in enumerate(found[span.split].rows):
            first, stop = max(span.start, at), min(span.stop, at + rows)
            if first < stop:
                yield TextPart(splits[span.split], file, features, first - at, stop - first, number)
                number += stop - first
            at += rows
