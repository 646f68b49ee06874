"""What lies in a folder of data and is not sent: files of no split, pictures that no column names. Reads no file."""

from pathlib import Path

from tasks.core.data.data_files import card_says, files_by_split, named
from tasks.core.data.formats.contents import IMAGES, contents_of, is_about
from tasks.core.data.formats.listing import files_in
from tasks.core.data.formats.splits import names_in
from tasks.core.data.formats.suffixes import Format, format_of
from tasks.core.files.own_results import is_result
from tasks.core.text import counted


def overlooked(folder: Path, config_name: str | None, spec: str, has_media: bool) -> list[str]:
    """Lines for the user. `has_media`: whether media are sent. A card that chooses the files has chosen."""
    if not folder.is_dir() or card_says(str(folder), "configs"):
        return []
    tables = [name for name in files_in(folder) if format_of(name)]
    if not tables:  # and a folder of a million pictures is not listed once more
        return []
    splits, lines = files_by_split(str(folder), config_name), []
    known = {file for files in splits.values() for file in files}
    if beside := [str(file) for name in tables if _is_beside(file := folder / name, known)]:
        lines.append(f"Not read, as the names belong to no split: {named(beside)}")
    read = [file for name in names_in(spec) for file in splits.get(name, [])]
    pictures = [file for file in read if Path(file).suffix.lower() in IMAGES]
    if pictures and not has_media and contents_of([Path(file) for file in read]).are_tables:
        lines.append(f"{counted(len(pictures), 'picture')} of the folder not sent: no column names them")
    return lines


def _is_beside(table: Path, known: set[str]) -> bool:
    """A text file may be about the data, and results of ours are told elsewhere."""
    is_other = is_about(table) or is_result(table) or format_of(table) is Format.TEXT
    return str(table) not in known and not is_other
