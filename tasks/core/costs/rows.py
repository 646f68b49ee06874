"""What one row has cost, by its tokens."""

from tasks.core.costs.prices import Price
from tasks.core.details import Details, Usage, unpacked
from tasks.core.records import RowAnswer

_SEARCHES = '"searches"'


def row_dollars(price: Price, answer: RowAnswer) -> float:
    """Of all requests of a row that were answered. Those that may have been billed besides are not among them."""
    rates = price.of(answer.service_tier, answer.answered_by)
    read = rates.modalities or _SEARCHES in answer.details  # it takes as long as all the rest
    details = unpacked(answer.details) if read else Details()
    usage = Usage(
        answer.prompt_tokens,
        answer.answer_tokens,
        answer.cached_tokens,
        answer.thought_tokens,
        details.get("by_modality", {}),
    )
    return rates.dollars(usage, details.get("searches", 0))
