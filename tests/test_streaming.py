"""Only what is asked is fetched from the Hub: the split's own files, or the rows alone."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from tasks.core.data.selection import counted_off, shuffled
from tests.fake_hub import FakeHub
from tests.streams import read, rows_of, texts, write_shards


def data_files(hub: FakeHub) -> set[str]:
    return {name for name in hub.given if name.startswith("data/")}


def images(numbers: Any, rows: int, size: int = 2_000) -> list[list[str]]:
    """Hashes of the images of rows, `rows` of them a shard."""
    shards = {n // rows: rows_of(rows, n // rows * rows, size)["image"] for n in numbers}
    return [[hashlib.sha1(shards[n // rows][n % rows]["bytes"]).hexdigest()] for n in numbers]


def test_only_the_files_of_the_split_are_fetched_and_a_broken_one_of_another_blocks_nothing(tmp_path: Path) -> None:
    """Of Parquet too, whose whole table datasets makes."""
    folder = write_shards(tmp_path / "set", 2, 30)
    (folder / "data" / "train-00000-of-00001.parquet").write_bytes(b"broken")
    with FakeHub(folder).running() as hub:
        [found] = read(tmp_path / "home", hub.url, {"image_column": "image"})
        assert found == {"rows": texts(range(60)), "media": images(range(60), 30)}
        assert data_files(hub) == {"data/test-00000-of-00002.parquet", "data/test-00001-of-00002.parquet"}


@pytest.mark.parametrize("asked", [{"limit": 100}, {"split": "test[:100]"}, {"limit": 100, "streaming": True}])
def test_a_hundred_rows_of_ten_shards_fetch_little_more_than_themselves(tmp_path: Path, asked: dict[str, Any]) -> None:
    """And are, to the byte, the first ones of the whole data set; a second process asks nobody for data."""
    folder = write_shards(tmp_path / "set", 10, 200)
    shard = len((folder / "data" / "test-00000-of-00010.parquet").read_bytes())
    with FakeHub(folder).running() as hub:
        [found] = read(tmp_path / "home", hub.url, asked | {"image_column": "image"})
        given = sum(hub.given[name] for name in data_files(hub))
        print(f"{given:,} bytes for 100 rows; a shard of 200 has {shard:,}, all ten {10 * shard:,}")
        assert found == {"rows": texts(range(100)), "media": images(range(100), 200)}
        assert given < 0.8 * shard
        hub.given.clear()
        assert read(tmp_path / "home", hub.url, asked | {"image_column": "image"}) == [found]
        assert not hub.given


def test_staged_rows_are_those_of_the_whole_data_set(tmp_path: Path) -> None:
    """Classes by name, ids beyond 2^63, floats in their own digits, whatever way they come."""
    folder = write_shards(tmp_path / "set", 3, 30)
    template = "{{ level }} {{ score }} {{ id }}"
    with FakeHub(folder).running() as hub:
        found = read(
            tmp_path / "home",
            hub.url,
            *({"prompt_template": template, "image_column": "image"} | more for more in [{}, {"streaming": True}]),
            {"prompt_template": template, "image_column": "image", "split": "test[25:70]"},
        )
    assert found[0] == found[1]
    assert found[0]["rows"][3][2:] == [2**63 + 3, "hard", "0.3"]
    assert found[2] == {"rows": found[0]["rows"][25:70], "media": found[0]["media"][25:70]}
    assert found[0]["media"] == images(range(90), 30)


def test_of_text_files_only_the_first_are_fetched(tmp_path: Path) -> None:
    """Whole, one after another, until there are rows enough; without the Hub, a few are not taken for all."""
    folder = tmp_path / "set"
    (folder / "data").mkdir(parents=True)
    for n in range(5):
        lines = [f'{{"id": "{i}", "input_query": "q{i}", "last": {i % 10 // 9}}}\n' for i in range(10 * n, 10 * n + 10)]
        (folder / "data" / f"test-{n:05}-of-00005.jsonl").write_text("".join(lines))
    (folder / "README.md").write_text("A card.\n")
    files = [f"data/test-{n:05}-of-00005.jsonl" for n in range(5)]
    with FakeHub(folder).running() as hub:
        home = tmp_path / "home"
        assert read(home, hub.url, {"limit": 12})[0]["rows"] == [[str(n), f"q{n}"] for n in range(12)]
        assert data_files(hub) == set(files[:2])
        assert read(home, hub.url, {"split": "test[5:21]"})[0]["rows"] == [[str(n), f"q{n}"] for n in range(5, 21)]
        assert data_files(hub) == set(files[:3])
        offline = read(home, hub.url, {"limit": 12}, {}, offline=True)
        assert len(offline[0]["rows"]) == 12
        assert (
            "2 files of some/set test have not been fetched (data/test-00003-of-00005.jsonl)" in offline[1]["refused"]
        )
        where = {"where": "last == '1'", "limit": 4}
        assert read(home, hub.url, where)[0]["rows"] == [[str(n), f"q{n}"] for n in (9, 19, 29, 39)]
        assert data_files(hub) == set(files[:4])


def test_of_a_random_sample_only_its_row_groups_are_fetched(tmp_path: Path) -> None:
    """The same rows, in the same order, as of a data set that is here; ids are the numbers in the split."""
    folder = write_shards(tmp_path / "set", 4, 500, group=10)
    size = sum(len(path.read_bytes()) for path in folder.rglob("*.parquet"))
    expected = shuffled(counted_off(2000), 7, 10).tolist()
    with FakeHub(folder).running() as hub:
        asked = {"shuffle": 7, "limit": 10, "id_column": None, "image_column": "image"}
        [found] = read(tmp_path / "home", hub.url, asked)
        given = sum(hub.given[name] for name in data_files(hub))
        print(f"{given:,} bytes of {size:,} for 10 random rows of 2,000")
        assert found["rows"] == [[str(n), f"question {n}"] for n in expected]
        assert found["media"] == images(expected, 500)
        assert given < 0.15 * size


def test_a_condition_fetches_its_own_columns_and_then_the_rows_that_it_leaves(tmp_path: Path) -> None:
    """Until the limit is reached; a shuffle comes between the two. As of a data set that is here."""
    folder = write_shards(tmp_path / "set", 4, 500, group=50)
    shard = len((folder / "data" / "test-00000-of-00004.parquet").read_bytes())
    late = "level == 'hard' and id >= 9223372036854775808 + 480"
    with FakeHub(folder).running() as hub:
        home = tmp_path / "home"
        [found] = read(home, hub.url, {"where": late, "limit": 20})
        assert found["rows"] == texts(range(481, 520, 2))
        given = sum(hub.given[name] for name in data_files(hub))
        print(f"{given:,} bytes for 20 rows, past 480 others; a shard of 500 has {shard:,}")
        assert given < 0.4 * shard
        sampled = {"where": late, "limit": 5, "shuffle": 3}
        drawn = shuffled([np.arange(481, 2000, 2)], 3, 5).tolist()
        assert read(home, hub.url, sampled)[0]["rows"] == texts(drawn)
        assert read(home, hub.url, {"where": late})[0]["rows"] == texts(range(481, 2000, 2))
        assert read(home, hub.url, {"where": late, "split": "test[25%:50%]"})[0]["rows"] == texts(range(501, 1000, 2))
        refused = read(home, hub.url, {"where": "levle == 'hard'", "limit": 5}, {"where": "image is none", "limit": 5})
        assert "--where asks for levle, which is no column; columns: id, " in refused[0]["refused"]
        assert "did you mean 'level'?" in refused[0]["refused"]
        assert "column image, which holds media" in refused[1]["refused"]


def test_memory_stays_flat_however_many_rows_are_streamed(tmp_path: Path) -> None:
    """Peaks of processes that stream 1,000 and 100,000 rows of a few hundred bytes."""
    folder = write_shards(tmp_path / "set", 4, 25_000, group=5_000, size=300)
    peaks = {}
    with FakeHub(folder).running() as hub:
        for rows in (1_000, 100_000):
            environ = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / f"home{rows}")}
            done = subprocess.run(
                [sys.executable, "-c", PEAK, str(rows)], env=os.environ | environ, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr[-2000:]
            peaks[rows] = int(done.stdout)
    print(f"anonymous memory at most, MB: {peaks}")
    assert peaks[100_000] - peaks[1_000] < 60


PEAK = """
import sys, threading, time
from tasks.core.config.parameters import RunConfig
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import resolve
peak, rows = 0, int(sys.argv[1])
def watch():  # without what is mapped from disk, which the system takes back when it likes
    global peak
    while True:
        with open("/proc/self/status") as file:
            peak = max(peak, next(int(line.split()[1]) for line in file if line.startswith("RssAnon")))
        time.sleep(0.005)
