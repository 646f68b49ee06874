"""What the API says and what it amounts to: the real SDK against the emulator, one behaviour at a time."""

import json
import random
import socket
import time
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from email.utils import formatdate
from typing import Any

import aiohttp
import aiohttp.web
import pytest
from aiohttp.test_utils import TestServer

from deployments.emulator import (
    BAD_IMAGE,
    BILLING_DISABLED,
    FUNCTION_PART,
    IMAGE_PART,
    INVALID_KEY,
    NO_CREDITS,
    NO_QUOTA,
    PERMISSION_DENIED,
    SPENDING_CAP,
    UNAVAILABLE,
    UNKNOWN_MODEL,
    WRONG_PLACE,
    Answer,
    Behaviour,
    Blocked,
    Breakage,
    Broken,
    Constant,
    Emulator,
    Finish,
    HttpError,
    Quota,
    RateLimited,
    Redirect,
    Rule,
    Told,
    answer_to,
    with_parts,
)
from tasks.core.answering.outcomes import outcome_of, outcome_of_error
from tasks.core.answering.retry_delay import MOST_SECONDS
from tasks.core.config.generation import GenerateConfig
from tasks.core.environment.credentials import has_credentials
from tasks.core.errors import ApiError, MalformedAnswer, StopReason
from tasks.core.gemini.client import GeminiClient
from tasks.core.gemini.wire import read_answer, read_refusal
from tasks.core.records import Kind, Media, ModelOutput, Outcome, Request, RowAnswer
from tests.support import MODEL

ASKED = "gemini-2.5-flash"


async def ask(behaviour: Behaviour, emulator: Emulator, request: Request = Request.of("hello")) -> Outcome:  # noqa: B008
    emulator.set_rules([Rule(behaviour)])
    async with GeminiClient(GenerateConfig(model=MODEL)) as client:
        return await outcome_with(client, request)


async def ask_all(emulator: Emulator, behaviours: Sequence[Behaviour]) -> list[Outcome]:
    """One request for each, all over one client."""
    outcomes = []
    async with GeminiClient(GenerateConfig(model=ASKED)) as client:
        for behaviour in behaviours:
            emulator.set_rules([Rule(behaviour)])
            outcomes.append(await outcome_with(client))
    return outcomes


async def outcome_with(client: GeminiClient, request: Request = Request.of("hello")) -> Outcome:  # noqa: B008
    try:
        return outcome_of(await client.generate(request))
    except Exception as error:
        return outcome_of_error(error, 30)


async def test_an_answer_has_its_text_and_its_tokens(emulator: Emulator) -> None:
    """Text and image arrive as they are: the emulator's answer is derived from both."""
    image = Media(b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "image/png")
    outcome = await ask(Answer(), emulator, Request.of(image, "안녕 hello"))
    assert outcome.kind is Kind.ANSWERED
    assert outcome.text == answer_to("안녕 hello", image.data, "image/png")
    assert outcome.usage.prompt_tokens > 0
    assert outcome.usage.answer_tokens > 0


