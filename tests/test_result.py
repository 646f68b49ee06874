"""What becomes of the CSV that is there already: nothing is lost, whatever happens while the new one is written."""

import csv
import errno
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tasks.core.files.own_results import COLUMNS, Origin, note_path, records_of
from tasks.core.output.columns import About
from tasks.core.output.forms.form import answers, missing
from tasks.core.output.result import Written, write_result
from tasks.core.output.rows import ResultRow
from tasks.core.records import Kind, RowAnswer
from tasks.core.text import counted

NAME = "m_test_result.csv"


def origin(job: str, attempt: str = "1") -> Origin:
    return Origin(job=job, name=f"{job} test, m", dataset=f"/data/{job}.jsonl", attempt=attempt)


def rows_of(rows: Iterable[tuple[str, str]]) -> list[ResultRow]:
    """A row for each id and status."""
    kinds = {"success": Kind.ANSWERED, "error": Kind.BLOCKED}
    return [
        ResultRow(i, f"q{i}", RowAnswer(n, i, "k", kinds[status], response=f"answer to {i}"))
        for n, (i, status) in enumerate(rows)
    ]


def all_answered(ids: str) -> list[ResultRow]:
    return rows_of((i, "success") for i in ids)


def write(folder: Path, job: str, ids: str, retryable: int = 0) -> Written:
    return write_result(folder / NAME, About(origin(job)), all_answered(ids), successes=len(ids), retryable=retryable)


