"""Which media are sent, byte for byte, and which never are: broken ones, and those that Gemini does not take."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from deployments.emulator import Emulator, answer_to
from tasks.core.config.generation import GenerateConfig
from tasks.core.errors import MediaError
from tasks.core.gemini.client import GeminiClient
from tasks.core.media.conversion import FIRST_FRAME, NO_MEDIUM, to_media
from tasks.core.prompts.prepare import Preparer
from tasks.core.records import Request, Sample
from tests.media_samples import (
    ALL,
    IMAGES,
    MP3,
    OTHERS,
    adts,
    animated,
    asf,
    film,
    flac,
    pdf,
    picture,
    rf64,
    webm,
    webm_as_sent,
)
from tests.readers import OneCell

# Those whose container says how long it is, or where it ends.
SAY_THEIR_LENGTH = [kind for kind in ALL if kind not in ("audio/mp3", "video/mpeg", "audio/aac")]


@pytest.mark.parametrize("kind", ALL)
async def test_every_kind_goes_out_byte_for_byte(emulator: Emulator, kind: str) -> None:
    """With the type that Gemini has for it; the emulator answers with a hash of what it got."""
    media = to_media(ALL[kind], images_only=False)
    async with GeminiClient(GenerateConfig(model="gemini-2.5-flash")) as client:
        output = await client.generate(Request.of(media, "what is it?"))
    assert output.text == answer_to("what is it?", ALL[kind], kind)


@pytest.mark.parametrize("kind", OTHERS)
def test_a_column_of_images_sends_nothing_else(kind: str) -> None:
    """And says which flag does."""
    with pytest.raises(MediaError, match="not an image; --media-column sends it"):
        to_media(OTHERS[kind], images_only=True)


@pytest.mark.parametrize(
    "data",
    [
        b"a text",
        "two bytes a letter, and a mark before them".encode("utf-16"),
        b"PK\x03\x04" + bytes(60),
        webm(b"matroska"),
        asf("40 9e 69 f8 4d 5b cf 11 a8 fd 00 80 5f 5c 44 2b"),
        b"RIFF\x24\0\0\0ACON" + bytes(28),
        b"",
    ],
)
def test_what_gemini_does_not_take_is_refused(data: bytes) -> None:
    """A Matroska that is no WebM and sound in Windows's own format among them."""
    with pytest.raises(MediaError, match=NO_MEDIUM):
        to_media(data, images_only=False)


@pytest.mark.parametrize("kind", SAY_THEIR_LENGTH)
@pytest.mark.parametrize("share", [0.35, 0.6, 0.9, 0.99])
def test_what_has_lost_its_end_is_not_sent(kind: str, share: float) -> None:
    """Wherever it was cut."""
    data = ALL[kind]
    with pytest.raises(MediaError, match="broken"):
        to_media(data[: int(len(data) * share)], images_only=False)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_cut_image_is_sent(data: st.DataObject) -> None:
    """As Pillow would refuse it once it decodes it: one byte less is enough."""
    whole = data.draw(st.sampled_from([IMAGES["image/png"], IMAGES["image/webp"], *JPEGS]))
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(MediaError):
        to_media(whole[:cut], images_only=True)


JPEGS = [picture("JPEG"), picture("JPEG", progressive=True), picture("JPEG", mode="L", quality=95), picture("MPO")]


@pytest.mark.parametrize(
    "whole",
    [
        *(ALL[kind] for kind in ("audio/aac", "audio/ogg", "video/x-flv", "video/mp4", "audio/wav", "video/webm")),
        *(ALL[kind] for kind in ("audio/mp3", "audio/flac", "video/mpeg")),
        rf64(),
        webm_as_sent(),
    ],
)
@pytest.mark.parametrize("less", [1, 3, 20])
def test_a_few_bytes_less_are_enough(whole: bytes, less: int) -> None:
    """Of whatever counts its parts."""
    assert to_media(whole, images_only=False).data == whole
    with pytest.raises(MediaError, match="broken: cut off"):
        to_media(whole[:-less], images_only=False)


