"""A cell as text: as it is written in the data, digit for digit."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import ClassLabel, Json

from tasks.core.data.formats.json_values import DECODER, as_text
from tasks.core.data.written import Written


def texts(column: pa.ChunkedArray, feature: Any) -> list[str]:
    """The cells of a column: nothing for an empty one, JSON for a structure, a class by its name."""
    values = column.to_pylist()
    if isinstance(feature, Json):
        return ["" if value is None else as_text(DECODER.decode(value)) or "" for value in values]
    if isinstance(feature, ClassLabel):
        return ["" if value is None or value < 0 else str(feature.int2str(value)) for value in values]
    if pa.types.is_float32(column.type) or pa.types.is_float16(column.type):
        short = column.type.to_pandas_dtype()
        return ["" if value is None else _shortest(short(value)) for value in values]
    return [_text(value) for value in values]


def values(column: pa.ChunkedArray, feature: Any) -> list[Any]:
    """The cells of a column as values for a template."""
    if isinstance(feature, Json):
        return [None if value is None else _written(DECODER.decode(value)) for value in column.to_pylist()]
    if isinstance(feature, ClassLabel) or pa.types.is_float32(column.type) or pa.types.is_float16(column.type):
        return [Written(text) for text in texts(column, feature)]
    return [_written(value) for value in column.to_pylist()]


def _written(value: Any) -> Any:
    if isinstance(value, str):
        return Written(value)
    if isinstance(value, dict):
        return {key: _written(inner) for key, inner in value.items()}
    return [_written(inner) for inner in value] if isinstance(value, list) else value


def value_of(cell: Any, feature: Any) -> Any:
    """A stored cell as the value that it stands for."""
    return json.loads(cell) if isinstance(feature, Json) and cell is not None else cell


def _shortest(value: Any) -> str:
    """Its own digits: 0.1, not the 0.10000000149011612 that it becomes in double precision."""
    text = str(np.format_float_positional(value, trim="0")) if 1e-4 <= abs(value) < 1e16 else str(value)
    return json.dumps(float(value)) if not np.isfinite(value) or value == 0 else text


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str).strip('"')
