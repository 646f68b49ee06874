"""Reads a `generateContent` request body. Must not answer it (`replies.py`).

Takes both spellings of every key (`inlineData`, `inline_data`) and both base64 alphabets: the SDK mixes them.
"""

import binascii
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from deployments.emulator.answers import digest_of
from deployments.emulator.behaviours import HttpError
from deployments.emulator.caches import CachedContent, no_such_cache
from deployments.emulator.files import StoredFile, no_such_file

_URL_SAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
# Of what begins like this, the API takes these; of `text/` any, and of `application/` some that are no matter here.
_TYPES = {
    "image/": frozenset({"png", "jpeg", "webp", "heic", "heif"}),
    "audio/": frozenset({"wav", "mp3", "mpeg", "aiff", "aac", "ogg", "flac", "m4a"}),
    "video/": frozenset({"mp4", "mpeg", "mov", "avi", "x-flv", "mpg", "webm", "wmv", "3gpp"}),
}

_READ = ("contents", "systemInstruction", "generationConfig")

type Json = Mapping[str, Any]
type UseFile = Callable[[str], StoredFile | HttpError]
type UseCache = Callable[[str, str], CachedContent | HttpError]


class BadRequestError(Exception):
    """The body is not a request that the API would take; the message is the API's own."""

    def __init__(self, message: str, refusal: HttpError | None = None) -> None:
        super().__init__(message)
        self.refusal = refusal or HttpError(400, message)


@dataclass(frozen=True, slots=True)
class Medium:
    """One that came with a request. `uri`: where it is, if it did not come along; `sha256`: of its bytes, if known."""

    mime_type: str
    data_bytes: int
    sha256: str
    uri: str = ""
    resolution: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """What a request asks for.

    prompt: all text parts of `contents`, joined by newlines.
    image: the bytes of all media (several are joined; of a URI that leads elsewhere, itself), None if there is none.
    media: what they are, each.
    config: `generationConfig` as sent, its top keys in camelCase.
    beside: what else there is at the top, as sent, its keys in camelCase.
    cached_tokens: how much of prompt and system came from the cache that it names; both have that before their own.
    """

    version: str
    model: str
    prompt: str
    image: bytes | None = None
    mime_type: str | None = None
    system: str | None = None
    config: Json = field(default_factory=dict)
    media: tuple[Medium, ...] = ()
    beside: Json = field(default_factory=dict)
    cached_tokens: int = 0

    @property
    def digest(self) -> str:
        """The name of prompt and image in the counts."""
        return digest_of(self.prompt, self.image)

    @property
    def tier(self) -> str:
        """The service tier that it asks for; empty where it asks for none."""
        return str(self.beside.get("serviceTier") or "")


def parse_call(
    version: str, model: str, body: bytes, use_file: UseFile = no_such_file, use_cache: UseCache = no_such_cache
) -> Call:
    """Read `body`, the JSON of a request.

    `use_file` gives the files of the File API, `use_cache` what is cached for a model. Raises BadRequestError.
    """
    try:
        root = json.loads(body)
    except ValueError as error:
        raise BadRequestError(f"Invalid JSON payload received. {error}") from error
    if not isinstance(root, dict) or not root.get("contents"):
        raise BadRequestError("* GenerateContentRequest.contents: contents is not specified\n")
    try:
        return _with_cached(_call(version, model, root, use_file), use_cache)
    except (AttributeError, TypeError) as error:  # a string where an object should be, and the like
        raise BadRequestError(f"Invalid JSON payload received. {error}") from error


def parse_counted(version: str, model: str, body: bytes, use_file: UseFile = no_such_file) -> Call:
    """The request in the body of a `countTokens`. Raises BadRequestError."""
    try:
        root = json.loads(body)
        inner = _pick(root, "generateContentRequest") or root
    except (ValueError, AttributeError, TypeError) as error:
        raise BadRequestError(f"Invalid JSON payload received. {error}") from error
    return parse_call(version, model, json.dumps(inner).encode(), use_file)


def _call(version: str, model: str, root: Json, use_file: UseFile) -> Call:
    parts = list(_parts(root["contents"]))
    found = [each for part in parts if (each := _medium(part, use_file))]
    system = _pick(root, "systemInstruction")
    config = _pick(root, "generationConfig") or {}
    return Call(
        version=version,
        model=model,
        prompt=_text(parts),
        image=b"".join(data for _, data in found) if found else None,
        mime_type=found[0][0].mime_type if found else None,
        system=text_of_contents(system),
        config={_camel(key): value for key, value in config.items()},
        media=tuple(medium for medium, _ in found),
        beside={name: value for key, value in root.items() if (name := _camel(key)) not in _READ},
    )


def _with_cached(call: Call, use_cache: UseCache) -> Call:
    """The call with what is cached before it."""
    if (name := call.beside.get("cachedContent")) is None:
        return call
    found = use_cache(name, call.model)
    if isinstance(found, HttpError):
        raise BadRequestError(found.message, found)
    if call.system or not call.beside.keys().isdisjoint(("tools", "toolConfig")):
        raise BadRequestError(
            "CachedContent can not be used with GenerateContent request setting system_instruction, tools or "
            "tool_config.\n\nProposed fix: move those values to CachedContent from GenerateContent request."
        )
    return replace(call, prompt=found.prompt + call.prompt, system=found.system, cached_tokens=found.tokens)


def text_of_contents(contents: Any) -> str | None:
    """All text of a content or of several; None where there is none."""
    return _text(list(_parts(contents))) if contents else None


def _medium(part: Json, use_file: UseFile) -> tuple[Medium, bytes] | None:
    resolution = (_pick(part, "mediaResolution") or {}).get("level", "")
    if blob := _pick(part, "inlineData"):
        data = _image_bytes(blob)
        return Medium(_mime_type(blob), len(data), _sha256(data), resolution=resolution), data
    if not (named := _pick(part, "fileData")):
        return None
    uri: str = _pick(named, "fileUri") or ""
    if "/files/" not in urlsplit(uri).path:
        return Medium(_mime_type(named), 0, "", uri, resolution), uri.encode()
    name = uri.rpartition("/files/")[2]
    file = use_file(f"files/{name}")
    if isinstance(file, HttpError):
        raise BadRequestError(file.message, file)
    mime_type = _pick(named, "mimeType") or file.mime_type
    return Medium(mime_type, len(file.data), _sha256(file.data), uri, resolution), file.data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


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
    kind, _, subtype = mime_type.partition("/")
    if not subtype or subtype not in _TYPES.get(f"{kind}/", {subtype}):
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
