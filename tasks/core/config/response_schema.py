"""The schema that answers have to fit: read from JSON, a file, or a Python type. Checks no answer."""

import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, SchemaError
from jsonschema.validators import validator_for
from pydantic import TypeAdapter
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from tasks.core.config.generation import ResponseSchema
from tasks.core.errors import InputError
from tasks.core.text import one_line

FLAG = "--response-schema"
_TYPE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_BY_NAME = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_ALONE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
# What the API holds its answers to, as the SDK documents `response_json_schema`, and what says nothing of an answer.
_HELD_TO = {"$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems"}
_HELD_TO |= {"minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties"}
_HELD_TO |= {"required", "propertyOrdering", "default", "examples", "deprecated", "readOnly", "writeOnly"}

type Json = dict[str, Any]


def read_schema(value: str) -> ResponseSchema:
    """The schema that `value` is, or names: JSON, a file with it, or `module:Name`.

    Raises:
        InputError: it cannot be read, is no JSON Schema, or is one that the API does not take.
    """
    if _TYPE.fullmatch(value):
        found = python_type(value)
        try:
            document, name = TypeAdapter(found).json_schema(), value
        except Exception as error:  # pydantic's own, or of the type
            raise _refused(value, f"no schema can be drawn from it: {error}") from None
    else:
        document, name = _document(value), ""
    _check(value, document)
    return ResponseSchema(document=_mapped(document, _as_sent), type_name=name)


def python_type(name: str) -> Any:
    """What `module:Name` stands for; modules of the working directory go before installed ones.

    Raises:
        InputError: it cannot be imported.
    """
    module, _, attribute = name.partition(":")
    sys.path.insert(0, here := str(Path.cwd()))
    try:
        found = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:  # whatever runs when it is imported
        raise _refused(name, f"cannot be imported: {type(error).__name__}: {error}") from None
    finally:
        sys.path.remove(here)
    return found


def fields_of(schema: ResponseSchema) -> list[str]:
    """The names in an answer, where it is an object, in the schema's order."""
    document = schema.document
    while "$ref" in document:
        document = target_of(document["$ref"], schema.document)
    return list(document.get("properties", {}))


def target_of(ref: str, document: Json) -> Any:
    """What `ref` leads to in `document`."""
    registry: Registry[Any] = Registry().with_resource("", DRAFT202012.create_resource(document))
    return registry.resolver().lookup(ref).contents


def not_held_to(schema: ResponseSchema) -> list[str]:
    """Keywords that the API passes over; answers are checked against them here."""
    return sorted({keyword for inner in _schemas(schema.document) for keyword in inner} - _HELD_TO)


def _document(value: str) -> Any:
    try:
        text = value if value.lstrip().startswith("{") else Path(value).expanduser().read_text(encoding="utf-8-sig")
        return json.loads(text)
    except OSError as error:
        raise _refused(value, f"neither JSON, nor module:Name, nor a file: {error.strerror or error}") from None
    except ValueError as error:
        raise _refused(value, f"not JSON: {error}") from None


def _check(value: str, document: Any) -> None:
    if not isinstance(document, dict) or not document:
        raise _refused(value, "a schema is a JSON object that says something")
    try:
        validator_for(document, default=Draft202012Validator).check_schema(document)
    except SchemaError as error:
        raise _refused(value, f"no JSON Schema: {error.json_path}: {error.message}") from None
    for ref in [schema["$ref"] for schema in _schemas(document) if "$ref" in schema]:
        if not ref.startswith("#"):
            raise _refused(value, f"$ref {ref!r} leads out of it")
        try:
            target_of(ref, document)
        except Unresolvable:
            raise _refused(value, f"$ref {ref!r} leads nowhere") from None
    if ref := _endless(document, document, ()):
        raise _refused(value, f"{ref} is required within itself, which the API does not take; make a field optional")


def _endless(schema: Any, document: Json, within: tuple[str, ...]) -> str:
    """A `$ref` that is needed within itself, for ever."""
    if not isinstance(schema, dict):
        return ""
    if ref := schema.get("$ref"):
        return ref if ref in within else _endless(target_of(ref, document), document, (*within, ref))
    needed = [schema.get("properties", {}).get(name) for name in schema.get("required", [])]
    inner = [*needed, schema.get("items"), *(part for name in _LISTED for part in schema.get(name, []))]
    return next(filter(None, (_endless(part, document, within) for part in inner)), "")


def _as_sent(schema: Json) -> Json:
    """The same in one spelling, which the API takes: `$ref` stands alone there, and definitions in `$defs`."""
    schema = {("$defs" if name == "definitions" else name): value for name, value in schema.items()}
    for name in ("$schema", "$comment"):
        schema.pop(name, None)
    if isinstance(schema.get("required"), list):
        schema["required"] = sorted(schema["required"])
    if "$ref" in schema:
        ref = {"$ref": schema.pop("$ref").replace("#/definitions/", "#/$defs/")}
        beside = {name for name in schema if not name.startswith("$")}
        schema |= {"anyOf": [ref]} if beside and "anyOf" not in schema else ref
    return schema


def _mapped(schema: Any, change: Callable[[Json], Json]) -> Any:
    """`schema` with each schema in it changed, the inner ones first."""
    if not isinstance(schema, dict):
        return schema
    inner = dict(schema)
    for name, value in schema.items():
        if name in _BY_NAME and isinstance(value, dict):
            inner[name] = {key: _mapped(part, change) for key, part in value.items()}
        elif (name in _LISTED or name in _ALONE) and isinstance(value, list):
            inner[name] = [_mapped(part, change) for part in value]
        elif name in _ALONE:
            inner[name] = _mapped(value, change)
    return change(inner)


def _schemas(document: Any) -> Iterator[Json]:
    """It and all in it."""
    found: list[Json] = []

    def seen(schema: Json) -> Json:
        found.append(schema)
        return schema

    _mapped(document, seen)
    return iter(found)


def _refused(value: str, why: str) -> InputError:
    return InputError(f"{FLAG} {one_line(value, 100)}: {one_line(why, 300)}")
