"""The form of a deployment in Prefect's UI, from the schema that Prefect draws of the parameters. Checks no value."""

from typing import Any

from tasks.core.config.parameters import GROUPS

FIRST = ("dataset", "demo", "limit", "resume")  # all that most runs need


def in_groups(properties: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """`properties` with what is needed first on top, the others by group, which their titles name.

    A value that may be left out is a field of its own kind, and not a choice between a kind and nothing; of several
    values that are known, it is a choice.
    """
    group_of = {name: group.__doc__ for group in GROUPS for name in group.model_fields}
    order = [*FIRST, *(name for name in group_of if name not in FIRST)]
    return {
        name: _plain(properties[name], definitions)
        | {"title": name if name in FIRST else f"{group_of[name]}: {name}", "position": position}
        for position, name in enumerate(order)
    }


def _plain(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Prefect's UI asks for the kind of a value before the value where there are several, none among them."""
    kinds = [kind for kind in field.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return field
    kind: dict[str, Any] = kinds[0]
    if "$ref" in kind:
        kind = definitions[kind["$ref"].rpartition("/")[2]]
    rest = {name: value for name, value in field.items() if name != "anyOf" and (name, value) != ("default", None)}
    return kind | rest
