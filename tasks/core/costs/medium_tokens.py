"""Tokens of a medium at most, by its bytes: only the API knows how many they are. Decodes nothing.

After https://ai.google.dev/gemini-api/docs/tokens and …/media-resolution.
"""

import io
import math
import re

from PIL import Image

from tasks.core.config.generation import MediaResolution
from tasks.core.records import Media, MediaUri

CONTEXT_TOKENS = 1_048_576  # no Gemini model takes a longer prompt: it refuses it, and bills nothing
_TILE_TOKENS, _LEAST_TILE, _MOST_TILE = 258, 256, 768
_OF_IMAGE = {
    MediaResolution.LOW: 280,
    MediaResolution.MEDIUM: 560,
    None: 1120,
    MediaResolution.HIGH: 1120,
    MediaResolution.ULTRA_HIGH: 2240,
}
_PAGE_TOKENS, _MOST_PAGES, _PAGE_BYTES = 1120, 1000, 50
_AUDIO_TOKENS, _AUDIO_BYTES = 32, 500  # a second, of sound at 4 kbit/s


def most_tokens(medium: Media | MediaUri, model: str, resolution: MediaResolution | None) -> int:
    """What `medium` may take of a prompt. Its length in time is not known of a video, nor of what lies elsewhere."""
    if isinstance(medium, MediaUri):
        return CONTEXT_TOKENS
    kind, size = medium.mime_type.partition("/")[0], len(medium.data)
    if kind == "image":
        return _of_image(medium.data, model, resolution)
    if kind == "audio":
        return min(math.ceil(size / _AUDIO_BYTES) * _AUDIO_TOKENS, CONTEXT_TOKENS)
    if medium.mime_type == "application/pdf":
        return min(min(math.ceil(size / _PAGE_BYTES), _MOST_PAGES) * _PAGE_TOKENS, CONTEXT_TOKENS)
    return CONTEXT_TOKENS if kind == "video" else min(size, CONTEXT_TOKENS)


def _of_image(data: bytes, model: str, resolution: MediaResolution | None) -> int:
    """Before Gemini 3 by tiles, since then by resolution; by whichever is more where the name does not say it."""
    generation = re.search(r"gemini-(\d+)", model)
    if generation and int(generation[1]) >= 3:
        return _OF_IMAGE[resolution]
    return max(_tiles(data) * _TILE_TOKENS, 0 if generation else _OF_IMAGE[resolution])


def _tiles(data: bytes) -> int:
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
    except Exception:  # HEIC, or whatever else only the API reads
        return math.ceil(CONTEXT_TOKENS / _TILE_TOKENS)
    tile = min(max(min(width, height) / 1.5, _LEAST_TILE), _MOST_TILE)
    return math.ceil(width / tile) * math.ceil(height / tile)
