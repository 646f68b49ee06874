"""What a setting is called: by the flag, which messages name; by the parameter, for whoever typed no flag; by the API,
whose refusals are told with the flag.
"""

import re
from collections.abc import Collection
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
_FLAG = re.compile(r"(?<![\w-])--(?P<name>[a-z]+(?:-[a-z]+)*)")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|_")


def flag_of(parameter: str) -> str:
    """`--text-column` of `text_column`."""
    return "--" + parameter.replace("_", "-")


def with_parameters(message: str, parameters: Collection[str]) -> str:
    """`message` with the flags of `parameters` called as those are: `text_column`, and `dedupe=False`."""

    def parameter(flag: re.Match[str]) -> str:
        name = flag["name"].replace("-", "_")
        off = name.removeprefix("no_")
        return name if name in parameters else f"{off}=False" if off in parameters else flag[0]

    return _FLAG.sub(parameter, message)


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
