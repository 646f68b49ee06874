"""Files are read as they are written, or refused with a place: every form, through the way a run takes."""

import bz2
import codecs
import datetime
import gzip
import hashlib
import io
import json
import lzma
import os
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image as Pillow

from tasks.core.config.generation import GenerateConfig
from tasks.core.config.parameters import RunConfig
from tasks.core.data.formats.staging import kept
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import resolve
from tasks.core.errors import InputError
from tasks.core.planning.sample_keys import sample_keys
from tasks.core.prompts.prepare import Preparer
from tests.samples import only_medium

HEADER = "id,input_query\n"
TWO = [("1", "a"), ("2", "b")]
TWO_CSV = HEADER + "1,a\n2,b\n"
TWO_JSONL = '{"id": "1", "input_query": "a"}\n{"id": "2", "input_query": "b"}\n'
KOREAN = "id,input_query\n1,안녕 세계\n2,두번째 질문은 무엇입니까\n"
READ_KOREAN = [("1", "안녕 세계"), ("2", "두번째 질문은 무엇입니까")]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / ".hf-cache")


def opened(dataset: Path, **parameters: Any) -> list[tuple[str, str]]:
    ref = resolve(RunConfig(dataset=str(dataset), **parameters))
    return [(sample.id, sample.text) for sample in open_reader(ref).samples(range(ref.rows))]


def refusal(dataset: Path, **parameters: Any) -> str:
    with pytest.raises(InputError) as caught:
        resolve(RunConfig(dataset=str(dataset), **parameters))
    return caught.value.line