def test_whole_frames_that_are_missing_are_seen_where_the_sound_says_how_much_there_is() -> None:
    """FLAC by its samples, in numbers of one byte and of more; MP3 by the bytes that its first frame names."""
    with pytest.raises(MediaError, match="cut off"):
        to_media(flac(frames=2, samples=48), images_only=False)
    assert to_media(flac(frames=3, samples=0), images_only=False)  # who wrote into a pipe did not know
    first = bytearray(MP3[: len(MP3) // 3])
    first[36:48] = b"Xing" + (2).to_bytes(4) + len(MP3).to_bytes(4)
    whole = bytes(first) + MP3[len(first) :]
    assert to_media(whole, images_only=False).data == whole
    with pytest.raises(MediaError, match="cut off"):
        to_media(whole[: -len(first)], images_only=False)


@pytest.mark.parametrize("tail", [b"TAG" + bytes(125), b"APETAGEX" + bytes(24), bytes(300), b"anything"])
def test_what_stands_behind_sound_is_no_part_of_it(tail: bytes) -> None:
    """Tags, and what programs leave there."""
    assert to_media(MP3 + tail, images_only=False)
    if tail.startswith(b"TAG"):
        assert to_media(OTHERS["audio/flac"] + tail, images_only=False)


def test_a_jpeg_with_something_behind_it_is_whole() -> None:
    """Phones put films there, cameras zeros; and a thumbnail in front ends before the image does."""
    thumbnail = Pillow.Exif()
    thumbnail[0x010E] = "\xff\xd9 is no end"
    for data in (*JPEGS, picture("JPEG", exif=thumbnail)):
        for tail in (b"", bytes(500), b"ftypmp42" * 9):
            assert to_media(data + tail, images_only=True).data == data + tail


def test_a_png_with_a_damaged_chunk_is_not_sent() -> None:
    """Its checksum tells, without decoding it."""
    data = bytearray(IMAGES["image/png"])
    data[-20] ^= 1
    with pytest.raises(MediaError, match="broken: its checksum does not fit"):
        to_media(bytes(data), images_only=True)


def test_a_film_without_its_index_is_cut_off() -> None:
    """It stands at the end where a camera has written it, and nothing plays without it."""
    whole = film(b"mp42")
    with pytest.raises(MediaError, match="cut off"):
        to_media(whole[:24] + whole[-208:], images_only=False)


def test_an_mp4_with_sound_alone_is_audio() -> None:
    """Whatever brand it bears."""
    assert to_media(film(b"mp42", b"soun"), images_only=False).mime_type == "audio/m4a"


def test_sound_behind_a_tag_is_recognised() -> None:
    """ID3 stands before MP3 and AAC alike."""
    tag = b"ID3\x03\0\0\0\0\x01\x02" + bytes(130)
    assert to_media(tag + MP3, images_only=False).mime_type == "audio/mp3"
    assert to_media(tag + adts(), images_only=False).mime_type == "audio/aac"
    with pytest.raises(MediaError, match="cut off"):
        to_media(tag, images_only=False)


def test_a_pdf_that_was_saved_twice_ends_with_its_last_end() -> None:
    """An early end does not make a cut one whole."""
    twice = pdf() + b"% more\n" * 300 + b"%%EOF\n"
    assert to_media(b"\n" + twice, images_only=False).mime_type == "application/pdf"
    with pytest.raises(MediaError, match="cut off"):
        to_media(twice[:-8], images_only=False)


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP"])
def test_of_what_moves_the_first_frame_is_sent_and_that_is_said(file_format: str) -> None:
    """On the row, though nothing else is wrong with it."""
    media = to_media(animated(file_format), images_only=True)
    with Pillow.open(io.BytesIO(media.data)) as frame:
        assert frame.convert("RGB").getpixel((4, 4)) == (255, 0, 0)
        assert not getattr(frame, "is_animated", False)
    prepared = Preparer(GenerateConfig(model="m")).prepare(Sample(0, "0", "text"), OneCell(animated(file_format)))
    assert (prepared.media_note, prepared.lacks_media, len(prepared.request.media)) == (FIRST_FRAME, False, 1)


def test_a_picture_that_stands_still_has_no_note() -> None:
    """A GIF of one frame is all there."""
    assert to_media(picture("GIF", "P"), images_only=True).note == ""


@pytest.mark.parametrize(
    ("values", "dark", "light"),
    [
        (np.linspace(0, 1, 64, dtype=np.float32), 0, 255),
        (np.linspace(-5e6, 5e6, 64).astype(np.int32), 0, 255),
        (np.full(64, 0.7, np.float32), 128, 128),
        (np.array([np.nan] * 2 + [3.0] * 31 + [4.0] * 31, np.float32), 0, 255),
        (np.full(64, np.inf, np.float32), 128, 128),
    ],
)
def test_numbers_of_any_size_become_shades(values: np.ndarray, dark: int, light: int) -> None:
    """Not black, as they were."""
    buffer = io.BytesIO()
    Pillow.fromarray(values.reshape(8, 8)).save(buffer, "TIFF")
    with Pillow.open(io.BytesIO(to_media(buffer.getvalue(), images_only=True).data)) as after:
        assert (after.mode, after.getextrema()) == ("L", (dark, light))
