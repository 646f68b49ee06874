"""What a data set's card says of how its files are read."""

import dataclasses
from typing import Any

from tasks.core.data.formats.rows import Reading

# What every card may say and this program heeds, or what follows from the files themselves.
_HEEDED = {"name", "version", "data_dir", "data_files", "description", "features", "sep", "delimiter", "encoding"}


def reading_of(config: Any, flags: Reading) -> Reading:
    """How the files of a configuration are written; a flag wins."""
    separator = getattr(config, "sep", None)
    encoding = getattr(config, "encoding", None)
    return Reading(
        flags.encoding or (encoding if encoding != "utf-8" else None),
        flags.delimiter or (separator if separator != "," else None),
    )


def is_plain(config: Any) -> bool:
    """Whether a configuration asks for nothing of datasets' own reader, such as other names for the columns."""
    usual = type(config)()
    names = {each.name for each in dataclasses.fields(config)} - _HEEDED
    return all(getattr(config, name) == getattr(usual, name) for name in names)
