"""The form of a deployment in Prefect's UI: its order, its titles, its kinds of fields. Checks no value."""

from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

from tasks.core.config.parameters import GROUPS

FIRST = ("dataset", "demo", "limit", "resume")  # all that most runs need
_GROUP_OF = {name: group.__doc__ for group in GROUPS for name in group.model_fields}
_ORDER = [*FIRST, *(name for name in _GROUP_OF if name not in FIRST)]


def place_of(name: str) -> int:
    """What is needed comes first, the rest by group."""
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def title_of(name: str) -> str:
    """With the group, where `name` is not among the first."""
    return name if name in FIRST or name not in _GROUP_OF else f"{_GROUP_OF[name]}: {name}"


class PlainField:
    """An annotation: a value that may be left out is a field of its own kind, and not a choice between two kinds.

    Prefect's UI asks for the kind of a value before the value where there are several, none among them.
    """

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
        if len(kinds) != 1:
            return schema
        plain = handler.resolve_ref_schema(kinds[0]) | {name: schema[name] for name in schema if name != "anyOf"}
        if "enum" in plain:  # the UI sends what is left out as null
            plain["enum"] = [*plain["enum"], None]
        return plain
