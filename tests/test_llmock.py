"""A chaos server that others wrote judges the client: `llmock`, over HTTP, by its own verdict."""

import random
from collections.abc import Iterator

import pytest
from llmock.ratelimit import LimitSettings
from llmock.testing import LLMockServer
from llmock.verdict import Verdict, judge

from tasks.core.answering.breaker import Breaker
from tasks.core.answering.online import Inference
from tasks.core.answering.throttle import Throttle
from tasks.core.config.parameters import GenerateConfig, LimitsConfig
from tasks.core.gemini.client import GeminiClient
from tasks.core.records import Kind, RowAnswer, Sample

A_MINUTE = 60


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LLMockServer]:
    with LLMockServer() as running:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", running.base_url("gemini"))
        monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "v1beta")
        monkeypatch.setenv("GOOGLE_API_KEY", "k")
        yield running


async def infer(rows: int) -> list[RowAnswer]:
    generation = GenerateConfig(model="gemini-2.5-pro")
    limits = LimitsConfig(max_concurrent=10, timeout_seconds=30)
    results: list[RowAnswer] = []
    async with GeminiClient(generation) as client:
        run = Inference(client, generation, limits, Throttle(limits), Breaker(limits.give_up_seconds))
        await run.infer([Sample(n, str(n), f"question {n}") for n in range(rows)], None, results)
    return results


def verdict(server: LLMockServer) -> Verdict:
    return judge(server.state.journal.records(wait=2))


async def test_a_limit_of_60_a_minute_is_kept_with_few_refusals(server: LLMockServer) -> None:
    """Most of what may come at once is spent: the last rows come one a second, after two attempts at most."""
    server.state.limiter.configure(LimitSettings(rpm=A_MINUTE))
    for _ in range(A_MINUTE - 20):
        server.state.limiter.admit("gemini", "k", 1)
    results = await infer(30)
    assert {result.kind for result in results} == {Kind.ANSWERED}
    judged = verdict(server)
    assert judged.passed, judged.render()
    assert judged.attempts <= 2 * 30


async def test_mixed_errors_are_met_as_they_ask_to_be(server: LLMockServer) -> None:
    """What passes is tried again no sooner than is asked, what can't pass is not, and no row is lost."""
    random.seed(5)
    server.app.state.llmock.chaos.error_rates = {429: 0.1, 500: 0.1, 503: 0.1, 400: 0.05}
    results = await infer(30)
    assert {result.kind for result in results} == {Kind.ANSWERED, Kind.INVALID_REQUEST}
    judged = verdict(server)
    assert judged.passed, judged.render()
    assert judged.attempts <= 2 * 30
