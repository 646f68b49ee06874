"""What goes out by the SDK's private parts is what its public method sends: a version that moves them fails here."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, NoReturn

import aiohttp
import aiohttp.web
import google.auth
import pytest
from aiohttp.test_utils import TestServer
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials

from tasks.core.config.command_line import parse
from tasks.core.config.generation import GenerateConfig
from tasks.core.errors import MalformedAnswer
from tasks.core.gemini.client import GeminiClient
from tasks.core.gemini.sdk_internals import base_url_of
from tasks.core.records import Media, MediaUri, Part, Request, Turn

type Seen = list[tuple[str, str, dict[str, str], bytes]]

PLAIN = GenerateConfig(model="gemini-2.5-flash")
SYSTEM = {"systemInstruction": {"parts": [{"text": 'Say "yes", 예.'}]}}
SET = GenerateConfig(
    model="tunedModels/mine",
    system_instruction='Say "yes", 예.',
    generation_config={"maxOutputTokens": 5, "stop_sequences": ["ü"], "thinkingConfig": {"thinkingBudget": 0}},
)
REQUESTS = (
    Request.of('hello, "안녕" \\ \n\x00\x7f \U0001f600 half a pair: \ud83d'),
    Request.of(Media(bytes(range(256)) * 3, "image/jpeg"), "with an image"),
    Request.of(Media(b"\xff\xfe\x00", "image/png")),
    Request.of(Media(b"1", "image/png"), "between", Media(b"2", "application/pdf"), "behind"),
    Request.of(MediaUri("gs://bucket/a b.mp4", "video/mp4"), "watch"),
    Request((Turn("user", ("a",)), Turn("model", ("b",)), Turn("user", (Media(b"1", "image/png"), "c")))),
)


@pytest.fixture
async def seen(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Seen]:
    """What reaches the server that the environment names: method, path, headers, body."""
    requests: Seen = []

    async def reply(request: aiohttp.web.Request) -> aiohttp.web.Response:
        requests.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        return aiohttp.web.json_response({"candidates": [{"content": {"parts": [{"text": "ok"}]}}]})

    app = aiohttp.web.Application()
    app.router.add_route("*", "/{path:.*}", reply)
    async with TestServer(app) as server:
        for name in ("GOOGLE_GEMINI_BASE_URL", "GOOGLE_VERTEX_BASE_URL"):
            monkeypatch.setenv(name, str(server.make_url("/gateway/")))
        monkeypatch.setenv("GOOGLE_API_KEY", "test-key")
        yield requests


def _part(part: Part) -> types.Part:
    match part:
        case Media(data, mime_type):
            return types.Part.from_bytes(data=data, mime_type=mime_type)
        case MediaUri(uri, mime_type):
            return types.Part.from_uri(file_uri=uri, mime_type=mime_type)
        case text:
            return types.Part.from_text(text=text)


async def sent_by_the_sdk(generation: GenerateConfig, request: Request) -> None:
    body = {"generationConfig": generation.generation_config} | (SYSTEM if generation is SET else {})
    contents: list[types.ContentUnion] = [
        types.Content(role=turn.role, parts=[_part(part) for part in turn.parts]) for turn in request.turns
    ]
    async with aiohttp.ClientSession() as session:
        client = genai.Client(http_options=types.HttpOptions(extra_body=body, aiohttp_client=session))
        await client.aio.models.generate_content(
            model=generation.model,
            contents=contents,
            config=types.GenerateContentConfig(
                automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
            ),
        )


@pytest.mark.parametrize("generation", [PLAIN, SET])
@pytest.mark.parametrize("request_", REQUESTS)
async def test_a_request_is_the_sdks_own_to_the_byte(seen: Seen, generation: GenerateConfig, request_: Request) -> None:
    """Address, headers and body."""
    async with GeminiClient(generation) as client:
        assert (await client.generate(request_)).text == "ok"
    await sent_by_the_sdk(generation, request_)
    ours, theirs = seen
    assert ours == theirs


async def test_settings_are_the_sdks_own_typed_ones(seen: Seen) -> None:
    """Those of flags, and what is cached, where the SDK's types put them."""
    flags = ["--temperature", "0", "--max-output-tokens", "9", "--seed", "1", "--thinking", "low", "--safety", "off"]
    flags += ["--tools", "google_search,url_context,code_execution", "--service-tier", "flex"]
    generation = parse(["--model", "gemini-2.5-flash", *flags]).config.generation
    harms = ("DANGEROUS_CONTENT", "HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT")
    typed = types.GenerateContentConfig(
        temperature=0,
        max_output_tokens=9,
        seed=1,
        thinking_config=types.ThinkingConfig(thinking_level=types.ThinkingLevel.LOW),
        safety_settings=[
            types.SafetySetting(
                category=types.HarmCategory(f"HARM_CATEGORY_{harm}"), threshold=types.HarmBlockThreshold.OFF
            )
            for harm in harms
        ],
        tools=[
            types.Tool(google_search=types.GoogleSearch()),
            types.Tool(url_context=types.UrlContext()),
            types.Tool(code_execution=types.ToolCodeExecution()),
        ],
        service_tier=types.ServiceTier.FLEX,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    cached = typed.model_copy(update={"tools": None, "cached_content": "cachedContents/a"})
    request = Request.of("what?")
    async with GeminiClient(generation) as client:
        await client.generate(request)
        await client.generate(replace(request, cached_content="cachedContents/a"))
    async with aiohttp.ClientSession() as session:
        sdk = genai.Client(http_options=types.HttpOptions(aiohttp_client=session))
        for config in (typed, cached):
            await sdk.aio.models.generate_content(model=generation.model, contents="what?", config=config)
    bodies = [json.loads(body.replace(b"thinking_level", b"thinkingLevel")) for _, _, _, body in seen]  # both will do
    assert bodies[:2] == bodies[2:]


@pytest.mark.parametrize("signed_in", [False, True])
async def test_a_request_to_vertex_is_the_sdks_own(monkeypatch: pytest.MonkeyPatch, signed_in: bool) -> None:
    """With a key, and with Google's sign-in: project and token of its account."""
    requests: list[dict[str, Any]] = []

    async def send(session: object, **request: Any) -> NoReturn:
        requests.append({name: request[name] for name in ("method", "url", "headers", "data", "timeout")})
        raise aiohttp.ClientPayloadError

    monkeypatch.setattr(aiohttp.ClientSession, "request", send)  # Google's own hosts alone are asked with a project
    monkeypatch.setattr(google.auth, "default", lambda **_: (Credentials(token="test-token"), "project"))  # type: ignore[no-untyped-call]
    signs = {"GOOGLE_CLOUD_PROJECT": "project", "GOOGLE_CLOUD_LOCATION": "us-central1"}
    for name, value in {
        "GOOGLE_GENAI_USE_VERTEXAI": "true",
        **(signs if signed_in else {"GOOGLE_API_KEY": "k"}),
    }.items():
        monkeypatch.setenv(name, value)
    async with GeminiClient(PLAIN) as client:
        with pytest.raises(MalformedAnswer):
            await client.generate(REQUESTS[1])
    with pytest.raises(aiohttp.ClientPayloadError):
        await sent_by_the_sdk(PLAIN, REQUESTS[1])
    ours, theirs = requests
    assert ours == theirs
    assert ours["url"].endswith("/publishers/google/models/gemini-2.5-flash:generateContent")
    assert ("/projects/project/locations/us-central1/" in ours["url"]) is signed_in
    assert (ours["headers"].get("Authorization") == "Bearer test-token") is signed_in


async def test_a_model_that_the_sdk_refuses_is_not_asked(seen: Seen) -> None:
    async with GeminiClient(GenerateConfig(model="../files")) as client:
        with pytest.raises(MalformedAnswer, match="invalid model"):
            await client.generate(REQUESTS[0])
    assert seen == []


def test_the_sdk_says_where_it_sends_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "test-key")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "https://gateway.example/gemini")
    with genai.Client() as client:
        assert base_url_of(client).rstrip("/") == "https://gateway.example/gemini"