def ids_in(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        return "".join(line["id"] for line in csv.DictReader(file))


def results_in(folder: Path) -> dict[str, str]:
    """The ids in every CSV of a folder, by its name."""
    return {path.name: ids_in(path) for path in folder.glob("*.csv")}


def tables_in(folder: Path) -> dict[str, str]:
    """The same of every Parquet file, by the name of the CSV that it belongs to."""
    found = {path.with_suffix(".csv").name: pq.read_table(path, use_threads=False) for path in folder.glob("*.parquet")}
    return {name: "".join(table["id"].to_pylist()) for name, table in found.items()}


@pytest.mark.parametrize(
    ("before", "now"), [("abc", "abc"), ("abc", "cab"), ("abc", "abcd"), ("", "a"), ("aab", "aabb")]
)
def test_a_csv_whose_answers_the_new_one_has_is_replaced(tmp_path: Path, before: str, now: str) -> None:
    """In any order, and as often."""
    assert write(tmp_path, "mine", before).moved is None
    assert write(tmp_path, "mine", now).moved is None
    assert results_in(tmp_path) == {NAME: now}


@pytest.mark.parametrize(
    ("before", "now", "lost"), [("abcde", "ab", 3), ("aab", "ab", 1), ("abc", "abd", 1), ("a", "", 1)]
)
def test_a_csv_with_answers_that_the_new_one_has_not_is_moved_aside(
    tmp_path: Path, before: str, now: str, lost: int
) -> None:
    """Under a name that says whose it is and when it was written, beside the new one."""
    write(tmp_path, "mine", before)
    (record,) = records_of(tmp_path / NAME)
    written = write(tmp_path, "mine", now)
    aside = f"m_test_result.mine.{record.written.astimezone():%Y-%m-%dT%H%M%S}.csv"
    assert results_in(tmp_path) == {NAME: now, aside: before}
    assert written == Written(tmp_path / NAME, tmp_path / aside, f"has {counted(lost, 'answer')} that this run has not")
    assert str(written) == f"{tmp_path / NAME} (the CSV that was there {written.why}: it is now {aside})"


def test_a_table_is_kept_as_its_csv_is(tmp_path: Path) -> None:
    """Moved with it under one name; by itself where it alone is not ours, was edited, or has answers that are gone."""
    write(tmp_path, "mine", "abc")
    write(tmp_path, "mine", "ab")
    write(tmp_path, "other", "x")
    assert tables_in(tmp_path) == results_in(tmp_path)
    assert sorted(tables_in(tmp_path).values()) == ["ab", "abc", "x"]
    table = (tmp_path / NAME).with_suffix(".parquet")
    (tmp_path / NAME).unlink()
    written = write(tmp_path, "other", "y")
    assert written.moved is None
    assert written.note.startswith("the .parquet that was there has 1 answer that this run has not: it is now m_test_")
    table.write_bytes(b"somebody's")
    note_path(table).unlink()
    assert "the .parquet that was there is not known to be a result" in str(write(tmp_path, "other", "y"))
    assert any(path.read_bytes() == b"somebody's" for path in tmp_path.glob("*.unknown.*.parquet"))
    assert write(tmp_path, "other", "y").note == ""


def test_a_row_without_an_answer_keeps_no_csv(tmp_path: Path) -> None:
    """An error row is nothing that was paid for; an answer that became an error is."""
    path = tmp_path / NAME
    for rows, moved in [({"a": "success", "b": "error"}, False), ({"a": "success"}, False), ({"a": "error"}, True)]:
        written = write_result(path, About(origin("mine")), rows_of(rows.items()), successes=1, retryable=0)
        assert bool(written.moved) is moved


def test_the_csv_of_another_job_is_moved_aside_and_never_over_another_file(tmp_path: Path) -> None:
    """Three jobs with one name, whatever the answers: all of them stay."""
    for job in ("one", "two", "three", "one", "two"):
        write(tmp_path, job, "ab")
    names = sorted(results_in(tmp_path))
    assert len(names) == 5
    assert sorted(name.split(".")[1] for name in names) == ["csv", "one", "one", "three", "two"]
    assert "is a result of 'two test, m'" in write(tmp_path, "four", "ab").why


def test_a_csv_that_somebody_edited_is_moved_aside(tmp_path: Path) -> None:
    """Although every answer is in the new one: the notes of its reader are not."""
    write(tmp_path, "mine", "ab")
    (tmp_path / NAME).write_text("id;input_query;note\na;qa;wrong!\n")
    written = write(tmp_path, "mine", "ab")
    assert written.why == "was changed after it was written"
    assert written.moved
    assert written.moved.name.startswith("m_test_result.mine.")
    assert "wrong!" in written.moved.read_text()
    assert records_of(written.moved)  # by which it is still known as a result


@pytest.mark.parametrize("junk", [b"", b"\xff\xfe\x00", b"a,b\n1,2\n", b'"open', b"id,input_query,status\n"])
@pytest.mark.parametrize("note", [None, "", "{", "{}", '{"records": [{"job": 1}]}', "[" * 10_000])
def test_a_file_of_unknown_origin_is_moved_aside(tmp_path: Path, junk: bytes, note: str | None) -> None:
    """Without a note, or with one that cannot be read."""
    path = tmp_path / NAME
    path.write_bytes(junk)
    if note is not None:
        note_path(path).write_text(note)
    written = write(tmp_path, "mine", "a")
    assert written.why == "is not known to be a result"
    assert written.moved
    assert written.moved.name.startswith("m_test_result.unknown.")
    assert written.moved.read_bytes() == junk
    assert write(tmp_path, "mine", "a").moved is None


def test_what_is_no_file_is_moved_aside_unread(tmp_path: Path) -> None:
    """A pipe would be read for ever; a link stays a link, and its target what it was; a folder keeps what is in it."""
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "notes").write_text("mine")
    assert (moved := write(tmp_path, "mine", "a").moved)  # without a second name, which a folder cannot have
    assert (moved / "notes").read_text() == "mine"
    (tmp_path / NAME).unlink()
    os.mkfifo(tmp_path / NAME)
    assert (moved := write(tmp_path, "mine", "a").moved)
    assert moved.is_fifo()
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).symlink_to("nowhere")
    assert (moved := write(tmp_path, "mine", "a").moved)
    assert moved.readlink() == Path("nowhere")
    (tmp_path / "target").write_bytes((tmp_path / NAME).read_bytes())
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).symlink_to("target")
    assert write(tmp_path, "mine", "ab").moved is None
    assert ids_in(tmp_path / "target") == "a"


