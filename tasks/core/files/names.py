"""Finds a file by a name that may be spelled in another way on this disk."""

import os
import unicodedata
from contextlib import suppress
from functools import lru_cache
from pathlib import Path


def existing(path: Path) -> Path:
    """`path`; where it does not exist, the file that it means, or itself where there is none.

    Letters may be composed or decomposed, as a Mac writes them; folders may end in backslashes; blanks around a name
    do not count, nor do capitals, where one file alone is meant.
    """
    if path.exists():
        return path
    turned = str(path).replace("\\", "/")
    stripped = "/".join(part.strip() for part in turned.split("/"))
    found = (_in_any_form(Path(spelling)) for spelling in dict.fromkeys((str(path), turned, stripped)))
    return next((each for each in found if each is not None), path)


def _in_any_form(path: Path) -> Path | None:
    found = Path(path.anchor)
    for part in path.parts[1:] if path.anchor else path.parts:
        spellings = (part, unicodedata.normalize("NFC", part), unicodedata.normalize("NFD", part))
        step = next((found / each for each in spellings if (found / each).exists()), None) or _in_any_case(found, part)
        if step is None:
            return None
        found = step
    return found


def _in_any_case(folder: Path, name: str) -> Path | None:
    with suppress(OSError):
        names = _folded(folder, folder.stat().st_mtime_ns).get(_fold(name), [])
        return folder / names[0] if len(names) == 1 else None
    return None


@lru_cache(maxsize=8)  # thousands of names may be looked for in one folder
def _folded(folder: Path, changed: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in os.scandir(folder):
        found.setdefault(_fold(each.name), []).append(each.name)
    return found


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
