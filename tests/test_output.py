"""The CSV: exact columns, any text, whole or not at all."""

import csv
from pathlib import Path

import pandas as pd
import pytest

from tasks.core.errors import InputError
from tasks.core.records import Kind, RowResult, Sample
from tasks.output import COLUMNS, _line, _quoting, check_writable, csv_path, write_csv

NASTY = [
    "plain",
    "comma, quote \" and 'apostrophe'",
    "two\nlines",
    "old\rmac",
    "dos\r\nlines",
    "한국어 🎉",
    "",
    " edges ",
    "=1+1",
]


def frame_of(texts: list[str]) -> pd.DataFrame:
    lines = [
        _line(Sample(n, f"id{n}", text), RowResult(row=n, id="", key="k", kind=Kind.ANSWERED, response=text))
        for n, text in enumerate(texts)
    ]
    return pd.DataFrame(lines, columns=COLUMNS)


def test_any_text_comes_back_as_it_was(tmp_path: Path) -> None:
    """By Python's csv and by pandas; a lone carriage return ends no line."""
    path = tmp_path / "out.csv"
    write_csv(path, [frame_of(NASTY), frame_of(["calm"])])
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["input_query"] for line in lines] == [*NASTY, "calm"]
    assert [line["response"] for line in lines] == [*NASTY, "calm"]
    again = pd.read_csv(path, keep_default_na=False, lineterminator="\n")
    assert list(again.columns) == COLUMNS
    assert list(again["response"]) == [*NASTY, "calm"]
    assert path.read_bytes().startswith(b"id,input_query,has_image,response,status,error_message\n")


def test_a_csv_is_whole_or_not_written(tmp_path: Path) -> None:
    """An error half-way leaves what was there, and no litter."""
    path = tmp_path / "out.csv"
    path.write_text("earlier")

    def frames():  # type: ignore[no-untyped-def]
        yield frame_of(["a"])
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_csv(path, frames())
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_calm_slice_is_not_quoted() -> None:
    """Quotes where they are needed, as people expect of a CSV."""
    assert _quoting(frame_of(["a, b", "c\nd"])) == csv.QUOTE_MINIMAL


@pytest.mark.parametrize(
    ("model", "split", "name"),
    [
        ("gemini-2.5-flash", "test", "gemini-2.5-flash_test_result.csv"),
        ("models/a:b", "train[:10%]", "models_a_b_train[__10%]_result.csv"),
        ("../../etc", "a+b", ".._.._etc_a+b_result.csv"),
    ],
)
def test_a_file_name_holds_only_what_it_can(model: str, split: str, name: str) -> None:
    """And never leads out of the folder."""
    assert csv_path("out", model, split.replace("[:", "[::") if "10%" in split else split).name == name


def test_a_folder_that_cannot_be_written_is_found_out_first(tmp_path: Path) -> None:
    """Not after the last row."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="--output-dir"):
        check_writable(tmp_path / "file" / "out.csv")
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(InputError, match="--output-dir"):
        check_writable(tmp_path / "out.csv")


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [
        (Kind.ANSWERED, "success", ""),
        (Kind.TRUNCATED, "success", "truncated: why"),
        (Kind.BLOCKED, "error", "blocked: why"),
        (Kind.TIMEOUT, "error", "timeout: why"),
    ],
)
def test_status_and_message_say_what_became_of_a_row(kind: Kind, status: str, message: str) -> None:
    """`<kind>: <detail>`, empty for an answer."""
    result = RowResult(row=0, id="", key="", kind=kind, detail="why")
    assert (result.status, result.error_message) == (status, message)
    noted = result.model_copy(update={"image_note": "broken"})
    assert noted.error_message.endswith("image: broken")
