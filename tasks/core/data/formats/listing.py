"""The files of a folder, and which of them a pattern means. In names `[` and `*` are letters."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from fsspec.utils import glob_translate

_NO_DATA = {"README.md", "config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json"}
_SPECIAL = (".", "__")  # of what is hidden, or left behind by programs


def files_in(folder: str | Path) -> list[str]:
    """Paths below `folder` of what may be data, relative and sorted; nothing hidden, links followed."""
    return sorted(path for path in _walk(Path(folder)) if path.rsplit("/", 1)[-1] not in _NO_DATA)


def matching(pattern: str, files: list[str]) -> list[str]:
    """Those of `files` that a pattern of datasets means, which begins at their folder."""
    return list(filter(re.compile(glob_translate(pattern)).match, files))


def _walk(folder: Path) -> Iterator[str]:
    seen = set[str]()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(_SPECIAL)]
        for name in names:
            path = Path(place, name)
            if not name.startswith(".") and path.is_file():
                yield path.relative_to(folder).as_posix()
