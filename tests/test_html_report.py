"""The HTML report as a file: what is in it, how it is placed, what it takes. See test_report_in_browser.py as well."""

import base64
import io
import json
import random
import re
import threading
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest
from PIL import Image

from tasks.core.files.own_results import Origin, is_result, records_of
from tasks.core.output.columns import About
from tasks.core.output.place import csv_path, report_path, unfinished_path
from tasks.core.output.report.again import again
from tasks.core.output.report.placing import place_report
from tasks.core.output.report.spool import Spool
from tasks.core.output.report.thumbnails import Thumbnails
from tasks.core.output.report.writing import in_script
from tasks.core.output.result import write_result
from tasks.core.records import Kind, Media, MediaUri
from tests.media_samples import pdf
from tests.report_rows import CONFIG, answered, failed, report_at


def unpacked(text: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(text)))


def rows_in(page: str) -> list[dict[str, Any]]:
    """The rows that a page holds, as its script reads them."""
    return [row for part in re.findall(r'class="part">(.*?)</script>', page) for row in unpacked(part)]


def about_in(page: str) -> dict[str, Any]:
    about: dict[str, Any] = json.loads(page.partition('id="about">')[2].partition("</script>")[0])
    return about


def test_every_row_is_in_it_with_what_is_known_of_it(tmp_path: Path) -> None:
    """In the order of the data; what is not known is left out."""
    texts = ["plain", "</script><script>", "half \ud83d of a pair", "\x00\u2028", "한국어"]
    page = report_at(tmp_path / "r.html", [answered(row, text, text) for row, text in enumerate(texts)])
    rows = rows_in(page)
    assert [(row["prompt"], row["sides"][0]["answer"]) for row in rows] == [(text, text) for text in texts]
    assert rows[2]["sides"][0]["tokens"] == [2, 0, 0, 0]
    assert rows[2]["sides"][0]["latency"] == 0.3
    assert "dollars" not in rows[2]["sides"][0]
    assert about_in(page)["sample"] == ""


def test_errors_are_grouped_and_told_with_the_command_that_sends_them_again(tmp_path: Path) -> None:
    """Whatever numbers stand in them; the most first; a command for a shell, from where the run was started."""
    rows = [failed(row, Kind.RATE_LIMIT, f"429: retry in {row}.5s") for row in range(8)]
    rows += [failed(8, Kind.BLOCKED, "prompt: SAFETY"), answered(9, "q", "cut", kind=Kind.TRUNCATED)]
    rows += [answered(10, "q", "a", image_note="b.png does not exist"), answered(11, "q", "a")]
    page = report_at(tmp_path / "r.html", rows)
    table = re.findall(r'class="badge is-\w+">(\w+)</span></td><td dir="auto">(.*?)</td><td class="number">(\d+)', page)
    assert table == [
        ("rate_limit", "429: retry in #s", "8"),
        ("blocked", "prompt: SAFETY", "1"),
        ("truncated", "no reason was told", "1"),
        ("image", "b.png does not exist", "1"),
    ]
    assert page.count('<a href="#row=') == 5 + 1 + 1 + 1
    resume = "cd '/data/my place' && python flows/infer.py --dataset 'my data/q.jsonl' --resume"
    assert again(Kind.RATE_LIMIT, CONFIG, Path("/data/my place")) == ("--resume", resume)
    assert again(Kind.BLOCKED, CONFIG, None).command.endswith("q.jsonl' --retry-errors blocked --resume")


def test_what_stands_in_a_script_element_cannot_leave_it() -> None:
    """Nor end a line of it, nor be bytes that are no UTF-8."""
    hostile = ["</script><!--", "\u2028\u2029", "&lt;", "\ud83d", {"<": 1}]
    made = str(in_script(hostile))
    assert not set(made) & set("<>&\u2028\u2029")
    assert made.encode()
    assert json.loads(made) == hostile


def test_beyond_what_a_browser_bears_it_holds_a_fair_sample_and_says_so(tmp_path: Path) -> None:
    """Evenly from the whole of the data, what is rare whole; the rest is not even made."""
    with Spool(["n"], most_rows=1000) as spool:
        for row in range(20_000):
            group = int(row % 1000 == 7)
            if spool.wants(row, group):
                spool.add(row, group, [row], {"row": row})
        index = unpacked(spool.index())
        rows = [row["row"] for part in spool.parts() for row in unpacked(part)]
        assert not all(spool.wants(row, 0) for row in range(100))
    assert rows == index["row"] == index["columns"]["n"]
    kept = Counter(index["group"])
    assert kept[1] == 20
    assert 400 <= kept[0] <= 980
    tenths = Counter(row // 2000 for row in rows)
    assert max(tenths.values()) - min(tenths.values()) <= 5


def test_too_many_bytes_are_thinned_too() -> None:
    """Long answers are as much as many."""
    with Spool([], most_bytes=100_000) as spool:
        for row in range(500):
            spool.add(row, 0, [], random.Random(row).randbytes(500).hex())
        assert sum(map(len, spool.parts())) < 110_000
        assert 50 < spool.groups[0] < 500


def test_a_page_that_holds_a_sample_says_of_which_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spool.__init__, "__defaults__", (100, 10**9))
    rows = [failed(row, Kind.EMPTY, "STOP") if row == 5 else answered(row, "q", "a") for row in range(300)]
    page = report_at(tmp_path / "r.html", rows)
    held = len(rows_in(page))
    assert held <= 100
    assert about_in(page)["rows"] == 300
    assert f"evenly spread: {held - 1} of 299 answered; the result file has all" in about_in(page)["sample"]