KINDS: list[tuple[Behaviour, Kind, str]] = [
    (Blocked("PROHIBITED_CONTENT"), Kind.BLOCKED, "block_reason PROHIBITED_CONTENT, safety_ratings: HARM"),
    (Finish("SAFETY"), Kind.BLOCKED, "finish_reason SAFETY, safety_ratings: HARM"),
    (Finish("RECITATION"), Kind.BLOCKED, "finish_reason RECITATION"),
    (Finish("SPII"), Kind.BLOCKED, "finish_reason SPII"),
    (Finish("A_REASON_OF_NEXT_YEAR"), Kind.EMPTY, "finish_reason A_REASON_OF_NEXT_YEAR"),
    (Finish("MAX_TOKENS", text="half"), Kind.TRUNCATED, "finish_reason MAX_TOKENS"),
    (Finish("A_REASON_OF_NEXT_YEAR", text="half"), Kind.TRUNCATED, "finish_reason A_REASON_OF_NEXT_YEAR"),
    (Answer("ok", code=201), Kind.ANSWERED, ""),
    (Broken(Breakage.NO_CONTENT), Kind.SERVER_ERROR, "empty answer"),
    (Broken(Breakage.EMPTY_BODY), Kind.SERVER_ERROR, "empty answer"),
    (Broken(Breakage.EMPTY_JSON), Kind.SERVER_ERROR, "empty answer"),
    (Broken(Breakage.HTML), Kind.SERVER_ERROR, "cannot be read"),
    (Broken(Breakage.CUT_BODY), Kind.SERVER_ERROR, "cannot be read"),
    (Broken(Breakage.DROP), Kind.NETWORK, "ServerDisconnected"),
    (HttpError(408), Kind.TIMEOUT, "408"),
    (HttpError(409), Kind.SERVER_ERROR, "409 ABORTED"),
    (HttpError(425), Kind.SERVER_ERROR, "425"),
    (HttpError(499), Kind.SERVER_ERROR, "499 CANCELLED"),
    (HttpError(503, status="RESOURCE_EXHAUSTED"), Kind.RATE_LIMIT, "503 RESOURCE_EXHAUSTED"),
    (HttpError(529), Kind.RATE_LIMIT, "529"),
    (HttpError(500), Kind.SERVER_ERROR, "500 INTERNAL"),
    (UNAVAILABLE, Kind.SERVER_ERROR, "503 UNAVAILABLE"),
    (HttpError(504), Kind.SERVER_ERROR, "504 DEADLINE_EXCEEDED"),
    (BAD_IMAGE, Kind.INVALID_REQUEST, "400 INVALID_ARGUMENT Unable to process input image"),
    (RateLimited(None, Quota.UNNAMED), Kind.RATE_LIMIT, "429 RESOURCE_EXHAUSTED"),
]


async def test_every_behaviour_has_its_kind(emulator: Emulator) -> None:
    """One request each: nothing is asked again behind our back. No reason is so new that a warning is printed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        outcomes = await ask_all(emulator, [behaviour for behaviour, _, _ in KINDS])
    for outcome, (behaviour, kind, detail) in zip(outcomes, KINDS, strict=True):
        assert (behaviour, outcome.kind, outcome.for_all_rows) == (behaviour, kind, False)
        assert detail in outcome.detail
        assert "\n" not in outcome.detail
        assert outcome.maybe_billed is isinstance(behaviour, Broken), behaviour
    assert emulator.stats.requests == len(KINDS)


async def test_a_connection_that_never_was_cannot_have_been_billed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unlike one that was lost: nothing went out."""
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("GOOGLE_API_KEY", "test-key")
    async with GeminiClient(GenerateConfig(model="m")) as client:
        with pytest.raises(ConnectionError) as refused:
            await client.generate(Request.of("text"))
    assert outcome_of_error(refused.value, 60).maybe_billed is False


REFUSALS: list[tuple[Behaviour, StopReason, Kind]] = [
    (INVALID_KEY, StopReason.REFUSED_KEY, Kind.INVALID_REQUEST),
    (PERMISSION_DENIED, StopReason.REFUSED_KEY, Kind.INVALID_REQUEST),
    (HttpError(401), StopReason.REFUSED_KEY, Kind.INVALID_REQUEST),
    (UNKNOWN_MODEL, StopReason.REFUSED_MODEL, Kind.INVALID_REQUEST),
    (HttpError(404, "Not Found", "NOT_FOUND"), StopReason.REFUSED_ENDPOINT, Kind.INVALID_REQUEST),
    (WRONG_PLACE, StopReason.REFUSED_PLACE, Kind.INVALID_REQUEST),
    (HttpError(400, "The file is not active.", "FAILED_PRECONDITION"), StopReason.REFUSED, Kind.INVALID_REQUEST),
    (NO_QUOTA, StopReason.NO_QUOTA, Kind.RATE_LIMIT),
    (HttpError(429, "* Quota exceeded for metric: x, limit: 0, model: m"), StopReason.NO_QUOTA, Kind.RATE_LIMIT),
    (NO_CREDITS, StopReason.NO_CREDIT, Kind.RATE_LIMIT),
    (SPENDING_CAP, StopReason.NO_CREDIT, Kind.RATE_LIMIT),
    (BILLING_DISABLED, StopReason.NO_CREDIT, Kind.RATE_LIMIT),
    (HttpError(402), StopReason.NO_CREDIT, Kind.RATE_LIMIT),
    (
        HttpError(400, "Free tier is not available here. Please enable billing.", "FAILED_PRECONDITION"),
        StopReason.NO_CREDIT,
        Kind.RATE_LIMIT,
    ),
]


