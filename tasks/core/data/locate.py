"""Where a data set is, going by its name alone: on this machine, or on the Hub. Must not import what reads data."""

import os
import re
from pathlib import Path

from tasks.core.data.formats.suffixes import COMPRESSIONS, SUFFIXES, format_of
from tasks.core.errors import InputError
from tasks.core.files.names import existing

NOT_FOUND = "DatasetNotFoundError"
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


def locate(name: str | None) -> Path | None:
    """The file or folder called `name` on this machine, absolute; None for the name of a Hub data set.

    Raises:
        InputError: no name, or that of neither; a file that cannot be read, or of a type that is not read.
    """
    if not name:
        raise InputError("no data set: pass --dataset or set INFER_DATASET in .env")
    path = _local(name)
    if path is None and (not _HUB_ID.fullmatch(name) or format_of(name)):
        raise InputError(f"{name!r} does not exist on this machine, and is not the name of a Hub data set", NOT_FOUND)
    if path and path.is_file():
        _check_file(path)
    return path


def _local(name: str) -> Path | None:
    """The file or folder called `name` on this machine, absolute; None where there is none."""
    try:
        path = existing(Path(name).expanduser())
        real = path.resolve()
        if not real.exists():
            return None
    except (OSError, RuntimeError, ValueError):  # longer than a path can be, the home of nobody
        return None
    # The target of a link may have no suffix (the Hub's cache, DVC), and the suffix says how to read it.
    return real if real.is_dir() or real.suffix == path.suffix else path.parent.resolve() / path.name


def _check_file(path: Path) -> None:
    if format_of(path) is None:
        kinds = f"{', '.join(SUFFIXES)}, nor text with {', '.join(COMPRESSIONS)}"
        raise InputError(f"{path} is none of {kinds}; convert it or pass a folder")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} may not be read by this user", "PermissionError")
