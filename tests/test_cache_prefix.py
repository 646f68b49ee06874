"""`--cache-prefix`: what all rows begin with is kept by Gemini while a run lasts, and no row depends on it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from deployments.emulator import Emulator, HttpError, Rule, answer_to
from tasks.core.answering.caching import CachingModel
from tasks.core.answering.prefix_cache import EXTEND_SECONDS, TTL_SECONDS, PrefixCache
from tasks.core.config.generation import GenerateConfig
from tasks.core.config.parameters import RunConfig
from tasks.core.errors import ApiError
from tasks.core.gemini.client import GeminiClient
from tasks.core.planning.prefix import LEAST_ROWS, plan_prefix
from tasks.core.prefix import CachedPrefix, Prefix
from tasks.core.prompts.prompting import Prompting
from tasks.core.records import Media, Request, Turn

MODEL = "gemini-2.5-flash"
LONG = "Answer like the others.\n" * 300
TOOLS: list[dict[str, Any]] = [{"googleSearch": {}}]
GENERATION = GenerateConfig(model=MODEL, system_instruction=LONG, request_body={"tools": TOOLS, "labels": {"a": "b"}})
PREFIX = Prefix("gi-1", LONG, "Q: one\nA: 1\n", {"tools": TOOLS})
REQUEST = Request.of("Q: one\nA: 1\nQ: two")
GONE = HttpError(403, "CachedContent not found (or permission denied)")


class Time:
    def __init__(self) -> None:
        self.now, self.slept = 0.0, list[float]()

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@asynccontextmanager
async def caching(
    prefix: Prefix = PREFIX, clock: Time | None = None
) -> AsyncIterator[tuple[CachingModel, PrefixCache]]:
    """As one process has it."""
    clock = clock or Time()
    client = GeminiClient(GENERATION)
    cache = PrefixCache(client.caches, prefix, now=clock, sleep=clock.sleep)
    model = CachingModel(client, cache, wait_seconds=30)
    yield model, cache
    await model.close()


async def test_what_rows_share_is_cached_once_and_does_not_go_along(emulator: Emulator) -> None:
    """System instruction, tools and the text before each row's own; the model sees the same, and less of it is paid."""
    async with caching() as (model, _):
        outputs = await asyncio.gather(*(model.generate(REQUEST) for _ in range(20)))
    [made] = emulator.caches.made
    assert (made.display_name, made.model, made.system, made.prompt) == ("gi-1", MODEL, LONG, PREFIX.text)
    assert {output.text for output in outputs} == {answer_to(REQUEST.text)}
    assert {output.usage.cached_tokens for output in outputs} == {made.tokens}
    assert emulator.last_requests[0].beside == {"labels": {"a": "b"}, "cachedContent": made.name}


@pytest.mark.parametrize(
    "request_",
    [
        Request.of("Q: another\nA: 1"),
        Request.of(Media(b"1", "image/png"), REQUEST.text),
        Request.of("Q: one\nA: 1\n"),
        Request((Turn("user", (REQUEST.text,)),), system_instruction="of its own"),
        Request((Turn("model", (REQUEST.text,)), Turn("user", ("go on",)))),
    ],
)
async def test_a_request_that_begins_otherwise_goes_whole(emulator: Emulator, request_: Request) -> None:
    """A conversation, an image before the text, an instruction of the row's own, nothing behind the beginning."""
    async with caching() as (model, _):
        await model.generate(request_)
    [seen] = emulator.last_requests
    assert "cachedContent" not in seen.beside
    assert seen.system == (request_.system_instruction or LONG)
    assert seen.prompt == request_.text


async def test_media_behind_the_beginning_stay_where_they_are(emulator: Emulator) -> None:
    async with caching() as (model, _):
        await model.generate(Request.of(PREFIX.text, Media(b"1", "image/png"), "what is it?"))
    [seen] = emulator.last_requests
    assert (len(seen.media), seen.prompt) == (1, PREFIX.text + "what is it?")
    assert "cachedContent" in seen.beside


