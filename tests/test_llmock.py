"""A chaos server that others wrote judges the client: `llmock`, over HTTP, by its own verdict."""

import random
from collections.abc import Iterator

import pytest
from llmock.ratelimit import LimitSettings
from llmock.testing import LLMockServer
from llmock.verdict import Verdict, judge

from tasks.core.answering.item import Item
from tasks.core.answering.online import OnlineAnswerer
from tasks.core.config.generation import GenerateConfig
from tasks.core.config.limits import LimitsConfig
from tasks.core.gemini.client import GeminiClient
from tasks.core.prompts.prepare import Preparer
from tasks.core.records import Kind, RowAnswer, Sample

A_MINUTE = 60


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LLMockServer]:
    with LLMockServer() as running:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", running.base_url("gemini"))
        monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "v1beta")
        monkeypatch.setenv("GOOGLE_API_KEY", "k")
        yield running


async def answered(rows: int) -> list[RowAnswer]:
    generation = GenerateConfig(model="gemini-2.5-pro")
    limits = LimitsConfig(max_concurrent=10, timeout_seconds=30)
    items = [Item(Sample(n, str(n), f"question {n}"), Preparer(generation)) for n in range(rows)]
    async with GeminiClient(generation) as client:
        arriving = OnlineAnswerer(client, limits).answer("chunk", items)
        return [answer async for answer in arriving if isinstance(answer, RowAnswer)]


def verdict(server: LLMockServer) -> Verdict:
    return judge(server.state.journal.records(wait=2))


async def test_a_limit_of_60_a_minute_is_kept_with_few_refusals(server: LLMockServer) -> None:
    """Most of what may come at once is spent: the last rows come one a second, after two attempts at most."""
    server.state.limiter.configure(LimitSettings(rpm=A_MINUTE))
    for _ in range(A_MINUTE - 20):
        server.state.limiter.admit("gemini", "k", 1)
    answers = await answered(30)
    assert {answer.kind for answer in answers} == {Kind.ANSWERED}
    judged = verdict(server)
    assert judged.passed, judged.render()
    assert judged.attempts <= 2 * 30


async def test_mixed_errors_are_met_as_they_ask_to_be(server: LLMockServer) -> None:
    """What passes is tried again no sooner than is asked, what can't pass is not, and no row is lost."""
    random.seed(5)
    server.app.state.llmock.chaos.error_rates = {429: 0.1, 500: 0.1, 503: 0.1, 400: 0.05}
    answers = await answered(30)
    assert {answer.kind for answer in answers} == {Kind.ANSWERED, Kind.INVALID_REQUEST}
    judged = verdict(server)
    assert judged.passed, judged.render()
    assert judged.attempts <= 2 * 30
