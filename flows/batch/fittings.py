"""What answers of batch jobs are held to: the schema that they were asked for, not that of whoever collects them."""

from collections.abc import Callable
from functools import cache

from tasks.answer_chunk import fitting_of
from tasks.core.answering.misfits import Fitting
from tasks.core.checkpoint.attempts import manifest_of
from tasks.core.checkpoint.layout import Storage
from tasks.core.config.generation import GenerateConfig
from tasks.core.config.parameters import RunConfig


def fittings(storage: Storage, job: str, own: GenerateConfig) -> Callable[[str], Fitting | None]:
    """By attempt, each read once. `own`: of whoever collects; it says more than what is on record of the same schema,
    which names no type, and stands in where an attempt's record cannot be read.
    """

    @cache
    def of_own() -> Fitting | None:
        return fitting_of(own)

    @cache
    def of(attempt: str) -> Fitting | None:
        manifest = manifest_of(storage, job, attempt)
        if manifest is None:
            return of_own()
        asked = RunConfig.model_validate(manifest.config).generation
        return of_own() if _document(asked) == _document(own) else fitting_of(asked)

    return of


def _document(generation: GenerateConfig) -> object:
    return generation.response_schema and generation.response_schema.document
