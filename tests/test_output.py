"""The CSV: exact columns, any text, whole or not at all, and the place it goes to."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.core.checkpoint.table import AnswerTable
from tasks.core.config.parameters import RunConfig
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import DatasetRef, resolve
from tasks.core.errors import InputError
from tasks.core.files.own_results import COLUMNS, Origin
from tasks.core.output.columns import About
from tasks.core.output.forms.csv_lines import line_of
from tasks.core.output.place import check_no_input, check_writable, csv_path
from tasks.core.output.result import Written, write_result
from tasks.core.output.rows import ResultRow, result_rows
from tasks.core.records import Kind, RowAnswer
from tasks.core.reporting.tally import Tally

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a machine may be busy

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


OURS = Origin(job="job", name="data test, m", dataset="data", attempt="a")


def write_csv(path: Path, lines: Iterable[ResultRow]) -> Written:
    return write_result(path, About(OURS), lines, successes=0, retryable=0)


def lines_of(texts: list[str]) -> list[ResultRow]:
    return [
        ResultRow(f"id{n}", text, RowAnswer(row=n, id="", key="k", kind=Kind.ANSWERED, response=text))
        for n, text in enumerate(texts)
    ]


@settings(PATIENT, max_examples=200)
@given(st.lists(st.text("ab,\"\n\t ;'\\=", max_size=8), min_size=2, max_size=4))
def test_a_line_is_what_python_s_csv_writes(cells: list[str]) -> None:
    """Byte for byte, as earlier versions wrote it, but for a carriage return alone, which it does not quote."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerow([*cells, True])
    assert line_of([*cells, True]) == file.getvalue()


def test_any_text_comes_back_as_it_was(tmp_path: Path) -> None:
    """By Python's csv and by pandas; a lone carriage return ends no line."""
    path = tmp_path / "out.csv"
    write_csv(path, lines_of([*NASTY, "calm"]))
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

    def lines() -> Iterator[ResultRow]:
        yield from lines_of(["a"])
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_csv(path, lines())
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_quotes_stand_where_they_are_needed(tmp_path: Path) -> None:
    """As people expect of a CSV."""
    write_csv(tmp_path / "out.csv", lines_of(["calm", "a, b"]))
    assert (tmp_path / "out.csv").read_text().splitlines()[1:] == [
        "id0,calm,False,calm,success,",
        'id1,"a, b",False,"a, b",success,',
    ]


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
    result = RowAnswer(row=0, id="", key="", kind=kind, detail="why" if kind is not Kind.ANSWERED else "")
    assert (result.status, result.error_message) == (status, message)
    noted = replace(result, image_note="broken")
    assert noted.error_message.endswith("image: broken")


WRITABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv")


@PATIENT
@given(lines=st.lists(st.tuples(WRITABLE, WRITABLE, WRITABLE), max_size=6), slice_size=st.integers(1, 3))
def test_any_text_survives_the_csv(folder: Path, lines: list[tuple[str, str, str]], slice_size: int) -> None:
    """Ids, prompts and answers of every kind, written in slices of any size."""
    path = folder / "out.csv"
    written = [
        ResultRow(i, text, RowAnswer(row=n, id=i, key="k", kind=Kind.BLOCKED, response=answer, detail=i))
        for n, (i, text, answer) in enumerate(lines)
    ]
    with mock.patch("tasks.core.output.result.AT_ONCE", slice_size):
        write_csv(path, written)
    with path.open(encoding="utf-8", newline="") as file:
        read = [(line["id"], line["input_query"], line["response"]) for line in csv.DictReader(file)]
    assert read == lines
    again = pd.read_csv(io.BytesIO(path.read_bytes()), keep_default_na=False, dtype=str, lineterminator="\n")
    assert list(zip(again["id"], again["input_query"], again["response"], strict=True)) == lines


def test_no_lines_are_a_header(tmp_path: Path) -> None:
    """A run without rows has a CSV like any other."""
    path = tmp_path / "out.csv"
    write_csv(path, [])
    assert path.read_text() == "id,input_query,has_image,response,status,error_message\n"


def test_an_unfinished_draft_is_never_under_the_name_of_the_csv(tmp_path: Path) -> None:
    """Who looks while it is written sees the earlier one, or none."""
    path = tmp_path / "out.csv"

    def lines() -> Iterator[ResultRow]:
        yield from lines_of(["a"])
        assert not path.exists()
        yield from lines_of(["b"])

    write_csv(path, lines())
    assert len(path.read_text().splitlines()) == 3


def test_what_is_written_is_for_its_owner_only(tmp_path: Path) -> None:
    """Prompts and answers are nobody else's; a folder that was there stays as it was."""
    tmp_path.chmod(0o755)
    path = tmp_path / "new" / "newer" / "out.csv"
    write_csv(path, [])
    names = [".out.csv.json", ".out.parquet.json", "out.csv", "out.parquet"]
    assert sorted(file.name for file in path.parent.iterdir()) == names
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    assert [folder.stat().st_mode & 0o777 for folder in list(path.parents)[:3]] == [0o700, 0o700, 0o755]


