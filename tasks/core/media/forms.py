"""What a cell means: content, an address, or a path, in any of the forms in which data sets write one. Reads nothing.

b"…"                                             content
"photos/a.png"                                   a path
"data:image/png;base64,…"  "iVBORw0KGgo…"        content; bare base64 only where it is that of a medium
"https://…"  "gs://…"                            an address
{"bytes": …, "path": …}  {"path": …}             datasets' features: the bytes, else the path
{"url": …}  {"image_url": {"url": …}}  …         any of the above, one level down
{"data": …, "mime_type": …}  {"inlineData": …}   content
{"fileUri": …, "mimeType": …}  {"fileData": …}   an address that Gemini fetches
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from tasks.core.errors import MediaError
from tasks.core.media.kinds import OF_SUFFIX
from tasks.core.media.signed import without_signature
from tasks.core.records import MediaUri

SHOWN_CHARS = 200  # of a cell in a message: it may hold a whole image as base64
FILE_API = re.compile(r"https://generativelanguage\.googleapis\.com/[^/]+/(files/[a-z0-9-]+)/?")
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\s]+={0,2}\s*")
_LEAST_BASE64 = 40  # characters; less is a word, and no medium
_URI_KEYS = ("fileUri", "file_uri")
# Of each, the value is a cell again. `file_data` is Gemini's and, with text in it, OpenAI's.
_WRAPPERS = (
    *("url", "image_url", "video_url", "audio_url", "input_image", "input_audio", "input_video", "image", "audio"),
    *("video", "file", "document", "source", "inlineData", "inline_data", "fileData", "file_data", "data", "path"),
)


@dataclass(frozen=True, slots=True)
class Named:
    """A text that names a file: a path, or an address of the web."""

    text: str


def meaning(value: Any) -> bytes | MediaUri | Named | None:
    """What a cell stands for; None where it is empty.

    Raises:
        MediaError: it has no form that is known, or more than one meaning.
    """
    if value is None or isinstance(value, str | bytes | bytearray):
        return _of_text(value) if isinstance(value, str) else bytes(value or b"") or None
    if not isinstance(value, Mapping):
        raise _unknown(value)
    if data := value.get("bytes"):
        return meaning(data)
    if found := {value[key] for key in _URI_KEYS if isinstance(value.get(key), str)}:
        return _uri(found.pop(), str(value.get("mimeType") or value.get("mime_type") or ""))
    keys = [key for key in _WRAPPERS if value.get(key) is not None]
    if not keys and not value.keys() & {"bytes", *_WRAPPERS}:
        raise _unknown(value)
    if len(keys) > 1:
        raise MediaError(f"has {' and '.join(map(repr, keys))}, and which one is meant is not plain")
    return _content(value[keys[0]]) if keys == ["data"] else meaning(value[keys[0]]) if keys else None


def shown(text: str) -> str:
    """A cell as a message shows it, and as the key has it of a row that goes without."""
    text = without_signature(text)
    return repr(text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…")


def from_base64(text: str) -> bytes | None:
    """What `text` is the base64 of, in either alphabet; None where it is none."""
    if len(text) < _LEAST_BASE64 or not _BASE64.fullmatch(text):
        return None
    plain = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error:
        return None


def _of_text(text: str) -> bytes | MediaUri | Named | None:
    if text.lstrip()[:5].lower() == "data:":
        return _of_data_uri(text.strip())
    if text.startswith("gs://") or FILE_API.fullmatch(text):
        return _uri(text, "")
    return Named(text) if text else None


def _of_data_uri(text: str) -> bytes:
    """RFC 2397: a type, which is not asked, and content in base64 or in percent signs."""
    head, comma, body = text.partition(",")
    if not comma:
        raise MediaError(f"{shown(text)} is a data URI without content")
    data = unquote_to_bytes(body)
    if not head.lower().rstrip().endswith(";base64"):
        return data
    return _content(data.decode("latin-1"))


def _content(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if not isinstance(value, str):
        raise _unknown(value)
    if value[:5].lower() == "data:":
        return _of_data_uri(value)
    found = from_base64(value)
    if found is None:
        raise MediaError(f"{shown(value)} is not base64")
    return found


def _uri(uri: str, mime_type: str) -> MediaUri:
    """The API knows the types of its own files, and wants to be told those of a bucket."""
    mime_type = mime_type or OF_SUFFIX.get(uri.rpartition(".")[2].lower(), "")
    if not mime_type and not FILE_API.fullmatch(uri):
        raise MediaError(f"{shown(uri)} does not say of what type it is; {{'fileUri': …, 'mimeType': …}} does")
    return MediaUri(uri, mime_type)


def _unknown(value: Any) -> MediaError:
    return MediaError(f"expected bytes or a path, found {type(value).__name__}")
