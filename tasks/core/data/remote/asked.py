"""Rows of a commit, by reference. Fetches nothing."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from tasks.core.data.formats.rows import Reading
from tasks.core.data.formats.staging import VERSION
from tasks.core.data.selection import Selection


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows of a commit, by reference. `reading`: as the flags say."""

    dataset: str
    config_name: str | None
    revision: str | None
    spec: str
    selection: Selection
    reading: Reading

    def __str__(self) -> str:
        return f"{self.dataset} {self.spec}"

    @property
    def digest(self) -> str:
        """The same for the same rows, whoever asks and however they are fetched."""
        chosen = [self.selection.where, self.selection.shuffle, self.selection.limit]
        how = [self.reading.encoding, self.reading.delimiter]
        return self.digest_of(self.spec, chosen, *how)

    def digest_of(self, *more: Any) -> str:
        """Of the commit, and of what is said of it."""
        text = json.dumps([VERSION, self.dataset, self.config_name, self.revision, *more])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
