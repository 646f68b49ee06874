"""A storage in whose place nothing is written: for a plan that is only looked at."""

from collections.abc import Sequence
from typing import Any

from tasks.core.checkpoint.layout import Storage


class Overlay:
    """Reads `below`; what is written stays in memory, and what is deleted is only hidden."""

    def __init__(self, below: Storage) -> None:
        self._below = below
        self._written: dict[str, Any | None] = {}
        self.gather_seconds, self.settle_seconds = below.gather_seconds, below.settle_seconds

    def read(self, key: str) -> Any | None:
        """See Storage.read."""
        return self._written[key] if key in self._written else self._below.read(key)

    def write(self, key: str, value: Any) -> None:
        self._written[key] = value

    def keys(self, prefix: str) -> list[str]:
        """See Storage.keys."""
        written = {key for key in self._written if key.startswith(f"{prefix}/")}
        return sorted(key for key in {*self._below.keys(prefix), *written} if self._written.get(key, key) is not None)

    def delete(self, keys: Sequence[str]) -> None:
        self._written.update(dict.fromkeys(keys))

    def size(self, prefix: str) -> int:
        """Of what is below."""
        return self._below.size(prefix)
