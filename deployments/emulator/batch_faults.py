"""What can go wrong with batch jobs and with large files, as plain data: each fault so many times, each counted.

Must not bring any about: whoever is about to do a thing asks whether it is to fail.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """Where it strikes, and how. `code` and `seconds` are those of the fault."""

    UPLOAD_REFUSED = "upload_refused"
    """The start of an upload is answered with `code`."""
    CHUNK_FAILS = "chunk_fails"
    """500 to a part of an upload, without the header that says where it stands; nothing of it is kept."""
    CHUNK_CUT = "chunk_cut"
    """The connection closes within a part of an upload; half of it is kept."""
    CREATE_REFUSED = "create_refused"
    """No job is made, and `code` is the answer; 0: the connection closes."""
    CREATE_UNCLEAR = "create_unclear"
    """The job is made after `seconds`, and the answer is `code` all the same; 0: the connection closes."""
    CREATE_SLOW = "create_slow"
    """The job is made at once, and the answer comes after `seconds`."""
    LISTED_LATE = "listed_late"
    """The next job is in no list for `seconds`, though `get` finds it."""
    GET_FAILS = "get_fails"
    """`get` is answered with `code`, while lists work."""
    LIST_FAILS = "list_fails"
    DOWNLOAD_FAILS = "download_fails"
    """The download is answered with `code`."""
    DOWNLOAD_CUT = "download_cut"
    """The connection closes within the download."""

    STUCK = "stuck"
    """The next job stays PENDING until it expires."""
    FAILED = "failed"
    """The next job ends as FAILED with `code` (of gRPC) and without results."""
    EXPIRED = "expired"
    """The next job ends as EXPIRED, without results."""
    CANCEL_IGNORED = "cancel_ignored"
    """The next cancel is answered, and the job goes on as before."""
    CANCEL_TOO_LATE = "cancel_too_late"
    """The next cancel is answered, and the job ends as SUCCEEDED."""
    CANCEL_HALFWAY = "cancel_halfway"
    """The next cancel ends the job once half of its rows are done."""

    ERROR_LINE = "error_line"
    """The next row fails with `code` (of gRPC), under `error`."""
    STATUS_LINE = "status_line"
    """The same, under `status`."""
    LAST_LINE_CUT = "last_line_cut"
    LINE_MISSING = "line_missing"
    LINE_DOUBLED = "line_doubled"
    FOREIGN_KEY = "foreign_key"
    """A line more, whose key nobody has asked for."""
    SHUFFLED = "shuffled"
    RAW_SEPARATORS = "raw_separators"
    """Each line holds U+2028 and U+0085 as they are, which `str.splitlines` would cut at."""


@dataclass(frozen=True, slots=True)
class BatchFault:
    """`times`: how often it strikes; None: always."""

    kind: FaultKind
    times: int | None = 1
    code: int = 0
    seconds: float = 0.0


class Faults:
    """Those that are to strike, and how often each kind has struck."""

    def __init__(self) -> None:
        self.struck: Counter[str] = Counter()
        self._left: list[tuple[BatchFault, int | None]] = []

    def set(self, faults: Iterable[BatchFault]) -> None:
        """Replace those that are left; what has struck stays counted."""
        self._left = [(fault, fault.times) for fault in faults]

    def take(self, kind: FaultKind) -> BatchFault | None:
        """The next fault of that kind, which strikes now."""
        for index, (fault, times) in enumerate(self._left):
            if fault.kind is kind and times != 0:
                self._left[index] = fault, None if times is None else times - 1
                self.struck[kind] += 1
                return fault
        return None
