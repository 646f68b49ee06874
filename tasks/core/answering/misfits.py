"""What becomes of an answer that does not fit the schema: it is said to the model, twice, and then it is an error."""

from collections.abc import Callable
from dataclasses import replace

from tasks.core.errors import Misfit
from tasks.core.records import Kind, Outcome, Request

TRIES_AFTER_MISFIT = 2
type Fitting = Callable[[str], str]  # a text as it fits; raises Misfit


def held_to(fitting: Fitting | None, outcome: Outcome) -> Outcome:
    """`outcome`, or what it is where its answer does not fit. One that was cut short cannot fit, and stays as it is."""
    if fitting is None or outcome.kind is not Kind.ANSWERED:
        return outcome
    try:
        return replace(outcome, text=fitting(outcome.text))
    except Misfit as misfit:
        return replace(outcome, kind=Kind.SCHEMA, detail=str(misfit), again=TRIES_AFTER_MISFIT)


def asking_again(request: Request, misfit: Outcome | None) -> Request:
    """`request` with the answer that did not fit, if there was one, and why."""
    if misfit is None:
        return request
    why = f"That does not fit the schema: {misfit.detail}\nAnswer once more, with nothing but what the schema asks for."
    return request.followed_by(misfit.text, why)
