"""What left within the last minute, in requests and tokens: the user's own bounds. Waits for nothing."""

from collections import deque
from dataclasses import dataclass

MINUTE_SECONDS = 60.0


@dataclass(slots=True, eq=False)
class Slot:
    """Leave to send one request. `tokens` is an estimate until the answer says the true number."""

    sent_at: float
    tokens: int
    counted: bool = False  # in the last minute


class Minute:
    """At most `rpm` requests and `tpm` prompt tokens in any minute; None: no bound."""

    def __init__(self, rpm: int | None, tpm: int | None) -> None:
        self._rpm, self._tpm = rpm, tpm
        self._sent: deque[Slot] = deque()
        self._tokens = 0  # sum over _sent

    def wait_seconds(self, now: float, tokens: int) -> float:
        """Until a request of `tokens` may be the next; not above 0 when it may go now."""
        self._forget(now - MINUTE_SECONDS)
        rpm, tpm = self._rpm, self._tpm
        if self._sent and ((rpm and len(self._sent) >= rpm) or (tpm and self._tokens + tokens > tpm)):
            return self._sent[0].sent_at + MINUTE_SECONDS - now
        return 0.0

    def add(self, slot: Slot) -> None:
        if self._rpm or self._tpm:
            slot.counted = True
            self._sent.append(slot)
            self._tokens += slot.tokens

    def correct(self, slot: Slot, tokens: int) -> None:
        """`tokens`: what the request really took."""
        if slot.counted:
            self._tokens += tokens - slot.tokens
            slot.tokens = tokens

    def take_out(self, slot: Slot) -> None:
        """Nothing left with it."""
        if slot.counted:
            self._sent.remove(slot)
            slot.counted = False
            self._tokens -= slot.tokens

    def _forget(self, before: float) -> None:
        while self._sent and self._sent[0].sent_at <= before:
            slot = self._sent.popleft()
            slot.counted = False
            self._tokens -= slot.tokens
