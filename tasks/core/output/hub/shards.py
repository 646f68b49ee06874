"""The files of a data set of results: the table's rows, each with its media. In memory and on disk a part at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core.errors import MediaError
from tasks.core.media.cell import Cell
from tasks.core.media.conversion import SENT_AS_IT_IS, to_media
from tasks.core.media.reading import WebFile
from tasks.core.prompts.placing import MediaReader
from tasks.core.records import MediaUri

SHARD_BYTES = 400_000_000
GROUP_BYTES = 32_000_000
IMAGES, MEDIA = "images", "media"
_OPENED = frozenset(SENT_AS_IT_IS.values())


class MediaOf(Protocol):
    """The media of each row, by its place in the result: images, then all others, as datasets has files."""

    def __call__(self, row: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]: ...


def media_of(reader: MediaReader) -> MediaOf:
    """Those that `reader` finds, as they go to Gemini; one that cannot is left out, one on the web named by address."""

    def of_row(row: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        found = [each for cell in reader.cells(row) if (each := _file(reader, cell))]
        return [file for file, is_image in found if is_image], [file for file, is_image in found if not is_image]

    return of_row


def write_shards(table: Path, media: MediaOf | None, folder: Path) -> Iterator[Path]:
    """Files in `folder` that hold the rows of `table` one after the other; each is whole when it is yielded.

    Raises:
        OSError: there is no room, or a medium cannot be read for a reason that passes.
    """
    whole = pq.read_schema(table)
    features = datasets.Features.from_arrow_schema(whole)
    if media:
        features[IMAGES] = datasets.List(datasets.Image())
        features[MEDIA] = datasets.List({"bytes": datasets.Value("binary"), "path": datasets.Value("string")})
    schema = features.arrow_schema
    schema = schema.with_metadata({**(whole.metadata or {}), **schema.metadata})  # whose they are, a copy knows as well
    groups = _groups(table, media, schema)
    group = next(groups, pa.Table.from_pylist([], schema))
    number = 0
    while group is not None:
        path, size = folder / f"{number:05d}.parquet", 0
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            while group is not None and (not size or size + group.nbytes <= SHARD_BYTES):
                writer.write_table(group)
                size, group = size + group.nbytes, next(groups, None)
        yield path
        number += 1


def _groups(table: Path, media: MediaOf | None, schema: pa.Schema) -> Iterator[pa.Table]:
    number = 0
    with pq.ParquetFile(table) as file:
        for batch in file.iter_batches(2000):
            if media is None:
                yield pa.Table.from_batches([batch]).cast(schema)
                continue
            held: list[dict[str, Any]] = []
            size = 0
            for row in batch.to_pylist():
                images, others = media(number)
                number += 1
                held.append({**row, IMAGES: images, MEDIA: others})
                size += sum(len(each["bytes"] or b"") for each in (*images, *others))
                if size >= GROUP_BYTES:
                    yield pa.Table.from_pylist(held, schema)
                    held, size = [], 0
            if held:
                yield pa.Table.from_pylist(held, schema)


def _file(reader: MediaReader, cell: Cell) -> tuple[dict[str, Any], bool] | None:
    """A medium as datasets has it, and whether it is an image that anybody can open."""
    try:
        found = reader.read(cell)
        if isinstance(found, WebFile | MediaUri):
            return {"bytes": None, "path": found.url if isinstance(found, WebFile) else found.uri}, False
        sent = to_media(found, cell.images_only) if found else None
    except MediaError:  # the row says why it went without
        return None
    return ({"bytes": sent.data, "path": None}, sent.mime_type in _OPENED) if sent else None
