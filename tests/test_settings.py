"""What is asked of the model: flags and the API's own JSON, what goes out of them, and what they are known by."""

import json
from pathlib import Path
from typing import Any

import pytest

from deployments.emulator import Answer, Emulator, HttpError, Rule
from tasks.core.answering.outcomes import outcome_of_error
from tasks.core.config.command_line import parse
from tasks.core.config.limits import LimitsConfig
from tasks.core.config.parameters import RunConfig
from tasks.core.errors import ApiError, InputError
from tasks.core.gemini.client import GeminiClient
from tasks.core.records import Request

OFF = [
    {"category": f"HARM_CATEGORY_{name}", "threshold": "OFF"}
    for name in ("DANGEROUS_CONTENT", "HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT")
]
HARASSMENT = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_ONLY_HIGH"}


def asked(*flags: str) -> RunConfig:
    return parse(flags).config


async def ask(config: RunConfig) -> None:
    async with GeminiClient(config.generation) as client:
        await client.generate(Request.of("what?"))


@pytest.mark.parametrize(
    ("flags", "generation_config", "beside"),
    [
        ([], {}, {}),
        (["--temperature", "0"], {"temperature": 0}, {}),
        (["--temperature", "0.7", "--seed", "-3"], {"temperature": 0.7, "seed": -3}, {}),
        (["--max-output-tokens", "9", "--generation-config", '{"topK": 1}'], {"maxOutputTokens": 9, "topK": 1}, {}),
        (["--thinking", "0"], {"thinkingConfig": {"thinkingBudget": 0}}, {}),
        (["--thinking=-1"], {"thinkingConfig": {"thinkingBudget": -1}}, {}),
        (
            ["--thinking", "Low", "--generation-config", '{"thinkingConfig": {"includeThoughts": true}}'],
            {"thinkingConfig": {"includeThoughts": True, "thinkingLevel": "LOW"}},
            {},
        ),
        (["--safety", "off"], {}, {"safetySettings": OFF}),
        (["--safety", "harassment=block_only_high"], {}, {"safetySettings": [HARASSMENT]}),
        (
            ["--tools", "code_execution, google_search,url_context"],
            {},
            {"tools": [{"googleSearch": {}}, {"urlContext": {}}, {"codeExecution": {}}]},
        ),
        (["--service-tier", "flex"], {}, {"serviceTier": "flex"}),
        (
            ["--request-body", '{"labels": {"team": "a"}, "tool_config": {"x": 1}}'],
            {},
            {"labels": {"team": "a"}, "toolConfig": {"x": 1}},
        ),
    ],
)
async def test_what_was_set_goes_out_and_nothing_else(
    emulator: Emulator, flags: list[str], generation_config: dict[str, Any], beside: dict[str, Any]
) -> None:
    """Where the API looks for it."""
    await ask(asked(*flags))
    [seen] = emulator.last_requests
    assert (seen.config, seen.beside) == (generation_config, beside)


@pytest.mark.parametrize(
    ("flags", "same"),
    [
        (["--temperature", "0.0"], {"temperature": 0}),
        (["--temperature", "0.5", "--seed", "7"], {"seed": 7, "temperature": 0.5}),
        (["--max-output-tokens", "100"], {"maxOutputTokens": 100}),
        (["--thinking", "512"], {"thinkingConfig": {"thinkingBudget": 512}}),
        (["--thinking", "high"], {"thinkingConfig": {"thinkingLevel": "HIGH"}}),
    ],
)
def test_a_flag_and_its_json_have_one_key(flags: list[str], same: dict[str, Any]) -> None:
    """What was asked before there was the flag is found again."""
    assert asked(*flags).generation.fingerprint == RunConfig(generation_config=same).generation.fingerprint


