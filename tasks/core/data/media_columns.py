"""Which columns hold media, at any depth."""

from collections.abc import Iterable
from typing import Any

from datasets import LargeList, List

from tasks.core.data.datasets_internals import is_read_from_a_file


def media_of(feature: Any) -> str | None:
    """The first feature in `feature`, at any depth, that datasets decodes from a file: Image, Audio, Video, Pdf, …"""
    if isinstance(feature, dict):
        inner: Iterable[Any] = feature.values()
    elif isinstance(feature, List | LargeList):
        inner = [feature.feature]
    else:
        return type(feature).__name__ if is_read_from_a_file(feature) else None
    return next(filter(None, map(media_of, inner)), None)