async def test_a_refusal_that_concerns_every_request_is_known_by_what_is_refused(emulator: Emulator) -> None:
    """Not the fault of the row, which an empty account leaves as good as before. No night brings a quota of 0."""
    outcomes = await ask_all(emulator, [behaviour for behaviour, _, _ in REFUSALS])
    for outcome, (behaviour, refused, kind) in zip(outcomes, REFUSALS, strict=True):
        assert (behaviour, outcome.for_all_rows, outcome.refused, outcome.kind) == (behaviour, True, refused, kind)
        assert (outcome.daily_quota, outcome.retry_delay_seconds) == (False, None)


HARMLESS: list[Behaviour] = [
    HttpError(400, "Invalid prompt: 'billing is not enabled, the credits are depleted'"),
    RateLimited(),
    RateLimited(quota_value=20),
    HttpError(429, "Quota exceeded for metric: x, limit: 0.5, model: m"),
    UNAVAILABLE,
]


async def test_what_only_sounds_like_an_empty_account_stops_no_run(emulator: Emulator) -> None:
    """Every 429 says `check your plan and billing details`; a refused argument may repeat the prompt."""
    assert [outcome.for_all_rows for outcome in await ask_all(emulator, HARMLESS)] == [False] * len(HARMLESS)


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
        with pytest.raises(ApiError, match=location):
            await client.list_models()
    assert (outcome.kind, outcome.for_all_rows) == (Kind.NETWORK, True)
    assert f"{code} redirected to {location}, which is not followed" in outcome.detail
    assert "GOOGLE_GEMINI_BASE_URL" in outcome.detail
    assert "secret" not in outcome.detail
    assert reached == []


