"""The result in its other forms: JSON Lines, a workbook, a CSV for Excel. What a form cannot hold is said."""

import csv
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.utils.escape import unescape

from tasks.core.config.parameters import RunConfig
from tasks.core.data.data_files import results_among
from tasks.core.files.own_results import COLUMNS, is_result, note_path
from tasks.core.output.columns import NAMES
from tasks.core.output.forms import excel_csv, workbook
from tasks.core.output.forms.excel import harmless
from tasks.core.output.forms.form import forms_of
from tasks.core.output.result import Written, write_result
from tasks.core.output.rows import ResultRow
from tasks.core.records import Kind, RowAnswer
from tests.test_parquet import ABOUT, AT, FULL

ALL = forms_of(RunConfig.model_validate({"format": "jsonl,xlsx", "excel": True}))
TEXTS = ["=1+1", "#N/A", "nul \0 and \x1b", "a\r\nb\rc", "_x0041_ as it is", "한국어 🎉", "\uffff", "-5", " = 1", ""]


def write(folder: Path, texts: Sequence[str]) -> Written:
    rows = [ResultRow("id", text, RowAnswer(n, "", "k", Kind.ANSWERED, response=text)) for n, text in enumerate(texts)]
    return write_result(folder / "m_test_result.csv", ABOUT, rows, successes=1, retryable=0, forms=ALL)


def sheets(path: Path) -> list[list[list[Any]]]:
    """All cells, as Excel would show them."""
    book = openpyxl.load_workbook(path, read_only=True)
    cells = [[[unescape(v) if isinstance(v, str) else v for v in row] for row in s.values] for s in book.worksheets]
    book.close()
    return cells


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forms")
    assert write(folder, TEXTS).note == ""
    return folder


def test_json_lines_have_every_text_as_it_is(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "m_test_result.jsonl").read_text("utf-8").split("\n") if line]
    assert [line["response"] for line in lines] == TEXTS
    assert list(lines[0]) == NAMES


def test_all_that_is_known_of_a_row_stands_in_each_form(tmp_path: Path) -> None:
    write_result(tmp_path / "m.csv", ABOUT, [ResultRow("a", "q", FULL)], successes=1, retryable=0, forms=ALL)
    line = json.loads((tmp_path / "m.jsonl").read_text("utf-8"))
    assert (line["tokens_by_modality"][1]["tokens"], line["sources"][0]["uri"]) == (258, "https://a")
    assert datetime.fromisoformat(line["answered_at"]) == AT
    [[header, cells]] = sheets(tmp_path / "m.xlsx")
    shown = dict(zip(header, cells, strict=True))
    assert header == NAMES
    assert (shown["prompt_tokens"], shown["has_image"], shown["answered_at"]) == (300, True, AT.replace(tzinfo=None))
    assert json.loads(str(shown["sources"])) == line["sources"]


def test_a_workbook_calculates_nothing_and_breaks_over_no_text(folder: Path) -> None:
    """Neither a formula nor an error; what XML cannot hold is written as Excel writes it."""
    [[_, *rows]] = sheets(folder / "m_test_result.xlsx")
    assert [row[3] or "" for row in rows] == TEXTS
    book = openpyxl.load_workbook(folder / "m_test_result.xlsx")
    assert {cell.data_type for row in book["result"].iter_rows(min_col=4, max_col=4) for cell in row} <= {
        "s",
        "inlineStr",
        "n",
    }
    assert all(cell.value is None for cell in book["result"]["D"] if cell.data_type == "n")


def test_the_csv_for_excel_opens_as_utf_8_and_calculates_nothing(folder: Path) -> None:
    """Beside the CSV, which stays as it was."""
    raw = (folder / "m_test_result.excel.csv").read_bytes()
    assert raw.startswith(b'\xef\xbb\xbf"id","input_query"')
    with (folder / "m_test_result.excel.csv").open(encoding="utf-8-sig", newline="") as file:
        read = list(csv.DictReader(file))
    assert [line["response"] for line in read] == ["'=1+1", *TEXTS[1:]]
    with (folder / "m_test_result.csv").open(encoding="utf-8", newline="") as file:
        assert [line["response"] for line in csv.DictReader(file)] == TEXTS


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\uff1d1+1"])
def test_what_excel_would_calculate_is_text(text: str) -> None:
    assert harmless(text) == f"'{text}"
    assert [harmless(number) for number in ("-5", "+1.5", "-1,200.50", "-1e-5", "a=1")] == [
        "-5", "+1.5", "-1,200.50", "-1e-5", "a=1",
    ]  # fmt: skip


def test_what_excel_cannot_hold_is_cut_or_on_a_further_sheet_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No character and no escape is cut in two; the other files have it whole."""
    monkeypatch.setattr(workbook, "MOST_ROWS", 3)
    monkeypatch.setattr(excel_csv, "MOST_ROWS", 3)
    long = ["x" * 32_767, "🎉" * 16_384, "\0" * 10_000]
    written = write(tmp_path, long)
    first, second = sheets(tmp_path / "m_test_result.xlsx")
    assert [first[0], second[0], len(first), len(second)] == [NAMES, NAMES, 3, 2]
    whole, cut, escaped = (str(row[3]) for row in (*first[1:], *second[1:]))
    assert whole == long[0]
    assert cut == "🎉" * 16_379 + " … [cut]"
    assert set(escaped.removesuffix(" … [cut]")) == {"\0"}
    assert written.note == (
        "4 cells of the .xlsx had to be cut: Excel's hold 32,767 characters; "
        "the .xlsx has 2 sheets: Excel's hold 3 rows; "
        "Excel does not show all of the .excel.csv: 2 cells longer than 32,767 characters, lines beyond the first 3"
    )


def test_no_form_of_a_result_is_read_as_data(tmp_path: Path) -> None:
    """Not under another name either, without a note and with a mark before it; somebody's own of such kinds is."""
    write(tmp_path, ["a"])
    for path in tmp_path.glob("m_*"):
        suffix = path.name.removeprefix("m_test_result")
        copy = tmp_path / f"copy{suffix}"
        copy.write_bytes((b"\xef\xbb\xbf" if suffix == ".jsonl" else b"") + path.read_bytes())
        assert is_result(copy), suffix
        path.write_bytes(b"edited")
        assert is_result(path), suffix
        note_path(path).unlink()
        assert not is_result(path), suffix
    assert len(results_among(str(tmp_path))) == 5
    (tmp_path / "own.jsonl").write_text(json.dumps(dict.fromkeys(COLUMNS, "x")))
    openpyxl.Workbook().save(tmp_path / "own.xlsx")
    assert not any(is_result(tmp_path / name) for name in ("own.jsonl", "own.xlsx"))


def test_what_was_written_together_is_moved_aside_together(tmp_path: Path) -> None:
    """Under one name, and told once; alone where it alone was edited."""
    write(tmp_path, ["a", "b"])
    written = write(tmp_path, ["a"])
    assert written.moved
    assert written.note == f"the CSV that was there has 1 answer that this run has not: it is now {written.moved.name}"
    moved = {path.name.removeprefix(written.moved.stem) for path in tmp_path.glob(f"{written.moved.stem}*")}
    assert moved == {".csv", ".parquet", ".jsonl", ".xlsx", ".excel.csv"}
    (tmp_path / "m_test_result.xlsx").write_bytes(b"edited")
    assert write(tmp_path, ["a"]).note.startswith(
        "the .xlsx that was there was changed after it was written: it is now "
    )
