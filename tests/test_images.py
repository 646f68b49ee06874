"""What is sent of an image, and what never is."""

import io
import os
import resource
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from PIL import EpsImagePlugin
from PIL import Image as Pillow

from tasks.core.errors import MediaError
from tasks.core.media.conversion import PIXELS_AT_ONCE, PixelBudget
from tasks.core.media.reading import PAUSES_SECONDS, SHOWN_CHARS, read_media
from tests.media_samples import heic, to_image

ROOT = Path(__file__).parent.parent


def picture(file_format: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Pillow.linear_gradient("L").resize((32, 24)).convert(mode).save(buffer, file_format, **options)
    return buffer.getvalue()


def test_an_image_that_cannot_be_opened_for_now_is_read_once_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many open files is no fault of the image; where it stays so, that is told, and no reason to leave it out."""
    (tmp_path / "a.png").write_bytes(picture("PNG"))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    pauses: list[float] = []

    def free_one_in_the_fifth(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 5:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)

    monkeypatch.setattr("tasks.core.media.reading.time.sleep", free_one_in_the_fifth)
    with (tmp_path / "a.png").open() as highest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest.fileno() + 1, limit[1]))
        try:
            with _no_number_left():
                with pytest.raises(OSError, match="Too many open files") as told:
                    read_media("a.png", [str(tmp_path)])
                assert not isinstance(told.value, MediaError)
                assert pauses == [*PAUSES_SECONDS]
                assert read_media("a.png", [str(tmp_path)]) == picture("PNG")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)


@contextmanager
def _no_number_left() -> Iterator[None]:
    """No file can be opened in this process."""
    taken = []
    with suppress(OSError):
        while True:
            taken.append(os.dup(0))
    try:
        yield
    finally:
        for handle in taken:
            os.close(handle)


@pytest.mark.parametrize(
    ("file_format", "mime_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
def test_what_gemini_takes_goes_out_byte_for_byte(file_format: str, mime_type: str) -> None:
    """The type is that of the content; a name is not even asked for."""
    data = picture(file_format)
    image = to_image(data)
    assert image.data is data
    assert image.mime_type == mime_type


@pytest.mark.parametrize(
    ("brand", "mime_type"), [(b"heic", "image/heic"), (b"heix", "image/heic"), (b"mif1", "image/heif")]
)
def test_heic_goes_out_as_it_is(brand: bytes, mime_type: str) -> None:
    """Pillow cannot read it, Gemini can."""
    data = heic(brand) + b"rest of the file"
    assert to_image(data).mime_type == mime_type
    assert to_image(data).data is data
    with pytest.raises(MediaError, match="cut off"):
        to_image(data[:20])  # nothing behind its name


@pytest.mark.parametrize(
    ("file_format", "mode"), [("GIF", "P"), ("BMP", "RGB"), ("TIFF", "RGB"), ("TIFF", "I;16"), ("AVIF", "RGB")]
)
def test_other_formats_are_converted_to_png(file_format: str, mode: str) -> None:
    """Without loss of what can be seen."""
    data = picture(file_format, mode)
    image = to_image(data)
    assert image.mime_type == "image/png"
    with Pillow.open(io.BytesIO(image.data)) as after, Pillow.open(io.BytesIO(data)) as before:
        assert after.format == "PNG"
        assert after.size == before.size


def test_a_cmyk_jpeg_is_converted_to_rgb() -> None:
    """Browsers and models expect three channels."""
    image = to_image(picture("JPEG", "CMYK"))
    with Pillow.open(io.BytesIO(image.data)) as after:
        assert (after.format, after.mode) == ("JPEG", "RGB")


@pytest.mark.parametrize(
    "data",
    [
        b"GOOGLE_API_KEY=secret",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        picture("PNG")[:60],
        picture("JPEG")[:8],
        b"\x00" * 100,
        (9999).to_bytes(4) + b"ftypheic",
    ],
)
def test_only_what_really_is_an_image_is_sent(data: bytes) -> None:
    """Text, programs, documents and broken pictures are refused, and no other program is started for them."""
    with pytest.raises(MediaError):
        to_image(data)


@pytest.mark.parametrize(
    ("file_format", "mode"), [("GIF", "P"), ("TIFF", "RGB"), ("JPEG", "CMYK"), ("JPEG2000", "RGB")]
)
def test_an_image_of_too_many_pixels_to_convert_is_refused(
    monkeypatch: pytest.MonkeyPatch, file_format: str, mode: str
) -> None:
    """A small file can be a room full of pixels; the refusal says how many, and how many may be."""
    monkeypatch.setattr("tasks.core.media.conversion.MOST_PIXELS", 32 * 24)
    assert to_image(picture(file_format, mode))
    monkeypatch.setattr("tasks.core.media.conversion.MOST_PIXELS", 32 * 24 - 1)
    with pytest.raises(MediaError, match=r"32 x 24 pixels are too many to convert .*\(at most 767\)"):
        to_image(picture(file_format, mode))


def empty_png(width: int, height: int) -> bytes:
    """A black PNG of any size, without the time and memory to draw one."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)

    header = width.to_bytes(4) + height.to_bytes(4) + bytes([1, 0, 0, 0, 0])
    pack = zlib.compressobj()
    rows = b"".join(pack.compress(bytes(1 + (width + 7) // 8)) for _ in range(height)) + pack.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_what_is_not_decoded_may_have_any_number_of_pixels(recwarn: pytest.WarningsRecorder) -> None:
    """20,000 x 20,000 of a PNG, and a WebP as large as one can be: neither takes memory here."""
    huge_png = empty_png(20_000, 20_000)
    huge_webp = bytearray(picture("WEBP", lossless=True))
    huge_webp[21:25] = (16382 | 16382 << 14).to_bytes(4, "little")
    assert to_image(huge_png).data is huge_png
    assert to_image(bytes(huge_webp)).data == huge_webp
    assert not recwarn.list


def test_no_more_pixels_than_the_budget_are_decoded_at_once() -> None:
    """However many threads want to; an image larger than the whole budget goes alone."""
    budget, lock = PixelBudget(1000), Lock()
    inside: list[int] = []
    peak: list[int] = []

    def decode(pixels: int) -> None:
        with budget.take(pixels):
            with lock:
                inside.append(pixels)
                peak.append(sum(inside))
            time.sleep(0.002)
            with lock:
                inside.remove(pixels)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(decode, [400, 300, 5000, 600, 1000, 100] * 8))
    assert set(peak) & set(range(5000)) <= set(range(1001))
    assert max(peak) == 5000


def test_who_wants_much_is_not_passed_over_for_ever() -> None:
    """Small ones that come later wait behind it, though there is room for them."""
    budget = PixelBudget(1000)

    def decode(pixels: int) -> None:
        with budget.take(pixels):
            pass

    with ThreadPoolExecutor(2) as threads:
        with budget.take(700):
            large = threads.submit(decode, 400)
            with pytest.raises(TimeoutError):
                large.result(0.1)
            small = threads.submit(decode, 100)
            with pytest.raises(TimeoutError):
                small.result(0.1)
        large.result(10)
        small.result(10)


class Noted(PixelBudget):
    """Remembers who took how much."""

    def __init__(self, pixels: int) -> None:
        super().__init__(pixels)
        self.taken: list[int] = []

    @contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        self.taken.append(pixels)
        with super().take(pixels):
            yield


@pytest.mark.parametrize(
    ("file_format", "mode", "share"),
    [
        ("GIF", "P", 768),
        ("TIFF", "RGB", 768),
        ("JPEG", "CMYK", 768),
        ("ICO", "RGB", PIXELS_AT_ONCE),
        ("PNG", "RGB", None),
        ("WEBP", "RGB", None),
    ],
)
def test_every_conversion_takes_its_share_and_gives_it_back(
    monkeypatch: pytest.MonkeyPatch, file_format: str, mode: str, share: int | None
) -> None:
    """What fails too, else the next one would wait for ever. What goes out as it is takes none."""
    budget = Noted(768)
    monkeypatch.setattr("tasks.core.media.conversion.decoding", budget)
    data = picture(file_format, mode)
    to_image(data)
    with suppress(MediaError):
        to_image(data[:-40])
    to_image(data)
    assert budget.taken == ([share] * 3 if share else [])


def test_decoding_gives_its_memory_back_before_the_next_turn() -> None:
    """Six pictures in six threads: the memory of one, which another thread must not have to take anew."""
    code = """if True:
        import io, resource
        from concurrent.futures import ThreadPoolExecutor
        from PIL import Image
        from tasks.core.media import conversion
        conversion.decoding = conversion.PixelBudget(1)
        buffer = io.BytesIO()
        Image.new("RGB", (3000, 3000)).save(buffer, "TIFF", compression="tiff_deflate")
        data = buffer.getvalue()
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        conversion.to_media(data, True)
        before = peak()
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(conversion.to_media, [data] * 6, [True] * 6))
        print(peak() - before)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 3000 * 3000 * 4 / 2


def test_an_image_larger_than_a_file_of_the_api_may_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is sent in vain; one that is only too large for a request is not."""
    monkeypatch.setattr("tasks.core.media.conversion.MAX_FILE_BYTES", 80_000_000)
    data = heic() + bytes(79_000_000)
    assert to_image(data).mime_type == "image/heic"
    with pytest.raises(MediaError, match=f"{len(data) + 1_000_000:,} bytes are more than the API takes"):
        to_image(data + bytes(1_000_000))


@pytest.mark.parametrize("value", [None, "", b"", {"bytes": None, "path": None}, {"bytes": b"", "path": None}])
def test_an_empty_cell_is_no_image(value: Any) -> None:
    """And no error either."""
    assert read_media(value, ["/nowhere"]) is None


def test_bytes_count_before_the_path_beside_them(tmp_path: Path) -> None:
    """In parquet the path is only where the bytes once came from."""
    assert read_media({"bytes": b"abc", "path": "/etc/passwd"}, [str(tmp_path)]) == b"abc"


def test_a_path_is_read_from_the_data_folder(tmp_path: Path) -> None:
    """Relative, absolute inside, or through a link that stays inside."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"abc")
    (tmp_path / "link.png").symlink_to("images/a.png")
    for path in ("images/a.png", "./images/../images/a.png", str(tmp_path / "images/a.png"), "link.png"):
        assert read_media(path, [str(tmp_path)]) == b"abc"


@pytest.mark.parametrize(
    "path",
    ["../secret", "a/../../secret", "/etc/passwd", "link", "folder/secret", "https://x/a.png", "zip://a::b", "\0"],
)
def test_a_path_out_of_the_data_folder_is_forbidden(tmp_path: Path, path: str) -> None:
    """A public data set must not make anyone upload their files, or fetch a URL."""
    root = tmp_path / "data"
    root.mkdir()
    (tmp_path / "secret").write_text("key")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    with pytest.raises(MediaError, match="data folder"):
        read_media(path, [str(root)])


def test_what_is_not_a_file_is_not_read(tmp_path: Path) -> None:
    """A pipe would hang the run for ever."""
    os.mkfifo(tmp_path / "pipe")
    for name, why in [("pipe", "is not a file"), (".", "is not a file"), ("gone.png", "does not exist")]:
        with pytest.raises(MediaError, match=why):
            read_media(name, [str(tmp_path)])
    for value in (7, ["a.png"], {"left": {"bytes": b"", "path": "a.png"}}):
        with pytest.raises(MediaError, match="expected bytes or a path"):
            read_media(value, [str(tmp_path)])


def test_a_file_that_turns_into_a_pipe_or_a_link_before_it_is_opened_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked about it counts for nothing: somebody else may write to the data folder."""
    (tmp_path / "secret").write_bytes(b"key")
    root = tmp_path / "data"
    root.mkdir()
    turn: dict[str, Callable[[], object]] = {
        "pipe": lambda: os.mkfifo(root / "pipe"),
        "link": lambda: (root / "link").symlink_to(tmp_path / "secret"),
    }
    opened = os.open
    for name, change in turn.items():
        (root / name).write_bytes(b"abc")

        def swap(path: Any, *rest: Any, name: str = name, change: Callable[[], object] = change) -> int:
            (root / name).unlink()
            change()
            return opened(path, *rest)

        monkeypatch.setattr(os, "open", swap)
        with pytest.raises(MediaError, match=name):
            read_media(name, [str(root)])
        monkeypatch.setattr(os, "open", opened)


def test_an_encapsulated_postscript_file_is_never_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow would run Ghostscript on it, which runs what the file says."""
    opened: list[str] = []
    monkeypatch.setattr(EpsImagePlugin.EpsImageFile, "_open", lambda self: opened.append("EPS"))
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    for start in (b"", b"\xc5\xd0\xd3\xc6" + bytes(28)):
        with pytest.raises(MediaError, match="not an image"):
            to_image(start + data)
    assert opened == []


@pytest.mark.parametrize("brand", [b"avif", b"isom", b"mp42", b"qt  "])
def test_a_film_or_an_avif_is_not_taken_for_heic(brand: bytes) -> None:
    """They share the container; Gemini's image types do not hold them."""
    with pytest.raises(MediaError):
        to_image((24).to_bytes(4) + b"ftyp" + brand + bytes(8) + b"rest of the file")


def test_an_avif_that_calls_itself_mif1_first_is_converted() -> None:
    """The brand that counts stands among the compatible ones."""
    data = bytearray(picture("AVIF"))
    data[8:12] = b"mif1"
    assert to_image(bytes(data)).mime_type == "image/png"


def test_the_type_comes_from_the_content_whatever_the_name_says(tmp_path: Path) -> None:
    """A JPEG called `.png` is a JPEG; a text called `.jpg` is no image."""
    (tmp_path / "a.png").write_bytes(picture("JPEG"))
    (tmp_path / "b.jpg").write_text("GOOGLE_API_KEY=secret")
    jpeg: Any = read_media("a.png", [str(tmp_path)])
    secret: Any = read_media("b.jpg", [str(tmp_path)])
    assert jpeg
    assert to_image(jpeg).mime_type == "image/jpeg"
    assert secret
    with pytest.raises(MediaError, match="not an image"):
        to_image(secret)


def test_sixteen_bits_of_either_byte_order_keep_their_greys() -> None:
    """A microscope's TIFF is not cut off at 255."""
    rows = b"".join((value * 900).to_bytes(2, "big") for value in range(64))
    buffer = io.BytesIO()
    Pillow.frombytes("I;16B", (8, 8), rows).save(buffer, "TIFF")
    with Pillow.open(io.BytesIO(to_image(buffer.getvalue()).data)) as after:
        assert after.getextrema() == (0, 63 * 900)


def test_a_converted_image_is_upright() -> None:
    """The orientation tag is lost in the conversion, so it is carried out."""
    tags = Pillow.Exif()
    tags[0x0112] = 6
    with Pillow.open(io.BytesIO(to_image(picture("TIFF", exif=tags)).data)) as after:
        assert after.size == (24, 32)


def as_bytes(found: Any) -> bytes:
    assert isinstance(found, bytes)
    return found


def test_a_cell_that_holds_a_whole_image_as_text_does_not_fill_the_message() -> None:
    """base64 in a column of paths is one error a row, not a megabyte of it."""
    for cell in ("iVBORw0KGgo" + "A" * 100_000, "iVBORw0KGgo/" * 10_000, "data:image/png;base64," + "A" * 100_000):
        with pytest.raises(MediaError) as caught:
            to_image(as_bytes(read_media(cell, ["/nowhere"])))
        assert len(str(caught.value)) < SHOWN_CHARS + 100


def test_a_path_may_lead_into_any_root_and_starts_at_the_first(tmp_path: Path) -> None:
    """On the Hub data and its unpacked archives lie in two folders."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "a.png").write_bytes(folder.name.encode())
    roots = [str(first), str(second)]
    assert read_media("a.png", roots) == b"first"
    assert read_media(str(second / "a.png"), roots) == b"second"
    with pytest.raises(MediaError, match="leads out"):
        read_media("../second-hand/a.png", roots)