async def test_only_our_own_timeout_ends_a_call(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp's own, 300 s for a whole call, would cut a `--timeout-seconds` of an hour short."""
    monkeypatch.setattr(aiohttp.client, "DEFAULT_TIMEOUT", aiohttp.ClientTimeout(total=0.05))
    emulator.set_latency(Constant(0.5))
    assert (await ask(Answer(), emulator)).kind is Kind.ANSWERED


DELAYS: list[tuple[Behaviour, float | None]] = [
    *((RateLimited(6.0, told=(told,)), 6.0) for told in Told),
    (RateLimited(1.5), 1.5),
    (RateLimited(36.429760048, told=(Told.MESSAGE,)), 36.429760048),
    (RateLimited(0.847, told=(Told.MESSAGE,)), 0.847),
    (RateLimited(6.5, told=(Told.OBJECT,)), 6.5),
    (RateLimited(6.5, told=(Told.SECONDS, Told.MILLISECONDS)), 6.5),
    (RateLimited(6.5, told=(Told.SECONDS, Told.RETRY_INFO)), 6.5),
    (RateLimited(6.0, code=529, told=(Told.SECONDS,)), 6.0),
    (HttpError(503, retry_delay_seconds=6.0), 6.0),
    (HttpError(503, retry_delay_seconds=6.0, told=(Told.DATE,)), 6.0),
    (RateLimited(9223372036854775807), MOST_SECONDS),
    (RateLimited(None), None),
]


async def test_a_retry_delay_is_read_wherever_it_is_said(emulator: Emulator) -> None:
    """In body, message and headers, to the fraction where one of them has it; one that nobody can wait is told."""
    outcomes = await ask_all(emulator, [behaviour for behaviour, _ in DELAYS])
    for outcome, (behaviour, seconds) in zip(outcomes, DELAYS, strict=True):
        expected = None if seconds is None else pytest.approx(seconds)
        assert (behaviour, outcome.retry_delay_seconds, outcome.daily_quota) == (behaviour, expected, False)


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
    """JSON can carry it, UTF-8 cannot. The two halves of a pair, one from each of two parts, are one character."""
    outcome = outcome_of(ModelOutput(text="ok \ud83d", finish_reason="STOP"))
    assert outcome.text == "ok \ufffd"
    assert outcome_of(ModelOutput(text="\ud83d\ude00\ude00x", finish_reason="STOP")).text == "\U0001f600\ufffdx"


async def test_an_empty_answer_without_a_reason_in_the_prompt_deserves_two_more_tries(emulator: Emulator) -> None:
    """The detail says what came in place of a text."""
    instead = with_parts(IMAGE_PART, FUNCTION_PART)
    for reason in ("STOP", "OTHER", "IMAGE_OTHER", "NO_IMAGE", "UNEXPECTED_TOOL_CALL", "MALFORMED_FUNCTION_CALL"):
        outcomes = await ask_all(emulator, [Finish(reason), Finish(reason, beside=instead)])
        assert [(outcome.kind, outcome.again) for outcome in outcomes] == [(Kind.EMPTY, 2)] * 2
        assert [outcome.detail for outcome in outcomes] == [
            f"finish_reason {reason}",
            f"finish_reason {reason}, in place of a text: inlineData image/png, functionCall",
        ]


async def test_an_answer_of_thoughts_alone_says_what_to_change_and_is_not_tried_again(emulator: Emulator) -> None:
    """Each try would be billed and end the same."""
    thoughts = with_parts({"text": "hmm", "thought": True}) | {"usageMetadata": {"thoughtsTokenCount": 50}}
    outcome = await ask(Finish("MAX_TOKENS", "", beside=thoughts), emulator)
    assert (outcome.kind, outcome.again, outcome.text) == (Kind.EMPTY, None, "")
    assert outcome.detail == (
        "finish_reason MAX_TOKENS: all tokens went into thinking: raise maxOutputTokens or lower the thinking budget"
    )
    assert outcome.usage.answer_tokens == 50


async def test_a_text_beside_an_image_is_kept_and_the_image_told(emulator: Emulator) -> None:
    """A CSV has no place for it; whoever paid for it shall know."""
    outcome = await ask(Answer("here it is", beside=with_parts({}, IMAGE_PART)), emulator)
    assert (outcome.kind, outcome.text) == (Kind.ANSWERED, "here it is")
    row = RowAnswer(row=0, id="", key="", kind=outcome.kind, detail=outcome.detail)
    assert (row.status, row.error_message) == ("success", "answered: dropped beside the text: inlineData image/png")


VERSIONS = {
    ASKED: "",
    "gemini-2.5-flash-001": "",
    "models/gemini-2.5-flash@default": "",
    "gemini-2.5-flash-lite": "gemini-2.5-flash-lite",
    "gemini-3.5-flash-lite": "gemini-3.5-flash-lite",
    None: "",
    7: "",
}


async def test_another_model_than_asked_for_is_noted(emulator: Emulator) -> None:
    """A number behind the name is the version of the same model."""
    outcomes = await ask_all(emulator, [Answer(beside={"modelVersion": version}) for version in VERSIONS])
    assert [outcome.answered_by for outcome in outcomes] == list(VERSIONS.values())
    assert {outcome.kind for outcome in outcomes} == {Kind.ANSWERED}


async def test_a_connection_that_waits_for_an_answer_shows_signs_of_life(emulator: Emulator) -> None:
    """Without them, what stands between forgets it, after 2 minutes already."""
    async with GeminiClient(GenerateConfig(model="gemini-2.5-flash")) as client:
        await client.generate(Request.of("hello"))
        assert client._session.connector
        ((protocol, _),) = next(iter(client._session.connector._conns.values()))
        sock = protocol.transport.get_extra_info("socket")  # type: ignore[union-attr]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) < 120


@asynccontextmanager
async def server_of(reply: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GeminiClient]:
    """A client of a server that speaks the wire format less well than the emulator does."""
    app = aiohttp.web.Application()
    app.router.add_post("/{path:.*}", reply)
    async with TestServer(app) as server:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", str(server.make_url("")))
        monkeypatch.setenv("GOOGLE_API_KEY", "test-key")
        async with GeminiClient(GenerateConfig(model="m")) as client:
            yield client


TEXT = "The answer, 답, \U0001f600."
BODY = {
    "candidates": [
        {
            "content": {
                "parts": [
                    {"text": "hmm", "thought": True, "thoughtSignature": "AAEC"},
                    {"text": TEXT, "thoughtSignature": "AwQF"},
                ],
                "role": "model",
            },
            "finishReason": "STOP",
            "index": 0,
            "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE", "blocked": False}],
            "citationMetadata": {"citations": [{"startIndex": 1, "endIndex": 9, "uri": "http://a.example"}]},
            "groundingMetadata": {"webSearchQueries": ["q"]},
            "tokenCount": 7,
            "avgLogprobs": -0.03,
        }
    ],
    "promptFeedback": {"safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "LOW"}]},
    "usageMetadata": {
        "promptTokenCount": 11,
        "candidatesTokenCount": 9,
        "thoughtsTokenCount": 3,
        "totalTokenCount": 23,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 11}],
        "serviceTier": "STANDARD",
    },
    "modelVersion": "gemini-2.5-flash",
    "createTime": "2026-11-27T10:00:00Z",
    "responseId": "abc",
}
ODDITIES: tuple[Any, ...] = (
    None, True, 11.5, -3, 1e300, float("nan"), "", "x", "\ud83d", "not base64!", "9" * 400, [], {}, [None],
    [[]], ["x", {"y": 1}], {"z": None}, [[[[]]]],
)  # fmt: skip