threading.Thread(target=watch, daemon=True).start()
reader = open_reader(resolve(RunConfig(dataset="some/set", streaming=True, limit=rows, image_column="image")))
read = sum(len(reader.samples(span)) for span in reader.spans())
assert read == rows
print(peak // 1000)
"""


def test_what_the_card_says_of_files_and_columns_holds_for_the_rows_alone_too(tmp_path: Path) -> None:
    """Two configurations, whose classes have their names from the card."""
    folder = write_shards(tmp_path / "set", 2, 30)
    for path in folder.rglob("*.parquet"):  # without what datasets would know of the columns by the file
        pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    (folder / "other").mkdir()
    (folder / "other" / "o.parquet").write_bytes(b"broken")
    (folder / "README.md").write_text(CARD)
    template = {"dataset_config": "main", "prompt_template": "{{ level }} {{ row }}", "image_column": "image"}
    with FakeHub(folder).running() as hub:
        found = read(tmp_path / "home", hub.url, template, template | {"limit": 5}, template | {"split": "test[-5:]"})
        assert not hub.given["other/o.parquet"]
    assert found[0]["rows"][1][2:] == [2**63 + 1, "question 1", "difficult", "0.1"]
    assert found[1] == {"rows": found[0]["rows"][:5], "media": found[0]["media"][:5]}
    assert found[2] == {"rows": found[0]["rows"][-5:], "media": found[0]["media"][-5:]}


CARD = """---
configs:
- config_name: main
  data_files:
  - {split: test, path: "data/test-*"}
- config_name: other
  data_files:
  - {split: test, path: "other/*"}
dataset_info:
- config_name: main
  features:
  - {name: id, dtype: uint64}
  - {name: input_query, dtype: string}
  - name: level
    dtype: {class_label: {names: {"0": simple, "1": difficult}}}
  - {name: score, dtype: float32}
  - {name: image, dtype: image}
---
"""


def test_pictures_of_another_split_are_not_fetched(tmp_path: Path) -> None:
    """What datasets reads for this program comes from the split's own files as well, and selections hold."""
    folder = tmp_path / "set"
    for split in ("test", "train"):
        (folder / split).mkdir(parents=True)
        lines = [f"{n}.png,{n:03},q{n}\n" for n in range(4)]
        (folder / split / "metadata.csv").write_text("file_name,id,input_query\n" + "".join(lines))
        for n in range(4):
            Pillow.new("RGB", (8, 8), (n, 0, 0)).save(folder / split / f"{n}.png")
    with FakeHub(folder).running() as hub:
        [found] = read(tmp_path / "home", hub.url, {"image_column": "image", "where": "id > '000'", "limit": 2})
        assert not [name for name in hub.given if name.startswith("train/")]
    assert found["rows"] == [["001", "q1"], ["002", "q2"]]
    assert found["media"] == [[hashlib.sha1((folder / "test" / f"{n}.png").read_bytes()).hexdigest()] for n in (1, 2)]
