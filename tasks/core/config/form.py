"""The form of a deployment in Prefect's UI: its order, its titles, its kinds of fields. Checks no value."""

from typing import Any

from pydantic import GetJsonSchemaHandler

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


def extra_of(name: str) -> dict[str, Any]:
    """What the schema of the field says beside. The data set is a plain text, whose empty default counts as none."""
    return {"title": title_of(name)} | ({"default": ""} if name == "dataset" else {})


class PlainText:
    """An annotation: an optional text is a text field, and not a choice between a text and nothing.

    Prefect's server refuses null in such a field, so its default must not be null.
    """

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        return {"type": "string"} | {name: schema[name] for name in schema if name != "anyOf"}