def test_an_unfinished_csv_with_answers_of_others_is_moved_aside_too(tmp_path: Path) -> None:
    """It goes beside the better one of its job, and nobody's answers go with it."""
    unfinished = "m_test_result_unfinished.csv"
    write(tmp_path, "mine", "abcd")
    assert write(tmp_path, "mine", "ab", retryable=2).path.name == unfinished
    assert write(tmp_path, "mine", "abc", retryable=1) == Written(tmp_path / unfinished)
    written = write(tmp_path, "mine", "ad", retryable=2)
    assert written.moved
    assert ids_in(written.moved) == "abc"
    assert ids_in(tmp_path / unfinished) == "ad"
    assert ids_in(tmp_path / NAME) == "abcd"
    assert write(tmp_path, "other", "x", retryable=2).path.name == NAME  # the better one is not of its job
    assert sorted(results_in(tmp_path).values()) == ["abc", "abcd", "ad", "x"]


def test_a_better_csv_that_somebody_edited_is_left_where_it_is_by_an_unfinished_run(tmp_path: Path) -> None:
    """It has the better claim on the name."""
    write(tmp_path, "mine", "abc")
    path = tmp_path / NAME
    path.write_text(path.read_text() + "d,qd,False,by hand,success,\n")
    assert write(tmp_path, "mine", "ab", retryable=1).path.name == "m_test_result_unfinished.csv"
    assert ids_in(path) == "abcd"


CRASHES = """
import os, shutil, sys
from pathlib import Path
from tests.test_result import NAME, ids_in, results_in, tables_in, write

base = Path(sys.argv[1])

def crash_at(step, folder, job, ids):
    seen = 0
    def count(event, arguments):
        nonlocal seen
        at = str(arguments[0]) if arguments else ""
        if event in ("open", "os.rename", "os.link", "os.remove") and at.startswith(str(folder)):
            seen += 1
            if seen == step:
                os._exit(9)
    sys.addaudithook(count)
    write(folder, job, ids)
    os._exit(0)

def child(step, folder, job, ids):
    pid = os.fork()
    if pid == 0:
        crash_at(step, folder, job, ids)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

for job, ids, kept in [("other", "xy", True), ("mine", "ab", True), ("mine", "abcd", False)]:
    step, code = 0, 9
    while code == 9:
        step += 1
        folder = base / f"{job}-{ids}-{step}"
        folder.mkdir()
        write(folder, "mine", "abc")
        code = child(step, folder, job, ids)
        assert code in (0, 9), code
        after = results_in(folder)
        assert after[NAME] in ("abc", ids), (step, after)
        assert "abc" in after.values() or not kept, (step, after)
        tables = tables_in(folder)
        assert tables[NAME] in ("abc", ids), (step, tables)
        assert "abc" in tables.values() or not kept, (step, tables)
        moved = write(folder, job, ids).moved
        after = results_in(folder)
        assert sorted(after.values()) == (sorted(["abc", ids]) if kept else [ids]), (step, after, moved)
        assert after[NAME] == ids, (step, after)
        assert tables_in(folder) == after, (step, after)
        assert not list(folder.glob(".infer-*")), step
        assert write(folder, job, ids).moved is None
    print(job, ids, step)
"""


