"""What the API says and what it amounts to: the real SDK against the emulator, one behaviour at a time."""

import json
from typing import Any

import aiohttp
import aiohttp.web
import pytest
from aiohttp.test_utils import TestServer

from deployments.emulator import (
    BAD_IMAGE,
    INVALID_KEY,
    PERMISSION_DENIED,
    UNAVAILABLE,
    UNKNOWN_MODEL,
    Answer,
    ApiError,
    Behaviour,
    Blocked,
    Breakage,
    Broken,
    Constant,
    Emulator,
    Finish,
    Quota,
    RateLimited,
    Redirect,
    Rule,
    answer_to,
)
from tasks.core.config import GenerateConfig
from tasks.core.credentials import has_credentials
from tasks.core.errors import ApiError as PlainError
from tasks.core.gemini import GeminiClient
from tasks.core.outcomes import outcome_of, outcome_of_error
from tasks.core.records import Image, Kind, ModelOutput, Outcome, Request
from tests.support import MODEL


async def ask(behaviour: Behaviour, emulator: Emulator, request: Request = Request("hello")) -> Outcome:  # noqa: B008
    emulator.set_rules([Rule(behaviour)])
    async with GeminiClient(GenerateConfig(model=MODEL)) as client:
        try:
            return outcome_of(await client.generate(request))
        except Exception as error:
            return outcome_of_error(error, 30)


async def test_an_answer_has_its_text_and_its_tokens(emulator: Emulator) -> None:
    """Text and image arrive as they are: the emulator's answer is derived from both."""
    image = Image(b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "image/png")
    outcome = await ask(Answer(), emulator, Request("안녕 hello", image))
    assert outcome.kind is Kind.ANSWERED
    assert outcome.text == answer_to("안녕 hello", image.data, "image/png")
    assert outcome.usage.prompt_tokens > 0
    assert outcome.usage.answer_tokens > 0


@pytest.mark.parametrize(
    ("behaviour", "kind", "detail"),
    [
        (Blocked("PROHIBITED_CONTENT"), Kind.BLOCKED, "block_reason PROHIBITED_CONTENT, safety_ratings: HARM"),
        (Finish("SAFETY"), Kind.BLOCKED, "finish_reason SAFETY, safety_ratings: HARM"),
        (Finish("RECITATION"), Kind.BLOCKED, "finish_reason RECITATION"),
        (Finish("SPII"), Kind.BLOCKED, "finish_reason SPII"),
        (Finish("OTHER"), Kind.EMPTY, "finish_reason OTHER"),
        (Finish("MALFORMED_FUNCTION_CALL"), Kind.EMPTY, "finish_reason MALFORMED_FUNCTION_CALL"),
        (Finish("A_REASON_OF_NEXT_YEAR"), Kind.EMPTY, "finish_reason A_REASON_OF_NEXT_YEAR"),
        (Finish("MAX_TOKENS", text="half"), Kind.TRUNCATED, "finish_reason MAX_TOKENS"),
        (Broken(Breakage.EMPTY_BODY), Kind.SERVER_ERROR, "empty answer"),
        (Broken(Breakage.EMPTY_JSON), Kind.SERVER_ERROR, "empty answer"),
        (Broken(Breakage.HTML), Kind.SERVER_ERROR, "cannot be read"),
        (Broken(Breakage.CUT_BODY), Kind.SERVER_ERROR, "cannot be read"),
        (Broken(Breakage.DROP), Kind.NETWORK, "ServerDisconnected"),
        (ApiError(408), Kind.TIMEOUT, "408"),
        (ApiError(500), Kind.SERVER_ERROR, "500 INTERNAL"),
        (UNAVAILABLE, Kind.SERVER_ERROR, "503 UNAVAILABLE"),
        (ApiError(504), Kind.SERVER_ERROR, "504 DEADLINE_EXCEEDED"),
        (BAD_IMAGE, Kind.INVALID_REQUEST, "400 INVALID_ARGUMENT Unable to process input image"),
        (RateLimited(None, Quota.UNNAMED), Kind.RATE_LIMIT, "429 RESOURCE_EXHAUSTED"),
    ],
)
async def test_every_behaviour_has_its_kind(emulator: Emulator, behaviour: Behaviour, kind: Kind, detail: str) -> None:
    """One request each: nothing is asked again behind our back."""
    outcome = await ask(behaviour, emulator)
    assert (outcome.kind, outcome.run_level) == (kind, False)
    assert detail in outcome.detail
    assert "\n" not in outcome.detail
    assert emulator.stats.requests == 1


