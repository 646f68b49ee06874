"""Small inputs that once were sent wrong, in silence: what a user expects of each, by tests/cases/INDEX.tsv."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.core.config.parameters import RunConfig
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import resolve
from tasks.core.errors import InputError
from tasks.core.planning.next_attempt import prompting_of
from tasks.core.prompts.prepare import Prepared, Preparer
from tasks.core.records import Sample
from tests.media_samples import to_image

CASES = Path(__file__).parent / "cases"
PICTURE = "image/png of 1820 bytes"

type Row = tuple[str, list[str]]  # its id, and what is sent of it, in order


def rows_of(name: str, **parameters: Any) -> list[Row]:
    """Every row of a case: id, and the parts of its request."""
    return [
        (sample.id, [_told(part) for part in prepared.request.parts]) for sample, prepared in sent(name, **parameters)
    ]


def sent(name: str, **parameters: Any) -> list[tuple[Sample, Prepared]]:
    config = RunConfig(dataset=str(CASES / name), **parameters)
    data = resolve(config)
    reader, preparer = open_reader(data), Preparer(config.generation, prompting_of(config, data).draft_of)
    return [(sample, preparer.prepare(sample, reader.media)) for sample in reader.samples(range(data.rows))]


def _told(part: Any) -> str:
    return part if isinstance(part, str) else f"{part.mime_type} of {len(part.data)} bytes"


def refusal(name: str, **parameters: Any) -> str:
    with pytest.raises(InputError) as caught:
        rows_of(name, **parameters)
    return caught.value.line


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("c26-tsvfolder", [("1", ["hello world"]), ("2", ["second one"])]),
        ("c26.tsv", [("1", ["hello world"]), ("2", ["second one"])]),
        ("c26.csv.gz", [("1", ["hello world"]), ("2", ["second one"])]),
        ("c26.jsonl.zst", [("0", ["q0"]), ("1", ["q1"])]),
        ("c28", [("1", ["a"]), ("2", ["b"])]),
        ("c30-surrogate.jsonl", [("1", ["a"]), ("2", ["half \ufffd"]), ("3", ["c"])]),
        ("hub-csv", [("007", ["NA"]), ("008", ["2024-01-01"]), ("009", ["1.50"])]),
        ("n01-big-uint-ids.jsonl", [("18446744073709551615", ["a"]), ("12345678901234567890123", ["b"])]),
        ("n30-onecol.csv", [("0", ["hello, world"]), ("1", ["bye, all"])]),
        ("n40-pandas.json", [("1", ["a"]), ("2", ["b"])]),
        ("n48-mixed", [("1", ["a"]), ("2", ["b"])]),
        ("n61-kaggle", [("3", ["c"]), ("4", ["d"])]),
    ],
)
def test_what_is_written_is_what_is_sent(name: str, expected: list[Row]) -> None:
    assert rows_of(name) == expected


def test_a_column_name_and_an_encoding_of_korea_are_read() -> None:
    assert rows_of("c26-cp949.csv", id_column="번호") == [("1", ["안녕 세계"]), ("2", ["두번째"])]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("n41-trailing-comma.jsonl", "line 1"),
        ("n54-one-bad-byte-line.jsonl", "line 96: not UTF-8"),
        ("n55-first-row-comma.csv", "line 2: 3 cells"),
    ],
)
def test_what_cannot_be_read_whole_is_refused_with_its_line(name: str, says: str) -> None:
    assert says in refusal(name)


def test_a_column_of_images_that_nobody_named_is_sent_and_said() -> None:
    found = rows_of("c01-image-column-named-image.parquet")
    assert found == [(str(n), [PICTURE, f"q{n}"]) for n in range(3)]
    [notice] = resolve(RunConfig(dataset=str(CASES / "c01-image-column-named-image.parquet"))).columns.notices
    assert notice.startswith("Images are sent from column 'image'")


@pytest.mark.parametrize("name", ["c02/list.jsonl", "c02/list.parquet"])
def test_every_image_of_a_list_is_sent_in_order(name: str) -> None:
    """By the bytes of each."""
    found = [[medium.data for medium in prepared.request.inline] for _, prepared in sent(name, image_column="images")]
    if name.endswith("jsonl"):
        a, b = ((CASES / "c02" / file).read_bytes() for file in ("a.png", "b.png"))
        assert found == [[a, b], [a]]
    else:
        stored = pq.read_table(CASES / name).column("images").to_pylist()
        assert found == [[cell["bytes"] for cell in cells] for cells in stored]


def test_two_columns_of_images_are_both_sent_or_said() -> None:
    found = rows_of("n09-two-image-columns.parquet", image_column="image_1,image_2")
    assert found[0] == ("1", [PICTURE, PICTURE, "diff?"])
    [notice] = resolve(RunConfig(dataset=str(CASES / "n09-two-image-columns.parquet"))).columns.notices
    assert notice.endswith("look like images and nothing of it is sent; --image-column image_1,image_2 does")


def test_embedded_images_are_decoded() -> None:
    """Data URI and base64; a URL is said where nobody allowed to fetch it."""
    found = sent("c03-datauri.jsonl")
    assert [len(prepared.request.inline) for _, prepared in found] == [1, 1, 0, 0]
    assert "--fetch-urls" in found[2][1].media_note
    assert "s3://b/a.png" in found[3][1].media_note


def test_names_are_found_in_any_form() -> None:
    """NFC, NFD, backslashes, blanks around, another case."""
    assert [parts[0] for _, parts in rows_of("c08/rows.jsonl")] == [PICTURE] * 6


def test_a_list_of_messages_is_a_conversation() -> None:
    (_, first), (_, second) = sent("n06-chat-messages.jsonl")
    assert [(turn.role, turn.parts) for turn in second.request.turns] == [("user", ("안녕?",)), ("model", ("x",))]
    assert first.request.system_instruction == second.request.system_instruction == "be brief"


def test_metadata_of_an_image_folder_is_as_it_is_written() -> None:
    found = rows_of("n14-imgmeta", image_column="image")
    assert found == [("007", [PICTURE, "안녕"]), ("008", [PICTURE, "NA"]), ("009", [PICTURE, "three"])]


def test_images_of_an_archive_are_sent() -> None:
    found = rows_of("n66-zip", image_column="image")
    assert [parts[0] for _, parts in found] == [PICTURE] * 3


def test_objects_are_read_where_their_meaning_is_plain(tmp_path: Path) -> None:
    """`{"url": "i.png"}`; here there is no such file, and that is what the row says."""
    for _, prepared in sent("n65-url-dict.jsonl"):
        assert prepared.media_note == "'i.png' does not exist"


def test_a_float_image_is_not_black() -> None:
    with Image.open(BytesIO(to_image((CASES / "n97-float01.tif").read_bytes()).data)) as picture:
        low, high = np.asarray(picture.convert("L")).min(), np.asarray(picture.convert("L")).max()
    assert low < 20
    assert high > 235
