"""Makes one medium fit for the API. Must not decode what Gemini takes as it is.

The type comes from the content, never from the name. Types that Gemini takes go out byte for byte, whatever their
size, once it is sure that they are whole; what else Pillow reads is converted, so many pixels at once in a process.
Anything else is refused.
"""

import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Lock

from PIL import Image as Pillow
from PIL import ImageFile, ImageOps

from tasks.core.errors import MediaError
from tasks.core.media import boxes
from tasks.core.media.greys import scaled
from tasks.core.media.kinds import kind_of, name_of
from tasks.core.media.whole import CUT_OFF, check_whole
from tasks.core.media.whole_images import check_image, is_animated
from tasks.core.records import Media
from tasks.core.text import visible

SENT_AS_IT_IS = {"PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg", "WEBP": "image/webp"}
# Formats with a signature worth the name, and none that runs another program (as EPS does).
READABLE = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG2000", "PPM", "QOI", "TIFF")
MOST_PIXELS = 180_000_000  # that are decoded of one image: 0.7 GB of RGB
PIXELS_AT_ONCE = 100_000_000
ICON = bytes([0, 0, 1, 0])
MAX_FILE_BYTES = 2_000_000_000  # of the File API: https://ai.google.dev/gemini-api/docs/files
_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")  # a TIFF has pages, an icon sizes
FIRST_FRAME = "animated: the first frame is sent"
NO_MEDIUM = "not an image, PDF, audio or video that Gemini takes"


def set_up_pillow() -> None:
    """Pillow's settings are the process's, and there are none for a single image. As often as you like.

    At import, for nothing earlier is in one thread only: images are opened in many, from the first one on, and Pillow
    loads formats on demand in a way that is not thread-safe.
    """
    Pillow.init()
    # Pillow refuses twice as many, even where a WebP (16,383 x 16,383 at most) is only looked at.
    Pillow.MAX_IMAGE_PIXELS = MOST_PIXELS
    # Blocks this large go back to the system at once; glibc keeps Pillow's usual 16 MB for the thread that had them.
    Pillow.core.set_block_size(64 * 2**20)  # type: ignore[attr-defined]  # its stubs leave `core` out


set_up_pillow()


class PixelBudget:
    """How many pixels may be decoded at once; who wants more waits, first come, first served. Thread-safe.

    An image of more pixels than the whole budget goes alone.
    """

    def __init__(self, pixels: int) -> None:
        self._all = self._free = pixels
        self._first_in_line, self._changed = Lock(), Condition()

    @contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        share = min(pixels, self._all)
        with self._first_in_line, self._changed:
            self._changed.wait_for(lambda: self._free >= share)
            self._free -= share
        try:
            yield
        finally:
            with self._changed:
                self._free += share
                self._changed.notify()


decoding = PixelBudget(PIXELS_AT_ONCE)  # of the process


def to_media(data: bytes, images_only: bool) -> Media:
    """`data` as Gemini takes it.

    Raises:
        MediaError: broken, too large, or of a kind that is not sent.
    """
    kind = kind_of(data)
    if kind is None:
        return _image(data, "not an image" if images_only else NO_MEDIUM)
    if images_only:
        raise MediaError(f"{name_of(kind)}, not an image; --media-column sends it")
    check_whole(data, kind)
    return _within_a_file(Media(data, kind))


def is_media(data: bytes) -> bool:
    """Whether `data` begins as a medium does."""
    return bool(kind_of(data)) or data[4:8] == b"ftyp" or any(_factories(data))


def _image(data: bytes, otherwise: str) -> Media:
    return _within_a_file(_heic(data) or _readable(data, otherwise))


def _within_a_file(media: Media) -> Media:
    if len(media.data) > MAX_FILE_BYTES:
        raise MediaError(f"{len(media.data):,} bytes are more than the API takes ({MAX_FILE_BYTES:,})")
    return media


def _heic(data: bytes) -> Media | None:
    """HEIC and HEIF, which Pillow cannot read: by the brand of the ISO base media file (ISO/IEC 23008-12)."""
    subtype = boxes.IMAGE_BRANDS.get(data[8:12]) if data[4:8] == b"ftyp" else None
    if not subtype or b"avif" in data[8:32]:
        return None
    if boxes.image_is_cut(data):
        raise MediaError(CUT_OFF)
    return Media(data, f"image/{subtype}")


def _readable(data: bytes, otherwise: str) -> Media:
    try:
        if data[:4] == ICON:  # Pillow decodes it when it is opened, and the PNG in it may be larger than it says
            with decoding.take(PIXELS_AT_ONCE):
                return _converted(data)
        with _opened(data, otherwise) as picture:
            mime_type = SENT_AS_IT_IS.get(picture.format or "")
            if mime_type and picture.mode != "CMYK" and not is_animated(data):
                check_image(data)
                return Media(data, mime_type)
            pixels = _pixels(picture)
        with decoding.take(pixels):
            return _converted(data)
    except MediaError:
        raise
    except Exception as error:  # a decoder may raise anything on broken bytes
        raise MediaError(visible(f"broken: {error}")) from None


def _opened(data: bytes, otherwise: str = "not an image") -> ImageFile.ImageFile:
    """As Pillow.open does, without its limit on pixels: most images are not going to be decoded."""
    for factory in _factories(data):
        with suppress(SyntaxError, IndexError, TypeError, struct.error):
            return factory(io.BytesIO(data), "")
    check_image(data)  # half a header is none to Pillow
    raise MediaError(otherwise)


def _factories(data: bytes) -> Iterator[Callable[[io.BytesIO, str], ImageFile.ImageFile]]:
    """Those of the formats that `data` begins like."""
    start = data[:16].ljust(16, b"\0")
    for name in READABLE:
        factory, accepts = Pillow.OPEN[name]
        if accepts is None or accepts(start) is True:
            yield factory


def _pixels(picture: Pillow.Image) -> int:
    """How many pixels are decoded of `picture`.

    Raises:
        MediaError: too many.
    """
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise MediaError(
            f"{width:,} x {height:,} pixels are too many to convert from {picture.format} (at most {MOST_PIXELS:,}); "
            "as PNG, JPEG or WebP it goes out as it is"
        )
    return width * height


def _converted(data: bytes) -> Media:
    """The first frame, upright, without loss: PNG; JPEG for CMYK, which PNG does not have.

    Opens the image itself: its memory is free again when this returns.
    """
    check_image(data)
    buffer = io.BytesIO()
    picture: Pillow.Image = _opened(data)
    note = FIRST_FRAME if picture.format in _ANIMATED and getattr(picture, "is_animated", False) else ""
    picture.seek(0)
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode == "CMYK":
        picture.convert("RGB").save(buffer, "JPEG", quality=95)
        return Media(buffer.getvalue(), "image/jpeg")
    if picture.mode in ("F", "I"):  # straight to RGB, Pillow cuts off at 255, and what lies in 0..1 is black
        picture = scaled(picture)
    if picture.mode == "I;16B":  # straight to I;16 or RGB, Pillow cuts off at 255
        picture = picture.convert("I").convert("I;16")
    if picture.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        picture = picture.convert("RGB")
    picture.save(buffer, "PNG", save_all=False)
    return Media(buffer.getvalue(), "image/png", note)
