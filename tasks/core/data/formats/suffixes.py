"""Which files are data, by their names alone. Must not import what reads data: the command line asks here first."""

from enum import StrEnum
from pathlib import Path

COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")


class Format(StrEnum):
    """What is inside a file, compression aside."""

    DELIMITED = "csv"
    JSON = "json"
    TEXT = "text"
    EXCEL = "excel"
    ARROW = "arrow"
    PARQUET = "parquet"
    ARCHIVE = "archive"


SUFFIXES = {
    ".csv": Format.DELIMITED,
    ".tsv": Format.DELIMITED,
    ".json": Format.JSON,
    ".jsonl": Format.JSON,
    ".ndjson": Format.JSON,
    ".txt": Format.TEXT,
    ".xlsx": Format.EXCEL,
    ".arrow": Format.ARROW,
    ".feather": Format.ARROW,
    ".parquet": Format.PARQUET,
    ".zip": Format.ARCHIVE,
    ".tar": Format.ARCHIVE,
    ".tgz": Format.ARCHIVE,
}
ROWS = frozenset({Format.DELIMITED, Format.JSON, Format.TEXT, Format.EXCEL})  # which this program reads cell by cell
_MAY_BE_COMPRESSED = frozenset({Format.DELIMITED, Format.JSON, Format.TEXT, Format.ARCHIVE})


def format_of(path: str | Path) -> Format | None:
    """The format that a file's name says; None for a file that is not read."""
    whole = Path(path)
    bare = whole.with_suffix("") if whole.suffix.lower() in COMPRESSIONS else whole
    found = SUFFIXES.get(bare.suffix.lower())
    return found if bare is whole or found in _MAY_BE_COMPRESSED else None


def inner_suffix(path: str | Path) -> str:
    """The suffix below the one of the compression: `.csv` of `a.CSV.gz`."""
    whole = Path(path)
    return (whole.with_suffix("") if whole.suffix.lower() in COMPRESSIONS else whole).suffix.lower()


def is_compressed(path: str | Path) -> bool:
    """By its name."""
    return Path(path).suffix.lower() in COMPRESSIONS