def config(**parameters: Any) -> RunConfig:
    return RunConfig(**parameters)


def data_set(folder: Path, ids: list[str]) -> DatasetRef:
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps({"id": i, "input_query": f"q{n}"}) + "\n" for n, i in enumerate(ids)))
    return resolve(config(dataset=str(path)))


def results(kinds: list[Kind]) -> dict[int, RowAnswer]:
    rows = [RowAnswer(row=n, id="", key="k", kind=kind, response=f"a{n}") for n, kind in enumerate(kinds)]
    return {result.row: result for result in reversed(rows)}


def ids_and_answers(path: Path) -> list[tuple[str, str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(line["id"], line["input_query"], line["response"]) for line in csv.DictReader(file)]


def assembled(data: DatasetRef, found: dict[int, RowAnswer], path: Path) -> Path:
    tally = Tally.of(found.values())
    answers = AnswerTable()
    answers.rows.answer("run-1", found.values())
    rows = result_rows(open_reader(data), answers.rows, attrgetter("text"))
    return write_result(path, About(OURS), rows, successes=tally.successes, retryable=tally.retryable).path


def test_lines_stand_in_the_order_of_the_data_duplicates_of_an_id_included(tmp_path: Path) -> None:
    """Whatever order the results arrived in."""
    data = data_set(tmp_path, ["b", "a", "b", ""])
    written = assembled(data, results([Kind.ANSWERED] * 4), tmp_path / "out.csv")
    assert ids_and_answers(written) == [("b", "q0", "a0"), ("a", "q1", "a1"), ("b", "q2", "a2"), ("", "q3", "a3")]


@pytest.mark.parametrize(
    ("before", "now", "name"),
    [
        ("AAA", "AAA", "out.csv"),
        ("AAA", "AAT", "out_unfinished.csv"),
        ("AAT", "AAT", "out.csv"),
        ("AAT", "AAA", "out.csv"),
        ("ABB", "ATT", "out.csv"),
        ("AAA", "BBB", "out.csv"),
        ("", "TTT", "out.csv"),
    ],
)
def test_a_better_csv_is_left_alone_by_an_unfinished_run(tmp_path: Path, before: str, now: str, name: str) -> None:
    """Answered, Blocked, Timeout: with open rows and fewer successes than the CSV there, a run writes beside it."""
    kind = {"A": Kind.ANSWERED, "B": Kind.BLOCKED, "T": Kind.TIMEOUT}
    path = tmp_path / "out.csv"
    if before:
        assert assembled(data_set(tmp_path, list("xyz")), results([kind[c] for c in before]), path) == path
    old = path.read_bytes() if before else b""
    written = assembled(data_set(tmp_path, list("xyz")), results([kind[c] for c in now]), path)
    assert written.name == name
    assert len(ids_and_answers(written)) == 3
    assert written == path or path.read_bytes() == old


def test_a_name_that_is_too_long_for_a_file_is_found_out_first(tmp_path: Path) -> None:
    """A long sum of slices makes a long name; with one that just fits, all can be written and moved aside."""
    with pytest.raises(InputError, match="--output-dir"):
        check_writable(csv_path(str(tmp_path), "m", "test[:10]+" * 30))
    longest = tmp_path / ("x" * (255 - len("._unfinished.excel.csv.json")) + ".csv")
    check_writable(longest)
    with pytest.raises(InputError, match="--output-dir"):
        check_writable(longest.with_name(f"x{longest.name}"))
    longest.write_text("somebody's")
    moved = write_csv(longest, []).moved
    assert moved
    assert moved.read_text() == "somebody's"


def test_a_run_may_not_write_over_its_own_data(tmp_path: Path) -> None:
    """A result may be read as data, but not where the new one is going to be."""
    path = csv_path(str(tmp_path), "m", "test")
    unfinished = path.with_name("m_test_result_unfinished.csv")
    for name in (path, unfinished):
        write_csv(name, lines_of(["a"]))
        (tmp_path / "link.csv").unlink(missing_ok=True)
        (tmp_path / "link.csv").symlink_to(name)
        for dataset in (str(name), str(tmp_path / "link.csv")):
            with pytest.raises(InputError, match=r"over its own data.* --output-dir"):
                check_no_input(path, dataset)
            check_no_input(csv_path(str(tmp_path / "other"), "m", "test"), dataset)
    check_no_input(path, str(tmp_path))  # whose results are not read
    path.write_text("id,input_query\n1,a\n")
    path.with_name(f".{path.name}.json").unlink()
    with pytest.raises(InputError, match="over its own data"):
        check_no_input(path, str(tmp_path))


def test_what_a_demo_makes_up_goes_elsewhere() -> None:
    """It is no result."""
    assert csv_path("out", "m", "test", demo=True) == Path("out/demo/m_test_result.csv")