def file_of(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.csv", HEADER + "007,NA\n1e5,2024-01-01\n9007199254740993,1.50\n", [
            ("007", "NA"), ("1e5", "2024-01-01"), ("9007199254740993", "1.50")]),
        ("a.csv", HEADER.replace(",", ";") + "1;a, b\n2;c\n", [("1", "a, b"), ("2", "c")]),
        ("a.csv", HEADER.replace(",", "\t") + "1\ta\n2\tb\n", TWO),
        ("a.csv", HEADER.replace(",", "|") + "1|a\n2|b\n", TWO),
        ("a.csv", "sep=;\nid;input_query\n1;a\n2;b\n", TWO),
        ("a.tsv", HEADER.replace(",", "\t") + "1\ta\n2\tb\n", TWO),
        ("a.csv", TWO_CSV.replace("\n", "\r\n"), TWO),
        ("a.csv", TWO_CSV.replace("\n", "\r"), TWO),
        ("a.csv", HEADER + '1,"a ""so"", b\r\nc"\n', [("1", 'a "so", b\r\nc')]),
        ("a.csv", HEADER + '1,"say \\"hi\\", C:\\new"\n2,b\n', [("1", 'say "hi", C:\\new'), ("2", "b")]),
        ("a.csv", HEADER + '1,"C:\\"\n2,b\n', [("1", "C:\\"), ("2", "b")]),
        ("a.csv", HEADER + "\n1,a\n  \n2,b\n\n", TWO),
        ("a.csv", "\n\n" + TWO_CSV, TWO),
        ("a.csv", HEADER + f"1,{'x' * 300_000}\n", [("1", "x" * 300_000)]),
        ("a.csv", "input_query\nhello, world\nbye; all\n", [("0", "hello, world"), ("1", "bye; all")]),
        ("a.csv", codecs.BOM_UTF8 + TWO_CSV.encode(), TWO),
        ("a.csv", KOREAN.encode("cp949"), READ_KOREAN),
        ("a.csv", KOREAN.encode("euc-kr"), READ_KOREAN),
        ("a.csv", KOREAN.encode("utf-16"), READ_KOREAN),
        ("a.csv", TWO_CSV.encode("utf-16-le"), TWO),
        ("a.csv", TWO_CSV.encode("utf-16-be"), TWO),
        ("a.csv", KOREAN.replace("안녕", "가각").encode("utf-16-le"), [("1", "가각 세계"), READ_KOREAN[1]]),
        ("a.csv", KOREAN.encode("utf-16-be"), READ_KOREAN),
        ("a.csv", (HEADER + "1,가격은 ￦100 · “서비스” … ①\n").encode("cp949"), [("1", "가격은 ￦100 · “서비스” … ①")]),
        ("a.csv", codecs.BOM_UTF8 * 2 + TWO_CSV.encode(), TWO),
        ("a.csv", "   \n" + TWO_CSV, TWO),
        ("a.tsv", "id\tinput_query\n1\t\"a\nb\"\n", [("1", "a\nb")]),
        ("a.txt", "a\n\nNA\r\nlast", [("0", "a"), ("1", ""), ("2", "NA"), ("3", "last")]),
        ("a.txt", KOREAN.encode("cp949"), [(str(n), line) for n, line in enumerate(KOREAN.splitlines())]),
    ],
)  # fmt: skip
def test_text_is_read_as_it_is_written(
    tmp_path: Path, name: str, content: str | bytes, rows: list[tuple[str, str]]
) -> None:
    """Delimiters, quotes and encodings are recognised; no cell becomes a number, a date or nothing."""
    assert opened(file_of(tmp_path, name, content)) == rows


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.csv", HEADER + "1,Hello, world\n2,b\n", "a.csv, line 2: 3 cells, but the header has 2"),
        ("a.csv", HEADER + "1,a\n2,b,\n", "a.csv, line 3: 3 cells"),
        ("a.csv", HEADER + "1,a,\n2,b,\n", "a.csv, line 2: 3 cells"),
        ("a.csv", HEADER + '1,"a\nb"\n2\n', "a.csv, line 4: 1 cell, but the header has 2"),
        ("a.csv", HEADER + '1,a\n2,"open\n3,c\n', "a.csv, line 3: a cell opens a quote that nothing closes"),
        ("a.csv", HEADER + '1,"a"b\n', "a.csv, line 2: text follows the closing quote"),
        ("a.csv", HEADER + '1,"a \\"b\n2,c\n', "a.csv, line 2: "),
        ("a.csv", "sep=;\nid;input_query\n1;a;b\n", "a.csv, line 3: 3 cells"),
        ("a.csv", "id,id\n1,a\n", "two columns of the header are called 'id'"),
        ("a.csv", HEADER.encode() + b"1,a\n2,caf\xe9\n", "a.csv, line 3: not UTF-8; correct the line, or name the"),
        ("a.csv", HEADER.encode() + "1,你好世界\n".encode("gbk"), "a.csv, line 2: not UTF-8"),
        ("a.csv", HEADER.encode() + "1,备注客户订\n".encode("gbk"), "a.csv, line 2: not UTF-8"),
        ("a.csv", HEADER.encode() + "1,株式会社\n".encode("euc-jp"), "a.csv, line 2: not UTF-8"),
        ("a.csv", HEADER.encode() + "1,안녕하세요\n".encode("iso2022-kr"), "a.csv, line 2: not UTF-8"),
        ("a.tsv", 'id\tinput_query\n1\t"Hello\n2\tworld"\n', "a.tsv, line 2: a cell begins with a quote and goes on"),
        ("a.csv.gz", gzip.compress(gzip.compress(TWO_CSV.encode(), mtime=0), mtime=0), "a.csv.gz is compressed twice"),
        ("a.csv.gz", gzip.compress(b"PK\x03\x04 and more", mtime=0), "is a zip or Excel file, whatever its name says"),
        ("a.csv", "version https://git-lfs.github.com/spec/v1\noid x\n", "`git lfs pull` fetches it"),
        ("a.csv", b"PK\x03\x04 and more", "is a zip or Excel file, whatever its name says"),
        ("a.jsonl", TWO_JSONL.replace("}\n", "},\n"), "a.jsonl, line 1: something follows the object: ','"),
        ("a.jsonl", TWO_JSONL + '{"id": "3"\n', "a.jsonl, line 3: not JSON: Expecting ',' delimiter"),
        ("a.jsonl", TWO_JSONL + '["3", "c"]\n', "a.jsonl, line 3: expected an object with the cells of a row, found a"),
        ("a.jsonl", '{"id": 1, "id": 2}\n', "a.jsonl, line 1: 'id' stands twice in an object"),
        ("a.jsonl", TWO_JSONL.encode() + b'{"id": "3", "input_query": "\xbe\xc8"}\n', "a.jsonl, line 3: not UTF-8"),
        ("a.json", '[\n{"id": "1"},\n{"id" "2"}\n]', "a.json, line 3: not JSON: Expecting ':' delimiter"),
        ("a.json", '[{"id": "1"}\n{"id": "2"}]', "a.json, line 2: expected a comma or the end of the list"),
        ("a.json", '[{"id": "1"},\n{"id": "2"}', "a comma or the end of the list, where it ends"),
        ("a.json", '{"id": ["1", "2"], "input_query": ["a"]}', "the lists in it are of different lengths"),
        ("a.json", '{"id": {"0": "1", "1": "2"}, "input_query": {"0": "a"}}', "how they are rows cannot be told"),
        ("a.json", '{"columns": ["id", "id"], "data": [["1", "a"]]}', "two of its 'columns' have the same name"),
        ("a.json", '{"data": [{"id": "1"}]}', "with a list of objects as 'data'"),
        ("a.csv.gz", gzip.compress(TWO_CSV.encode(), mtime=0)[:-9], "a.csv.gz cannot be read: "),
        ("a.xlsx", TWO_CSV, "a.xlsx cannot be read: it is cut off, or no workbook"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place(
    tmp_path: Path, name: str, content: str | bytes, line: str
) -> None:
    """Before anything is sent; no cell is shifted, cut or filled up."""
    assert line in refusal(file_of(tmp_path, name, content))


def test_a_bad_line_at_the_end_of_many_is_found_before_the_first_is_sent(tmp_path: Path) -> None:
    """Whatever a reader looks at first."""
    rows = "".join(f"{n},q{n}\n" for n in range(50_000))
    assert "line 50002: 3 cells" in refusal(file_of(tmp_path, "a.csv", HEADER + rows + "x,y,z\n"))
    lines = "".join(f'{{"id": "{n}"}}\n' for n in range(50_000))
    assert "line 50001: not JSON" in refusal(file_of(tmp_path, "a.jsonl", lines + "{]\n"))


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.json", json.dumps([{"id": "1", "input_query": "a"}, {"id": "2", "input_query": "b"}], indent=1), TWO),
        ("a.json", TWO_JSONL, TWO),
        ("a.jsonl", TWO_JSONL.replace("\n", ""), TWO),
        ("a.ndjson", TWO_JSONL, TWO),
        ("a.json", '{"id": "1",\n "input_query": "a"}\n{"id": "2",\n "input_query": "b"}\n', TWO),
        ("a.json", '{"id":{"0":"1","1":"2"},"input_query":{"0":"a","1":"b"}}', TWO),
        ("a.json", '{"0":{"id":"1","input_query":"a"},"1":{"id":"2","input_query":"b"}}', TWO),
        ("a.json", '{"id":["1","2"],"input_query":["a","b"]}', TWO),
        ("a.json", '{"columns":["id","input_query"],"index":[0,1],"data":[["1","a"],["2","b"]]}', TWO),
        ("a.json", '["a", "b"]', [("0", "a"), ("1", "b")]),
        ("a.jsonl", '{"id": "1", "input_query": ["a", "b"]}\n', [("1", '["a", "b"]')]),
        ("a.jsonl", '{"id": 12345678901234567890123, "input_query": 1.50}\n{"id": -0, "input_query": 1e5}\n',
         [("12345678901234567890123", "1.50"), ("-0", "1e5")]),
        ("a.jsonl", '{"id": true, "input_query": {"a": [1.0, "한", null]}}\n', [("true", '{"a": [1.0, "한", null]}')]),
        ("a.jsonl", '{"id": "1"}\n{"id": "2", "input_query": "b"}\n', [("1", ""), ("2", "b")]),
        ("a.jsonl", '{"id": 1, "input_query": "a"}\n{"id": "2", "input_query": ["b"]}\n', [("1", "a"), ("2", '["b"]')]),
        ("a.jsonl", '{"id": "1", "input_query": "half \\ud83d"}\n{"id": "2", "input_query": "\\ud83d\\ude00"}\n',
         [("1", "half \ufffd"), ("2", "😀")]),
        ("a.jsonl", codecs.BOM_UTF8 + TWO_JSONL.encode(), TWO),
        ("a.jsonl", TWO_JSONL.encode("utf-16"), TWO),
        ("a.jsonl", '{"id": "session", "type": "user", "message": {"role": "user"}, "input_query": "a"}\n',
         [("session", "a")]),
    ],
)  # fmt: skip
def test_json_is_read_digit_for_digit(
    tmp_path: Path, name: str, content: str | bytes, rows: list[tuple[str, str]]
) -> None:
    """By lines, as a list, spread out, or by columns; numbers keep their digits, half a character is that row's own."""
    assert opened(file_of(tmp_path, name, content)) == rows


