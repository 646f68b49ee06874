"""Reads a `generateContent` request body. Must not answer it (`replies.py`).

Takes both spellings of every key (`inlineData`, `inline_data`) and both base64 alphabets: the SDK mixes them.
"""

import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from deployments.emulator.answers import digest_of

_URL_SAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})

type Json = Mapping[str, Any]


class BadRequestError(Exception):
    """The body is not a request that the API would take; the message is the API's own."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a request asks for.

    prompt: all text parts of `contents`, joined by newlines.
    image: the bytes of the inline parts (several are joined), None if there is none.
    config: `generationConfig` as sent, its top keys in camelCase.
    """

    version: str
    model: str
    prompt: str
    image: bytes | None = None
    mime_type: str | None = None
    system: str | None = None
    config: Json = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The name of prompt and image in the counts."""
        return digest_of(self.prompt, self.image)


def parse_call(version: str, model: str, body: bytes) -> Call:
    """Read `body`, the JSON of a request. Raises BadRequestError."""
    try:
        root = json.loads(body)
    except ValueError as error:
        raise BadRequestError(f"Invalid JSON payload received. {error}") from error
    if not isinstance(root, dict) or not root.get("contents"):
        raise BadRequestError("* GenerateContentRequest.contents: contents is not specified\n")
    try:
        return _call(version, model, root)
    except (AttributeError, TypeError) as error:  # a string where an object should be, and the like
        raise BadRequestError(f"Invalid JSON payload received. {error}") from error


def _call(version: str, model: str, root: Json) -> Call:
    parts = list(_parts(root["contents"]))
    images = [blob for part in parts if (blob := _pick(part, "inlineData"))]
    system = _pick(root, "systemInstruction")
    config = _pick(root, "generationConfig") or {}
    return Call(
        version=version,
        model=model,
        prompt=_text(parts),
        image=b"".join(_image_bytes(blob) for blob in images) if images else None,
        mime_type=_mime_type(images[0]) if images else None,
        system=_text(list(_parts(system))) if system else None,
        config={_camel(key): value for key, value in config.items()},
    )


def _parts(contents: Any) -> Iterator[Json]:
    """Parts of one content or of a list of them; a bare list of parts is taken too."""
    for content in contents if isinstance(contents, list) else [contents]:
        yield from content.get("parts", [content])


def _text(parts: list[Json]) -> str:
    return "\n".join(part["text"] for part in parts if "text" in part)


def _image_bytes(blob: Json) -> bytes:
    _mime_type(blob)
    encoded = _pick(blob, "data").encode("ascii", "replace").translate(_URL_SAFE_TO_STANDARD)
    try:
        image = binascii.a2b_base64(encoded + b"==")  # more padding than needed does no harm
    except binascii.Error as error:
        raise BadRequestError(f"Invalid value at 'inline_data.data' (TYPE_BYTES): {error}") from error
    if not image:
        raise BadRequestError("Unable to process input image. The image is empty.")
    return image


def _mime_type(blob: Json) -> str:
    mime_type: str = _pick(blob, "mimeType") or ""
    if not mime_type or (mime_type.startswith("image/") and mime_type not in _IMAGE_TYPES):
        raise BadRequestError(f"Unsupported MIME type: {mime_type}")
    return mime_type


def _pick(fields: Json, camel: str) -> Any:
    """The value under `camelCase` or under `camel_case`; None if there is neither."""
    return fields[camel] if camel in fields else fields.get(_snake(camel))


def _snake(camel: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in camel)


def _camel(snake: str) -> str:
    head, *tail = snake.split("_")
    return head + "".join(word.capitalize() for word in tail)
