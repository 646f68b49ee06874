"""A data set that does not fit on the disk is read in windows."""

import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tasks.core.config.command_line import checked
from tasks.core.data import opening
from tasks.core.data.reader import Reader
from tasks.core.data.remote import room, windows
from tasks.core.data.remote.shelf import Shelf
from tasks.core.data.sources import resolve
from tasks.core.errors import InputError
from tests.fake_hub import NAME, FakeHub, in_this_process
from tests.streams import read, texts, write_shards

PART = 10_000


class Parts:
    """Writes parts of 10 kB, and notes how often each and how much there was at once."""

    def __init__(self, parent: Path) -> None:
        self._parent, self._lock = parent, threading.Lock()
        self.fetched: list[int] = []
        self.most = 0

    def fetch(self, number: int, path: Path) -> None:
        table = pa.table({"cell": [number] * (PART // 8)})
        time.sleep(0.001)
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
        with self._lock:
            self.fetched.append(number)
            self.most = max(self.most, self.on_disk())

    def on_disk(self) -> int:
        return sum(path.stat().st_size for path in self._parent.rglob("*.arrow") if path.exists())

    def first(self, shelf: Shelf, number: int) -> int:
        with shelf.held(number, PART + 500, lambda path: self.fetch(number, path)) as table:
            time.sleep(0.0005)
            found: int = table.column("cell")[-1].as_py()
            return found


def test_no_more_is_kept_than_the_budget_and_what_was_used_last_stays(tmp_path: Path) -> None:
    """What was not used for longest goes first."""
    parts, shelf = Parts(tmp_path), Shelf(tmp_path, 3 * (PART + 500))
    for number in (0, 1, 2, 0, 3, 0, 1):
        assert parts.first(shelf, number) == number
    assert parts.fetched == [0, 1, 2, 3, 1]
    assert parts.most <= 3 * (PART + 500)


def test_many_threads_get_their_own_parts_within_the_budget(tmp_path: Path) -> None:
    """None waits for ever, none reads what has gone, and a part that several want is fetched once."""
    parts, shelf = Parts(tmp_path), Shelf(tmp_path, 3 * (PART + 500))
    wanted = [n // 8 for n in range(320)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda number: parts.first(shelf, number), wanted, timeout=60)) == wanted
    assert parts.most <= 3 * (PART + 500)
    assert len(parts.fetched) < 1.5 * len(set(wanted))


def test_a_part_larger_than_the_budget_is_fetched_alone(tmp_path: Path) -> None:
    """Or nothing could ever be read."""
    parts, shelf = Parts(tmp_path), Shelf(tmp_path, PART // 2)
    assert [parts.first(shelf, number) for number in (0, 1, 0)] == [0, 1, 0]
    assert parts.most <= PART + 500


def test_what_could_not_be_fetched_is_fetched_anew(tmp_path: Path) -> None:
    """And whoever waits for it tries itself."""
    parts, shelf = Parts(tmp_path), Shelf(tmp_path, 3 * PART)

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("no route to host")

    with pytest.raises(OSError, match="no route"), shelf.held(0, PART, fail):
        pass
    assert parts.on_disk() == 0
    assert parts.first(shelf, 0) == 0


def test_what_a_killed_process_has_left_is_removed_and_another_ones_is_not(tmp_path: Path) -> None:
    """The folder of a process says whose it is."""
    parts, shelf = Parts(tmp_path), Shelf(tmp_path, PART)
    parts.first(shelf, 0)
    [own] = tmp_path.iterdir()
    host = own.name.rsplit("-", 2)[0]
    dead = tmp_path / f"{host}-999999999-x"
    dead.mkdir()
    Shelf(tmp_path, PART)
    assert not dead.exists()
    assert own.exists()


def make_tight(patch: pytest.MonkeyPatch, budget: int) -> list[tuple[int, int]]:
    """Room for so many bytes. Returns where each part that is fetched starts, and what lies in its folder then."""
    fetch, noted = windows._fetch, []

    def note(part: Any, features: Any, path: Path) -> None:
        fetch(part, features, path)
        noted.append((part.start, sum(each.stat().st_size for each in path.parent.iterdir())))

    patch.setattr(room, "free_bytes", lambda: 4 * budget)
    patch.setattr(windows, "_fetch", note)
    return noted


def test_a_split_that_does_not_fit_is_read_in_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All its rows, images included, as if it were here; each part is fetched once a reading, and few lie on disk."""
    folder = write_shards(tmp_path / "set", 5, 400, group=50)
    size = sum(len(path.read_bytes()) for path in folder.rglob("*.parquet"))
    budget = size // 5
    with FakeHub(folder).running() as hub:
        [whole] = read(tmp_path / "whole", hub.url, {"image_column": "image"})
        hub.given.clear()
        noted = make_tight(monkeypatch, budget)
        [found] = read(tmp_path / "home", hub.url, {"image_column": "image"})
        assert found == whole
        assert len(found["media"]) == 2000
        starts = [start for start, _ in noted]
        given = sum(hub.given.values())
        print(f"{size:,} bytes with room for {budget:,}: {max(held for _, held in noted):,} at once, {given:,} fetched")
        assert max(held for _, held in noted) <= budget
        assert all(starts.count(start) == 2 for start in starts)  # texts, then images, as in planning and sending
        assert given < 2.3 * size
    gc.collect()
    left = list((tmp_path / "home").rglob("*.arrow"))
    assert left == []  # they go with the reader


def test_selections_of_a_split_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A condition and a small sample do without the whole; a shuffle of all of it cannot."""
    folder = write_shards(tmp_path / "set", 5, 400, group=50)
    make_tight(monkeypatch, 300_000)
    with FakeHub(folder).running() as hub:
        hard, limited, shuffled, sample = read(
            tmp_path / "home",
            hub.url,
            {"where": "level == 'hard'"},
            {"split": "test[100:]", "limit": 1500},
            {"shuffle": 1},
            {"shuffle": 1, "limit": 10},
        )
    assert hard["rows"] == texts(range(1, 2000, 2))
    assert limited["rows"] == texts(range(100, 1600))
    assert "does not fit on the disk" in shuffled["refused"]
    assert "HF_HOME" in shuffled["refused"]
    assert len(sample["rows"]) == 10


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda free: monkeypatch.setattr(room, "free_bytes", lambda: free)


def write_text(folder: Path, files: int, rows: int) -> int:
    """CSV files with numbers that are no numbers; returns the bytes of one."""
    folder.mkdir()
    for n in range(files):
        lines = [f'{i:05},"q{i}, {"x" * 50}",{i % 10}\n' for i in range(n * rows, (n + 1) * rows)]
        (folder / f"test-{n:05}-of-{files:05}.csv").write_text("id,input_query,level\n" + "".join(lines))
    return (folder / f"test-00000-of-{files:05}.csv").stat().st_size


def opened(**parameters: Any) -> tuple[list[list[str]], Reader]:
    ref = resolve(checked({"dataset": NAME, **parameters}))
    reader = Reader(ref)
    return [[sample.id, sample.text] for span in reader.spans() for sample in reader.samples(span)], reader


def test_text_that_does_not_fit_is_read_in_windows(tmp_path: Path, tight: Callable[[int], None]) -> None:
    """File after file, every cell as it is written; all of them are read once before, and not in the next process."""
    one = write_text(tmp_path / "set", 6, 200)
    expected = [[f"{i:05}", f"q{i}, {'x' * 50}"] for i in range(1200)]
    with in_this_process(tmp_path / "set", tmp_path / "home") as hub:
        tight(4 * one)
        found, reader = opened(image_column=None)
        assert found == expected
        assert [hub.fetched.count(name) for name in hub.files] == [2] * 6
        kept = sum(path.stat().st_size for path in (tmp_path / "home").rglob("*") if path.is_file())
        assert kept < 3 * one
        opening._load_from_hub.cache_clear()
        hub.fetched.clear()
        assert opened(split="test[150:250]+test[-5:]")[0] == expected[150:250] + expected[-5:]
        assert sorted(hub.fetched) == [f"test-{n:05}-of-00006.csv" for n in (0, 1, 5)]
        assert opened(where="level == 3")[0] == expected[3::10]
        assert opened(limit=5)[0] == expected[:5]
        with pytest.raises(InputError, match="rows in a random order need all of it"):
            opened(shuffle=1)
        assert reader.samples(range(700, 701))[0].id == "00700"


def test_what_is_wrong_with_text_in_windows_is_found_before_a_row_is_read(
    tmp_path: Path, tight: Callable[[int], None]
) -> None:
    """In any of its files, and between them; columns are those of all files."""
    one = write_text(tmp_path / "set", 3, 200)
    last = tmp_path / "set" / "test-00002-of-00003.csv"
    whole = last.read_text()
    tight(4 * one)
    for content, says in ((whole + "1,2\n", "line 202: 2 cells"), (whole.replace("level", "grade"), "other columns")):
        last.write_text(content)
        with in_this_process(tmp_path / "set", tmp_path / "home"), pytest.raises(InputError, match=says):
            opened()
    for file in (tmp_path / "set").iterdir():
        file.unlink()
    for n, cell in enumerate(('"a"', '["b"]')):
        (tmp_path / "set" / f"test-{n:05}-of-00002.jsonl").write_text(f'{{"id": {n}, "input_query": {cell}}}\n' * 50)
    tight(4000)
    with in_this_process(tmp_path / "set", tmp_path / "json"):
        found, _ = opened()
        assert [found[0], found[-1]] == [["0", "a"], ["1", '["b"]']]


def test_what_cannot_be_read_in_windows_is_refused_before_it_is_fetched(
    tmp_path: Path, tight: Callable[[int], None]
) -> None:
    """With ways out; the first rows can be had."""
    write_text(tmp_path / "set", 1, 1000)
    with in_this_process(tmp_path / "set", tmp_path / "home") as hub:
        tight(1000)
        with pytest.raises(
            InputError, match=r"does not fit on the disk \(1,000 bytes are free\); its largest file alone"
        ):
            opened()
        assert not [name for name in hub.given if name.endswith(".csv")]
        assert len(opened(limit=5)[0]) == 5