@pytest.mark.parametrize("behaviour", [INVALID_KEY, PERMISSION_DENIED, UNKNOWN_MODEL])
async def test_a_refusal_that_concerns_every_request_is_known(emulator: Emulator, behaviour: Behaviour) -> None:
    """A key, a project, a model: not the fault of the row."""
    outcome = await ask(behaviour, emulator)
    assert (outcome.kind, outcome.run_level) == (Kind.INVALID_REQUEST, True)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_by_any_call(emulator: Emulator, code: Any) -> None:
    """The other host sees neither key nor prompt, and gives no answer; the refusal says where it would have gone."""
    reached: list[str] = []

    async def reply(request: aiohttp.web.Request) -> aiohttp.web.Response:
        reached.append(request.path)
        return aiohttp.web.json_response({"models": []})

    app = aiohttp.web.Application()
    app.router.add_route("*", "/{path:.*}", reply)
    async with TestServer(app) as other, GeminiClient(GenerateConfig(model="m")) as client:
        location = str(other.make_url("/v1/elsewhere"))
        emulator.set_outage(Redirect(f"{location}?key=secret", code))
        outcome = await ask(Answer(), emulator)
        with pytest.raises(PlainError, match=location):
            await client.list_models()
    assert (outcome.kind, outcome.run_level) == (Kind.NETWORK, True)
    assert f"{code} redirected to {location}, which is not followed" in outcome.detail
    assert "GOOGLE_GEMINI_BASE_URL" in outcome.detail
    assert "secret" not in outcome.detail
    assert reached == []


