"""Holds an answer to the schema that was asked for. Sends nothing, and decides nothing about a row."""

import json
import re
from typing import Any, NoReturn

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match
from jsonschema.validators import validator_for
from pydantic import TypeAdapter, ValidationError

from tasks.core.config.generation import ResponseSchema
from tasks.core.config.response_schema import python_type
from tasks.core.errors import Misfit
from tasks.core.text import one_line

MOST_REASON_CHARS = 500
_FENCED = re.compile(r"\s*```\w*[ \t]*\n(.*?)\n?```\s*", re.DOTALL)


class SchemaCheck:
    """Of one schema: made once, for any number of answers."""

    def __init__(self, schema: ResponseSchema) -> None:
        self._choices = schema.choices
        kind = validator_for(schema.document, default=Draft202012Validator)
        self._validator = kind(schema.document, format_checker=FormatChecker())
        self._type: TypeAdapter[Any] | None = None
        if schema.type_name and not self._choices:
            self._type = TypeAdapter(python_type(schema.type_name))

    def fitting(self, text: str) -> str:
        """The answer alone: without a fence around all of it, which some models put there whatever they are asked.

        Raises:
            Misfit: it does not fit. Other words around it are one: what of them was meant is anybody's guess.
        """
        if fenced := _FENCED.fullmatch(text):
            text = fenced[1]
        if self._choices:
            return self._choice(text)
        value = json_of(text)
        try:
            if error := best_match(self._validator.iter_errors(value)):
                raise Misfit(one_line(f"{error.json_path}: {error.message}", MOST_REASON_CHARS))
            if self._type:
                self._type.validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(["$", *map(str, first["loc"])])
            raise Misfit(one_line(f"{place}: {first['msg']}", MOST_REASON_CHARS)) from None
        except RecursionError:
            raise Misfit("it is nested too deeply") from None
        return text

    def _choice(self, text: str) -> str:
        word = text.strip().strip('"')
        if word not in self._choices:
            raise Misfit(one_line(f"it is none of {', '.join(self._choices)}", MOST_REASON_CHARS))
        return word


def json_of(text: str) -> Any:
    """Raises Misfit where it is no JSON, or JSON with something around it."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise Misfit("it is nested too deeply") from None
    except ValueError as error:
        raise Misfit(one_line(f"it is not JSON: {error}", MOST_REASON_CHARS)) from None


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")
