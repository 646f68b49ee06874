"""What the API says and what it amounts to: the real SDK against the emulator, one behaviour at a time."""

import pytest

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
    Emulator,
    Finish,
    Quota,
    RateLimited,
    Rule,
    answer_to,
)
from tasks.core.config import GenerateConfig
from tasks.core.gemini import GeminiClient
from tasks.core.outcomes import outcome_of, outcome_of_error
from tasks.core.records import Image, Kind, ModelOutput, Outcome, Request


async def ask(behaviour: Behaviour, emulator: Emulator, request: Request = Request("hello")) -> Outcome:  # noqa: B008
    emulator.set_rules([Rule(behaviour)])
    async with GeminiClient(GenerateConfig(model="gemini-2.5-flash")) as client:
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
        assert "gemini-2.5-flash" in await client.list_models()


def test_half_a_surrogate_pair_does_not_reach_the_csv() -> None:
    """JSON can carry it, UTF-8 cannot."""
    outcome = outcome_of(ModelOutput(text="ok \ud83d", finish_reason="STOP"))
    assert outcome.text == "ok ?"
