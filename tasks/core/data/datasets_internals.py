"""Every touch of what datasets does not promise, each with its reason. No other module may touch any of it.

tests/test_datasets_internals.py says in words what a new version of datasets has moved, and what relied on it.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any

import datasets
from datasets.data_files import _get_data_files_patterns

# Texts of errors that have no type of their own: opening.py says them in words that name a flag.
NO_ROWS = "corresponds to no data"  # a split, or a slice of one
NO_SPLIT = "Unknown split"
NO_CONFIG = ("BuilderConfig", "Config name is missing")
# Whose warnings and tracebacks stand beside what an InputError says once.
_LOUD = ("datasets.packaged_modules", "huggingface_hub.repocard")


def fingerprint_of(table: datasets.Dataset) -> str:
    """Changes when the files are edited between two readings of one process; nothing public says that they were."""
    return str(table._fingerprint)


def patterns_by_name(resolve: Callable[[str], list[str]]) -> Mapping[Any, list[str]]:
    """Patterns of the data files of each split, by the names of files and folders that `resolve` finds for a pattern.

    The public way looks at the folder itself, and would see our own results there.

    Raises:
        FileNotFoundError: no file is data.
    """
    patterns: Mapping[Any, list[str]] = _get_data_files_patterns(resolve)
    return patterns


def is_read_from_a_file(feature: Any) -> bool:
    """Whether datasets makes a cell of it by opening what the cell names: Image, Audio, Video, Pdf … share no base."""
    return hasattr(feature, "decode_example") and not isinstance(feature, datasets.Json)


class Meanwhile:
    """A change to the whole process, undone when the last block that wants it ends. Thread-safe; blocks may overlap.

    `change` makes it and returns what undoes it.
    """

    def __init__(self, change: Callable[[], Callable[[], object]]) -> None:
        self._change = change
        self._lock = Lock()
        self._blocks = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if not self._blocks:
                self._undo = self._change()
            self._blocks += 1
        try:
            yield
        finally:
            with self._lock:
                self._blocks -= 1
                if not self._blocks:
                    self._undo()


def _log_nothing() -> Callable[[], object]:
    before = {name: logging.getLogger(name).level for name in _LOUD}
    _set_levels(dict.fromkeys(_LOUD, logging.CRITICAL))
    return lambda: _set_levels(before)


def _set_levels(levels: dict[str, int]) -> None:
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def _hide_bars() -> Callable[[], object]:
    if datasets.are_progress_bars_disabled():  # by the user
        return lambda: None
    datasets.disable_progress_bars()
    return lambda: datasets.enable_progress_bars()


without_logs, without_bars = Meanwhile(_log_nothing), Meanwhile(_hide_bars)
