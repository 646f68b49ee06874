"""The signature of a function, drawn from the fields of a model."""

import inspect
from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, Field

from tasks.core.config.form import control_of, extra_of, place_of


def with_parameters_of[**P, R](config: type[BaseModel]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give a function of `**parameters` the fields of `config` as its signature and docstring.

    Prefect draws the form of a deployment from both.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=Annotated[
                    field.annotation,
                    *field.metadata,
                    *control_of(field),
                    Field(description=field.description, json_schema_extra=extra_of(name, field)),
                ],
            )
            for name, field in sorted(config.model_fields.items(), key=lambda item: place_of(item[0]))
        ]
        lines = [f"    {name}: {field.description}" for name, field in config.model_fields.items()]
        function.__doc__ = "\n".join([inspect.getdoc(function) or "", "", "Args:", *lines])
        function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return function

    return decorate
