"""How much goes into a group: far below what the API takes, so that little is lost with one, and nobody waits long.

The limits of the API: 2 GB a file, 3 million tokens under way for the smallest paid tier.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Bounds:
    """Whichever is met first closes a group; `tokens` are estimates of prompts, on the high side."""

    rows: int = 5_000
    bytes: int = 200_000_000
    tokens: int = 1_000_000

    def has_room(self, rows: int, size: int, tokens: int) -> bool:
        """Whether a group that came to these would be within bounds. One row always is."""
        return rows <= 1 or (rows <= self.rows and size <= self.bytes and tokens <= self.tokens)

    def half_of(self, rows: int, tokens: int) -> "Bounds":
        """Bounds that a group like this one exceeds about twice: it was too large for the API."""
        return replace(self, rows=max(1, min(self.rows, -(-rows // 2))), tokens=min(self.tokens, tokens * 6 // 10 + 1))
