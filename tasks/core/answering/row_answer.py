"""What is kept of a row, made of what came of its last request and what all of them took."""

from tasks.core.details import Spent, packed
from tasks.core.records import Outcome, RowAnswer


def row_answer(
    row: int, sample_id: str, key: str, outcome: Outcome, spent: Spent, *, has_image: bool, image_note: str
) -> RowAnswer:
    """Online and of batch jobs alike. `has_image`, `image_note`: of the media that went out, and that did not."""
    return RowAnswer(
        row=row,
        id=sample_id,
        key=key,
        kind=outcome.kind,
        has_image=has_image,
        response=outcome.text,
        detail=outcome.detail,
        image_note=image_note,
        prompt_tokens=spent.usage.prompt_tokens,
        answer_tokens=spent.usage.answer_tokens,
        timeouts=spent.timeouts,
        answered_by=outcome.answered_by,
        cached_tokens=spent.usage.cached_tokens,
        thought_tokens=spent.usage.thought_tokens,
        lost=spent.lost,
        service_tier=outcome.service_tier,
        details=packed(outcome.details, spent),
    )
