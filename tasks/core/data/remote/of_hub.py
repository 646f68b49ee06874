"""Opens splits of the Hub whose files are known: each kind of file in its own way, and of the split alone."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset
from datasets.data_files import DataFilesDict, DataFilesList

from tasks.core.data.formats.cards import is_plain, reading_of
from tasks.core.data.formats.contents import Contents, Kind
from tasks.core.data.formats.files import open_rows
from tasks.core.data.formats.images import with_metadata
from tasks.core.data.formats.splits import Span, first_rows, sliced
from tasks.core.data.formats.suffixes import Format, format_of
from tasks.core.data.remote import room
from tasks.core.data.remote.asked import Asked
from tasks.core.data.remote.files import bytes_of, downloaded, first_files, note_files, sizes_of, url_of
from tasks.core.data.remote.parquet import ParquetFiles
from tasks.core.data.remote.parquet_rows import open_parquet
from tasks.core.data.remote.staged import Found, numbered, staged
from tasks.core.data.remote.streamed import AT_ONCE, Stream, bounded_spans, found_rows
from tasks.core.data.remote.text_files import TextFiles
from tasks.core.data.remote.windowed import text_in_windows
from tasks.core.data.rows import Rows
from tasks.core.data.selecting import select
from tasks.core.errors import InputError


@dataclass(frozen=True, slots=True)
class OfHub:
    """`builder`: datasets' own, which has found the files. `splits`: those that are asked for."""

    asked: Asked
    builder: Any
    splits: dict[str, Contents]
    token: str | None

    def open(self) -> Rows:
        """The rows that are asked for.

        Raises:
            InputError: a file cannot be read whole, or there is no room for it.
        """
        plain = is_plain(self.builder.config)
        if plain and all(each.kind is Kind.ROWS for each in self.splits.values()):
            return self._text()
        if plain and all(format_of(file) is Format.PARQUET for each in self.splits.values() for file in each.files):
            files = {name: self._parquet(each) for name, each in self.splits.items()}
            return open_parquet(self.asked, files, self._others, self._fits())
        if not self._has_zip() and (spans := bounded_spans(self.asked.spec, self.asked.selection)):
            return staged(self.asked.digest, lambda: self._streamed(spans), self.asked.selection)
        if not self._fits():
            raise self._no_room("files of its kind cannot be read in windows, for nothing says which rows are where")
        return select(self._others(), self.asked.selection, self.asked.spec)

    def _text(self) -> Rows:
        """Cell by cell, as local files are read."""
        needs_all = bounded_spans(self.asked.spec, replace(self.asked.selection, streaming=False)) is None
        if needs_all and not self._fits():
            return self._text_in_windows()
        rows = select(sliced(self.asked.spec, self._text_split), self.asked.selection, self.asked.spec)
        if needs_all:
            return rows
        found = Found(str(self.asked), rows.features, numbered(rows), len(rows))  # kept, for its files are not all here
        return staged(self.asked.digest, lambda: found, self.asked.selection)

    def _text_in_windows(self) -> Rows:
        splits = {name: self._text_files(name) for name in self.splits}
        if max(files.most_bytes for files in splits.values()) > room.free_bytes():
            raise self._no_room("its largest file alone does not, and text is read from its start")
        return text_in_windows(self.asked, splits)

    def _text_files(self, name: str) -> TextFiles:
        files, reading = self.splits[name].files, reading_of(self.builder.config, self.asked.reading)
        sizes = sizes_of(files, self.token)
        return TextFiles(name, files, sizes, self.token, reading, self.builder.info.features)

    def _text_split(self, name: str) -> Dataset:
        files, chosen, spec = self.splits[name].files, self.asked.selection, self.asked.spec
        note_files(self.asked.dataset, self.asked.revision, name, files)
        written, declared = reading_of(self.builder.config, self.asked.reading), self.builder.info.features

        def opened(fetched: list[Path]) -> Dataset:
            return open_rows(fetched, name, written, declared)

        enough = first_rows(spec, None if chosen.reorders else chosen.limit).get(name, 0)
        matches = chosen.limit if chosen.shuffle is None and "[" not in spec else None
        return opened(first_files(files, self.token, opened, enough, matches, chosen))

    def _parquet(self, contents: Contents) -> ParquetFiles:
        return ParquetFiles([url_of(file) for file in contents.files], self.token, self.builder.info.features)

    def _others(self) -> Dataset:
        """As datasets reads them; of pictures, what their metadata says as it is written."""
        table = sliced(self.asked.spec, self._other_split)
        if not any(each.metadata for each in self.splits.values()):
            return table
        return with_metadata(table, sliced(self.asked.spec, self._cells), self.asked.dataset)

    def _cells(self, name: str) -> Dataset:
        """The metadata of a split's pictures."""
        files = [downloaded(file, self.token) for file in self.splits[name].metadata]
        return open_rows(files, name, reading_of(self.builder.config, self.asked.reading), self.builder.info.features)

    def _streamed(self, spans: list[Span]) -> Found:
        """The same as a stream."""

        def stream(name: str) -> Stream:
            contents = self.splits[name]
            cells = self._cells(name) if contents.metadata else None
            at_once = 1 if contents.kind is Kind.ARCHIVES else AT_ONCE
            return Stream(f"{self.asked.dataset} {name}", self._other_split(name, streaming=True), cells, at_once)

        streams = {span.split: stream(span.split) for span in spans}
        rows = found_rows(streams, spans, self.asked.selection, self.asked.spec)
        return Found(str(self.asked), streams[spans[0].split].features, rows, self.asked.selection.limit)

    def _other_split(self, name: str, streaming: bool = False) -> Any:
        return datasets.load_dataset(
            self.asked.dataset,
            self.asked.config_name,
            data_files=self._data_files(name),
            features=self.builder.info.features,  # the card's, which datasets forgets where files are named
            split=name,
            revision=self.asked.revision,
            token=self.token,
            verification_mode="no_checks",
            streaming=streaming,
        )

    def _data_files(self, name: str) -> DataFilesDict:
        """Those of one split as datasets has found them, so that it looks for no others."""
        found: DataFilesList = self.builder.config.data_files[name]
        return DataFilesDict({name: found})

    def _has_zip(self) -> bool:
        """Whether there is one, out of which only datasets takes a picture that is not fetched yet."""
        return any(file.suffix.lower() == ".zip" for each in self.splits.values() for file in each.files)

    def _fits(self) -> bool:
        """Whether there is room for the files and the table that is made of them, unless it has been made."""
        files = [file for each in self.splits.values() for file in (*each.files, *each.metadata)]
        return 2 * bytes_of(files, self.token) <= room.free_bytes()

    def _no_room(self, why: str) -> InputError:
        free = f"{room.free_bytes():,} bytes are free"
        return InputError(
            f"{self.asked.dataset} {self.asked.spec} does not fit on the disk ({free}); {why}; "
            "pass --limit, a smaller --split, or point HF_HOME at a larger disk"
        )