async def test_what_another_process_has_made_is_found(emulator: Emulator) -> None:
    """By its name, also after a crash; it is given time enough, and deleted by whoever ends last."""
    async with caching() as (model, _):
        await model.generate(REQUEST)
    emulator.forward(TTL_SECONDS - 1)
    async with caching() as (model, cache):
        await model.generate(REQUEST)
        emulator.forward(TTL_SECONDS - 1)
        await model.generate(REQUEST)
        await cache.remove()
    assert (len(emulator.caches.made), emulator.caches.extended, emulator.caches.alive()) == (1, 1, [])


async def test_of_two_that_are_made_at_once_one_remains() -> None:
    """Both processes use it: the one that was made first."""

    class Store:
        exists = True

        def __init__(self) -> None:
            self.kept: list[CachedPrefix] = []
            self.both_looked = asyncio.Barrier(2)

        async def find(self, name: str) -> CachedPrefix | None:
            found = next(iter(self.kept), None)
            if not found:
                await self.both_looked.wait()
            return found

        async def create(self, prefix: Prefix, ttl_seconds: float) -> CachedPrefix:
            self.kept.append(CachedPrefix(f"cachedContents/{len(self.kept)}", 2000))
            return self.kept[-1]

        async def extend(self, name: str, ttl_seconds: float) -> None: ...

        async def delete(self, name: str) -> None:
            self.kept = [copy for copy in self.kept if copy.name != name]

    store = Store()
    copies = await asyncio.gather(*(PrefixCache(store, PREFIX).copy() for _ in range(2)))
    assert store.kept == [CachedPrefix("cachedContents/0", 2000)]
    assert copies == store.kept * 2


async def test_its_life_is_extended_while_requests_use_it(emulator: Emulator) -> None:
    """Not with each of them."""
    clock = Time()
    async with caching(clock=clock) as (model, _):
        for _ in range(10):
            for _ in range(5):
                await model.generate(REQUEST)
            emulator.forward(EXTEND_SECONDS + 1)
            clock.now += EXTEND_SECONDS + 1
    assert len(emulator.caches.made) == 1
    assert 8 <= emulator.caches.extended <= 10


async def test_one_that_has_vanished_is_made_again_and_no_row_is_lost(emulator: Emulator) -> None:
    """After a night in a closed laptop: all that are in flight share the next one."""
    async with caching() as (model, _):
        await model.generate(REQUEST)
        emulator.forward(2 * TTL_SECONDS)
        outputs = await asyncio.gather(*(model.generate(REQUEST) for _ in range(20)))
    assert {output.text for output in outputs} == {answer_to(REQUEST.text)}
    assert len(emulator.caches.made) == 2


@pytest.mark.parametrize("refusal", [GONE, HttpError(400, "CachedContent is not supported with this model.")])
async def test_one_that_is_never_of_use_is_not_made_over_and_over(emulator: Emulator, refusal: HttpError) -> None:
    """Each is paid for: rows go whole."""
    emulator.set_rules([Rule(refusal, times=1)])
    async with caching() as (model, cache):
        for _ in range(3):
            await model.generate(REQUEST)
    assert len(emulator.caches.made) == 1
    assert [("cachedContent" in seen.beside) for seen in emulator.last_requests] == [True, False, False, False]
    assert cache.why_not == f"{refusal.code} {refusal.message}"


@pytest.mark.parametrize(
    ("refusals", "made", "why"),
    [
        ([HttpError(503)], 1, ""),
        ([HttpError(503)] * 3, 0, "503 The model is overloaded"),
        ([HttpError(429, "TotalCachedContentStorageTokens limit exceeded: limit=0")] * 3, 0, "429 TotalCached"),
        ([HttpError(403)], 0, "403 The caller does not have permission"),
    ],
)
async def test_where_it_cannot_be_made_rows_go_whole(
    emulator: Emulator, refusals: list[HttpError], made: int, why: str
) -> None:
    """After two more tries where it may pass; with the reason."""
    emulator.caches.refusals = refusals
    async with caching() as (model, cache):
        output = await model.generate(REQUEST)
    assert output.text == answer_to(REQUEST.text)
    assert (len(emulator.caches.made), len(emulator.caches.refusals)) == (made, 0)
    assert cache.why_not.startswith(why)


