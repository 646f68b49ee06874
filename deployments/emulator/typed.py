"""An answer of the form that a request asks for: JSON by a schema, or one of some words. The same for the same request.

Fills in what a schema asks for, and no more: names, types, choices, bounds. Must not import what checks answers.
"""

import json
from collections.abc import Mapping
from typing import Any

_MOST_DEPTH = 5  # of a schema that goes on in itself


def typed(config: Mapping[str, Any], text: str) -> str:
    """`text`, or where `config` asks for a form, an answer of that form with `text` in its strings."""
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    if not isinstance(schema, dict) or config.get("responseMimeType") not in ("application/json", "text/x.enum"):
        return text
    value = _value(schema, schema, text, 0)
    return str(value) if config["responseMimeType"] == "text/x.enum" else json.dumps(value, ensure_ascii=False)


def _value(schema: Any, document: dict[str, Any], text: str, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _MOST_DEPTH:
        return None
    if isinstance(ref := schema.get("$ref"), str):
        return _value(_target(ref, document), document, text, depth + 1)
    for name in ("enum", "anyOf", "oneOf"):
        if found := schema.get(name):
            return found[len(text) % len(found)] if name == "enum" else _value(found[0], document, text, depth + 1)
    kind = schema.get("type")
    kind = str(kind[0] if isinstance(kind, list) else kind).lower()
    if kind == "object" or "properties" in schema:
        properties = schema.get("properties", {})
        wanted = schema.get("required", []) if depth else properties
        return {name: _value(properties.get(name), document, text, depth + 1) for name in wanted}
    if kind == "array":
        return [_value(schema.get("items"), document, text, depth + 1)] * max(1, schema.get("minItems", 1))
    low = schema.get("minimum", min(schema.get("maximum", len(text)), len(text)))
    formats = {"date": "2026-11-25", "date-time": "2026-11-25T12:00:00Z", "time": "12:00:00Z"}
    plain = {"integer": int(low), "number": float(low), "boolean": len(text) % 2 == 0, "null": None}
    return plain.get(kind, formats.get(schema.get("format", ""), text))


def _target(ref: str, document: dict[str, Any]) -> Any:
    found: Any = document
    for part in ref.removeprefix("#").strip("/").split("/"):
        found = found.get(part) if part and isinstance(found, dict) else found
    return found
