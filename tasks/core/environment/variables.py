"""Fills the environment from `.env`, and says where a setting came from. Must not read what somebody else wrote.

Two files count: the working directory's, then the project's. What the environment has already wins over both. An empty
value counts as none.
"""

import os
import re
from collections.abc import Iterable
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values, load_dotenv

from tasks.core.errors import InputError

PROJECT = Path(__file__).parents[3]
_OURS = re.compile("(GOOGLE|GEMINI|HUGGINGFACE|INFER)_")  # what a run reads, beside Prefect's and the libraries' own


def load_environment() -> None:
    """Set what the `.env` files say and the environment does not.

    Raises:
        InputError: a file that belongs to another user, or cannot be read.
    """
    for text in _files().values():
        _forget_empty(_values(text))
        load_dotenv(stream=StringIO(text))
    _forget_empty(filter(_OURS.match, list(os.environ)))  # the SDK would take blanks for a key


def set_in(variable: str) -> str:
    """Where the environment's value of `variable` comes from: the path of a `.env`, or `the environment`."""
    value = os.environ.get(variable)
    for path, text in _files().items():
        if _values(text).get(variable) == value:
            return str(path)
    return "the environment"


def unused() -> list[str]:
    """One line for each value of a `.env` file that another one stands in the way of. Values are not shown."""
    return [
        f"{name} is taken from {set_in(name)}; {path} has another value"
        for path, text in _files().items()
        for name, value in _values(text).items()
        if _OURS.match(name) and value and value.strip() and os.environ.get(name) not in (value, None)
    ]


def _values(text: str) -> dict[str, str | None]:
    return dotenv_values(stream=StringIO(text))


def _forget_empty(names: Iterable[str]) -> None:
    for name in names:
        if name in os.environ and not os.environ[name].strip():
            del os.environ[name]


def _files() -> dict[Path, str]:
    folders = dict.fromkeys(folder.resolve() for folder in (Path.cwd(), PROJECT))
    paths = [folder / ".env" for folder in folders]
    return {path: _read(path) for path in paths if path.is_file() or path.is_fifo()}


def _read(path: Path) -> str:
    try:
        _check_owner(path, path.lstat())  # of a link, before it leads anywhere
        with path.open(encoding="utf-8") as file:
            _check_owner(path, os.fstat(file.fileno()))
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", type(error).__name__) from None


def _check_owner(path: Path, info: os.stat_result) -> None:
    """Root may do anything anyway."""
    if hasattr(os, "geteuid") and info.st_uid not in (0, os.geteuid()):
        raise InputError(
            f"{path} belongs to another user (uid {info.st_uid}), who could send your key anywhere; "
            f"remove it, make it yours, or run from another folder",
            "PermissionError",
        )


def without_telemetry() -> None:
    """Prefect tells its makers of each use, and says so on the terminal; not of ours, unless somebody wants it."""
    for name, value in (("PREFECT_SERVER_ANALYTICS_ENABLED", "false"), ("DO_NOT_TRACK", "1")):
        os.environ.setdefault(name, value)
