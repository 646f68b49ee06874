"""A data set that does not fit on the disk is read in windows."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.core.data.remote.shelf import Shelf
from tests.fake_hub import FakeHub
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


# Room for a fifth of the data; every window's folder is measured after each part, and each part's fetching is counted.
TIGHT = """
import json
from pathlib import Path
from tasks.core.data.remote import of_hub, parquet_rows, shelf, windows
of_hub.free_bytes = parquet_rows.free_bytes = lambda: 4 * BUDGET
fetch, log = windows._fetch, Path("LOG")
def noted(part, features, path):
    fetch(part, features, path)
    held = sum(each.stat().st_size for each in path.parent.iterdir())
    with log.open("a") as file:
        file.write(json.dumps([part.start, held]) + chr(10))
windows._fetch = noted
"""


def test_a_split_that_does_not_fit_is_read_in_windows(tmp_path: Path) -> None:
    """All its rows, images included, as if it were here; each part is fetched once a reading, and few lie on disk."""
    folder = write_shards(tmp_path / "set", 5, 400, group=50)
    size = sum(len(path.read_bytes()) for path in folder.rglob("*.parquet"))
    budget = size // 5
    log = tmp_path / "log"
    setup = TIGHT.replace("BUDGET", str(budget)).replace("LOG", str(log))
    with FakeHub(folder).running() as hub:
        [whole] = read(tmp_path / "whole", hub.url, {"image_column": "image"})
        hub.given.clear()
        [found] = read(tmp_path / "home", hub.url, {"image_column": "image"}, setup=setup)
        assert found == whole
        assert len(found["media"]) == 2000
        noted = [tuple(map(int, line.strip("[]\n").split(","))) for line in log.read_text().splitlines()]
        starts = [start for start, _ in noted]
        given = sum(hub.given.values())
        print(f"{size:,} bytes with room for {budget:,}: {max(held for _, held in noted):,} at once, {given:,} fetched")
        assert max(held for _, held in noted) <= budget
        assert all(starts.count(start) == 2 for start in starts)  # texts, then images, as in planning and sending
        assert given < 2.3 * size
    left = list((tmp_path / "home").rglob("*.arrow"))
    assert left == []  # they go with the process


def test_selections_of_a_split_that_does_not_fit(tmp_path: Path) -> None:
    """A condition and a small sample do without the whole; a shuffle of all of it cannot."""
    folder = write_shards(tmp_path / "set", 5, 400, group=50)
    setup = TIGHT.replace("BUDGET", "300_000").replace("LOG", str(tmp_path / "log"))
    with FakeHub(folder).running() as hub:
        hard, limited, shuffled, sample = read(
            tmp_path / "home",
            hub.url,
            {"where": "level == 'hard'"},
            {"split": "test[100:]", "limit": 1500},
            {"shuffle": 1},
            {"shuffle": 1, "limit": 10},
            setup=setup,
        )
    assert hard["rows"] == texts(range(1, 2000, 2))
    assert limited["rows"] == texts(range(100, 1600))
    assert "does not fit on the disk" in shuffled["refused"]
    assert "HF_HOME" in shuffled["refused"]
    assert len(sample["rows"]) == 10


def test_text_that_does_not_fit_is_refused_before_it_is_fetched(tmp_path: Path) -> None:
    """With ways out; the first rows can be had."""
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "test.csv").write_text("id,input_query\n" + "".join(f"{n},q{n}\n" for n in range(1000)))
    setup = TIGHT.replace("BUDGET", "1000").replace("LOG", str(tmp_path / "log"))
    with FakeHub(folder).running() as hub:
        [found] = read(tmp_path / "home", hub.url, {}, setup=setup)
        assert "some/set test does not fit on the disk (4,000 bytes are free); pass --limit" in found["refused"]
        assert "test.csv" not in hub.given
        assert len(read(tmp_path / "home", hub.url, {"limit": 5}, setup=setup)[0]["rows"]) == 5
