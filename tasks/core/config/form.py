"""The form of a deployment in Prefect's UI: its order, its titles, its kinds of fields. Checks no value."""

from enum import StrEnum
from typing import Any, Literal, get_args

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

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


def extra_of(name: str, field: FieldInfo) -> dict[str, Any]:
    """What the schema of the field says beside. A text is empty by default: Prefect's server takes no null for one."""
    return {"title": title_of(name)} | ({"default": ""} if _optional(field) is str else {})


def control_of(field: FieldInfo) -> list[Any]:
    """Annotations by which a text or a choice that may be left out is one control: Prefect's UI draws two for `anyOf`.

    Such a choice has no type in the schema, and null is one of its values.
    """
    kind: Any = _optional(field)
    if kind is str:
        return [BeforeValidator(_blank_is_none, json_schema_input_type=str)]
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        choices = Literal[None, *(choice.value for choice in kind)]  # type: ignore[valid-type]  # not known before
        return [BeforeValidator(_blank_is_none, json_schema_input_type=choices)]
    return []


def _optional(field: FieldInfo) -> Any:
    """The kind of a value that may be left out, and is."""
    return get_args(field.annotation)[0] if field.default is None else None


def _blank_is_none(value: Any) -> Any:
    return None if value == "" else value