async def test_one_that_is_too_small_for_the_model_is_told(emulator: Emulator) -> None:
    async with caching(Prefix("gi-2", "short")) as (_, cache):
        assert await cache.copy() is None
    assert cache.why_not == "400 Cached content is too small. total_token_count=2, min_total_token_count=1024"


async def test_other_refusals_are_the_rows_own(emulator: Emulator) -> None:
    """A prompt that is refused is refused once."""
    emulator.set_rules([Rule(HttpError(400, "Prompt refused."))])
    async with caching() as (model, _):
        with pytest.raises(ApiError) as caught:
            await model.generate(REQUEST)
    assert caught.value.message == "Prompt refused."
    assert emulator.stats.requests == 1


async def test_vertex_goes_without(monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
    """Its caches have other names."""
    async with caching() as (_, cache):
        monkeypatch.setattr(cache._store, "exists", False)
        assert (await cache.copy(), cache.why_not) == (None, "Vertex AI has no such caches")
    assert emulator.caches.made == []


def planned(
    *, system: str | None = LONG, template: str | None = None, media: bool = False, rows: int = 100, **more: Any
) -> Prefix | str:
    config = RunConfig(system_instruction=system, prompt_template=template, **more)
    plan = plan_prefix("job", config.generation, Prompting.of(config, "q", ("photo",) if media else ()), media, rows)
    return plan.prefix or plan.why_not


@pytest.mark.parametrize(
    ("template", "media", "text"),
    [
        (None, False, ""),
        ("Q: a\nA: b\n\nQ: {{ q }}", False, "Q: a\nA: b\n\n"),
        ("all on one line {{ q }}", False, "all on one line "),
        ("a\n{# no more #}b\n{{ q }}", False, "a\n"),
        ("a\n{% if q %}b{% endif %}", False, "a\n"),
        ("{{ q }} a", False, ""),
        ("a\n{{ image }}b", True, "a\n"),
        ("a\n{{ photo }}b", True, "a\n"),
        ("a\n{{ q }}", True, ""),
    ],
)
def test_of_a_template_the_text_before_the_first_of_a_row_is_shared(template: str, media: bool, text: str) -> None:
    """Whole lines of it; nothing where media stand first."""
    prefix = planned(template=template, media=media)
    assert isinstance(prefix, Prefix)
    assert (prefix.system_instruction, prefix.text) == (LONG, text)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"system": None}, "rows share about 1 tokens, and 1,024 are the least"),
        ({"system": "Be brief."}, "rows share about 4 tokens, and 1,024 are the least"),
        ({"rows": LEAST_ROWS - 1}, "it does not pay for 19 rows, but from 20 on"),
        ({"system": LONG + "{{ q }}"}, "the system instruction is another one for each row"),
    ],
)
def test_what_is_not_worth_it_is_not_cached(asked: dict[str, Any], why: str) -> None:
    assert planned(**asked) == why


def test_the_name_is_that_of_the_content_and_the_cache_no_part_of_a_key() -> None:
    """Another model, text or tool is another one; the number of rows is not."""
    names = [
        prefix.name
        for prefix in (
            planned(),
            planned(rows=50, temperature=1, cache_prefix=True),
            planned(model="m"),
            planned(system=LONG + "!"),
            planned(template=LONG + "{{ q }}"),
            planned(tools=["google_search"]),
        )
        if isinstance(prefix, Prefix)
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 5
    assert RunConfig(cache_prefix=True).generation == RunConfig().generation
