"""Finds a file by a name that may be spelled in another way on this disk."""

import unicodedata
from pathlib import Path


def existing(path: Path) -> Path:
    """`path`; where it does not exist, the file that it means, or itself where there is none.

    Letters may be composed or decomposed, as a Mac writes them; folders may end in backslashes; blanks around a name
    do not count.
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
        step = next((found / each for each in spellings if (found / each).exists()), None)
        if step is None:
            return None
        found = step
    return found
