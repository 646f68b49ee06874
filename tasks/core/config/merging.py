"""Puts flags and the API's own JSON together. What both say is refused: one of them would be dropped without a word."""

from collections.abc import Mapping
from typing import Any

from tasks.core.config.api_settings import Json, camel, thinking_config

_ELSEWHERE = {
    "contents": "the rows are the contents; --prompt-template says how",
    "systemInstruction": "--system-instruction says it",
    "generationConfig": "--generation-config says it",
    "serviceTier": "--service-tier says it: a run's patience follows it",
    "model": "--model says it",
}


def one_candidate(generation_config: Json) -> Json:
    """Raises ValueError where more than one answer is asked for."""
    for name in ("candidateCount", "candidate_count"):
        if (count := generation_config.get(name, 1)) not in (1, None):
            raise ValueError(f"{name} {count!r} would be paid for and thrown away: a row has one answer")
    return generation_config


def in_body(request_body: Json) -> Json:
    """`request_body` with its names as the API spells them.

    Raises:
        ValueError: it says what another flag says.
    """
    body = {camel(name): value for name, value in request_body.items()}
    for name in body:
        if name in _ELSEWHERE:
            raise ValueError(f"{name}: {_ELSEWHERE[name]}")
    if len(body) < len(request_body):
        raise ValueError("one name in two spellings")
    if not _are_objects(body.get("tools", [])):
        raise ValueError('tools: not a list of objects, such as [{"googleSearch": {}}]')
    if isinstance(found := body.get("safetySettings"), list):  # their order is no difference
        body["safetySettings"] = sorted(found, key=str)
    return body


def merged(given: Json, json_flag: str, flags: Mapping[str, tuple[str, Any]]) -> Json:
    """`given`, which `json_flag` has brought, and what other flags say: their names and values, by the API's names.

    Raises:
        ValueError: a name is in both.
    """
    said = {camel(name): name for name in given}
    wanted = {name: pair for name, pair in flags.items() if pair[1] not in (None, [])}
    for name, (flag, _) in wanted.items():
        if name in said:
            raise _twice(flag, said[name], json_flag)
    return given | {name: value for name, (_, value) in wanted.items()}


def with_thinking(generation_config: Json, word: str | None) -> Json:
    """Beside `includeThoughts`, which says another thing. Raises ValueError as `merged`."""
    if word is None:
        return generation_config
    name = next((name for name in generation_config if camel(name) == "thinkingConfig"), "thinkingConfig")
    given = generation_config.get(name) or {}
    for inner in given:
        if camel(inner) in ("thinkingBudget", "thinkingLevel"):
            raise _twice("--thinking", f"{name}.{inner}", "--generation-config")
    return generation_config | {name: given | thinking_config(word)}


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _twice(flag: str, name: str, json_flag: str) -> ValueError:
    return ValueError(f"{flag} and {name} in {json_flag} say the same thing; leave one out")
