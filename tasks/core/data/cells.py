"""A cell as text: as it is written in the data, digit for digit."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import ClassLabel, Json

from tasks.core.data.formats.json_values import DECODER, Number, as_json, as_text
from tasks.core.data.written import Written, WrittenNumber

_NANOSECONDS = pa.time64("ns")


def texts(column: pa.ChunkedArray, feature: Any) -> list[str]:
    """The cells of a column: nothing for an empty one, JSON for a structure, a class by its name."""
    if isinstance(feature, Json):
        return ["" if value is None else as_text(DECODER.decode(value)) or "" for value in column.to_pylist()]
    if isinstance(feature, ClassLabel):
        return ["" if value is None or value < 0 else str(feature.int2str(value)) for value in column.to_pylist()]
    dumps = as_json if _exact(column.type) else _dumps
    return [_text(value, dumps) for value in _plain(column)]


def values(column: pa.ChunkedArray, feature: Any) -> list[Any]:
    """The cells of a column as values for a template."""
    if isinstance(feature, Json):
        return [None if value is None else _written(DECODER.decode(value)) for value in column.to_pylist()]
    if isinstance(feature, ClassLabel):
        return [Written(text) for text in texts(column, feature)]
    return [_written(value) for value in _plain(column)]


def value_of(cell: Any, feature: Any) -> Any:
    """A stored cell as the value that it stands for."""
    return json.loads(cell) if isinstance(feature, Json) and cell is not None else cell


def _written(value: Any) -> Any:
    if isinstance(value, str):
        return WrittenNumber(value) if isinstance(value, Number) else Written(value)
    if isinstance(value, dict):
        return {key: _written(inner) for key, inner in value.items()}
    return [_written(inner) for inner in value] if isinstance(value, list) else value


def _plain(column: pa.ChunkedArray) -> list[Any]:
    """Values of Python; those that it cannot hold to the last digit as text."""
    if column.type == _NANOSECONDS:
        return list(map(_time, column.to_pylist(), column.cast(pa.string()).to_pylist()))
    try:
        found = column.to_pylist()
    except OverflowError:  # times beyond the year 9999
        found = column.cast(pa.string()).to_pylist()
    except UnicodeDecodeError:  # of a file on the Hub that nobody could look at beforehand
        found = [None if cell is None else cell.decode(errors="replace") for cell in _bytes(column)]
    exact = _exact(column.type)
    return [None if value is None else exact(value) for value in found] if exact else found


def _bytes(column: pa.ChunkedArray) -> list[bytes | None]:
    """Those of a column of text, whatever they are."""
    kind = pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()
    return [cell for chunk in column.chunks for cell in chunk.view(kind).to_pylist()]


def _time(known: Any, text: str | None) -> Any:
    """Python's own, which ends with microseconds, where nothing is behind them."""
    return known if text is None or text.endswith("000") else text


def _exact(kind: pa.DataType) -> Callable[[Any], Any] | None:
    """Makes a value of Python one that keeps its digits, at any depth; None where it does."""
    if pa.types.is_decimal(kind):
        return lambda value: Number(format(value, "f"))
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        short = kind.to_pandas_dtype()
        return lambda value: _shortest(short(value))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return lambda value: value.decode(errors="replace")
    if pa.types.is_struct(kind):
        of_fields = {field.name: inner for field in kind if (inner := _exact(field.type))}
        return (lambda value: value | _changed(value, of_fields)) if of_fields else None
    if pa.types.is_nested(kind) and hasattr(kind, "value_type") and (inner := _exact(kind.value_type)):
        return lambda value: [None if each is None else inner(each) for each in value]
    return None


def _changed(value: dict[str, Any], of_fields: dict[str, Callable[[Any], Any]]) -> dict[str, Any]:
    return {name: exact(value[name]) for name, exact in of_fields.items() if value[name] is not None}


def _shortest(value: Any) -> Number:
    """Its own digits: 0.1, not the 0.10000000149011612 that it becomes in double precision."""
    if not np.isfinite(value) or value == 0:
        return Number(json.dumps(float(value)))
    if value == np.rint(value) and abs(float(value)) < 1e16:
        return Number(float(value))
    text = np.format_float_positional(value, trim="0") if 1e-4 <= abs(value) < 1e4 else str(value)
    return Number(text)


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _text(value: Any, dumps: Callable[[Any], str]) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return str(value)
    return dumps(value) if isinstance(value, bool | int | float | dict | list) else str(value)
