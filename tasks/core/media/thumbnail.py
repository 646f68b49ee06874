"""Makes an image small enough to be looked at in a list. Must not change what is sent."""

import io

from PIL import Image as Pillow
from PIL import ImageOps

from tasks.core.media.conversion import READABLE, decoding

SIDE = 240  # pixels, of the longer one
MOST_PIXELS = 50_000_000  # of an image that is decoded for this


def thumbnail(data: bytes) -> bytes | None:
    """A WebP of `data`; None where it is no image that Pillow reads, or too large a one."""
    try:
        with Pillow.open(io.BytesIO(data), formats=READABLE) as picture:
            pixels = picture.width * picture.height
            if pixels > MOST_PIXELS:
                return None
            with decoding.take(pixels):
                picture.draft("RGB", (SIDE, SIDE))  # a JPEG is decoded at a fraction of its size
                picture.thumbnail((SIDE, SIDE), reducing_gap=2.0)
                return _webp(ImageOps.exif_transpose(picture))
    except Exception:  # a decoder may raise anything on broken bytes
        return None


def _webp(picture: Pillow.Image) -> bytes:
    made = io.BytesIO()
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    picture.convert(mode).save(made, "WEBP", quality=60, method=2)
    return made.getvalue()