def test_keys_of_older_checkpoints_stay() -> None:
    """As 0.2 made them: settings that it did not know are no part of them."""
    config = {"temperature": 0.0, "max_output_tokens": 5}
    assert RunConfig(model="m").generation.fingerprint == "6bea1f2953c5a70c"
    assert RunConfig(model="m", generation_config=config).generation.fingerprint == "1e3e37f24c54ef01"


def test_what_shapes_answers_is_part_of_the_key_and_nothing_else_is() -> None:
    """A price, a label and a log are not; what a cache of the user's own holds is sent like a prompt."""
    plain = asked().generation.fingerprint
    for flags in (
        ["--service-tier", "flex"],
        ["--timeout-seconds", "9"],
        ["--request-body", '{"labels": {"a": "b"}, "store": false}'],
    ):
        assert asked(*flags).generation.fingerprint == plain
    different = [
        ["--temperature", "1"],
        ["--seed", "1"],
        ["--safety", "off"],
        ["--safety", "HARASSMENT=OFF"],
        ["--tools", "google_search"],
        ["--tools", "url_context"],
        ["--request-body", '{"toolConfig": {}}'],
        ["--request-body", '{"cachedContent": "cachedContents/a"}'],
        ["--request-body", '{"cachedContent": "cachedContents/b"}'],
    ]
    prints = {plain, *(asked(*flags).generation.fingerprint for flags in different)}
    assert len(prints) == 1 + len(different)


