"""Cells of columns with types as text, digit for digit: Parquet and Arrow files."""

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.config.parameters import RunConfig
from tasks.core.data.cells import texts as texts_of
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import resolve
from tasks.core.errors import InputError


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / ".hf-cache")


def texts(path: Path, column: pa.Array) -> list[str]:
    pq.write_table(pa.table({"input_query": column}), path / "a.parquet")
    ref = resolve(RunConfig(dataset=str(path / "a.parquet")))
    return [sample.text for sample in open_reader(ref).samples(range(ref.rows))]


@pytest.mark.parametrize(
    ("cells", "kind", "expected"),
    [
        ([Decimal("1.10"), Decimal("0.000000123"), Decimal(0)], pa.decimal128(20, 9),
         ["1.100000000", "0.000000123", "0.000000000"]),
        ([[Decimal("1.10"), None]], pa.list_(pa.decimal128(5, 2)), ["[1.10, null]"]),
        ([[0.1, None], None], pa.list_(pa.float32()), ["[0.1, null]", ""]),
        ([{"a": 0.1, "b": ["x"]}], pa.struct([("a", pa.float32()), ("b", pa.list_(pa.string()))]),
         ['{"a": 0.1, "b": ["x"]}']),
        ([0.1, 123456792.0, 1e-7, 1e20, float("nan")], pa.float32(), ["0.1", "123456792.0", "1e-07", "1e+20", "NaN"]),
        ([0.1, 65504.0], pa.float16(), ["0.1", "65504.0"]),
        ([0.1, 1e16, -0.0, float("inf")], pa.float64(), ["0.1", "1e+16", "-0.0", "Infinity"]),
        ([3723000000001, 3723000000000, None], pa.time64("ns"), ["01:02:03.000000001", "01:02:03", ""]),
        ([253402300800000000], pa.timestamp("us"), ["10000-01-01 00:00:00.000000"]),
        ([datetime.datetime(2024, 1, 2, 3)], pa.timestamp("us", "Asia/Seoul"), ["2024-01-02 12:00:00+09:00"]),
        ([datetime.timedelta(days=1, seconds=1)], pa.duration("s"), ["1 day, 0:00:01"]),
        ([True, None], pa.bool_(), ["true", ""]),
        (['"x"', "\n", ""], pa.string(), ['"x"', "\n", ""]),
        ([["안녕", '"', None]], pa.list_(pa.string()), ['["안녕", "\\"", null]']),
    ],
)  # fmt: skip
def test_cells_keep_their_digits(tmp_path: Path, cells: list[Any], kind: pa.DataType, expected: list[str]) -> None:
    """Also those deep in a list, and those that Python's own types have no room for."""
    assert texts(tmp_path, pa.array(cells, kind)) == expected


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (pa.array([b"abc"]), "holds bytes, which are no text; write it anew as text"),
        (
            pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
            "column 'input_query' is a map<",
        ),
    ],
)
def test_what_cannot_be_text_is_refused_with_its_column(tmp_path: Path, column: pa.Array, says: str) -> None:
    """And with the way out."""
    with pytest.raises(InputError) as refused:
        texts(tmp_path, column)
    assert says in str(refused.value)


def test_letters_that_are_no_utf_8_are_refused_with_their_row(tmp_path: Path) -> None:
    """A program has written them into a column of text. Where nobody could look beforehand, they are U+FFFD."""
    cells = pa.array([b"fine", b"caf\xe9"]).view(pa.string())
    with pytest.raises(InputError, match=r"a.parquet, row 1: input_query holds bytes that are no text in UTF-8"):
        texts(tmp_path, cells)
    for column in (cells, cells.cast(pa.large_binary()).view(pa.large_string())):
        assert texts_of(pa.chunked_array([column.slice(1), column]), None) == ["caf\ufffd", "fine", "caf\ufffd"]