async def test_only_our_own_timeout_ends_a_call(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp's own, 300 s for a whole call, would cut a `--timeout-seconds` of an hour short."""
    monkeypatch.setattr(aiohttp.client, "DEFAULT_TIMEOUT", aiohttp.ClientTimeout(total=0.05))
    emulator.set_latency(Constant(0.5))
    assert (await ask(Answer(), emulator)).kind is Kind.ANSWERED


async def test_a_retry_delay_is_read_to_the_fraction(emulator: Emulator) -> None:
    """From the body: Gemini sends no header."""
    outcome = await ask(RateLimited(1.5), emulator)
    assert (outcome.retry_delay_seconds, outcome.daily_quota) == (1.5, False)


async def test_a_daily_quota_is_known_whatever_delay_stands_beside_it(emulator: Emulator) -> None:
    """Real ones say `47s` too."""
    assert (await ask(RateLimited(47.0, Quota.PER_DAY), emulator)).daily_quota


async def test_a_continuation_is_not_followed(emulator: Emulator) -> None:
    """Each hop would be billed."""
    outcome = await ask(Finish("CONTINUATION", text="part"), emulator)
    assert (outcome.kind, outcome.text) == (Kind.TRUNCATED, "part")
    assert emulator.stats.requests == 1


async def test_the_models_of_a_key_are_listed(emulator: Emulator) -> None:
    """Across pages, by the names that --model takes."""
    async with GeminiClient(GenerateConfig(model="x")) as client:
        assert MODEL in await client.list_models()


def test_half_a_surrogate_pair_does_not_reach_the_csv() -> None:
    """JSON can carry it, UTF-8 cannot."""
    outcome = outcome_of(ModelOutput(text="ok \ud83d", finish_reason="STOP"))
    assert outcome.text == "ok ?"


async def outcome_from(status: int, body: str, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """Of a server that speaks the wire format less well than the emulator does."""

    async def reply(_: aiohttp.web.Request) -> aiohttp.web.Response:
        return aiohttp.web.Response(status=status, text=body, content_type="application/json")

    app = aiohttp.web.Application()
    app.router.add_post("/{path:.*}", reply)
    async with TestServer(app) as server:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", str(server.make_url("")))
        monkeypatch.setenv("GOOGLE_API_KEY", "test-key")
        async with GeminiClient(GenerateConfig(model="m")) as client:
            try:
                return outcome_of(await client.generate(Request("hello")))
            except Exception as error:
                return outcome_of_error(error, 30)


def error_of(**parts: Any) -> str:
    return json.dumps({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"} | parts})


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, error_of(details=None), Kind.RATE_LIMIT),
        (429, error_of(details="soon"), Kind.RATE_LIMIT),
        (429, error_of(details=["soon", None, {"violations": None}]), Kind.RATE_LIMIT),
        (429, error_of(details=[{"retryDelay": "soon"}, {"retryDelay": 3}, {"retryDelay": None}]), Kind.RATE_LIMIT),
        (429, f"[{error_of()}]", Kind.RATE_LIMIT),
        (429, error_of(message={"en": "slow down"}), Kind.RATE_LIMIT),
        (429, '{"error": "slow down"}', Kind.RATE_LIMIT),
        (422, '{"detail": [{"loc": ["body"], "msg": "field required"}]}', Kind.INVALID_REQUEST),
        (502, "<html>\n<h1>Bad gateway</h1>\n</html>", Kind.SERVER_ERROR),
        (503, "", Kind.SERVER_ERROR),
        (200, "[]", Kind.SERVER_ERROR),
        (200, "null", Kind.SERVER_ERROR),
        (200, '"ok"', Kind.SERVER_ERROR),
        (200, '{"candidates": {"content": 7}}', Kind.NETWORK),
        (200, '{"candidates": [{"content": {"parts": [{"text": null}]}, "finishReason": "STOP"}]}', Kind.EMPTY),
    ],
)
async def test_bodies_of_other_servers_are_outcomes_too(
    monkeypatch: pytest.MonkeyPatch, status: int, body: str, kind: Kind
) -> None:
    """A Gemini-compatible endpoint or a proxy writes what it likes; no body takes a chunk along."""
    outcome = await outcome_from(status, body, monkeypatch)
    assert outcome.kind is kind
    assert "\n" not in outcome.detail
    assert not outcome.run_level
    assert not outcome.daily_quota


async def test_half_a_surrogate_pair_in_a_refusal_does_not_reach_the_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    """An API that repeats the prompt in its message must not cost the whole CSV at the end."""
    outcome = await outcome_from(400, '{"error": {"code": 400, "message": "bad: \\ud83d"}}', monkeypatch)
    assert outcome.kind is Kind.INVALID_REQUEST
    assert outcome.detail.encode() == rb"400 bad: \ud83d"


async def test_thoughts_are_billed_and_not_part_of_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of one answer are one text."""
    parts = [{"text": "hmm", "thought": True}, {"text": "4"}, {"text": "2"}]
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "thoughtsTokenCount": 5}
    body = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}], "usageMetadata": usage}
    outcome = await outcome_from(200, json.dumps(body), monkeypatch)
    assert outcome.text == "42"
    assert (outcome.usage.prompt_tokens, outcome.usage.answer_tokens) == (3, 7)


@pytest.mark.parametrize(
    ("delay", "seconds"), [("26s", 26.0), ("0.5s", 0.5), ("1.000000001s", 1.000000001), ("-1s", None), ("1m", None)]
)
def test_a_delay_is_a_protobuf_duration(delay: str, seconds: float | None) -> None:
    """What is none is as good as no delay."""
    error = PlainError(429, "", "", [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}])
    assert outcome_of_error(error, 30).retry_delay_seconds == seconds


@pytest.mark.parametrize(
    ("variables", "known"),
    [
        ({}, False),
        ({"GOOGLE_API_KEY": "k"}, True),
        ({"GEMINI_API_KEY": "k"}, True),
        ({"GOOGLE_API_KEY": ""}, False),
        ({"GOOGLE_GENAI_USE_VERTEXAI": "true"}, True),
        ({"GOOGLE_GENAI_USE_VERTEXAI": "false"}, False),
    ],
)
def test_credentials_are_a_key_or_vertex_ai(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], known: bool
) -> None:
    """By the SDK's own variables."""
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert has_credentials() is known