def test_the_order_in_which_settings_are_typed_is_no_difference(tmp_path: Path) -> None:
    """Nor is it whether a flag, the JSON or a file has them."""
    file = tmp_path / "body.json"
    file.write_text(json.dumps({"safety_settings": OFF[::-1]}))
    ways = [
        ["--safety", "off"],
        ["--safety", ",".join(f"{each['category']}=off" for each in OFF[::-1])],
        ["--request-body", str(file)],
        ["--request-body", f"@{file}"],
    ]
    assert len({asked(*way).generation.fingerprint for way in ways}) == 1


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (
            ["--temperature", "1", "--generation-config", '{"temperature": 0}'],
            "--temperature and temperature in --generation-config say the same thing; leave one out",
        ),
        (["--max-output-tokens", "1", "--generation-config", '{"max_output_tokens": 2}'], "max_output_tokens in"),
        (["--thinking", "0", "--generation-config", '{"thinking_config": {"thinkingLevel": "LOW"}}'], "--thinking and"),
        (["--media-resolution", "low", "--generation-config", '{"mediaResolution": "x"}'], "--media-resolution and"),
        (["--safety", "off", "--request-body", '{"safetySettings": []}'], "--safety and safetySettings in"),
        (["--tools", "google_search", "--request-body", '{"tools": []}'], "--tools and tools in --request-body"),
        (["--request-body", '{"tools": {"googleSearch": {}}}'], "tools: not a list of objects, such as"),
        (["--request-body", '{"contents": []}'], "contents: the rows are the contents"),
        (["--request-body", '{"system_instruction": {}}'], "--system-instruction says it"),
        (["--request-body", '{"generationConfig": {}}'], "--generation-config says it"),
        (["--request-body", '{"serviceTier": "flex"}'], "--service-tier says it"),
        (["--cache-prefix", "--request-body", '{"cachedContent": "cachedContents/a"}'], "a request uses one cache"),
        (["--request-body", '{"toolConfig": 1, "tool_config": 2}'], "one name in two spellings"),
        (["--request-body", "no.json"], "neither a JSON object nor a file that can be read: No such file"),
        (["--request-body", "[1]"], "neither a JSON object nor a file"),
        (["--temperature", "2.1"], "--temperature '2.1': it must be less than or equal to 2"),
        (["--thinking", "much"], "--thinking 'much': neither a number of tokens nor a level (minimal, low"),
        (["--safety", "HARASSMENT=NEVER"], "HARASSMENT=NEVER: no threshold; there are BLOCK_LOW_AND_ABOVE"),
        (["--safety", "strict"], "STRICT=: no threshold"),
        (["--safety", "A=OFF,A=OFF"], "a category is named twice"),
        (["--tools", "calculator"], "--tools 'calculator'"),
        (["--service-tier", "slow"], "--service-tier 'slow': it must be 'standard', 'flex' or 'priority'"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(flags: list[str], line: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(flags)
    assert line in caught.value.line


@pytest.mark.parametrize(
    ("flags", "message", "told"),
    [
        (
            ["--temperature", "0.3"],
            "Temperature is not supported for this model.",
            "; temperature is set by --temperature or --generation-config",
        ),
        (["--thinking", "0"], "Budget 0 is invalid. This model only works in thinking mode.", "set by --thinking"),
        (["--max-output-tokens", "9"], "max_output_tokens must be 1 to 8", "set by --max-output-tokens"),
        (["--tools", "google_search"], "Google Search is not enabled for it", "; tools is set by --tools"),
        (["--safety", "off"], "Invalid value at 'safety_settings[0]'", "; safetySettings is set by --safety"),
        (["--service-tier", "flex"], "Service tier FLEX is not offered", "; serviceTier is set by --service-tier"),
        (["--generation-config", '{"topK": 3}'], "top_k is refused", "; topK is set by --generation-config"),
        (["--generation-config", '{"thinking_config": {}}'], "Thinking is not supported", "set by --thinking or"),
        (["--request-body", '{"odd": 3}'], 'Unknown name "odd"', "; odd is set by --request-body"),
        (["--temperature", "0.3"], "top_p is not supported", "top_p is not supported"),
        ([], "Temperature is not supported for this model.", "for this model."),
    ],
)
async def test_a_setting_that_the_model_refuses_is_told_by_its_flag(
    emulator: Emulator, flags: list[str], message: str, told: str
) -> None:
    """Where it was set, and no other."""
    emulator.set_rules([Rule(HttpError(400, message))])
    with pytest.raises(ApiError) as caught:
        await ask(asked(*flags))
    detail = outcome_of_error(caught.value, 9).detail
    assert message in detail
    assert (told in detail) if "set by" in told else detail.endswith(told)


def test_patience_follows_the_service_tier_unless_it_is_set() -> None:
    """What answers within 15 minutes is waited for as long."""
    assert asked().limits == LimitsConfig(max_concurrent=10, timeout_seconds=180, give_up_seconds=900, max_attempts=5)
    flex = asked("--service-tier", "flex").limits
    assert (flex.timeout_seconds, flex.give_up_seconds, flex.max_attempts, flex.busy_seconds) == (900, 3600, 10, 14_400)
    own = asked("--service-tier", "flex", "--timeout-seconds", "180", "--max-attempts", "2").limits
    assert (own.timeout_seconds, own.give_up_seconds, own.max_attempts) == (180, 3600, 2)


@pytest.mark.parametrize(
    ("flags", "told", "tier"),
    [
        (["--service-tier", "flex"], None, "flex"),
        (["--service-tier", "priority"], "standard", "standard"),
        ([], None, "standard"),
    ],
)
async def test_an_answer_has_the_tier_that_the_api_tells_or_else_the_one_asked_for(
    emulator: Emulator, flags: list[str], told: str | None, tier: str
) -> None:
    """What was priority may be served as standard, and is billed so."""
    emulator.set_rules([Rule(Answer(beside={"usageMetadata": {"serviceTier": told}}))])
    async with GeminiClient(asked(*flags).generation) as client:
        assert (await client.generate(Request.of("what?"))).service_tier == tier


async def test_flex_is_busy_and_slow_where_the_emulator_says_so(emulator: Emulator) -> None:
    """And nobody else is."""
    emulator.set_rules([Rule(HttpError(503), tier="flex")])
    with pytest.raises(ApiError, match="503"):
        await ask(asked("--service-tier", "flex"))
    await ask(asked())
