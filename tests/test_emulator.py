"""The emulator as the real google-genai client sees it, over real HTTP."""

import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google import genai
from google.genai.errors import APIError, ClientError, ServerError
from google.genai.types import (
    BlockedReason,
    FinishReason,
    GenerateContentConfig,
    GenerateContentResponse,
    HttpOptions,
    HttpRetryOptions,
    Part,
    PartUnion,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import TypeAdapter

from deployments.emulator import (
    BAD_IMAGE,
    INVALID_KEY,
    PERMISSION_DENIED,
    UNAVAILABLE,
    UNKNOWN_MODEL,
    Answer,
    AnswerStyle,
    ApiLimits,
    Behaviour,
    Blocked,
    Breakage,
    Broken,
    Constant,
    Emulator,
    Finish,
    HttpError,
    Latency,
    LogNormal,
    Quota,
    RateLimited,
    Redirect,
    Rule,
    Told,
    Uniform,
    answer_to,
    digest_of,
    parse_latency,
)

MODEL = "gemini-2.5-flash"
PATH = f"/v1/models/{MODEL}:generateContent"
KEY = {"x-goog-api-key": "any"}
ROOT = Path(__file__).parent.parent
PATIENCE_SECONDS = 60.0


class Clock:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Caller:
    """A google-genai client that talks to one emulator, without the SDK's own retries."""

    def __init__(self, emulator: Emulator, key: str = "any", **options: Any) -> None:
        options.setdefault("timeout", 5_000)
        http_options = HttpOptions(
            base_url=emulator.url,
            retry_options=HttpRetryOptions(attempts=1),
            client_args={"verify": False},  # plain HTTP: spares two SSL contexts, 70 ms a client
            async_client_args={"ssl": False},
            **options,
        )
        self.client = genai.Client(api_key=key, vertexai=False, http_options=http_options)

    async def __call__(
        self, prompt: str = "hello", image: bytes | None = None, model: str = MODEL, **config: Any
    ) -> GenerateContentResponse:
        parts: list[PartUnion] = [Part.from_text(text=prompt)]
        if image is not None:
            parts.append(Part.from_bytes(data=image, mime_type="image/png"))
        return await self.client.aio.models.generate_content(
            model=model, contents=parts, config=GenerateContentConfig(automatic_continuation=False, **config)
        )

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.client.aio.aclose()


async def reply_of(behaviour: Behaviour, **config: Any) -> GenerateContentResponse:
    """What the SDK makes of one behaviour."""
    async with Emulator([Rule(behaviour)]) as emulator, Caller(emulator) as call:
        return await call(**config)


async def error_of(behaviour: Behaviour) -> APIError:
    """The error the SDK raises at one behaviour."""
    with pytest.raises(APIError) as caught:
        await reply_of(behaviour)
    return caught.value


async def in_flight(emulator: Emulator, requests: int) -> None:
    """Wait until as many are."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while emulator.stats.in_flight != requests:
            await asyncio.sleep(0.01)


def details_of(error: APIError) -> dict[str, dict[str, Any]]:
    """Details of an error body by the last word of their type."""
    return {detail["@type"].rpartition(".")[2]: detail for detail in error.details["error"]["details"]}


def png(width: int = 3, height: int = 2) -> bytes:
    stream = BytesIO()
    Image.new("RGB", (width, height)).save(stream, "PNG")
    return stream.getvalue()


# Answers


async def test_an_answer_depends_on_the_prompt_and_the_image() -> None:
    """Every answer is `answer_to` of its own request, so an answer in the wrong row shows."""
    images = [b"one", b"two", None]
    async with Emulator() as emulator, Caller(emulator) as call:
        for prompt in ("a", "b"):
            for image in images:
                expected = answer_to(prompt, image, "image/png" if image else None)
                assert (await call(prompt, image)).text == expected
    answers = {answer_to(prompt, image, None) for prompt in ("a", "b") for image in images}
    assert len(answers) == 6


async def test_an_image_arrives_byte_for_byte() -> None:
    """The SDK's URL-safe base64 is decoded: these bytes use both letters in which the alphabets differ."""
    image = bytes(range(256)) + b"\xfb\xff\xfe"
    async with Emulator() as emulator, Caller(emulator) as call:
        assert (await call("p", image)).text == answer_to("p", image, "image/png")


async def test_an_answer_carries_usage_version_and_id() -> None:
    """Token counts add up and an image costs tokens; every answer has an id of its own."""
    async with Emulator() as emulator, Caller(emulator) as call:
        plain, illustrated = await call("p"), await call("p", png())
        stats = emulator.stats
    usage, with_image = plain.usage_metadata, illustrated.usage_metadata
    assert usage is not None
    assert with_image is not None
    assert usage.prompt_token_count == 1
    assert with_image.prompt_token_count == 1 + 258
    assert usage.total_token_count == 1 + (usage.candidates_token_count or 0) > 1
    assert stats.prompt_tokens == 1 + 259
    assert stats.output_tokens == (usage.candidates_token_count or 0) + (with_image.candidates_token_count or 0)
    assert plain.model_version == MODEL
    assert plain.response_id != illustrated.response_id


async def test_the_describing_style_is_for_people() -> None:
    """It names the prompt's first words and the image's type, bytes and pixels."""
    image = png(30, 20)
    async with Emulator(style=AnswerStyle.DESCRIBE) as emulator, Caller(emulator) as call:
        text = (await call("What is on the big table in this photograph?", image)).text or ""
        assert "What is on the big table in this…" in text
        assert f"image/png, {len(image)} bytes, 30 x 20 pixels" in text
        assert "bytes." in ((await call("p", b"no picture")).text or "")
        assert "no image" in ((await call("p")).text or "")


async def test_a_given_text_is_answered() -> None:
    """`Answer(text)` overrides what would be derived from the request."""
    assert (await reply_of(Answer("forty-two"))).text == "forty-two"


@pytest.mark.parametrize("parent", ["", "publishers/google/", "projects/p/locations/eu/publishers/google/"])
@pytest.mark.parametrize("version", ["v1", "v1beta", "v1beta1"])
async def test_every_path_and_spelling_is_understood(parent: str, version: str) -> None:
    """Plain and Vertex paths; camelCase with standard base64 and snake_case with URL-safe."""
    bodies = [
        {"contents": [{"parts": [{"text": "p"}, {"inlineData": {"mimeType": "image/png", "data": "+/8="}}]}]},
        {"contents": {"parts": [{"text": "p"}, {"inline_data": {"mime_type": "image/png", "data": "-_8"}}]}},
    ]
    async with Emulator() as emulator, aiohttp.ClientSession() as session:
        url = f"{emulator.url}/{version}/{parent}models/{MODEL}:generateContent"
        for body in bodies:
            async with session.post(url, json=body, headers=KEY) as response:
                found = await response.json()
            text = found["candidates"][0]["content"]["parts"][0]["text"]
            assert text == answer_to("p", b"\xfb\xff", "image/png")


async def test_a_vertex_client_is_answered() -> None:
    """The SDK in its Vertex mode sends another path and reads the same answer."""
    async with Emulator() as emulator:
        options = HttpOptions(base_url=emulator.url, retry_options=HttpRetryOptions(attempts=1))
        client = genai.Client(vertexai=True, api_key="any", http_options=options)
        answer = await client.aio.models.generate_content(model=MODEL, contents="p")
        await client.aio.aclose()
    assert answer.text == answer_to("p")


# Models and keys


async def test_models_are_listed_page_by_page() -> None:
    """The SDK's pager reads all pages, each of which holds what was asked for."""
    names = [f"gemini-{number}" for number in range(5)]
    async with Emulator(models=names) as emulator, Caller(emulator) as call:
        pager = await call.client.aio.models.list(config={"page_size": 2})
        assert len(pager) == 2
        assert [model.name async for model in pager] == [f"models/{name}" for name in names]
        model = await call.client.aio.models.get(model="gemini-3")
    assert model.supported_actions == ["generateContent", "countTokens"]


@pytest.mark.parametrize("behaviour", [None, UNKNOWN_MODEL])
async def test_an_unknown_model_is_not_found(behaviour: Behaviour | None) -> None:
    """404 NOT_FOUND with the API's own words, for a model off the list and as a behaviour."""
    async with Emulator([Rule(behaviour)] if behaviour else []) as emulator, Caller(emulator) as call:
        model = MODEL if behaviour else "gemini-0"
        with pytest.raises(ClientError, match=f"models/{model} is not found for API version v1") as caught:
            await call(model=model)
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


@pytest.mark.parametrize("behaviour", [None, INVALID_KEY])
async def test_an_invalid_key_is_refused(behaviour: Behaviour | None) -> None:
    """400 INVALID_ARGUMENT whose ErrorInfo says API_KEY_INVALID, off the list of keys and as a behaviour."""
    rules = [Rule(behaviour)] if behaviour else []
    key = "good" if behaviour else "bad"
    async with Emulator(rules, valid_keys=["good"]) as emulator, Caller(emulator, key) as call:
        with pytest.raises(ClientError, match=r"API key not valid\. Please pass a valid API key\.") as caught:
            await call()
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    assert details_of(caught.value)["ErrorInfo"]["reason"] == "API_KEY_INVALID"


async def test_a_key_may_come_in_three_ways_but_must_come() -> None:
    """Header, bearer and query let a valid key in; no key at all is 403, for models too."""
    body = {"contents": [{"parts": [{"text": "p"}]}]}
    ways: list[tuple[dict[str, str], str, int]] = [
        ({"x-goog-api-key": "good"}, "", 200),
        ({"Authorization": "Bearer good"}, "", 200),
        ({}, "?key=good", 200),
        ({}, "?key=bad", 400),
        ({}, "", 403),
    ]
    async with Emulator(valid_keys=["good"]) as emulator, aiohttp.ClientSession() as session:
        for headers, query, status in ways:
            async with session.post(emulator.url + PATH + query, json=body, headers=headers) as response:
                assert response.status == status
            async with session.get(emulator.url + "/v1/models" + query, headers=headers) as response:
                assert response.status == status


# Errors


async def test_a_rate_limit_says_when_to_come_back() -> None:
    """RetryInfo keeps fractions of a second, QuotaFailure names the quota; there is no Retry-After header."""
    async with Emulator([Rule(RateLimited(1.5, quota_value=7))]) as emulator, Caller(emulator) as call:
        with pytest.raises(ClientError) as caught:
            await call()
    error = caught.value
    details = details_of(error)
    assert (error.code, error.status) == (429, "RESOURCE_EXHAUSTED")
    assert details["RetryInfo"]["retryDelay"] == "1.5s"
    (violation,) = details["QuotaFailure"]["violations"]
    assert violation["quotaId"] == "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
    assert violation["quotaValue"] == "7"
    assert violation["quotaDimensions"]["model"] == MODEL
    assert "Retry-After" not in error.response.headers


async def test_a_daily_quota_is_named() -> None:
    """The quotaId of the day tells a 429 that waiting does not cure."""
    details = details_of(await error_of(RateLimited(None, Quota.PER_DAY)))
    assert list(details) == ["QuotaFailure"]
    (violation,) = details["QuotaFailure"]["violations"]
    assert violation["quotaId"] == "GenerateRequestsPerDayPerProjectPerModel-FreeTier"


async def test_a_rate_limit_may_come_without_details() -> None:
    """A bare 429 has no `details` at all."""
    error = await error_of(RateLimited(None, Quota.UNNAMED))
    assert error.code == 429
    assert "details" not in error.details["error"]


@pytest.mark.parametrize(
    ("behaviour", "raised", "status"),
    [
        (HttpError(408), ClientError, "DEADLINE_EXCEEDED"),
        (HttpError(500), ServerError, "INTERNAL"),
        (UNAVAILABLE, ServerError, "UNAVAILABLE"),
        (HttpError(504), ServerError, "DEADLINE_EXCEEDED"),
        (HttpError(409), ClientError, "ABORTED"),
        (HttpError(499), ClientError, "CANCELLED"),
        (HttpError(529), ServerError, "UNAVAILABLE"),
        (PERMISSION_DENIED, ClientError, "PERMISSION_DENIED"),
        (HttpError(400), ClientError, "INVALID_ARGUMENT"),
        (HttpError(418, "short and stout", "TEAPOT"), ClientError, "TEAPOT"),
    ],
    ids=lambda value: str(getattr(value, "code", "")),
)
async def test_an_http_error_has_googles_body(behaviour: HttpError, raised: type[APIError], status: str) -> None:
    """Each code has its usual status; 4xx is a ClientError, 5xx a ServerError."""
    error = await error_of(behaviour)
    assert (type(error), error.code, error.status) == (raised, behaviour.code, status)
    assert error.message


async def test_a_redirect_names_its_location_and_bills_nothing() -> None:
    """To any place, which the emulator itself never calls."""
    async with (
        Emulator([Rule(Redirect("http://elsewhere.example/v1", 308))]) as emulator,
        aiohttp.ClientSession(headers=KEY) as session,
        session.post(
            emulator.url + PATH, json={"contents": [{"parts": [{"text": "p"}]}]}, allow_redirects=False
        ) as reply,
    ):
        assert (reply.status, reply.headers["Location"]) == (308, "http://elsewhere.example/v1")
        assert (emulator.stats.answers, emulator.stats.by_behaviour) == (0, {"redirect:308": 1})


async def test_an_image_that_cannot_be_read_is_an_invalid_argument() -> None:
    """400 with the API's message."""
    error = await error_of(BAD_IMAGE)
    assert (error.code, error.status) == (400, "INVALID_ARGUMENT")
    assert "Unable to process input image" in (error.message or "")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "Invalid JSON"),
        (b'{"contents": []}', "contents is not specified"),
        (b'{"contents": ["words"]}', "Invalid JSON"),
        (
            b'{"contents": [{"parts": [{"inlineData": {"mimeType": "image/bmp", "data": "AA"}}]}]}',
            "image/bmp",
        ),
        (
            b'{"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": ""}}]}]}',
            "input image",
        ),
        (
            b'{"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "A"}}]}]}',
            "inline_data",
        ),
    ],
)
async def test_a_request_the_api_would_not_take_is_refused(body: bytes, message: str) -> None:
    """400 INVALID_ARGUMENT, and nothing is billed."""
    async with Emulator() as emulator, aiohttp.ClientSession() as session:
        async with session.post(emulator.url + PATH, data=body, headers=KEY) as response:
            error = (await response.json())["error"]
        assert emulator.stats.answers == 0
    assert (response.status, error["status"]) == (400, "INVALID_ARGUMENT")
    assert message in error["message"]


