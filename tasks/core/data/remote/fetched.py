"""Opens without the Hub what earlier runs have fetched of a data set, and takes no part of it for the whole."""

from pathlib import Path

from tasks.core.data.formats.folders import open_folder
from tasks.core.data.formats.splits import names_in
from tasks.core.data.remote.asked import Asked
from tasks.core.data.remote.files import missing_files
from tasks.core.data.remote.parquet_rows import already_staged
from tasks.core.data.rows import Rows
from tasks.core.data.selecting import select
from tasks.core.errors import InputError


def open_fetched(asked: Asked, folder: Path) -> Rows:
    """The rows of a commit's `folder` in the Hub's cache.

    Raises:
        InputError: they are not all here.
    """
    if rows := already_staged(asked):
        return rows
    missing = [file for name in names_in(asked.spec) for file in missing_files(asked.dataset, folder, name)]
    rows = select(open_folder(folder, asked.config_name, asked.spec, asked.reading), asked.selection, asked.spec)
    if missing and (asked.selection.shuffle is not None or len(rows) != asked.selection.limit):
        raise InputError(
            f"{len(missing)} files of {asked.dataset} {asked.spec} have not been fetched ({missing[0]}); "
            "run once without HF_HUB_OFFLINE"
        )
    return rows
