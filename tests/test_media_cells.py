"""In which forms a cell may hold a medium, and which are refused with the way out."""

import base64
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import pytest

from tasks.core.config.generation import GenerateConfig
from tasks.core.errors import MediaError
from tasks.core.media.cell import Cell, cells_of
from tasks.core.media.reading import WebFile, read_media
from tasks.core.media.signed import without_signature
from tasks.core.prompts.prepare import Preparer
from tasks.core.records import MediaUri, Sample
from tests.media_samples import IMAGES, OTHERS, picture
from tests.readers import OneCell

PNG, WAV = IMAGES["image/png"], OTHERS["audio/wav"]
B64 = base64.b64encode(PNG).decode()
URL_SAFE = base64.urlsafe_b64encode(PNG).decode().rstrip("=")
DATA_URI = f"data:image/png;base64,{B64}"
FILE = "https://generativelanguage.googleapis.com/v1beta/files/abc-123"


@pytest.mark.parametrize(
    "cell",
    [
        PNG,
        DATA_URI,
        f"data:;base64,{URL_SAFE}",
        f"DATA:image/png,{quote_from_bytes(PNG)}",
        B64,
        URL_SAFE,
        "\n".join(B64[n : n + 76] for n in range(0, len(B64), 76)),
        "a.png",
        {"bytes": PNG, "path": "elsewhere.png"},
        {"bytes": None, "path": "a.png"},
        {"bytes": b"", "path": "a.png"},
        f" {DATA_URI}\n",
        {"bytes": DATA_URI},
        {"path": "a.png"},
        {"path": "a.png", "array": [0.5], "sampling_rate": 16_000},
        {"url": "a.png"},
        {"url": DATA_URI, "detail": "low"},
        {"image_url": {"url": DATA_URI}},
        {"image_url": DATA_URI},
        {"type": "image_url", "image_url": {"url": "a.png"}},
        {"type": "image", "image": "a.png"},
        {"inline_data": {"data": B64, "mime_type": "image/png"}},
        {"inlineData": {"data": PNG, "mimeType": "image/png"}},
        {"data": URL_SAFE, "mime_type": "image/png"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": B64}},
        {"type": "file", "file": {"file_data": DATA_URI, "filename": "a.png"}},
        {"url": DATA_URI, "image_url": None},
    ],
)
def test_the_bytes_are_found_in_every_form(tmp_path: Path, cell: Any) -> None:
    """That of datasets' features, of OpenAI, of Anthropic, of Gemini, and of nobody in particular."""
    (tmp_path / "a.png").write_bytes(PNG)
    assert read_media(cell, [str(tmp_path)]) == PNG


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('["a.png", null, ["b.png"]]', ["a.png", "b.png"]),
        ("['a.png', None, 'b.png']", ["a.png", "b.png"]),
        ('{"url": "a.png"}', [{"url": "a.png"}]),
        (repr([{"bytes": PNG, "path": None}]), [{"bytes": PNG, "path": None}]),
        ("[a].png", ["[a].png"]),
        ("[]", []),
    ],
)
def test_a_list_or_an_object_may_be_written_as_text(text: str, values: list[Any]) -> None:
    """As CSV must, in JSON or as pandas writes what Python has."""
    assert [cell.value for cell in cells_of("image", text, True)] == values


def test_sound_as_openai_writes_it(tmp_path: Path) -> None:
    """Its format is told by content, as any."""
    data = {"data": base64.b64encode(WAV).decode(), "format": "mp3"}
    for cell in (data, {"type": "input_audio", "input_audio": data}):
        assert read_media(cell, [str(tmp_path)]) == WAV


@pytest.mark.parametrize(
    ("cell", "uri", "mime_type"),
    [
        ("gs://bucket/a b/film.MP4", "gs://bucket/a b/film.MP4", "video/mp4"),
        ({"fileUri": "gs://bucket/x", "mimeType": "audio/wav"}, "gs://bucket/x", "audio/wav"),
        ({"file_data": {"file_uri": "gs://b/x.pdf", "mime_type": "image/png"}}, "gs://b/x.pdf", "image/png"),
        ({"fileData": {"fileUri": FILE, "mimeType": "video/mp4"}}, FILE, "video/mp4"),
        ({"url": FILE}, FILE, ""),
        (FILE, FILE, ""),
    ],
)
def test_what_gemini_fetches_by_itself_goes_as_an_address(cell: Any, uri: str, mime_type: str) -> None:
    """Its type is what the cell says, else what the name says; the File API knows those of its own files."""
    assert read_media(cell, ["/nowhere"]) == MediaUri(uri, mime_type)


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("gs://bucket/thing", "does not say of what type it is; {'fileUri': …, 'mimeType': …} does"),
        ({"url": "a.png", "image_url": "b.png"}, "has 'url' and 'image_url', and which one is meant is not plain"),
        ({"caption": "a cat"}, "expected bytes or a path, found dict"),
        ({"image": 7}, "expected bytes or a path, found int"),
        ("data:image/png;base64", "is a data URI without content"),
        ("data:image/png;base64,AA*A", "is not base64"),
        ("data:text/plain,hello", "holds no medium"),
        ({"data": "no base 64!"}, "is not base64"),
        (base64.b64encode(b"a text of some length, which is no medium at all").decode(), "does not exist"),
        ("abc", "does not exist"),
        ("https://example.com/a.png", "is not in the data folder; --fetch-urls fetches it"),
        ({"image_url": {"url": "http://example.com/a.png"}}, "--fetch-urls fetches it"),
    ],
)
def test_what_has_no_plain_meaning_is_refused_in_words(tmp_path: Path, cell: Any, why: str) -> None:
    """Each with the way out, where there is one."""
    with pytest.raises(MediaError) as refused:
        read_media(cell, [str(tmp_path)])
    assert why in str(refused.value)


