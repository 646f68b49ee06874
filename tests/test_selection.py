"""Which rows a run is about, by --where, --shuffle and --limit: the same ones everywhere."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from tasks.core.config.parameters import RunConfig
from tasks.core.data import selecting, selection
from tasks.core.data.reader import Reader
from tasks.core.data.selection import counted_off, first_of, shuffled
from tasks.core.data.sources import resolve
from tasks.core.errors import InputError

SEVEN, EIGHT = (5, 0, 8, 4, 7, 1, 3, 6, 2, 9), (9, 1, 4, 0, 2, 6, 7, 5, 3, 8)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf-cache")


def data(folder: Path, rows: int = 10, **more: Any) -> str:
    path = folder / "data.jsonl"
    lines = [
        {"input_query": f"q{n}", "level": ["easy", "hard"][n % 2], "score": n / 10, "a b": n} | more
        for n in range(rows)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def read(path: str, **parameters: Any) -> list[tuple[str, str]]:
    ref = resolve(RunConfig(dataset=path, **parameters))
    found = Reader(ref).samples(range(ref.rows))
    assert [sample.row for sample in found] == list(range(ref.rows))
    return [(sample.id, sample.text) for sample in found]


def numbered(*numbers: int, first: int = 0) -> list[tuple[str, str]]:
    return [(str(n), f"q{n + first}") for n in numbers]


def test_only_rows_for_which_the_condition_holds_are_read_and_keep_their_numbers(tmp_path: Path) -> None:
    """As ids: they are the same whatever is left out. Slices come first, the limit last."""
    path = data(tmp_path)
    assert read(path, where="level == 'hard'") == numbered(1, 3, 5, 7, 9)
    assert read(path, where="level == 'hard' and score | float > 0.4", limit=2) == numbered(5, 7)
    assert read(path, where="row['a b'] | int in [2, 3] or input_query.endswith('9')") == numbered(2, 3, 9)
    assert read(path, where="level == 'hard'", split="test[3:8]") == numbered(0, 2, 4, first=3)
    assert read(path, where="false") == []


def test_a_condition_means_the_same_in_csv_and_in_json(tmp_path: Path) -> None:
    """An empty cell is none there, and a number is one."""
    (tmp_path / "a.csv").write_text("id,input_query,level\n1,a,-7\n2,b,\n")
    (tmp_path / "a.jsonl").write_text('{"id": 1, "input_query": "a", "level": -7}\n{"id": 2, "input_query": "b"}\n')
    for name in ("a.csv", "a.jsonl"):
        assert [i for i, _ in read(str(tmp_path / name), where="level is none")] == ["2"]
        assert [i for i, _ in read(str(tmp_path / name), where="level is not none and -level == (level | abs)")] == [
            "1"
        ]


def test_rows_come_in_an_order_that_the_seed_alone_decides(tmp_path: Path) -> None:
    """On any machine and with any version: these are golden."""
    path = data(tmp_path)
    assert read(path, shuffle=7) == numbered(*SEVEN)
    assert read(path, shuffle=7, limit=3) == numbered(*SEVEN[:3])
    assert read(path, shuffle=8, limit=3) == numbered(*EIGHT[:3])
    assert read(path, shuffle=7, where="level == 'hard'") == numbered(*(n for n in SEVEN if n % 2))


def test_a_sample_is_fair() -> None:
    """Of 100 rows, drawn 10 at a time by 2,000 seeds, each is drawn 200 times, give or take five deviations."""
    counts = [0] * 100
    for seed in range(2000):
        for number in shuffled(counted_off(100), seed, 10).tolist():
            counts[number] += 1
    assert sum(counts) == 20_000
    assert all(abs(count - 200) < 5 * (2000 * 0.1 * 0.9) ** 0.5 for count in counts)


def test_the_first_of_many_are_found_without_holding_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """And are the same."""
    whole = shuffled(counted_off(5000), 3, None)
    monkeypatch.setattr(selection, "_BLOCK", 100)
    assert shuffled(counted_off(5000), 3, 50).tolist() == whole[:50].tolist()
    assert sorted(whole.tolist()) == list(range(5000))


def test_no_more_rows_are_looked_at_than_the_limit_needs() -> None:
    """A condition is asked in order."""
    blocks = counted_off(10)
    assert first_of(blocks, 3).tolist() == [0, 1, 2]

    def endless() -> Any:
        while True:
            yield next(counted_off(4))

    assert first_of(endless(), 6).tolist() == [0, 1, 2, 3, 0, 1]
    assert first_of(endless(), 0).tolist() == []


@pytest.mark.parametrize(
    ("where", "refused"),
    [
        (
            "levle == 'hard'",
            "--where asks for levle, which is no column; columns: input_query, level, score, a b; did you",
        ),
        ("level == ", "--where 'level == ' is no condition"),
        ("level == 'hard' }} {{ 1", "is no condition"),
        ("level > 0.5", "--where 'level > 0.5' cannot be told of row 0: 'easy' is no number"),
        ("level.__class__.__mro__", "cannot be told of row 0"),
    ],
)
def test_a_condition_that_cannot_be_told_is_refused(tmp_path: Path, where: str, refused: str) -> None:
    """Before anything is sent, in one line with a way out."""
    with pytest.raises(InputError) as error:
        resolve(RunConfig(dataset=data(tmp_path), where=where))
    assert refused in error.value.line


def test_a_column_called_like_a_word_of_ours_is_the_column(tmp_path: Path) -> None:
    """`split` and `row` too."""
    path = data(tmp_path, split="hard")
    assert len(read(path, where="split == 'hard'")) == 10
    assert len(read(data(tmp_path), where="split == 'test'")) == 10


def test_a_selection_is_found_once_and_anew_when_the_data_is_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found lies in datasets' cache."""
    path = data(tmp_path)
    first = read(path, where="level == 'hard'")
    with monkeypatch.context() as patch:
        patch.setattr(selecting, "_selected", None)
        assert read(path, where="level == 'hard'") == first
    assert read(data(tmp_path, level="hard"), where="level == 'hard'") == numbered(*range(10))


def test_a_reference_is_small_and_says_no_rows(tmp_path: Path) -> None:
    """It goes to every machine; each finds the rows by itself."""
    ref = resolve(RunConfig(dataset=data(tmp_path, 3000), shuffle=1, where="level == 'hard'"))
    assert ref.rows == 1500
    assert len(repr(ref)) < 1500