def picture(side: int = 400) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((side, side), 80).save(file, "PNG")
    return file.getvalue()


def test_thumbnails_are_small_and_what_is_no_image_says_what_it_is(tmp_path: Path) -> None:
    """Made of what was sent; one that cannot be read is missing, and nothing else is."""
    media: dict[int, Any] = {
        0: [Media(picture(), "image/png")],
        1: [Media(pdf(), "application/pdf"), MediaUri("gs://b/<a>.mp4", "video/mp4")],
        2: [Media(b"no image", "image/heic")],
    }
    rows = [answered(row, "q", "a", has_image=True) for row in range(4)]
    page = report_at(tmp_path / "r.html", rows, Thumbnails(media.__getitem__, expected=4))
    thumbs = json.loads(page.partition('id="thumbs">')[2].partition("</script>")[0])
    assert sorted(thumbs) == ["0", "1", "2"]
    [[data, told]] = thumbs["0"]
    assert max(Image.open(io.BytesIO(base64.b64decode(data))).size) == 240
    assert told.startswith("image/png, ")
    assert thumbs["1"] == [["", f"application/pdf, {len(pdf()) / 1e3:.1f} kB"], ["", "video/mp4, gs://b/<a>.mp4"]]
    assert thumbs["2"] == [["", "image/heic, 0.0 kB"]]
    assert "thumbnails of 3 of 4 rows with media" in page


def test_a_medium_that_hangs_holds_nothing_up(tmp_path: Path) -> None:
    """The time is over, and the report is written with those that are there."""
    forever = threading.Event()

    def media_of(row: int) -> list[Media]:
        if row:
            forever.wait()
        return [Media(picture(8), "image/png")]

    thumbnails = Thumbnails(media_of, expected=3, seconds=0.2)
    page = report_at(tmp_path / "r.html", [answered(row, "q", "a", has_image=True) for row in range(3)], thumbnails)
    forever.set()
    assert len(rows_in(page)) == 3
    assert '"0":' in page.partition('id="thumbs">')[2].partition("</script>")[0]


def origin(job: str) -> Origin:
    return Origin(job=job, name=f"{job} test, m", dataset=job, attempt="a")


def text(words: str) -> Any:
    def write(file: TextIO) -> None:
        file.write(words)

    return write


def pages_in(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.html")}


def test_a_report_is_moved_aside_with_its_csv(tmp_path: Path) -> None:
    """Under the same name; one of the same job, whose CSV goes, is written over."""
    csv = csv_path(str(tmp_path), "m", "test")

    def result(job: str, ids: str) -> None:
        rows = [answered(row, each, each) for row, each in enumerate(ids)]
        write_result(csv, About(origin(job)), rows, successes=len(ids), retryable=0)
        assert place_report(csv, origin(job), text(f"{job} {ids}")) == tmp_path / "m_test_report.html"

    result("mine", "abc")
    result("mine", "abcd")
    assert pages_in(tmp_path) == {"m_test_report.html": "mine abcd"}
    result("mine", "a")
    result("other", "x")
    aside = {path.name.removesuffix(".csv") for path in tmp_path.glob("m_test_result.*.csv")}
    assert len(aside) == 2
    expected = {f"{name.replace('_result', '_report')}.html" for name in aside} | {"m_test_report.html"}
    assert pages_in(tmp_path).keys() == expected
    assert sorted(pages_in(tmp_path).values()) == ["mine a", "mine abcd", "other x"]


def test_what_is_no_report_of_the_job_is_moved_aside(tmp_path: Path) -> None:
    """One of another job without a CSV, one that was edited, and whatever else has its name."""
    csv = tmp_path / "m_test_result.csv"
    path = report_path(csv)
    path.write_text("notes")
    for job in ("one", "two", "two"):
        place_report(csv, origin(job), text(job))
    path.write_text("edited")
    place_report(csv, origin("two"), text("two again"))
    assert sorted(pages_in(tmp_path).values()) == ["edited", "notes", "one", "two again"]
    assert report_path(unfinished_path(csv)).name == "m_test_report_unfinished.html"


def test_a_report_that_cannot_be_written_leaves_the_one_that_is_there(tmp_path: Path) -> None:
    """And no half of it."""

    def full(file: TextIO) -> None:
        file.write("half")
        raise OSError("No space left")

    csv = tmp_path / "m_test_result.csv"
    place_report(csv, origin("mine"), text("whole"))
    with pytest.raises(OSError, match="No space left"):
        place_report(csv, origin("mine"), full)
    assert pages_in(tmp_path) == {"m_test_report.html": "whole"}
    assert len(records_of(report_path(csv))) == 1
    assert not list(tmp_path.glob(".infer-*"))


def test_a_report_is_known_as_ours_without_its_note(tmp_path: Path) -> None:
    """As data of another run it would be a split's file by its name."""
    report_at(tmp_path / "m_test_report.html", [answered(0, "q", "a")])
    assert is_result(tmp_path / "m_test_report.html")
    (tmp_path / "test.html").write_text("<html>mine</html>")
    assert not is_result(tmp_path / "test.html")


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Some bytes a row, for the numbers; the texts are on disk."""

    def rows(count: int) -> Iterator[Any]:
        return (answered(row, f"question {row} " * 20, f"answer {row} " * 100) for row in range(count))

    report_at(tmp_path / "r.html", rows(100))
    peaks = []
    for count in (200, 1000):
        tracemalloc.start()
        report_at(tmp_path / "r.html", rows(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 800 * 500, peaks
