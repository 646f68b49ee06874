"""What the emulator says when all goes well: a text that depends on the request and on nothing else.

A test compares a row's answer with `answer_to` of that row's own prompt and image, so an answer in the
wrong row cannot pass. Must not hold state or know of HTTP.
"""

import hashlib
import io
import json
from enum import StrEnum

from PIL import Image, UnidentifiedImageError

_DIGEST_CHARS = 12


class AnswerStyle(StrEnum):
    """How an answer reads: for a test to check, or for a person to look at."""

    DIGEST = "digest"
    DESCRIBE = "describe"


def answer_to(prompt: str, image: bytes | None = None, mime_type: str | None = None) -> str:
    """The digest answer, as JSON: `{"prompt": "<12 hex>", "image": "<12 hex>" or null, "mime_type": ...}`."""
    return json.dumps(
        {
            "prompt": _sha256(prompt.encode()),
            "image": None if image is None else _sha256(image),
            "mime_type": mime_type,
        }
    )


def describe(prompt: str, image: bytes | None = None, mime_type: str | None = None) -> str:
    """A sentence or two for people: the prompt's first words, the image's type, bytes and pixels."""
    words = prompt.split()
    opening = " ".join(words[:8]) + ("…" if len(words) > 8 else "")
    asked = f"You asked: “{opening}”" if words else "You asked nothing in words"
    if image is None:
        return f"{asked} There is no image."
    return f"{asked} The image is {mime_type}, {len(image):,} bytes{_pixels(image)}."


def digest_of(prompt: str, image: bytes | None = None) -> str:
    """The name under which the emulator counts a request: 24 hex characters of prompt and image."""
    hashed = hashlib.sha256(prompt.encode())
    if image is not None:
        hashed.update(b"\0image\0")
        hashed.update(image)
    return hashed.hexdigest()[:24]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGEST_CHARS]


def _pixels(image: bytes) -> str:
    """`, 640 x 480 pixels`, or nothing for bytes Pillow cannot read (HEIC, or no image at all)."""
    try:
        width, height = Image.open(io.BytesIO(image)).size  # reads the header only
    except UnidentifiedImageError:
        return ""
    return f", {width} x {height} pixels"