def side_fields(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where a body may be changed without its text becoming less readable."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inside = [found for key, item in items for found in side_fields(item, (*path, key))]
    way = ("candidates", 0, "content", "parts", 1, "text")
    hides_text = path == way[: len(path)] or path[-1] == "thought"
    return inside if hides_text else [*inside, path]


def mutated(chance: random.Random) -> dict[str, Any]:
    """BODY with up to six side fields changed, removed or added."""
    body: dict[str, Any] = deepcopy(BODY)
    for _ in range(chance.randint(1, 6)):
        *way, last = chance.choice(side_fields(body))
        place: Any = body
        for key in way:
            place = place[key]
        if isinstance(last, str) and chance.random() < 0.2:
            del place[last]
        elif isinstance(last, str) and chance.random() < 0.2:
            place[f"{last}Of2027"] = deepcopy(chance.choice(ODDITIES))
        else:
            place[last] = deepcopy(chance.choice(ODDITIES))
    return body


def dumped(body: Any, chance: random.Random) -> bytes:
    """As JSON, which some spell their own way."""
    text = json.dumps(body, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, 2]))
    encoded = text.encode("utf-8", "surrogatepass")
    return chance.choice([b"", b"\xef\xbb\xbf", b"\n "]) + encoded + chance.choice([b"", b"\n", b"\ndata: [DONE]"])


