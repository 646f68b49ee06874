"""The files of a folder, and which of them a pattern means. In names `[` and `*` are letters."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from fsspec.utils import glob_translate

_NO_DATA = {"README.md", "config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json"}
_BRACKETS = str.maketrans("[](){}", "______")
_SPECIAL = (".", "__")  # of what is hidden, or left behind by programs


def files_in(folder: str | Path) -> list[str]:
    """Paths below `folder` of what may be data, relative and sorted; nothing hidden, links followed."""
    return sorted(path for path in _walk(Path(folder)) if path.rsplit("/", 1)[-1] not in _NO_DATA)


def matching(pattern: str, files: list[str]) -> list[str]:
    """Those of `files` that a pattern of datasets means, which begins at their folder. `TEST[1].csv` is a test's."""
    found = re.compile(glob_translate(pattern), re.IGNORECASE)
    word = max(re.findall("[a-z]+", pattern), key=len, default="")  # which says of most that they mean none
    return [file for file in files if word in file.lower() and found.match(file.translate(_BRACKETS))]


def _walk(folder: Path) -> Iterator[str]:
    seen = set[str]()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(_SPECIAL)]
        below = "" if place == str(folder) else f"{Path(place).relative_to(folder).as_posix()}/"
        for name in names:
            if not name.startswith(".") and _may_be_read(Path(place, name)):
                yield f"{below}{name}"


def _may_be_read(path: Path) -> bool:
    """No pipe and no device; but a link that leads nowhere: its file has not been fetched, and is missing."""
    return path.is_file() or (path.is_symlink() and not path.exists())
