"""A result on the Hub: all of it in one commit, private, and never over what is somebody else's."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError

from tasks.core.config.generation import GenerateConfig
from tasks.core.config.parameters import RunConfig
from tasks.core.errors import InputError
from tasks.core.files.own_results import is_result
from tasks.core.media.cell import Cell
from tasks.core.output.columns import NAMES
from tasks.core.output.hub import shards
from tasks.core.output.hub.card import Pushed, card_of, split_name
from tasks.core.output.hub.push import Target, push
from tasks.core.output.hub.shards import media_of, write_shards
from tasks.core.output.rows import ResultRow
from tasks.core.records import Kind, MediaUri, RowAnswer
from tasks.core.reporting.tally import Tally
from tests.media_samples import pdf, picture
from tests.push_hub import TOKEN, PushHub
from tests.test_parquet import ABOUT, written

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of the Hub's own library
NAME = "org/answers"
PNG, PDF = picture("PNG"), pdf()
ANSWERS = [RowAnswer(n, f"r{n}", "k", Kind.ANSWERED, response=f"a{n}") for n in range(5)]
RESULT = Pushed(
    ABOUT.origin,
    "test[:5]",
    GenerateConfig(model="m", system_instruction="Say `yes`.\n```", generation_config={"temperature": 0}),
    "{{ question }}",
    Tally.of(ANSWERS),
    "$1.25",
)


class Media:
    """A MediaReader: the first row has an image and a PDF, the second a broken image, the third a file elsewhere."""

    has_columns = True

    def cells(self, row: int) -> Sequence[Cell]:
        return {0: [Cell("a", PNG), Cell("b", PDF, False)], 1: [Cell("a", PNG[:20])], 2: [Cell("a", None)]}.get(row, [])

    def read(self, cell: Cell) -> Any:
        return cell.value if cell.value else MediaUri("gs://bucket/a.png", "image/png")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[PushHub]:
    with PushHub().running() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HUGGINGFACE_TOKEN", TOKEN)
        yield running


def table(folder: Path, answers: Sequence[RowAnswer] = ANSWERS) -> Path:
    return written(folder, [ResultRow(each.id, "q", each) for each in answers])


def test_a_result_is_pushed_with_media_and_card_in_one_private_commit(hub: PushHub, tmp_path: Path) -> None:
    """And nothing waits beside it any more."""
    before = table(tmp_path)
    there = sorted(tmp_path.iterdir())
    assert push(Target(NAME), RESULT, before, media_of(Media())) == f"{hub.url}/datasets/{NAME}"
    pushed = hub.sets[NAME]
    assert (pushed.private, pushed.commits, sorted(pushed.files)) == (
        True,
        1,
        ["README.md", "data/test_5-00000.parquet"],
    )
    assert sorted(tmp_path.iterdir()) == there
    rows = pq.read_table(io.BytesIO(pushed.files["data/test_5-00000.parquet"]))
    assert rows.column_names == [*NAMES, "images", "media"]
    assert rows.select(NAMES).to_pylist() == pq.read_table(before).to_pylist()
    assert rows["images"].to_pylist() == [[{"bytes": PNG, "path": None}], [], [], [], []]
    assert [media["path"] or media["bytes"] for found in rows["media"].to_pylist() for media in found] == [
        PDF, "gs://bucket/a.png",
    ]  # fmt: skip


def test_datasets_opens_the_pushed_images(tmp_path: Path) -> None:
    [file] = write_shards(table(tmp_path), media_of(Media()), tmp_path)
    read = datasets.load_dataset("parquet", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    assert read[0]["images"][0].format == "PNG"
    assert is_result(file)  # also where somebody puts it among data
    assert read[0]["tokens_by_modality"] == []


def test_a_large_result_is_cut_into_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row once, in order; one that holds more than a file may is a file of its own."""
    monkeypatch.setattr(shards, "GROUP_BYTES", 1)
    monkeypatch.setattr(shards, "SHARD_BYTES", 1)
    files = list(write_shards(table(tmp_path), lambda row: ([{"bytes": PNG, "path": None}], []), tmp_path))
    assert [file.name for file in files] == [f"{n:05d}.parquet" for n in range(5)]
    assert pa.concat_tables([pq.read_table(file) for file in files])["id"].to_pylist() == [each.id for each in ANSWERS]


def test_a_second_push_leaves_nothing_of_the_first(hub: PushHub, tmp_path: Path) -> None:
    push(Target(NAME), RESULT, table(tmp_path), None)
    hub.sets[NAME].files["data/test_5-00007.parquet"] = b"of a larger one"
    push(Target(NAME), RESULT, table(tmp_path, ANSWERS[:2]), None)
    pushed = hub.sets[NAME]
    assert (sorted(pushed.files), pushed.commits) == (["README.md", "data/test_5-00000.parquet"], 2)
    assert pq.read_table(io.BytesIO(pushed.files["data/test_5-00000.parquet"])).num_rows == 2


def test_what_is_not_this_jobs_is_left_alone(hub: PushHub, tmp_path: Path) -> None:
    """Somebody's data set, another job's result, and one that is public."""
    other = Pushed(ABOUT.origin.model_copy(update={"job": "other"}), "test", RESULT.generation, "", RESULT.tally, "")
    push(Target(NAME, public=True), RESULT, table(tmp_path), None)
    assert hub.sets[NAME].private is False
    for target, result, why in [
        (Target(NAME), RESULT, "is public; --push-public agrees"),
        (Target(NAME, public=True), other, "is the result of data test, m"),
    ]:
        with pytest.raises(InputError, match=why):
            push(target, result, table(tmp_path), None)
    hub.sets[NAME].files = {"README.md": b"mine", "train.csv": b"a"}
    with pytest.raises(InputError, match="has files that are no result"):
        push(Target(NAME), RESULT, table(tmp_path), None)
    assert hub.sets[NAME].commits == 1


def test_a_push_that_fails_leaves_no_half_and_no_litter(hub: PushHub, tmp_path: Path) -> None:
    before = table(tmp_path)
    there = sorted(tmp_path.iterdir())
    (tmp_path / ".infer-files-killed").mkdir()  # by an earlier one
    hub.refuse = "/commit/"
    with pytest.raises(HfHubHTTPError, match="403"):
        push(Target(NAME), RESULT, before, None)
    assert hub.sets[NAME].files == {}
    assert sorted(tmp_path.iterdir()) == there


def test_the_card_says_what_it_is_of() -> None:
    """Model, settings, counts and cost; a text with a fence in it closes none."""
    card = card_of(RESULT)
    assert card.startswith("---\n")
    for part in ("path: data/test_5-*.parquet", "split: test_5", "Answers of m to 5 rows of data", "| answered | 5 |"):
        assert part in card
    for part in ('"temperature": 0', "````text\nSay `yes`.\n```\n````", "```text\n{{ question }}\n```", "1\\.25"):
        assert part in card


@pytest.mark.parametrize(("spec", "name"), [("test", "test"), ("train[:10%]+test", "train_10_test"), ("[]", "test")])
def test_a_split_has_a_name_that_the_hub_takes(spec: str, name: str) -> None:
    assert split_name(spec) == name


@pytest.mark.parametrize("name", ["answers", "a/b/c", "org/", "https://huggingface.co/a/b"])
def test_only_a_name_of_the_hub_is_pushed_to(name: str) -> None:
    with pytest.raises(ValueError, match="push_to_hub"):
        RunConfig(push_to_hub=name)
