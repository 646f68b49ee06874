"""A JSON object of the user's, which may stand in a file."""

import json
from pathlib import Path
from typing import Any


def object_or_file(value: Any) -> Any:
    """An object as it is; of a text, the JSON that it is, or that is in the file of that name (`@` before it or not).

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(value, str):
        return value
    text = value if value.lstrip().startswith("{") else _read(value.removeprefix("@"))
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None


def _read(name: str) -> str:
    try:
        return Path(name).expanduser().read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise ValueError(f"neither a JSON object nor a file that can be read: {error.strerror or error}") from None
