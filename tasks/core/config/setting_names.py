"""Finds the setting that a refusal of the API is about, so that the user reads the name of a flag."""

import re
from dataclasses import replace

from tasks.core.config.api_settings import camel
from tasks.core.config.generation import GenerateConfig
from tasks.core.errors import ApiError

_FLAGS = {
    "temperature": "--temperature or --generation-config",
    "maxOutputTokens": "--max-output-tokens or --generation-config",
    "seed": "--seed or --generation-config",
    "thinkingConfig": "--thinking or --generation-config",
    "mediaResolution": "--media-resolution",
    "safetySettings": "--safety or --request-body",
    "tools": "--tools or --request-body",
    "serviceTier": "--service-tier",
    "responseSchema": "--response-schema",
}
_WORDS = {"thinkingConfig": "thinking", "safetySettings": r"safety.?settings?|harm.?category\w*", "tools": "tools?"}
_WORDS["responseSchema"] = r"schema|response[ _]?json[ _]?schema|response[ _]?schema"
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|_")


def with_flags(error: ApiError, generation: GenerateConfig) -> ApiError:
    """A refused argument, with the flag of each setting of the run's that it names."""
    why = settings_named(error.message, generation) if error.code == 400 else ""
    return replace(error, message=error.message + why) if why else error


def settings_named(message: str, generation: GenerateConfig) -> str:
    """`; temperature is set by --temperature …` for each setting of the run's that `message` names, or nothing."""
    homes = dict.fromkeys(generation.generation_config, "--generation-config")
    homes |= dict.fromkeys(generation.request_body, "--request-body")
    homes |= {"mediaResolution": ""} if generation.media_resolution else {}
    homes |= {"serviceTier": ""} if generation.service_tier else {}
    homes |= {"responseSchema": ""} if generation.response_schema else {}
    named = {name: home for name, home in homes.items() if _words(name, generation).search(message)}
    return "".join(f"; {name} is set by {_FLAGS.get(camel(name), home)}" for name, home in named.items())


def _words(name: str, generation: GenerateConfig) -> re.Pattern[str]:
    """`maxOutputTokens` as messages spell it: with humps, bars or spaces between its words."""
    words = [_WORDS.get(camel(name)) or _spelled(name)]
    if name == "tools":  # or one of them by its name
        words += [_spelled(each) for tool in generation.request_body[name] for each in tool]
    return re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)


def _spelled(name: str) -> str:
    return "[ _]?".join(map(re.escape, _HUMP.split(name)))