# Answers that are none


@pytest.mark.parametrize("reason", ["SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "OTHER", "IMAGE_SAFETY"])
async def test_a_blocked_prompt_has_no_candidates(reason: str) -> None:
    """The SDK raises nothing: candidates is None, the reason stands in prompt_feedback."""
    reply = await reply_of(Blocked(reason))
    assert reply.candidates is None
    assert reply.text is None
    assert reply.prompt_feedback is not None
    assert reply.prompt_feedback.block_reason is BlockedReason(reason)
    assert reply.prompt_feedback.safety_ratings
    assert reply.usage_metadata is not None
    assert reply.usage_metadata.candidates_token_count is None


@pytest.mark.parametrize(
    "reason",
    [
        "SAFETY",
        "RECITATION",
        "PROHIBITED_CONTENT",
        "SPII",
        "BLOCKLIST",
        "MALFORMED_FUNCTION_CALL",
        "OTHER",
        "LANGUAGE",
        "IMAGE_SAFETY",
    ],
)
async def test_a_stopped_answer_has_no_content(reason: str) -> None:
    """One candidate with a finish reason, without content; a safety reason comes with ratings."""
    (candidate,) = (await reply_of(Finish(reason))).candidates or []
    assert candidate.finish_reason is FinishReason(reason)
    assert candidate.content is None
    rated = reason in {"SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "IMAGE_SAFETY"}
    assert bool(candidate.safety_ratings) is rated


async def test_a_truncated_answer_has_the_first_half() -> None:
    """MAX_TOKENS comes with partial text, or with the text that is given."""
    reply = await reply_of(Finish("MAX_TOKENS"))
    assert reply.text
    assert answer_to("hello").startswith(reply.text)
    assert (await reply_of(Finish("MAX_TOKENS", "Once upon"))).text == "Once upon"


async def test_an_unknown_finish_reason_reaches_the_client() -> None:
    """A reason that the SDK does not know becomes a new enum value, with a warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (candidate,) = (await reply_of(Finish("MOON_PHASE"))).candidates or []
    assert candidate.finish_reason is not None
    assert candidate.finish_reason.value == "MOON_PHASE"
    assert any("MOON_PHASE" in str(warning.message) for warning in caught)


async def test_a_continuation_tempts_the_client_to_pay_again() -> None:
    """By default the SDK follows a continuationToken with a second request; switched off, it does not."""
    rules = [Rule(Finish("CONTINUATION", "part"), times_each=1)]
    for continues, requests in ((True, 2), (False, 1)):
        async with Emulator(rules) as emulator, Caller(emulator) as call:
            config = GenerateContentConfig(automatic_continuation=continues)
            await call.client.aio.models.generate_content(model=MODEL, contents="p", config=config)
            assert emulator.stats.answers == requests


# What is broken


@pytest.mark.parametrize("how", [Breakage.EMPTY_BODY, Breakage.EMPTY_JSON])
async def test_an_empty_reply_is_a_response_without_anything(how: Breakage) -> None:
    """200 without a body, or with `{}`: the SDK returns a response in which all is None."""
    reply = await reply_of(Broken(how))
    assert reply.candidates is None
    assert reply.usage_metadata is None
    assert reply.prompt_feedback is None


async def test_a_web_page_is_no_json() -> None:
    """200 with HTML: the SDK raises JSONDecodeError, no APIError."""
    with pytest.raises(json.JSONDecodeError):
        await reply_of(Broken(Breakage.HTML))


async def test_a_cut_body_is_a_payload_error() -> None:
    """The connection ends in the middle of the body: aiohttp's ClientPayloadError."""
    with pytest.raises(aiohttp.ClientPayloadError):
        await reply_of(Broken(Breakage.CUT_BODY))


async def test_a_dropped_connection_is_a_disconnect() -> None:
    """The connection ends before the headers: ServerDisconnectedError, and the next request is answered."""
    async with Emulator([Rule(Broken(Breakage.DROP), times=1)]) as emulator, Caller(emulator) as call:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await call()
        assert (await call()).text == answer_to("hello")
        assert emulator.stats.by_status == {"0": 1, "200": 1}


async def test_a_hanging_request_ends_with_its_client() -> None:
    """Nothing comes until the client's own timeout; then the emulator lets go of the request."""
    async with Emulator([Rule(Broken(Breakage.HANG))]) as emulator, Caller(emulator, timeout=150) as call:
        with pytest.raises(TimeoutError):
            await call()
        await asyncio.sleep(0.02)
        assert (emulator.stats.in_flight, emulator.stats.abandoned) == (0, 1)


async def test_an_emulator_with_a_hanging_request_can_be_left() -> None:
    """Shutting down does not wait for clients that wait for ever."""
    async with Emulator([Rule(Broken(Breakage.HANG))]) as emulator, Caller(emulator) as call:
        pending = asyncio.create_task(call())
        await in_flight(emulator, 1)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await emulator.__aexit__()
        with pytest.raises(aiohttp.ClientError):
            await pending


# Rules


async def test_the_first_fitting_rule_wins() -> None:
    """Order decides; a request that fits no rule is answered."""
    rules = [Rule(Answer("cat"), pattern="cat"), Rule(Answer("animal"), pattern="cat|dog$")]
    async with Emulator(rules) as emulator, Caller(emulator) as call:
        prompts = ["a cat", "a dog", "a dog barks"]
        assert [(await call(prompt)).text for prompt in prompts] == [
            "cat",
            "animal",
            answer_to("a dog barks"),
        ]


async def test_a_rule_applies_a_number_of_times() -> None:
    """`times` counts all fitting requests, `times_each` those of each prompt."""
    async with Emulator([Rule(Answer("once"), times=1)]) as emulator, Caller(emulator) as call:
        assert [(await call(prompt)).text == "once" for prompt in "aba"] == [True, False, False]
        emulator.set_rules([Rule(Answer("once"), times_each=1)])
        assert [(await call(prompt)).text == "once" for prompt in "aba"] == [True, True, False]


async def test_a_probability_is_kept_and_repeatable() -> None:
    """About the given share meets the behaviour; the same seed gives the same ones."""

    async def pattern(seed: int) -> str:
        rules = [Rule(UNAVAILABLE, probability=0.3)]
        async with Emulator(rules, seed=seed) as emulator, aiohttp.ClientSession(headers=KEY) as session:
            codes = [await post(session, emulator) for _ in range(300)]
        return "".join("x" if code == 503 else "." for code in codes)

    first = await pattern(1)
    assert 60 <= first.count("x") <= 120
    assert first == await pattern(1)
    assert first != await pattern(2)


@pytest.mark.parametrize("conditions", [{"pattern": "("}, {"probability": 1.5}])
def test_a_rule_that_cannot_hold_is_refused(conditions: dict[str, Any]) -> None:
    """A bad pattern or share fails where the rule is written, with its value."""
    with pytest.raises(ValueError, match=r"pattern='\('|probability=1.5"):
        Rule(Answer(), **conditions)


RULE = TypeAdapter(Rule)
BESIDE = st.dictionaries(st.text(), st.none() | st.integers() | st.lists(st.text(), max_size=2), max_size=2)
TOLD = st.lists(st.sampled_from(Told), max_size=3).map(tuple)
BEHAVIOURS = st.one_of(
    st.builds(Answer, st.none() | st.text(), st.sampled_from([200, 201]), BESIDE),
    st.builds(Finish, st.text(), st.none() | st.text(), BESIDE),
    st.builds(Blocked, st.text()),
    st.builds(RateLimited, st.none() | st.floats(0, 100), st.sampled_from(Quota), st.integers(0, 100), TOLD),
    st.builds(HttpError, st.integers(400, 599), st.text(), st.text(), st.none() | st.text()),
    st.builds(Redirect, st.text(), st.sampled_from([301, 302, 303, 307, 308])),
    st.builds(Broken, st.sampled_from(Breakage)),
)
LATENCIES = st.one_of(
    st.builds(Constant, st.floats(0, 9)),
    st.builds(Uniform, st.floats(0, 1), st.floats(1, 9)),
    st.builds(LogNormal, st.floats(0.1, 9), st.floats(0, 2)),
)


@given(st.builds(Rule, BEHAVIOURS, times=st.none() | st.integers(0, 9), latency=st.none() | LATENCIES))
@settings(max_examples=40)
def test_a_rule_survives_json(rule: Rule) -> None:
    """Rules go to another process and arrive as they were."""
    assert RULE.validate_json(RULE.dump_json(rule)) == rule


# Latency


async def post(session: aiohttp.ClientSession, emulator: Emulator, prompt: str = "p") -> int:
    """The status of one bare request: the SDK costs too much for many."""
    body = {"contents": [{"parts": [{"text": prompt}]}]}
    async with session.post(emulator.url + PATH, json=body) as response:
        await response.read()
        return response.status


async def test_latency_is_waited_for_and_logged() -> None:
    """A request takes as long as it was given; a rule's own latency goes before; the log has both."""
    rules = [Rule(UNAVAILABLE, pattern="quick", latency=Constant(0.0))]
    async with Emulator(rules, latency=Constant(0.1)) as emulator:
        async with aiohttp.ClientSession(headers=KEY) as session:
            await post(session, emulator)
            await post(session, emulator, "quick")
        slow, quick = emulator.timings
    assert (slow.status, slow.latency_seconds, slow.start_seconds) == (200, 0.1, 0.0)
    assert slow.elapsed_seconds >= 0.1
    assert (quick.status, quick.latency_seconds) == (503, 0.0)
    assert quick.start_seconds >= 0.1


async def test_requests_wait_side_by_side() -> None:
    """Twenty requests wait at once, and the peak counts them all when they are gone."""
    async with Emulator(latency=Constant(3600)) as emulator, aiohttp.ClientSession(headers=KEY) as session:
        waiting = [asyncio.create_task(post(session, emulator, str(number))) for number in range(20)]
        await in_flight(emulator, 20)
        for request in waiting:
            request.cancel()
        await in_flight(emulator, 0)
        assert emulator.stats.peak_in_flight == 20


@pytest.mark.parametrize(
    ("text", "latency"),
    [
        ("0.2", Constant(0.2)),
        ("constant:3", Constant(3)),
        ("uniform:0.1:0.5", Uniform(0.1, 0.5)),
        ("lognormal:1.0:0.6", LogNormal(1.0, 0.6)),
    ],
)
def test_latency_can_be_written_as_a_word(text: str, latency: Latency) -> None:
    """The form of the command line."""
    assert parse_latency(text) == latency


@pytest.mark.parametrize("text", ["", "fast", "uniform:1", "uniform:2:1", "lognormal:0:1", "-1"])
def test_a_latency_that_is_none_is_refused(text: str) -> None:
    """The message shows the value and the forms."""
    with pytest.raises(ValueError, match="is not SECONDS, constant:SECONDS, uniform"):
        parse_latency(text)


def test_a_lognormal_latency_has_the_given_mean() -> None:
    """`mean_seconds` is the mean, not the median, whatever the sigma."""
    draws = [LogNormal(2.0, 0.6).draw(source) for source in [random.Random(1)] for _ in range(20_000)]
    assert statistics.mean(draws) == pytest.approx(2.0, rel=0.02)
    assert statistics.median(draws) < 1.8


# Limits


async def test_a_rate_above_the_limit_is_refused_with_a_true_delay() -> None:
    """After the burst comes a 429; who waits as long as it says is let in, who waits less is not."""
    clock, limits = Clock(), ApiLimits(requests_per_second=4, burst=2)
    async with Emulator(limits=limits, clock=clock) as emulator, Caller(emulator) as call:
        await call("1")
        await call("2")
        clock.now += 0.125  # half a token
        with pytest.raises(ClientError) as caught:
            await call("3")
        delay = float(details_of(caught.value)["RetryInfo"]["retryDelay"].removesuffix("s"))
        assert delay == 0.125
        clock.now += delay - 0.01
        with pytest.raises(ClientError):
            await call("3")
        clock.now += 0.01
        await call("3")
        clock.now += 3600
        await call("4")
        await call("5")
        with pytest.raises(ClientError):
            await call("6")


async def test_a_minute_holds_so_many_requests() -> None:
    """The rest of the minute is refused, with the seconds that are left of it."""
    clock, limits = Clock(), ApiLimits(requests_per_minute=2)
    async with Emulator(limits=limits, clock=clock) as emulator, Caller(emulator) as call:
        await call()
        await call()
        clock.now += 18.5
        with pytest.raises(ClientError) as caught:
            await call()
        assert details_of(caught.value)["RetryInfo"]["retryDelay"] == "41.5s"
        clock.now += 41.5
        await call()


async def test_a_day_holds_so_many_answers() -> None:
    """Only answers count, not errors or refusals; under concurrency too; then every 429 names the day."""
    rules = [Rule(UNAVAILABLE, times=1), Rule(Finish("SAFETY"), times=1)]
    async with Emulator(rules, limits=ApiLimits(answers_per_day=3), latency=Constant(0.02)) as emulator:
        async with aiohttp.ClientSession(headers=KEY) as session:
            codes = await asyncio.gather(*(post(session, emulator, str(number)) for number in range(10)))
        assert sorted(codes) == [200] * 4 + [429] * 5 + [503]
        assert emulator.stats.answers == 3
        async with Caller(emulator) as call:
            with pytest.raises(ClientError, match="PerDay"):
                await call()


@pytest.mark.parametrize("field", ["requests_per_second", "burst", "requests_per_minute"])
def test_a_limit_of_nothing_is_refused(field: str) -> None:
    """A limit of 0 would refuse every request for ever."""
    with pytest.raises(ValueError, match=f"{field}=0 must be above 0"):
        ApiLimits(**{field: 0})  # type: ignore[arg-type]  # of a number of fields, a bool among them


# Counts


async def test_what_is_paid_twice_shows() -> None:
    """Answers are counted by prompt and image; errors and blocked answers are not paid for."""
    rules = [Rule(Finish("SAFETY"), pattern="knife"), Rule(UNAVAILABLE, times=1)]
    async with Emulator(rules) as emulator, Caller(emulator) as call:
        with pytest.raises(ServerError):
            await call("a")
        for prompt, image in [
            ("a", None),
            ("a", png()),
            ("a", b"other"),
            ("b", None),
            ("b", None),
            ("knife", None),
        ]:
            await call(prompt, image)
        stats = emulator.stats
        assert stats.answered_more_than_once == {digest_of("b"): 2}
        assert (stats.requests, stats.answers) == (7, 5)
        assert (stats.distinct_requests, stats.distinct_answered) == (5, 4)
        assert stats.by_status == {"200": 6, "503": 1}
        assert stats.by_behaviour == {"answer": 5, "finish:SAFETY": 1, "api_error:503": 1}
        assert emulator.times_answered("a", png()) == 1
        assert emulator.times_answered("b") == 2
        assert emulator.times_answered("knife") == 0
        assert stats.first_request_at is not None
        assert stats.last_answer_at is not None
        assert stats.first_request_at < stats.last_answer_at


async def test_the_last_requests_tell_what_the_client_sent() -> None:
    """System instruction, settings and image are recorded, so a test sees what the SDK made of them."""
    async with Emulator() as emulator, Caller(emulator) as call:
        await call("p", b"123", system_instruction="Be brief.", temperature=0.5, max_output_tokens=9)
        await call("q")
        first, second = emulator.last_requests
    assert (first.prompt, first.system, first.image_bytes, first.mime_type) == (
        "p",
        "Be brief.",
        3,
        "image/png",
    )
    assert first.config == {"temperature": 0.5, "maxOutputTokens": 9}
    assert (first.version, first.model) == ("v1", MODEL)
    assert (second.prompt, second.system, second.config, second.image_bytes) == ("q", None, {}, 0)


async def test_an_outage_lasts_until_it_is_lifted() -> None:
    """An outage goes before rules and limits, and `reset` leaves settings alone."""
    async with Emulator([Rule(Answer("fine"))]) as emulator, Caller(emulator) as call:
        emulator.set_outage(UNAVAILABLE)
        with pytest.raises(ServerError):
            await call()
        emulator.reset()
        with pytest.raises(ServerError):
            await call()
        emulator.set_outage(None)
        assert (await call()).text == "fine"
        assert (emulator.stats.requests, emulator.stats.answers) == (2, 1)


# From another process


async def test_another_process_can_watch_and_steer() -> None:
    """All settings and counts are reachable under /emulator/, as JSON."""
    async with Emulator() as emulator, aiohttp.ClientSession(headers=KEY) as session:

        async def admin(path: str, value: Any) -> int:
            async with session.post(f"{emulator.url}/emulator/{path}", json=value) as response:
                return response.status

        async def watch(path: str) -> Any:
            async with session.get(f"{emulator.url}/emulator/{path}") as response:
                return await response.json()

        assert await post(session, emulator) == 200
        await admin("rules", [{"behaviour": {"kind": "api_error", "code": 500}, "times": 1}])
        assert [await post(session, emulator) for _ in "12"] == [500, 200]
        await admin("availability", {"outage": {"kind": "rate_limited", "quota": Quota.PER_DAY}})
        assert await post(session, emulator) == 429
        await admin("availability", {"outage": None})
        await admin("latency", {"kind": "constant", "seconds": 0.05})
        await admin("limits", {"requests_per_minute": 1})
        assert [await post(session, emulator) for _ in "12"] == [200, 429]
        stats = await watch("stats")
        assert stats["by_status"] == {"200": 3, "429": 2, "500": 1}
        assert stats["answered_more_than_once"] == {digest_of("p"): 3}
        assert [timing[1] for timing in await watch("latencies")] == [0, 0, 0, 0, 0.05, 0]
        assert (await watch("requests"))[0]["prompt"] == "p"
        assert await admin("reset", None) == 200
        assert (await watch("stats"))["requests"] == 0
        assert await post(session, emulator) == 500, "the rule counts its uses afresh"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("rules", [{"behaviour": {"kind": "dance"}}]),
        ("rules", [{"behaviour": {"kind": "answer"}, "pattern": "("}]),
        ("limits", {"requests_per_second": 0}),
        ("availability", {}),
    ],
)
async def test_a_setting_that_cannot_be_read_changes_nothing(path: str, value: Any) -> None:
    """400 with the reason."""
    async with Emulator() as emulator, aiohttp.ClientSession(headers=KEY) as session:
        async with session.post(f"{emulator.url}/emulator/{path}", json=value) as response:
            assert response.status == 400
            assert "validation error" in await response.text()
        assert await post(session, emulator) == 200


def test_code_without_an_event_loop_can_use_it() -> None:
    """`in_thread` serves a synchronous client and is gone afterwards."""
    with Emulator().in_thread() as emulator:
        options = HttpOptions(base_url=emulator.url)
        client = genai.Client(api_key="any", vertexai=False, http_options=options)
        answer = client.models.generate_content(model=MODEL, contents="p")
        client.close()
        assert answer.text == answer_to("p")
        assert emulator.stats.answers == 1
    with pytest.raises(RuntimeError, match="not running"):
        _ = emulator.url


def test_a_port_in_use_is_an_error_not_a_hang() -> None:
    """A second emulator on the same port says so."""
    with Emulator().in_thread() as emulator:
        port = int(emulator.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"), Emulator(port=port).in_thread():
            pass


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """An emulator in a process of its own."""
    options = [
        "--latency",
        "uniform:0:0.01",
        "--fail",
        "429:1",
        "--rule",
        '{"behaviour": {"kind": "blocked"}}',
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "deployments.emulator", *options],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        yield running
        running.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_prints_its_url_and_ends_quietly(
    process: subprocess.Popen[str], number: signal.Signals
) -> None:
    """One line when it listens, rules in the order they were given, no word at the end."""
    assert process.stdout is not None
    url = (await asyncio.to_thread(process.stdout.readline)).strip()
    async with aiohttp.ClientSession(headers=KEY) as session:
        body = {"contents": [{"parts": [{"text": "p"}]}]}
        async with session.post(url + PATH, json=body) as response:
            assert response.status == 429
        process.send_signal(number)
        assert await asyncio.to_thread(process.communicate) == ("", "")
    assert process.returncode == 0


@pytest.mark.parametrize(
    "options", [["--latency", "slow"], ["--fail", "503"], ["--rule", "{}"], ["--requests-per-second", "0"]]
)
def test_a_wrong_option_is_explained(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2 and the value on stderr, before anything listens."""
    from deployments.emulator.__main__ import main

    with pytest.raises(SystemExit) as caught:
        main(options)
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err
