"""What datasets reads for this program: image folders, audio, WebDataset and whatever else it knows."""

from collections.abc import Sequence
from pathlib import Path

import datasets
from datasets import Dataset, Features
from datasets.data_files import DataFilesDict, DataFilesList


def load_foreign(
    folder: Path, config_name: str | None, files: Sequence[Path], split: str, features: Features | None
) -> Dataset:
    """Just `files` of a folder, as one split, kept by datasets until one of them is written or replaced.

    `features`: the card's, which datasets forgets where files are named.
    """
    chosen = DataFilesDict({split: DataFilesList([str(f) for f in files], [(identity(f),) for f in files])})
    table: Dataset = datasets.load_dataset(
        str(folder), config_name, data_files=chosen, features=features, split=split, verification_mode="no_checks"
    )
    return table


def identity(path: str | Path) -> str:
    """What changes when a file is written or replaced, even within a second and to the same size."""
    found = Path(path).stat()
    return f"{found.st_dev}-{found.st_ino}-{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}"