def test_a_crash_at_any_step_loses_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """The process ends before each of the calls that open, move or remove a file; the next run finds its way."""
    done = subprocess.run([sys.executable, "-c", CRASHES, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    steps = [int(line.split()[-1]) for line in done.stdout.splitlines()]
    assert len(steps) == 3
    assert min(steps) > 10, done.stdout


WRITER = """
import sys
from pathlib import Path
from tests.test_result import NAME, About, all_answered, origin
from tasks.core.output.result import write_result

def lines():
    yield from all_answered("a")
    print("under way", flush=True)
    sys.stdin.read()
    yield from all_answered("b")

write_result(Path(sys.argv[1]) / NAME, About(origin("mine")), lines(), successes=1, retryable=0)
"""


def test_a_draft_is_swept_up_when_its_writer_is_gone_and_not_before(tmp_path: Path) -> None:
    """Nor is anything else that only looks like one."""
    (tmp_path / ".infer-notes").write_text("mine")
    (tmp_path / ".infer-abcd1234").mkdir()
    os.mkfifo(tmp_path / ".infer-abcd1235")
    others = {".infer-notes", ".infer-abcd1234", ".infer-abcd1235"}
    (tmp_path / ".infer-old_old_").write_text("id,")  # of a version without locks
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]

    def drafts() -> set[str]:
        return {path.name for path in tmp_path.glob(".infer-*")} - others

    try:
        for writer in writers:
            assert writer.stdout
            writer.stdout.readline()
        write(tmp_path, "mine", "a")
        assert len(drafts()) == 4
        writers[0].kill()
        writers[0].wait()
        write(tmp_path, "mine", "a")
        assert len(drafts()) == 2
        writers[1].communicate()
        assert writers[1].returncode == 0
        assert ids_in(tmp_path / NAME) == "ab"
        assert drafts() == set()
        assert others <= {path.name for path in tmp_path.iterdir()}
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def test_two_jobs_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """One after the other they decide what becomes of the other's."""
    script = "import sys; from pathlib import Path; from tests.test_result import write\n"
    script += "sys.stdin.read()\n"
    script += "for n in range(20): write(Path(sys.argv[1]), sys.argv[2] + str(n), sys.argv[2])"
    command = [sys.executable, "-c", script, str(tmp_path)]
    writers = [subprocess.Popen([*command, job], stdin=subprocess.PIPE) for job in "xy"]
    for writer in writers:
        assert writer.stdin
        writer.stdin.close()
    assert [writer.wait(timeout=100) for writer in writers] == [0, 0]
    assert sorted(results_in(tmp_path).values()) == sorted("xy" * 20)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder]).returncode:
        pytest.skip("only root may mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_or_locked_disk_leaves_what_was_there(tiny: Path) -> None:
    """No room for the lines, for the note, or for a file at all; no draft stays."""
    write(tiny, "mine", "abc")
    with pytest.raises(OSError, match="No space left"):
        write(tiny, "mine", "abcd" * 10_000)
    about = os.statvfs(tiny)
    for pages in (0, 1):
        (tiny / "filler").write_bytes(b"x" * (about.f_bavail - pages) * about.f_bsize)
        with pytest.raises(OSError, match="No space left"):
            write(tiny, "other", "abcd")
        assert results_in(tiny) == {NAME: "abc"}
    (tiny / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,ro", tiny], check=True)
    with pytest.raises(OSError, match="Read-only") as caught:
        write(tiny, "mine", "abcd")
    assert caught.value.errno == errno.EROFS
    subprocess.run(["mount", "-o", "remount,rw", tiny], check=True)
    assert results_in(tiny) == {NAME: "abc"}
    assert not list(tiny.glob(".infer-*"))
    assert write(tiny, "mine", "abcd") == Written(tiny / NAME)


def test_csvs_are_compared_in_a_fraction_of_their_size(tmp_path: Path) -> None:
    """A hash a row, not the rows."""
    path = tmp_path / NAME
    rows = [(f"id{n}", f"prompt {n}" * 40, False, "answer" * 50, "success", "") for n in range(30_000)]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(path, index=False)
    del rows
    tracemalloc.start()
    try:
        assert missing(answers(path, ".csv"), answers(path, ".csv")) == 0
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size / 3
    finally:
        tracemalloc.stop()