def test_a_list_longer_than_what_is_held_of_it_is_read_whole(tmp_path: Path) -> None:
    """Wherever the parts of it end."""
    rows = [{"id": str(n), "input_query": "ab\\\"'{[" * (n % 97)} for n in range(8_000)]
    for text in (json.dumps(rows), json.dumps(rows, indent=1)):
        assert opened(file_of(tmp_path, "a.json", text)) == [(r["id"], r["input_query"]) for r in rows]


def test_what_only_a_late_row_has_changes_no_row_before(tmp_path: Path) -> None:
    """A column that begins there, and a list in a column of texts."""
    rows: list[dict[str, Any]] = [{"id": str(n), "input_query": f'q"{n}"'} for n in range(20_001)]
    rows.append({"id": "last", "input_query": ["x"], "late": "y"})
    path = file_of(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    found = opened(path)
    assert found[:20_001] == [(row["id"], row["input_query"]) for row in rows[:-1]]
    assert found[-1] == ("last", '["x"]')
    assert opened(path, text_column="late")[-1] == ("last", "y")


def compressed(suffix: str) -> Callable[[bytes], bytes]:
    def zstd(data: bytes) -> bytes:
        half = len(data) // 2
        return b"".join(bytes(pa.Codec("zstd").compress(part)) for part in (data[:half], data[half:]))

    forms: dict[str, Callable[[bytes], bytes]] = {
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
        ".zst": zstd,
    }
    return forms[suffix]


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize(("inner", "content"), [(".csv", TWO_CSV), (".jsonl", TWO_JSONL), (".txt", "a\nb\n")])
def test_compressed_text_is_read_alone_and_in_a_folder(tmp_path: Path, suffix: str, inner: str, content: str) -> None:
    """Of several parts too, as a parallel program writes them."""
    path = file_of(tmp_path / "set", f"test{inner}{suffix}", compressed(suffix)(content.encode()))
    expected = ["a", "b"]
    assert [text for _, text in opened(path)] == expected
    assert [text for _, text in opened(path.parent)] == expected


def arrow_file(path: Path, table: pa.Table, stream: bool) -> None:
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with pa.OSFile(str(path), "wb") as file, make(file, table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize("form", ["stream.arrow", "file.arrow", "a.feather"])
def test_arrow_and_feather_are_read_alone_and_in_a_folder(tmp_path: Path, form: str) -> None:
    """Ids past 2^53 are whole; a float in single precision has its own digits; a category is its text."""
    (tmp_path / "set").mkdir()
    path = tmp_path / "set" / form
    frame = pd.DataFrame({"id": [2**63, 9007199254740993], "input_query": pd.Categorical(["a", "NA"])})
    frame["id"], frame["small"] = frame["id"].astype("uint64"), pd.Series([0.1, 2.0], dtype="float32")
    if form.endswith("feather"):
        frame.to_feather(path)
    else:
        arrow_file(path, pa.Table.from_pandas(frame), form.startswith("stream"))
    expected = [("9223372036854775808", "a"), ("9007199254740993", "NA")]
    assert opened(path) == expected
    assert opened(path.parent, split="train") == expected
    assert [text for _, text in opened(path, text_column="small")] == ["0.1", "2.0"]


def workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    return path


def test_a_workbook_is_read_as_excel_shows_it(tmp_path: Path) -> None:
    """Dates as ISO 8601, whole numbers without a point; the sheet that is called like the split, never any sheet."""
    head = ["id", "input_query"]
    rows: list[list[Any]] = [head, ["007", "NA"], [5.0, True], [pd.Timestamp("2024-01-01"), 1.5], [None, None]]
    path = workbook(tmp_path / "one" / "test.xlsx", Sheet=rows, Empty=[])
    expected = [("007", "NA"), ("5", "TRUE"), ("2024-01-01", "1.5")]
    assert opened(path) == opened(path.parent) == expected
    two = workbook(tmp_path / "two.xlsx", test=[head, ["1", "a"]], other=[head, ["2", "b"]])
    assert opened(two) == [("1", "a")]
    assert "has several sheets (test, other), and none is called 'dev'" in refusal(two, split="dev")
    wide = workbook(tmp_path / "wide.xlsx", Sheet=[head, ["1", "a", "beyond"]])
    assert "row 2: a cell stands beyond the last column" in refusal(wide)
    formula = workbook(tmp_path / "formula.xlsx", Sheet=[head, ["1", "=A2"]])
    assert "the formula in B2 has no value" in refusal(formula)


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        (0.5, "0%", "50%"),
        (0.12345, "0.00%", "12.345%"),
        (1.5, "0.00", "1.50"),
        (-1234.5678, "#,##0.00", "-1234.5678"),
        (7, "000", "007"),
        (1012345678, "000-0000-0000", "010-1234-5678"),
        (0.1, "General", "0.1"),
        (1e20, "General", "100000000000000000000"),
        (datetime.timedelta(hours=30), "[h]:mm", "30:00:00"),
        (datetime.datetime(2024, 1, 2, 3), "m/d/yy h:mm", "2024-01-02 03:00:00"),
        ("a_x000D_b", "General", "a\rb"),
        ("#N/A", "General", "#N/A"),
    ],
)
def test_a_number_keeps_what_its_format_adds_and_is_never_rounded(
    tmp_path: Path, value: Any, number_format: str, text: str
) -> None:
    """Zeros, the sign of per cent; no commas between thousands."""
    book = openpyxl.Workbook()
    sheet = book.create_sheet("test")
    sheet["A1"], sheet["A2"] = "input_query", value
    sheet["A2"].number_format = number_format
    book.save(tmp_path / "a.xlsx")
    assert opened(tmp_path / "a.xlsx") == [("0", text)]


