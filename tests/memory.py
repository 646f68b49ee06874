"""A storage in memory that loses and tears what it likes."""

import json
from collections.abc import Sequence
from typing import Any

from tasks.core.checkpoint.layout import Damaged

TORN = object()


class Memory(dict[str, Any]):
    """A TORN value cannot be read. Values go through JSON, as on any storage."""

    gather_seconds = settle_seconds = 0.0

    def read(self, key: str) -> Any | None:
        value = self.get(key)
        if value is TORN:
            raise Damaged(key)
        return value

    def write(self, key: str, value: Any) -> None:
        self[key] = json.loads(json.dumps(value))

    def keys(self, prefix: str = "") -> list[str]:  # type: ignore[override]
        return sorted(key for key in self if key.startswith(prefix))

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.pop(key, None)

    def size(self, prefix: str) -> int:
        return sum(len(json.dumps(self[key])) for key in self.keys(prefix))


class Unreachable(Memory):
    """A network that fails."""

    def read(self, key: str) -> Any | None:
        raise OSError("no route to host")

    def keys(self, prefix: str = "") -> list[str]:  # type: ignore[override]
        raise OSError("no route to host")

    def write(self, key: str, value: Any) -> None:
        raise OSError("no route to host")
