"""The table of answers: what it keeps, whom it gives what, and that it may be larger than memory."""

import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.core.checkpoint.layout import StorageError
from tasks.core.checkpoint.table import AnswerTable
from tasks.core.details import Usage
from tasks.core.records import Kind, RowAnswer
from tasks.core.reporting.tally import Tally

ROOT = Path(__file__).parent.parent


def answer(row: int, kind: Kind = Kind.ANSWERED, **fields: Any) -> RowAnswer:
    known: dict[str, Any] = {"row": row, "id": f"i{row}", "key": f"k{row}", "kind": kind}
    return RowAnswer(**known | fields)


def test_an_answer_comes_back_field_by_field() -> None:
    """Every field, of any kind, whatever stands in its texts."""
    given = RowAnswer(3, "id\0", "k", Kind.TRUNCATED, True, "텍스트\r\n", "d", "note", 5, 2**62, 2, "other-model")
    table = AnswerTable()
    table.rows.answer("run-1", [given])
    assert table.rows.of_rows(range(10)) == {3: given}
    assert list(table.kept.newest_first()) == [given]


def test_an_answer_under_way_belongs_to_its_row_and_a_later_one_replaces_a_failure_only() -> None:
    """A chunk may be sent twice, by two machines."""
    table = AnswerTable()
    table.rows.answer("run-1", [answer(0, Kind.TIMEOUT), answer(1, response="first")])
    table.rows.answer("run-1", [answer(0, response="now"), answer(1, Kind.TIMEOUT)])
    assert [(a.kind, a.response) for a in table.rows.of_rows(range(2)).values()] == [
        (Kind.ANSWERED, "now"),
        (Kind.ANSWERED, "first"),
    ]


def test_attempts_come_newest_first_and_those_without_a_date_last() -> None:
    """Dates may become known after the answers."""
    table = AnswerTable()
    for name in ("old-1", "unknown-1", "new-1"):
        table.kept.add(name, [answer(0, response=name)])
    table.kept.know("new-1", datetime(2026, 11, 2, tzinfo=UTC), "s")
    table.kept.know("old-1", datetime(2026, 11, 1, tzinfo=UTC), "s")
    assert [a.response for a in table.kept.newest_first()] == ["new-1", "old-1", "unknown-1"]


def test_the_groups_count_what_the_rows_of_the_run_came_to_and_nothing_else() -> None:
    """Answers of the job that no row asks for are not the run's."""
    table = AnswerTable()
    table.kept.add("earlier-1", [answer(0, prompt_tokens=2), answer(9, prompt_tokens=100)])
    table.matching.ask([("k0", "i0"), ("k1", "i1")])
    assert table.matching.match() == 1
    table.rows.answer("run-1", [answer(1, Kind.BLOCKED, prompt_tokens=3, image_note="broken")])
    groups = {group.kind: group for group in table.rows.groups()}
    assert groups.keys() == {Kind.ANSWERED, Kind.BLOCKED}
    assert (groups[Kind.ANSWERED].rows, groups[Kind.ANSWERED].prompt_tokens) == (1, 2)
    assert (groups[Kind.BLOCKED].image_notes, groups[Kind.BLOCKED].prompt_tokens) == (1, 3)
    assert [a.row for a in table.rows.failed(10)] == [1]


def test_rows_that_ask_the_same_share_an_answer_that_is_counted_once() -> None:
    """One that an earlier run has kept, or one that this run gets; each under its own row and id."""
    table = AnswerTable()
    table.kept.add("earlier-1", [answer(0, response="kept", prompt_tokens=5, timeouts=1)])
    table.matching.ask([("k0", "a"), ("k0", "b"), ("k1", "c"), ("k1", "d"), ("k1", "e"), ("", "f"), ("", "g")])
    assert table.matching.match() == 2
    assert table.repeats.find() == 2
    assert [unmatched.row for unmatched in table.matching.unmatched()] == [2, 5, 6]
    table.rows.answer("run-1", [answer(2, id="c", key="k1", response="new", prompt_tokens=7)])
    assert table.repeats.settle() == 2
    found = table.rows.of_rows(range(7)).values()
    assert [(a.id, a.response, a.prompt_tokens, a.timeouts) for a in found] == [
        *[("a", "kept", 5, 1), ("b", "kept", 0, 0)],
        *[("c", "new", 7, 0), ("d", "new", 0, 0), ("e", "new", 0, 0)],
    ]
    tally = Tally.of_groups(table.rows.groups())
    assert (tally.rows, tally.usage, tally.timeouts) == (5, Usage(12), 1)
    assert (tally.repeats, tally.saved) == (3, Usage(5 + 7 + 7))


