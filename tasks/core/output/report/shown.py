"""A row as the page has it: plain values, as far as they are known; cells no longer than a browser shows at ease."""

from typing import Any, NamedTuple

from tasks.core.costs.prices import Price
from tasks.core.costs.rows import row_dollars
from tasks.core.details import STANDARD, Details, unpacked
from tasks.core.records import Kind, RowAnswer

MOST_CHARS = 100_000  # of a cell


class Sort(NamedTuple):
    """A number of each row that the list can be sorted by. `shown`: in the list as well."""

    name: str
    unit: str
    label: str
    shown: bool = True


def shown_row(row: int, sample_id: str, prompt: str, sides: list[dict[str, Any] | None], media: bool) -> dict[str, Any]:
    """`sides`: what was answered, by each of those that are compared; None: by this one nothing."""
    made: dict[str, Any] = {"row": row, "id": sample_id[:MOST_CHARS], "prompt": prompt[:MOST_CHARS], "sides": sides}
    if len(prompt) > MOST_CHARS:
        made["cut"] = len(prompt)
    if media:
        made["media"] = True
    return made


def shown_side(answer: RowAnswer, details: Details, dollars: float | None) -> dict[str, Any]:
    told = details.get
    tokens = [answer.prompt_tokens, answer.cached_tokens, answer.answer_tokens, answer.thought_tokens]
    made = {
        "kind": str(answer.kind),
        "answer": answer.response[:MOST_CHARS],
        "cut": len(answer.response) if len(answer.response) > MOST_CHARS else None,
        "error": answer.error_message[:MOST_CHARS],
        "tokens": tokens if any(tokens) else None,
        "dollars": dollars,
        "latency": told("latency_seconds"),
        "attempts": told("attempts"),
        "maybe_billed": answer.timeouts + answer.lost,
        "model": told("model_version") or answer.answered_by,
        "tier": answer.service_tier if answer.service_tier != STANDARD else None,
        "finish": told("finish_reason"),
        "at": told("answered_at"),
        "response_id": told("response_id"),
        "sources": told("sources"),
        "safety": told("safety_ratings"),
        "key": answer.key,
    }
    return {name: value for name, value in made.items() if value}


def priced(price: Price | None, answer: RowAnswer) -> float | None:
    return row_dollars(price, answer) if price else None


def details_of(answer: RowAnswer) -> Details:
    return unpacked(answer.details)


def tone(kind: Kind) -> str:
    """How it is coloured."""
    tones = {Kind.ANSWERED: "good", Kind.TRUNCATED: "cut", Kind.UNSENT: "open"}
    return tones.get(kind) or ("passing" if kind.retryable else "final")