def test_a_file_counts_before_base64_of_the_same_letters(tmp_path: Path) -> None:
    """However unlikely."""
    name = base64.b64encode(b"\xff\xfb\x90\x00" + bytes(40)).decode().replace("/", "_")
    (tmp_path / name).write_bytes(PNG)
    assert read_media(name, [str(tmp_path)]) == PNG
    assert read_media(name[:-4], [str(tmp_path)]) != PNG


@pytest.mark.parametrize(
    "cell", [None, "", b"", {"bytes": None, "path": None}, {"url": None}, {"image_url": {"url": ""}}]
)
def test_an_empty_cell_is_no_medium(cell: Any) -> None:
    """And no error."""
    assert read_media(cell, ["/nowhere"]) is None


def test_a_column_of_images_refuses_another_address() -> None:
    """By its type, for nobody here sees its content."""
    prepare = Preparer(GenerateConfig(model="m")).prepare
    for images_only, sent in ((True, 0), (False, 1)):
        prepared = prepare(Sample(0, "0", "text"), OneCell(MediaUri("gs://b/a.mp4", "video/mp4"), images_only))
        assert len(prepared.request.media) == sent
    assert "not an image" in prepare(Sample(0, "0", "t"), OneCell(MediaUri("gs://b/a.mp4", "video/mp4"))).media_note


def test_a_file_of_the_web_is_known_by_its_address() -> None:
    """It is fetched to be sent and not to plan: what does not answer today is no other sample."""
    fetched: list[str] = []

    def fetch() -> bytes:
        fetched.append("once")
        return picture("PNG")

    preparer, sample = Preparer(GenerateConfig(model="m")), Sample(0, "0", "text")
    key = preparer.key_of(sample, OneCell(WebFile("https://x/a.png", fetch)))
    assert not fetched
    prepared = preparer.prepare(sample, OneCell(WebFile("https://x/a.png", fetch)))
    assert (prepared.key, len(prepared.request.media), fetched) == (key, 1, ["once"])
    assert preparer.key_of(sample, OneCell(WebFile("https://x/b.png", fetch))) != key


@pytest.mark.parametrize(
    ("address", "bare"),
    [
        ("https://b.s3.amazonaws.com/a.png?X-Amz-Date=1&x-amz-expires=9&X-Amz-Signature=f&versionId=7", "?versionId=7"),
        ("https://storage.googleapis.com/b/a.png?X-Goog-Credential=c&X-Goog-Expires=9&X-Goog-Signature=f#x", "#x"),
        ("https://b.s3.amazonaws.com/a.png?AWSAccessKeyId=k&Expires=9&Signature=f%3D", ""),
        ("https://d1.cloudfront.net/a.png?size=l&Policy=p&Signature=f&Key-Pair-Id=k", "?size=l"),
        ("https://c.blob.core.windows.net/a.png?sv=2024&se=2026-01-01&sr=b&sp=r&sig=f&snapshot=s", "?snapshot=s"),
        ("https://cdn.example/a.png?w=9&token=f&expires=9", "?w=9"),
        ("https://cdn.discordapp.com/a.png?ex=1&is=2&hm=3", ""),
    ],
)
def test_an_address_that_is_signed_anew_makes_no_other_sample(address: str, bare: str) -> None:
    """Nor where it is not fetched: the note that says so is part of the key then. No message shows the signature."""
    path = address.partition("?")[0]
    assert without_signature(address) == path + bare
    preparer, sample = Preparer(GenerateConfig(model="m")), Sample(0, "0", "text")
    for signed, unsigned in (
        (OneCell(WebFile(address, bytes)), OneCell(WebFile(path + bare, bytes))),
        (OneCell(MediaUri(address, "image/png")), OneCell(MediaUri(path + bare, "image/png"))),
    ):
        assert preparer.key_of(sample, signed) == preparer.key_of(sample, unsigned)
    with pytest.raises(MediaError) as error:
        read_media(address, ["/nowhere"])
    assert f"'{path}{bare}' is not in the data folder; --fetch-urls fetches it" in str(error.value)
    assert Cell("image", {"path": address}).name == path + bare


@pytest.mark.parametrize(
    "address",
    [
        "https://x/a.png",
        "https://x/download?token=abc&id=7",  # which may name the file
        "https://x/a?sig=1&b=%20&&c",
        "https://x/a?expires=never&B=+",
        "gs://b/a.png?x-amz-date=1",
        "photos/what?X-Amz-Signature=1.png",
    ],
)
def test_what_is_not_signed_is_known_by_all_of_its_address(address: str) -> None:
    """To the letter, as it has always been."""
    assert without_signature(address) == address
