"""What is in the records of a checkpoint, as JSON. Reads and writes nothing; see layout for where they lie."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, TypeAdapter, ValidationError

from tasks.core.checkpoint.layout import Damaged
from tasks.core.records import RowAnswer

_ROWS = TypeAdapter(list[RowAnswer])


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Manifest(BaseModel):
    """What one attempt set out to do. `config`: its RunConfig, with the data as it was found (absent in 0.1)."""

    job: str
    name: str
    attempt: str
    created: Annotated[datetime, AfterValidator(_aware)]
    settings: str
    rows: int
    chunks: int
    config: dict[str, Any] = {}


class Summary(BaseModel):
    """How an attempt ended: rows with a result, and those of them that are worth sending again."""

    rows: int
    open: int
    finished: datetime


class Answers(BaseModel):
    """Answers as they arrived. `done`: numbers of the chunks whose answers are all in this writer's records so far."""

    rows: list[RowAnswer]
    done: list[int] = []


class Kept(BaseModel):
    """Answers of one attempt in a record of the pool."""

    attempt: str
    created: Annotated[datetime, AfterValidator(_aware)] | None = None
    settings: str = ""
    rows: list[RowAnswer]


class PoolPart(BaseModel):
    attempts: list[Kept]


def pack(results: Iterable[RowAnswer]) -> dict[str, Any]:
    """Results as they are stored: plain JSON, defaults left out."""
    return {"rows": _ROWS.dump_python(list(results), mode="json", exclude_defaults=True)}


def unpack(value: Any) -> list[RowAnswer]:
    """Raises Damaged when `value` is not what `pack` makes."""
    try:
        return _ROWS.validate_python(value["rows"])
    except (ValidationError, TypeError, KeyError) as error:
        raise Damaged(str(error)) from None


def parsed[M: BaseModel](model: type[M], value: Any) -> M:
    """Raises Damaged when `value` is no record of this kind."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise Damaged(str(error)) from None
