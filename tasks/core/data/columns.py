"""Which columns of a data set a run reads, and that they hold what is sent. Reads no cell."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import datasets
from datasets import Dataset, Features, LargeList, List

from tasks.core.config.parameters import RunConfig
from tasks.core.data.datasets_internals import is_read_from_a_file
from tasks.core.data.formats.text_lines import COLUMN
from tasks.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of the data a run reads."""

    text: str
    image: str | None
    id: str | None


def find_columns(config: RunConfig, table: Dataset) -> Columns:
    """Those that `config` names and `table` has.

    Raises:
        InputError: one does not exist, or holds what its flag does not send.
    """
    there, where = table.column_names, f"{config.dataset or ''} ({config.split})"
    columns = Columns(
        text=_text_column(config.text_column, there, where),
        image=_optional("image_column", config.image_column, there, where),
        id=_optional("id_column", config.id_column, there, where),
    )
    _check_media(columns, table.features)
    return columns


def _text_column(name: str, columns: list[str], where: str) -> str:
    """`name`; where it is only the default, the one column that lines of text have."""
    if columns == [COLUMN] and name == RunConfig.model_fields["text_column"].default:
        return COLUMN
    return _required("text_column", name, columns, where)


def _required(parameter: str, name: str, columns: list[str], where: str) -> str:
    if columns and name not in columns:
        raise InputError(f"{parameter}={name!r} is not in {where}; columns: {', '.join(columns)}")
    return name


def _optional(parameter: str, name: str | None, columns: list[str], where: str) -> str | None:
    """`name`, or None where it is only the default of a column that the data set does not have."""
    if name is None or (name not in columns and name == RunConfig.model_fields[parameter].default):
        return None
    return _required(parameter, name, columns, where)


def _check_media(columns: Columns, features: Features) -> None:
    """Raises InputError where a column holds what its flag does not send.

    datasets would open the file, pipe or URL that such a cell names as soon as the row is read as text.
    """
    for flag, name in (("--text-column", columns.text), ("--id-column", columns.id)):
        if kind := _media(features.get(name)):
            alone = isinstance(features[name], datasets.Image)
            way_out = f"--image-column {name} sends it" if alone else "name another column"
            raise InputError(f"{flag} {name} {_holds(features[name], kind)}, which is no text; {way_out}")
    kind = _media(features.get(columns.image))
    if kind not in (None, datasets.Image.__name__):
        holds = _holds(features[columns.image], kind)
        raise InputError(f"--image-column {columns.image} {holds}, and only images are sent; name another column")


def _media(feature: Any) -> str | None:
    """The first feature in `feature`, at any depth, that datasets decodes from a file: Image, Audio, Video, Pdf, …"""
    if isinstance(feature, dict):
        inner: Iterable[Any] = feature.values()
    elif isinstance(feature, List | LargeList):
        inner = [feature.feature]
    else:
        return type(feature).__name__ if is_read_from_a_file(feature) else None
    return next(filter(None, map(_media, inner)), None)


def _holds(feature: Any, kind: str | None) -> str:
    """`is an Image`, `holds a Video`: alone in its cell or deeper in it."""
    verb = "is" if type(feature).__name__ == kind else "holds"
    return f"{verb} {'an' if str(kind)[0] in 'AEIOU' else 'a'} {kind}"