async def test_an_answer_is_kept_whatever_stands_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paid for is paid for: a side field of another type, missing, new or broken costs nothing."""
    chance = random.Random(10)
    bodies = [dumped(mutated(chance), chance) for _ in range(150)]
    bodies += [
        json.dumps(BODY).replace("11,", "11.5,").encode(),
        json.dumps(BODY).replace('"AwQF"', '"\\ud83d"').encode(),
        json.dumps(BODY).replace("11,", "1" * 5000 + ",").encode(),
        json.dumps([BODY]).encode(),
        json.dumps(BODY | {"candidates": [None, *BODY["candidates"]]}).encode(),
        json.dumps(BODY | {"candidates": BODY["candidates"][0]}).encode(),  # type: ignore[index]
        json.dumps(BODY | {"promptFeedback": {"blockReason": "BLOCK_REASON_UNSPECIFIED"}}).encode(),
        json.dumps(BODY | {"error": {"code": 500}}).encode(),
        json.dumps(BODY).encode().replace(b'"role": "model"', b'"role": "\xff\xfe\n"'),
    ]
    waiting = iter(bodies)

    async def reply(_: aiohttp.web.Request) -> aiohttp.web.Response:
        return aiohttp.web.Response(body=next(waiting), content_type="application/json")

    async with server_of(reply, monkeypatch) as client:
        for body in bodies:
            outcome = outcome_of(await client.generate(Request.of("hello")))
            assert (outcome.text, outcome.kind in (Kind.ANSWERED, Kind.TRUNCATED)) == (TEXT, True), body
            outcome.detail.encode()
            assert 0 <= outcome.usage.total < 2**33


def test_no_body_raises_anything_but_what_is_documented() -> None:
    """Whole or in shreds, as an answer or as a refusal."""
    chance = random.Random(11)
    error = {
        "code": 429,
        "status": "X",
        "message": "Please retry in 1h2m3.5s",
        "details": [{"retryDelay": {"seconds": 6}}],
    }
    for _ in range(600):
        sent = bytearray(dumped(chance.choice([mutated(chance), {"error": error}, [error], None]), chance))
        for _ in range(chance.choice([0, 1, 5])):
            sent[chance.randrange(len(sent))] = chance.randrange(256)
        body = bytes(sent[: chance.choice([None, chance.randrange(len(sent))])]).decode("utf-8", "replace")
        headers = {"retry-after": chance.choice(["6", "soon", "Fri, 32 Nov", "", body[:20]]), "date": body[:30]}
        try:
            outcome = outcome_of(read_answer(body, "m"))
        except (ApiError, MalformedAnswer) as refusal:
            outcome = outcome_of_error(refusal, 30)
        outcome.detail.encode()
        outcome_of_error(read_refusal(chance.choice([400, 404, 429, 503]), "", body, headers), 30)
    for body in ("[" * 100_000, '{"a":' * 100_000):
        with pytest.raises(MalformedAnswer):
            read_answer(body, "m")


async def outcome_from(status: int, body: str, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    async def reply(_: aiohttp.web.Request) -> aiohttp.web.Response:
        return aiohttp.web.Response(status=status, text=body, content_type="application/json")

    async with server_of(reply, monkeypatch) as client:
        return await outcome_with(client)


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
        (200, '{"candidates": {"content": 7}}', Kind.SERVER_ERROR),
        (200, error_of(), Kind.RATE_LIMIT),
        (200, '{"error": "no"}', Kind.SERVER_ERROR),
        (429, '{"error": {"code": 429', Kind.RATE_LIMIT),
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
    assert not outcome.for_all_rows
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
    ("delay", "seconds"),
    [
        ("26s", 26.0),
        ("0.5s", 0.5),
        ("1.000000001s", 1.000000001),
        ("847ms", 0.847),
        ("1h2m3.5s", 3723.5),
        ("6", 6.0),
        (6, 6.0),
        ({"seconds": "6"}, 6.0),
        ({"nanos": 5e8}, 0.5),
        ("9223372036854775807s", MOST_SECONDS),
        (float("inf"), MOST_SECONDS),
        ("-1s", None),
        (float("nan"), None),
        ({}, None),
        ("soon", None),
    ],
)
def test_a_delay_is_a_length_of_time_in_any_spelling(delay: Any, seconds: float | None) -> None:
    """What is none is as good as no delay."""
    error = ApiError(429, "", "", [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}])
    assert outcome_of_error(error, 30).retry_delay_seconds == seconds


def test_a_date_to_come_back_at_counts_by_the_clock_of_the_server_if_it_says_it() -> None:
    """A clock that is wrong here makes nobody wait, or hurry."""
    date, now = "Fri, 27 Nov 2026 10:00:06 GMT", "Fri, 27 Nov 2026 10:00:00 GMT"
    assert delay_of({"retry-after": date, "date": now}) == 6
    assert delay_of({"retry-after": now, "date": date}) == 0
    assert delay_of({"retry-after": formatdate(time.time() + 3600, usegmt=True)}) == pytest.approx(3600, abs=60)


def delay_of(headers: dict[str, str]) -> float | None:
    return outcome_of_error(ApiError(503, "", "", headers=headers), 30).retry_delay_seconds


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