def test_what_a_workbook_hides_is_not_read_and_merged_cells_are_refused(tmp_path: Path) -> None:
    """Of a sheet's name capitals do not count. A formula may give an empty text."""
    head = ["id", "input_query"]
    path = workbook(tmp_path / "a.xlsx", Sheet=[head, ["1", "a"]], Hidden=[head, ["2", "b"]])
    book = openpyxl.load_workbook(path)
    book["Hidden"].sheet_state = "hidden"
    book.save(path)
    assert opened(path) == [("1", "a")]
    assert opened(workbook(tmp_path / "b.xlsx", Test=[head, ["1", "a"]], other=[head, ["2", "b"]])) == [("1", "a")]
    path = workbook(tmp_path / "c.xlsx", Sheet=[head, ["1", "a"], ["", "b"]])
    book = openpyxl.load_workbook(path)
    book["Sheet"].merge_cells("A2:A3")
    book.save(path)
    assert "c.xlsx, row 2: A2:A3 is one merged cell; unmerge it and fill in each cell" in refusal(path)
    path = workbook(tmp_path / "d.xlsx", Sheet=[head, ["1", "=A2"]])
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "e.xlsx", "w") as calculated:
        for name in whole.namelist():
            text = whole.read(name).replace(b'r="B2"', b'r="B2" t="str"')
            calculated.writestr(name, text)
    assert opened(tmp_path / "e.xlsx") == [("1", "")]


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Pillow.new("RGB", (8, 8), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def picture_files() -> dict[str, bytes]:
    cells = "file_name,id,input_query\nsub/0.png,007,NA\nsub/1.png,1e5,2024-01-01\n"
    return {"metadata.csv": cells.encode(), "sub/0.png": png(1), "sub/1.png": png(2)}


def as_folder(path: Path) -> Path:
    for name, content in picture_files().items():
        file_of(path / "test", name, content)
    return path


def as_zip(path: Path) -> Path:
    path.mkdir()
    with zipfile.ZipFile(path / "test.zip", "w") as archive:
        for name, content in picture_files().items():
            archive.writestr(name, content)
    return path / "test.zip"


def as_tar(path: Path) -> Path:
    path.mkdir()
    with tarfile.open(path / "test.tar.gz", "w:gz") as archive:
        for name, content in picture_files().items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path / "test.tar.gz"


@pytest.mark.filterwarnings(  # of datasets, which leaves metadata.csv open
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)
@pytest.mark.parametrize("make", [as_folder, as_zip, as_tar])
def test_pictures_come_with_their_metadata_as_it_is_written(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """In a folder, and in a zip or tar, alone or in a folder."""
    made = make(tmp_path / "set")
    for dataset in {made, tmp_path / "set"}:
        ref = resolve(RunConfig(dataset=str(dataset), image_column="image"))
        reader = open_reader(ref)
        assert [(s.id, s.text) for s in reader.samples(range(ref.rows))] == [("007", "NA"), ("1e5", "2024-01-01")]
        assert [only_medium(reader, row) for row in range(2)] == [png(1), png(2)]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_that_does_not_give_all_of_its_files_is_refused(tmp_path: Path) -> None:
    """Two of one name, encrypted, cut off between two files; what is wrong inside is told by the archive's name."""
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        for _ in range(2):
            archive.writestr("a.csv", TWO_CSV)
    assert "twice.zip has two files called 'a.csv'" in refusal(tmp_path / "twice.zip")
    with zipfile.ZipFile(tmp_path / "wrong.zip", "w") as archive:
        archive.writestr("a.csv", TWO_CSV + "3,c,d\n")
    assert "wrong.zip/a.csv, line 4: 3 cells" in refusal(tmp_path / "wrong.zip")
    data = bytearray((tmp_path / "wrong.zip").read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert "locked.zip is encrypted" in refusal(file_of(tmp_path, "locked.zip", bytes(data)))
    with tarfile.open(tmp_path / "whole.tar", "w") as archive_tar:
        for name in ("a.csv", "b.csv"):
            archive_tar.addfile(tarfile.TarInfo(name))
    assert "cut.tar is cut off" in refusal(file_of(tmp_path, "cut.tar", (tmp_path / "whole.tar").read_bytes()[:512]))


def test_an_archive_writes_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    """It is refused, and no other is."""
    with zipfile.ZipFile(tmp_path / "test.zip", "w") as archive:
        archive.writestr("../../out.csv", TWO_CSV)
    assert "would be written outside" in refusal(tmp_path / "test.zip")
    with tarfile.open(tmp_path / "test.tar", "w") as archive_tar:
        archive_tar.addfile(tarfile.TarInfo("../../out.csv"), io.BytesIO(b""))
    assert "outside the destination" in refusal(tmp_path / "test.tar")
    assert not list(tmp_path.parent.glob("**/out.csv"))


@pytest.mark.parametrize("name", ["a [1] b*.csv", "시험 [final].csv", "[x]/test (1).csv"])
def test_a_name_may_hold_brackets_blanks_and_any_letters(tmp_path: Path, name: str) -> None:
    """Of a file and of a folder."""
    path = file_of(tmp_path / "se[t]", name, TWO_CSV)
    assert opened(path) == TWO
    assert opened(tmp_path / "se[t]", split="test" if "test" in name else "train") == TWO


def test_names_are_found_in_either_form_of_their_letters(tmp_path: Path) -> None:
    """Of data and of images; with backslashes too."""
    composed, apart = (unicodedata.normalize(form, "그림") for form in ("NFC", "NFD"))
    assert opened(file_of(tmp_path, f"{apart}.csv", TWO_CSV).parent / f"{composed}.csv") == TWO
    file_of(tmp_path, f"{apart}/{composed}.png", png(1))
    cells = [f"{composed}/{apart}.png", f"{apart}\\{composed}.png", f".\\{composed}\\{composed}.png", "..\\x.png"]
    rows = [{"id": str(n), "input_query": "q", "image_path": cell} for n, cell in enumerate(cells)]
    path = file_of(tmp_path, "rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    reader = open_reader(resolve(RunConfig(dataset=str(path))))
    assert [only_medium(reader, row) for row in range(3)] == [png(1)] * 3


def test_files_of_several_kinds_are_all_read_or_refused(tmp_path: Path) -> None:
    """Never one of them in silence."""
    file_of(tmp_path / "both", "test-0.csv", HEADER + "1,a\n")
    file_of(tmp_path / "both", "test-1.jsonl", '{"id": "2", "input_query": "b"}\n')
    file_of(tmp_path / "both", "README.txt", "about the data")
    file_of(tmp_path / "both", "images/x.png", png(1))
    assert opened(tmp_path / "both") == TWO
    file_of(tmp_path / "typed", "test-0.csv", TWO_CSV)
    pd.DataFrame({"id": ["3"], "input_query": ["c"]}).to_parquet(tmp_path / "typed" / "test-1.parquet")
    assert "files that are not read together" in refusal(tmp_path / "typed")
    file_of(tmp_path / "columns", "test-0.csv", TWO_CSV)
    file_of(tmp_path / "columns", "test-1.csv", "id,question\n3,c\n")
    assert "test-1.csv has other columns than" in refusal(tmp_path / "columns")
    file_of(tmp_path / "old", "test-0.csv", TWO_CSV)
    file_of(tmp_path / "old", "test-1.xls", b"\xd0\xcf\x11\xe0")
    assert "test-1.xls belongs to this split, and is not of a form that is read" in refusal(tmp_path / "old")
    file_of(tmp_path / "sound", "test/a.png", png(1))
    file_of(tmp_path / "sound", "test/b.mp3", b"ID3")
    assert "files that are not read together" in refusal(tmp_path / "sound", prompt_template="x")
    file_of(tmp_path / "link", "test-0.csv", TWO_CSV)
    (tmp_path / "link" / "test-1.csv").symlink_to("annexed")
    assert "No such file or directory" in refusal(tmp_path / "link")
    file_of(tmp_path / "parts", "test-0.csv.gz", gzip.compress(TWO_CSV.encode()))
    file_of(tmp_path / "parts", "test-1.csv.gz", gzip.compress(TWO_CSV.encode())[:-9])
    assert "test-1.csv.gz cannot be read: " in refusal(tmp_path / "parts")


def test_a_table_is_of_its_split_whatever_else_its_name_says(tmp_path: Path) -> None:
    """Capitals, brackets, what usually is about the data; only a text file of such a name is left out."""
    file_of(tmp_path / "a", "Test.CSV", HEADER + "1,a\n")
    file_of(tmp_path / "a", "test[2].csv", HEADER + "2,b\n")
    assert opened(tmp_path / "a") == TWO
    file_of(tmp_path / "b", "test/a.csv", HEADER + "1,a\n")
    file_of(tmp_path / "b", "test/authors.csv", HEADER + "2,b\n")
    file_of(tmp_path / "b", "test/license.txt", "free")
    assert opened(tmp_path / "b") == TWO


def test_what_is_left_out_of_a_folder_is_said(tmp_path: Path) -> None:
    """Tables of no split, and pictures that no column names."""
    for name in ("test.csv", "more.csv", "sample_submission.csv"):
        file_of(tmp_path, name, TWO_CSV)
    file_of(tmp_path, "README.md", "about")
    [line] = resolve(RunConfig(dataset=str(tmp_path))).columns.notices
    assert line == "Not read, as the names belong to no split: more.csv, sample_submission.csv"
    file_of(tmp_path / "captions", "test/a.txt", "what?")
    file_of(tmp_path / "captions", "test/a.png", png(1))
    [line] = resolve(RunConfig(dataset=str(tmp_path / "captions"))).columns.notices
    assert line == "1 picture of the folder not sent: no column names them"


def test_what_is_null_in_one_file_and_text_in_the_next_is_text(tmp_path: Path) -> None:
    """Both rows are there."""
    file_of(tmp_path, "test-0.jsonl", '{"id": "1", "input_query": null}\n')
    file_of(tmp_path, "test-1.jsonl", '{"id": "2", "input_query": "b"}\n')
    assert opened(tmp_path) == [("1", ""), ("2", "b")]


def test_a_broken_split_does_not_block_another(tmp_path: Path) -> None:
    """Nor one with other columns."""
    file_of(tmp_path, "train.csv", "id,input_query,label\n1,a\n")
    file_of(tmp_path, "test.csv", TWO_CSV)
    assert opened(tmp_path) == TWO
    assert opened(tmp_path, split="test[1:]") == TWO[1:]
    assert "train.csv, line 2: 2 cells" in refusal(tmp_path, split="train")
    assert "train.csv, line 2" in refusal(tmp_path, split="test+train")
    assert "--split 'dev' is not in" in refusal(tmp_path, split="dev")


@pytest.mark.parametrize("name", ["a.csv", "test.jsonl", "a.parquet"])
@pytest.mark.parametrize("in_place", [True, False])
def test_a_file_edited_to_the_same_size_and_time_is_read_anew(tmp_path: Path, name: str, in_place: bool) -> None:
    """What it holds counts, not when it was written."""

    def write(letter: str, path: Path) -> None:
        if name.endswith("parquet"):
            pd.DataFrame({"id": ["1"], "input_query": [letter]}).to_parquet(path)
        else:
            path.write_text(
                HEADER + f"1,{letter}\n" if name.endswith("csv") else f'{{"id": "1", "input_query": "{letter}"}}'
            )

    path = tmp_path / "set" / name
    path.parent.mkdir()
    split = "test" if "test" in name else "train"
    for letter in "abca":
        draft = path if in_place else tmp_path / "draft"
        write(letter, draft)
        os.utime(draft, ns=(10**18, 10**18))
        draft.replace(path)
        assert opened(path) == opened(path.parent, split=split) == [("1", letter)]


def test_what_was_read_once_is_kept_until_it_changes(tmp_path: Path) -> None:
    """A resume of a large file starts at once, from another place too."""
    opened(file_of(tmp_path, "a.csv", TWO_CSV))
    first = sorted(kept("").iterdir())
    opened(file_of(tmp_path / "moved", "b.csv", TWO_CSV))
    assert sorted(kept("").iterdir()) == first
    opened(file_of(tmp_path, "a.csv", TWO_CSV + "3,c\n"))
    assert len(list(kept("").iterdir())) == len(first) + 1


def test_flags_name_what_cannot_be_recognised(tmp_path: Path) -> None:
    """An encoding, a delimiter; each is part of which rows a run is about."""
    path = file_of(tmp_path, "a.csv", "id^input_query\n1^café\n".encode("cp1252"))
    assert opened(path, encoding="cp1252", delimiter="^") == [("1", "café")]
    assert "name what stands between them with --delimiter" in refusal(path, encoding="cp1252")
    assert "is no encoding of text that Python knows" in refusal(path, encoding="martian")
    assert "a.csv, line 2: not utf-8" in refusal(path, encoding="utf-8", delimiter="^")
    marked = file_of(tmp_path, "c.csv", codecs.BOM_UTF8 + TWO_CSV.encode())
    assert opened(marked, encoding="utf8") == TWO
    assert "begins with the mark of utf-8; leave out --encoding cp1252" in refusal(marked, encoding="cp1252")
    assert "a.csv, line 1: not utf-16" in refusal(path, encoding="utf-16")
    tabs = file_of(tmp_path, "b.csv", "id\tinput_query, so\n1\ta, b\n")
    assert opened(tabs, delimiter="tab", text_column="input_query, so") == [("1", "a, b")]


def test_classes_come_by_name(tmp_path: Path) -> None:
    """Whether the file declares them or the card; one without a class is empty."""
    features = datasets.Features(
        {"id": datasets.Value("string"), "input_query": datasets.ClassLabel(names=["no", "yes"])}
    )
    table = datasets.Dataset.from_dict({"id": ["1", "2", "3"], "input_query": [1, 0, -1]}, features=features)
    table.to_parquet(tmp_path / "a.parquet")
    table.save_to_disk(tmp_path / "saved")
    expected = [("1", "yes"), ("2", "no"), ("3", "")]
    assert opened(tmp_path / "a.parquet") == opened(tmp_path / "saved") == expected
    info = json.dumps(features._to_yaml_list())
    file_of(tmp_path / "card", "README.md", f"---\ndataset_info:\n  features: {info}\n---\n")
    file_of(tmp_path / "card", "test.csv", HEADER + "1,1\n2,0\n3,\n")
    assert opened(tmp_path / "card") == expected


def test_a_card_says_how_its_files_are_written(tmp_path: Path) -> None:
    """Its delimiter, and which files are which split's."""
    card = "---\nconfigs:\n- config_name: default\n  sep: ^\n  data_files:\n  - split: test\n    path: part.csv\n---\n"
    file_of(tmp_path, "README.md", card)
    file_of(tmp_path, "part.csv", "id^input_query\n007^a,b\n")
    file_of(tmp_path, "test.csv", "broken,\n1\n")
    assert opened(tmp_path) == [("007", "a,b")]


def test_keys_of_samples_that_were_read_right_before_are_the_same(tmp_path: Path) -> None:
    """So that a checkpoint of 0.2 resumes; the digests are what 0.2 made of these files."""
    chat = [{"role": "user", "content": "안녕"}]
    rows = [
        {"id": "a", "input_query": 'plain, "quoted"\nline', "n": 12, "score": 1.5, "yes": True, "chat": chat},
        {"id": "b", "input_query": "", "n": -3, "score": 1.5, "yes": True, "chat": [{"role": "model", "content": "q"}]},
    ]
    frame = pd.DataFrame(rows)
    frame[["id", "input_query", "n", "score"]].to_csv(tmp_path / "d.csv", index=False)
    frame.to_parquet(tmp_path / "d.parquet")
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "d.json").write_text(json.dumps(rows))
    known = {
        "input_query": "83ca76f5ba832a81",
        "n": "d1bae221246c018b",
        "score": "bef23b5e1ec949cb",
        "yes": "59ce996d4d6a0053",
        "chat": "786862e15cdf53c1",
    }
    for name in ("d.csv", "d.parquet", "d.jsonl", "d.json"):
        for column in list(known)[: 3 if name == "d.csv" else None]:
            ref = resolve(RunConfig(dataset=str(tmp_path / name), text_column=column))
            keys = list(sample_keys(ref, Preparer(GenerateConfig(model="m"))))
            assert hashlib.sha256(json.dumps(keys).encode()).hexdigest()[:16] == known[column], (name, column)


@pytest.mark.parametrize("spec", ["test[:0]", "test[9:]", "test[:10%]"])
def test_a_slice_beyond_the_rows_is_empty(tmp_path: Path, spec: str) -> None:
    """Of a file and of a folder."""
    path = file_of(tmp_path / "set", "test.csv", TWO_CSV)
    assert opened(path, split=spec) == opened(path.parent, split=spec) == []