def test_rows_without_answers_share_their_failure_and_no_row_gets_the_answer_to_something_else() -> None:
    """The row that was sent may have failed before it had its key; or its media are others by now."""
    table = AnswerTable()
    table.matching.ask([(key, f"i{row}") for row, key in enumerate(["a", "a", "b", "b", "c", "c"])])
    table.repeats.find()
    failed = answer(0, Kind.TIMEOUT, key="of the text alone")
    table.rows.answer("run-1", [failed, answer(2, key="b now"), answer(4, Kind.BLOCKED, key="c")])
    table.repeats.settle()
    kinds = {row: found.kind for row, found in table.rows.of_rows(range(6)).items()}
    assert kinds == {0: "timeout", 1: "timeout", 2: "answered", 4: "blocked", 5: "blocked"}


def test_answers_larger_than_the_memory_they_may_take_come_back_whole() -> None:
    """300 MB of answers in a process that must stay below 200 MB, in the order of the data, not of their arrival."""
    code = """if True:
        from tasks.core.checkpoint.table import AnswerTable
        from tasks.core.records import Kind, RowAnswer
        rows = range(30_000)
        text = lambda row: f"{row} " + "x" * 10_000
        table = AnswerTable()
        own = lambda: int(next(l.split()[1] for l in open("/proc/self/status") if l.startswith("RssAnon"))) // 1024
        before = peak = own()
        for first in range(0, len(rows), 1000):
            some = reversed(rows[first:first + 1000])
            table.rows.answer("run-1", [RowAnswer(r, str(r), str(r), Kind.ANSWERED, response=text(r)) for r in some])
            peak = max(peak, own())
        assert table.matching.matched == len(rows)
        for first in range(0, len(rows), 1000):
            found = table.rows.of_rows(rows[first:first + 1000])
            assert list(found) == list(rows[first:first + 1000])
            assert all(answer.response == text(row) for row, answer in found.items())
            peak = max(peak, own())
        print(peak - before)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 200


def test_a_disk_without_room_is_one_line_with_a_way_out(tmp_path: Path) -> None:
    """The folder of temporary files is named by a variable."""
    table = AnswerTable()
    table.kept._database.run("PRAGMA max_page_count = 10")
    with pytest.raises(StorageError, match="is full; SQLITE_TMPDIR names a folder with more room"):
        table.rows.answer("run-1", [answer(row, response="x" * 1000) for row in range(1000)])


def test_work_on_a_table_grows_with_its_rows_and_not_with_their_square(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matching, compaction of a part of the data or of all, and the CSV: by the steps that SQLite takes."""
    steps = 0
    connect = sqlite3.connect

    def counted(*arguments: Any, **named: Any) -> sqlite3.Connection:
        def step() -> int:
            nonlocal steps
            steps += 1
            return 0

        connection: sqlite3.Connection = connect(*arguments, **named)
        connection.set_progress_handler(step, 100)
        return connection

    monkeypatch.setattr(sqlite3, "connect", counted)

    def work(rows: int) -> int:
        before, table = steps, AnswerTable()
        table.kept.add("old-1", map(answer, range(rows)))
        table.matching.ask((f"k{row}", f"i{row}") for row in range(rows))
        assert table.matching.match() == rows
        assert len(list(table.earlier.by_key(whole=False))) == len(list(table.earlier.by_key(whole=True))) == rows
        assert len(table.rows.of_rows(range(rows))) == rows
        table.matching.ask((f"k{row // 2}", f"i{row}") for row in range(rows))
        assert table.matching.match() == rows
        table.matching.ask((f"new{row // 2}", f"i{row}") for row in range(rows))
        assert table.matching.match() == 0
        assert table.repeats.find() == len(list(table.matching.unmatched())) == rows // 2
        table.rows.answer("run-1", (answer(row, key=f"new{row // 2}") for row in range(0, rows, 2)))
        assert table.repeats.settle() == rows // 2
        return steps - before

    small, large = work(500), work(4000)
    assert large < 12 * small  # 8 times the rows; 64 would be their square
