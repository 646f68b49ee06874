"""What the files of one split are, together: rows, typed tables, archives, or pictures for datasets to read.

All of them are read, or none: a table that is left out is a loss that nobody sees.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tasks.core.data.formats.suffixes import COMPRESSIONS, ROWS, Format, format_of
from tasks.core.errors import InputError

_METADATA = {"metadata.csv", "metadata.jsonl", "metadata.parquet"}
IMAGES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2"}
_SOUND = {".mp3", ".wav", ".flac", ".ogg", ".m4a", ".aac"}
_OTHER_MEDIA = {*_SOUND, ".mp4", ".mov", ".webm", ".avi", ".mkv", ".mpg", ".pdf"}
# Tables that nobody here reads; any other file may be about the data.
_UNREAD = {".xls", ".xlsb", ".xlsm", ".ods", ".orc", ".avro", ".sav", ".dta", ".lz4", ".br", ".lzo", ".7z", ".rar"}
_UNREAD |= {*COMPRESSIONS}  # over what no compression is read of, such as Parquet
_ABOUT = {"readme", "license", "licence", "changelog", "notice", "requirements", "citation", "copying", "authors"}
_NAMED = 3


class Kind(StrEnum):
    ROWS = "rows"
    TABLES = "tables"
    ARCHIVES = "archives"
    OTHER = "other"  # what datasets reads: an image folder, audio, …


@dataclass(frozen=True, slots=True)
class Contents:
    """`files` are what is read of the split; `metadata`: tables that describe an image folder's pictures."""

    kind: Kind
    files: list[Path]
    metadata: list[Path]

    @property
    def are_tables(self) -> bool:
        return self.kind in (Kind.ROWS, Kind.TABLES)


def is_about(file: Path) -> bool:
    """Whether a file without rows says something of the data, by its name."""
    return file.stem.lower() in _ABOUT and format_of(file) in (None, Format.TEXT)


def contents_of(files: Sequence[Path]) -> Contents:
    """Sort out the files of a split.

    Raises:
        InputError: there are files of kinds that are not read together.
    """
    data = [file for file in files if not is_about(file)]
    if unread := [file for file in data if file.suffix.lower() in _UNREAD and format_of(file) is None]:
        raise InputError(
            f"{unread[0]} belongs to this split, and is not of a form that is read; convert it, or move it"
        )
    by_format: dict[Format, list[Path]] = {}
    for file in data:
        if (kind := format_of(file)) and not _describes_images(file, data):
            by_format.setdefault(kind, []).append(file)
    metadata = [file for file in data if _describes_images(file, data)]
    if not by_format:
        pictures = [file for file in data if file in metadata or file.suffix.lower() in IMAGES]
        if pictures and (others := [file for file in data if file.suffix.lower() in _OTHER_MEDIA]):
            raise _mixed([*pictures, *others])
        return Contents(Kind.OTHER, pictures or data, [file for file in metadata if format_of(file) in ROWS])
    tables = [file for found in by_format.values() for file in found]
    if metadata or not (by_format.keys() <= ROWS or len(by_format) == 1):
        raise _mixed(tables + metadata)
    if by_format.keys() <= ROWS:
        return Contents(Kind.ROWS, [file for file in data if file in set(tables)], [])
    return Contents(Kind.ARCHIVES if Format.ARCHIVE in by_format else Kind.TABLES, tables, [])


def _describes_images(file: Path, files: Sequence[Path]) -> bool:
    return file.name in _METADATA and any(other.suffix.lower() in IMAGES for other in files)


def _mixed(files: Sequence[Path]) -> InputError:
    first = {file.suffix.lower(): file for file in reversed(files)}
    names = ", ".join(sorted(str(file) for file in first.values())[:_NAMED])
    return InputError(
        f"a split of files that are not read together ({names}); pass one as --dataset, or move the others"
    )
