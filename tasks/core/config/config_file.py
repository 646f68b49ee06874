"""Parameters as a TOML file: read for `--config`, written by `gemini-infer config`. Checks names only, no values."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomli_w

from tasks.core.config.groups.base import Parameters
from tasks.core.config.limits import Patience
from tasks.core.config.parameters import GROUPS, RunConfig
from tasks.core.errors import InputError
from tasks.core.text import closest


def read_config(path: str) -> dict[str, Any]:
    """The parameters in the file, by their names in RunConfig; a name may be spelled as its flag is.

    Raises:
        InputError: it cannot be read, or says something that is no parameter.
    """
    try:
        with Path(path).expanduser().open("rb") as file:
            found = tomllib.load(file)
    except OSError as error:
        raise InputError(f"--config {path}: {error.strerror or error}", type(error).__name__) from None
    except ValueError as error:  # a UnicodeDecodeError among them
        raise InputError(f"--config {path}: no TOML: {error}") from None
    parameters = {name.replace("-", "_"): value for name, value in found.items()}
    known = RunConfig.model_fields
    if unknown := [name for name in parameters if name not in known]:
        told = "; ".join(f"no parameter is called {name}{closest(name, known)}" for name in unknown)
        raise InputError(f"--config {path}: {told}")
    return parameters


def as_toml(config: RunConfig) -> str:
    """All that `config` says, defaults included, as `read_config` reads it."""
    values = config.model_dump(mode="json")
    tables = {name: value for name, value in values.items() if isinstance(value, dict) and _is_toml(value)}
    parts = []
    for group in GROUPS:
        lines = list(_lines(group, config, {name: value for name, value in values.items() if name not in tables}))
        parts += ["\n".join([f"# {group.__doc__}", *lines, ""])] if lines else []
    parts += [tomli_w.dumps({name: value}) for name, value in tables.items() if value]
    return "\n".join(parts)


def _lines(group: type[Parameters], config: RunConfig, values: dict[str, Any]) -> Iterator[str]:
    for name in filter(values.__contains__, group.model_fields):
        value, default = values[name], group.model_fields[name].default
        if isinstance(value, dict):
            value = json.dumps(value, ensure_ascii=False)
        if value is not None:
            yield tomli_w.dumps({name: value}).rstrip("\n")
        elif default is not None:  # a column that is not wanted
            yield f'{name} = ""'
        elif name in Patience.model_fields:  # what it comes to, and yet not set
            yield f"# {name} = {getattr(config.limits, name):g}"


def _is_toml(value: Any) -> bool:
    """Whether it has no null, which TOML has not."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is not None and all(map(_is_toml, inner))
