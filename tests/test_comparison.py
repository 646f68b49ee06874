"""Two results on one page: which rows belong together, what differs, where the figures come from."""

import csv
from pathlib import Path
from typing import Any

import pytest

from flows.commands.reports import compare
from tasks.core.costs.prices import price_of
from tasks.core.files.own_results import COLUMNS, Origin
from tasks.core.output.columns import About
from tasks.core.output.report.pairing import By, Pairing
from tasks.core.output.report.sides import Side, SideRow, side_of_file
from tasks.core.output.result import write_result
from tasks.core.output.rows import ResultRow
from tasks.core.records import Kind
from tests.report_rows import answered, failed
from tests.test_html_report import about_in, rows_in


def side(*rows: tuple[str, str]) -> Side:
    """Of (id, prompt)."""
    made = [answered(n, prompt, "a")._replace(id=sample_id) for n, (sample_id, prompt) in enumerate(rows)]
    return Side("s", lambda: iter([SideRow(row, None) for row in made]))


def pairs(left: Side, right: Side) -> tuple[By, list[tuple[Any, Any]]]:
    pairing = Pairing(left, right)
    ids = [tuple(each and each.row.id for each in pair) for pair in pairing.pairs()]
    return pairing.by, ids  # type: ignore[return-value]


def test_rows_that_ask_the_same_stand_beside_each_other() -> None:
    """Each once, in the order of the first, the rest of the second behind; by the most that both have in common."""
    left = side(("1", "p"), ("2", "q"), ("2", "q"), ("3", "r"))
    by_both = [("1", None), ("2", "2"), ("2", None), ("3", None), (None, "1"), (None, "9")]
    assert pairs(left, side(("1", "other"), ("2", "q"), ("9", "r"))) == (By.ID_AND_PROMPT, by_both)
    assert pairs(left, side(("8", "q"), ("9", "x")))[0] == By.PROMPT
    assert pairs(left, side(("3", "x")))[1][3] == ("3", "3")
    assert pairs(left, side(("8", "x")))[1] == [("1", None), ("2", None), ("2", None), ("3", None), (None, "8")]


def written(folder: Path, rows: list[ResultRow]) -> Path:
    origin = Origin(job=folder.name, name=f"data test, {folder.name}", dataset="data", attempt="a")
    about = About(origin, price_of("gemini-2.5-flash"))
    return write_result(folder / "m_test_result.csv", about, rows, successes=1, retryable=0).path


def test_files_are_compared_with_what_their_tables_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both answers, tokens and dollars; what differs can be filtered; hostile text stays text."""
    first = [answered(row, f"question {row}", f"answer {row}</script>") for row in range(6)]
    second = list(first)
    second[1] = answered(1, "question 1", "another answer")
    second[2] = failed(2, Kind.BLOCKED, "prompt: SAFETY")._replace(input_query="question 2")
    second[5] = answered(5, "another question", "answer 5")
    a, b = written(tmp_path / "one", first), written(tmp_path / "two", second)
    page = tmp_path / "c.html"
    assert compare([str(a), str(b), "--output", str(page)]) == 0
    assert capsys.readouterr().out == f"Comparison: {page}\n"
    text = page.read_text()
    assert {group["name"]: group["rows"] for group in about_in(text)["groups"]} == {
        "same answer": 3,
        "answers differ": 1,
        "only A answered": 1,
        "row of A alone": 1,
        "row of B alone": 1,
    }
    assert about_in(text)["sides"] == ["A: data test, one", "B: data test, two"]
    row = rows_in(text)[1]
    assert [each["answer"] for each in row["sides"]] == ["answer 1</script>", "another answer"]
    assert [each["tokens"] for each in row["sides"]] == [[1, 0, 0, 0]] * 2
    assert row["sides"][0]["latency"] == 0.2
    assert "matched by id and prompt" in text
    assert '<td class="label">price</td>' in text
    assert compare([str(a), str(b), "--output", str(page)]) == 0  # it is ours, and made again


def test_a_csv_alone_is_read_as_well(tmp_path: Path) -> None:
    """Without a table beside it, or with one of another time: what it says is there, and no more."""
    path = tmp_path / "old.csv"
    lines = [
        ("1", "q", "True", "long " * 50_000, "success", ""),
        ("2", "q", "False", "cut", "success", "truncated: MAX_TOKENS"),
        ("3", "q", "False", "a", "success", "image: b.png: does not exist"),
        ("4", "q", "False", "", "error", "timeout: no answer"),
        ("5", "q", "False", "", "error", "something else"),
    ]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *lines])
    rows = list(side_of_file(path).rows())
    assert [row.row.answer.kind for row in rows] == ["answered", "truncated", "answered", "timeout", "unsent"]
    assert [row.row.line for row in rows[:4]] == [(*line[:2], line[2] == "True", *line[3:]) for line in lines[:4]]


@pytest.mark.parametrize("name", ["notes.csv", "data.parquet", "page.html"])
def test_what_is_no_result_is_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / name
    path.write_text("a,b\n1,2\n")
    assert compare([str(path), str(path)]) == 2
    assert capsys.readouterr().err.endswith(f"{path} is no result: name a …_result.csv, a …_result.parquet, or a job\n")


def test_a_page_goes_over_no_other_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv_file = written(tmp_path / "one", [answered(0, "q", "a")])
    mine = tmp_path / "mine.html"
    mine.write_text("mine")
    for output in (csv_file, mine):
        before = output.read_bytes()
        assert compare([str(csv_file), str(csv_file), "--output", str(output)]) == 2
        assert "name a file that ends in .html" in capsys.readouterr().err
        assert output.read_bytes() == before
