"""What is asked of the Batch API: GeminiBatches, or a fake in tests. Each call may raise what GeminiBatches says."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tasks.core.batches import BatchJob, JobPage, ResultLine
from tasks.core.errors import ApiError, MalformedAnswer
from tasks.core.records import Request


class BatchApi(Protocol):
    """See GeminiBatches. `create` alone costs money, and alone may not be called twice for one group."""

    def line(self, key: str, request: Request) -> bytes: ...

    def read_line(self, line: bytes) -> ResultLine | None: ...

    async def start_upload(self, size: int, name: str) -> str: ...

    async def received(self, upload: str) -> int | None: ...

    async def upload(self, upload: str, path: Path, offset: int = 0, sent: Callable[[int], object] = ...) -> str: ...

    async def create(self, display_name: str, file: str) -> BatchJob: ...

    async def jobs(self, token: str = "", size: int = 100) -> JobPage: ...

    async def get(self, name: str) -> BatchJob: ...

    async def cancel(self, name: str) -> None: ...

    async def delete_file(self, name: str) -> None: ...

    async def download(self, file: str, to: Path) -> None: ...


FAILURES = (ApiError, ConnectionError, MalformedAnswer)
_UNCLEAR_CODES = frozenset({408, 499})


def passes(error: Exception) -> bool:
    """Whether the same call may well succeed later; whatever it was about is as before."""
    return not isinstance(error, ApiError) or error.code in (408, 425, 429, 499) or error.code >= 500


def is_unclear(error: ApiError) -> bool:
    """Whether a job may have come of a create that was answered so."""
    return error.code in _UNCLEAR_CODES or error.code >= 500 or error.code < 300
