"""Opens a file or a folder of files: which are a split's, by a card or by their names, and no other split's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
from datasets import Dataset, Features

from tasks.core.data.data_files import card_says, files_by_split
from tasks.core.data.formats.archives import is_web_dataset, told_of, unpacked
from tasks.core.data.formats.cards import is_plain, reading_of
from tasks.core.data.formats.contents import Kind, contents_of
from tasks.core.data.formats.files import open_files
from tasks.core.data.formats.foreign import load_foreign
from tasks.core.data.formats.listing import files_in
from tasks.core.data.formats.rows import Reading
from tasks.core.data.formats.splits import names_in, sliced
from tasks.core.data.formats.suffixes import Format, format_of
from tasks.core.errors import InputError
from tasks.core.text import closest


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of data, its splits, and what its card says of them. `plain`: this program may read the files itself."""

    path: Path
    config_name: str | None
    files: dict[str, list[Path]]
    reading: Reading
    features: Features | None = None
    plain: bool = True

    def open(self, spec: str) -> Dataset:
        """The rows that `spec` asks for; files of other splits are not looked at."""
        return sliced(spec, self._split)

    def _split(self, name: str) -> Dataset:
        if name not in self.files:
            raise InputError(
                f"--split {name!r} is not in {self.path}; splits: {', '.join(self.files)}{closest(name, self.files)}"
            )

        def others(files: Sequence[Path], features: Features | None) -> Dataset:
            return load_foreign(self.path, self.config_name, files, name, features)

        if not self.plain:
            return others(self.files[name], self.features)
        return open_files(self.files[name], name, self.reading, others, self.features)


def open_folder(path: Path, config_name: str | None, spec: str, reading: Reading) -> Dataset:
    """One split of a folder, or a slice or sum of them.

    Raises:
        InputError: there is no such split, nothing but results, or a file that cannot be read whole.
    """
    files = _files(path, config_name)
    if not card_says(str(path), "configs", "dataset_info") and config_name is None:
        return Folder(path, None, files, reading).open(spec)
    builder = datasets.load_dataset_builder(str(path), config_name)
    card = reading_of(builder.config, reading)
    return Folder(path, config_name, files, card, builder.info.features, is_plain(builder.config)).open(spec)


def open_file(path: Path, spec: str, reading: Reading) -> Dataset:
    """A file, which is the requested split, whatever it is called; an archive with several splits is a folder.

    Raises:
        InputError: it cannot be read whole.
    """
    if _is_unpacked(path):
        with told_of([path]):
            if len(files_by_split(str(unpacked([path])), None)) > 1:
                return open_folder(unpacked([path]), None, spec, reading)
    return Folder(path.parent, None, {names_in(spec)[0]: [path]}, reading).open(spec)


def unpacked_roots(path: Path, config_name: str | None, spec: str) -> tuple[str, ...]:
    """The folders of unpacked archives that the rows of `spec` come from."""
    if path.is_file():
        return (str(unpacked([path])),) if _is_unpacked(path) else ()
    if all(format_of(name) is not Format.ARCHIVE for name in files_in(path)):
        return ()
    files = _files(path, config_name)
    contents = [contents_of(files[name]) for name in names_in(spec)]
    return tuple(str(unpacked(each.files)) for each in contents if each.kind is Kind.ARCHIVES)


def _files(path: Path, config_name: str | None) -> dict[str, list[Path]]:
    return {name: [Path(file) for file in found] for name, found in files_by_split(str(path), config_name).items()}


def _is_unpacked(path: Path) -> bool:
    return format_of(path) is Format.ARCHIVE and not is_web_dataset(path)
