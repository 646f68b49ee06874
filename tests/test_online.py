"""Rows and their retries, with a model that does what the test says and a clock that does not run."""

import asyncio
import base64
import errno
import os
import threading
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from tasks.core.answering.base import Watcher
from tasks.core.answering.breaker import ALIKE_REFUSALS
from tasks.core.answering.image_guard import FIRST_IMAGES
from tasks.core.answering.item import Item
from tasks.core.answering.online import OnlineAnswerer
from tasks.core.config.generation import GenerateConfig
from tasks.core.config.limits import LimitsConfig, Patience
from tasks.core.details import Usage
from tasks.core.errors import ApiError, MalformedAnswer, MediaError, RunStopped, StopReason
from tasks.core.prompts.prepare import Preparer
from tasks.core.records import Kind, ModelOutput, Request, RowAnswer, Sample
from tests.samples import PREPARER, OnePerRow, image_of

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
UNAVAILABLE = ApiError(503, "UNAVAILABLE", "later")
TOO_MANY = ApiError(429, "RESOURCE_EXHAUSTED", "slow down")

type Behave = Callable[[Request, int], Any]


class Model:
    """Answers with what `behave(request, how often it was asked)` returns, or raises it."""

    def __init__(self, behave: Behave = lambda request, attempt: "ok") -> None:
        self.behave = behave
        self.requests: list[Request] = []
        self.in_flight = self.peak = 0

    async def generate(self, request: Request) -> ModelOutput:
        self.requests.append(request)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            await asyncio.sleep(0)
            answer = self.behave(request, sum(r.text == request.text for r in self.requests))
            if asyncio.iscoroutine(answer):
                answer = await answer
        finally:
            self.in_flight -= 1
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, ModelOutput):
            return answer
        return ModelOutput(text=answer, finish_reason="STOP", usage=Usage(3, 2))

    async def list_models(self) -> list[str]:
        raise ConnectionError("nobody says")

    async def close(self) -> None: ...


def online(model: Model, watcher: Watcher | None = None, **limits: Any) -> tuple[OnlineAnswerer, list[float]]:
    """With the pauses it takes instead of sleeping: its clock moves by them alone."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    def clock() -> float:
        return sum(pauses)

    config = LimitsConfig(**({"max_concurrent": 4, "timeout_seconds": 5} | limits))
    return OnlineAnswerer(model, config, watcher, clock=clock, sleep=sleep, random=lambda: 1.0), pauses


async def keep(run: OnlineAnswerer, texts: list[str], answers: list[RowAnswer], read_image: Any = None) -> None:
    """Fill `answers` as they come, whatever the end."""
    items = (
        Item(Sample(n, str(n), text), PREPARER, OnePerRow(read_image) if read_image else None)
        for n, text in enumerate(texts)
    )
    async for answer in run.answer("chunk", items):
        assert isinstance(answer, RowAnswer)
        answers.append(answer)


async def answered(run: OnlineAnswerer, texts: list[str], read_image: Any = None) -> dict[str, RowAnswer]:
    answers: list[RowAnswer] = []
    await keep(run, texts, answers, read_image)
    assert sorted(answer.row for answer in answers) == list(range(len(texts)))
    return {texts[answer.row]: answer for answer in answers}


async def test_rows_of_several_chunks_share_one_exact_cap() -> None:
    """Never more in flight than `max_concurrent`, and always that many while rows are waiting."""
    model = Model()
    run, _ = online(model, max_concurrent=7)
    await asyncio.gather(*(answered(run, [f"{chunk}-{n}" for n in range(20)]) for chunk in range(5)))
    assert model.peak == 7
    assert len(model.requests) == 100


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UNAVAILABLE, Kind.SERVER_ERROR),
        (ApiError(500, "INTERNAL", "x"), Kind.SERVER_ERROR),
        (ApiError(504, "DEADLINE_EXCEEDED", "x"), Kind.SERVER_ERROR),
        (ConnectionError("gone"), Kind.NETWORK),
        (MalformedAnswer("not JSON"), Kind.SERVER_ERROR),
        (RuntimeError("what nobody thought of"), Kind.NETWORK),
    ],
)
async def test_what_may_pass_is_tried_again_a_bounded_number_of_times(error: Exception, kind: Kind) -> None:
    """With exponential back-off; the row that has had enough stays open and takes no other along."""
    model = Model(lambda request, attempt: error if request.text == "bad" else "ok")
    run, pauses = online(model, max_attempts=4)
    rows = await answered(run, ["good", "bad", "also good"])
    assert rows["bad"].kind is kind
    assert rows["bad"].retryable
    assert [r.text for r in model.requests].count("bad") == 4
    assert pauses == [2.0, 4.0, 8.0]
    assert rows["good"].response == rows["also good"].response == "ok"


@pytest.mark.parametrize("error", [ApiError(408, "", "x"), TimeoutError()])
async def test_what_timed_out_is_tried_once_more_and_counted(error: Exception) -> None:
    """It may have been billed, each time."""
    model = Model(lambda request, attempt: error if request.text == "bad" else "ok")
    run, _ = online(model)
    rows = await answered(run, ["good", "bad", "also good"])
    assert (rows["bad"].kind, rows["bad"].retryable, rows["bad"].timeouts) == (Kind.TIMEOUT, True, 2)
    assert [r.text for r in model.requests].count("bad") == 2
    lucky = Model(lambda request, attempt: error if attempt == 1 else "ok")
    run, _ = online(lucky)
    rows = await answered(run, ["x"])
    assert (rows["x"].kind, rows["x"].timeouts) == (Kind.ANSWERED, 1)


async def test_an_outcome_says_itself_how_often_it_is_worth_another_try() -> None:
    """Two more, then it stands; what each of them took is billed."""
    model = Model(lambda request, attempt: ModelOutput(finish_reason="STOP", usage=Usage(3, 2)))
    run, _ = online(model)
    rows = await answered(run, ["x"])
    assert (rows["x"].kind, rows["x"].prompt_tokens, rows["x"].answer_tokens) == (Kind.EMPTY, 9, 6)
    assert len(model.requests) == 3


async def test_an_outage_fails_no_row_and_is_met_by_few_requests() -> None:
    """Ten minutes of 503 for everybody: all rows are answered, whatever they may be tried."""
    run, pauses = online(model := Model(), max_concurrent=10, max_attempts=2)
    outages: list[tuple[str, float]] = []
    run.lessons.on_outage = lambda why, seconds: outages.append((why, seconds))
    model.behave = lambda request, attempt: UNAVAILABLE if sum(pauses) < 600 else "ok"
    rows = await answered(run, [f"q{n}" for n in range(100)])
    assert {row.kind for row in rows.values()} == {Kind.ANSWERED}
    assert len(model.requests) - 100 <= 80
    assert [bool(why) for why, _ in outages] == [True, False]
    assert outages[0][0].startswith("server_error: 503")
    assert 540 <= outages[1][1] <= 660


@pytest.mark.parametrize(("share", "most"), [(0.5, 2.2), (0.7, 3.7)])
async def test_a_storm_fails_no_row_and_costs_what_chance_asks_for(share: float, most: float) -> None:
    """Each request fails with the same probability: all rows are answered, and none is given up."""
    chance = Random(4)
    model = Model(lambda request, attempt: UNAVAILABLE if chance.random() < share else "ok")
    run, _ = online(model, max_concurrent=10)
    rows = await answered(run, [f"q{n}" for n in range(300)])
    assert {row.kind for row in rows.values()} == {Kind.ANSWERED}
    assert len(model.requests) <= most * 300


async def test_bad_rows_end_while_others_are_answered_and_when_they_are_the_last() -> None:
    """Each after its attempts, or after a while in which nobody else is left: not the run."""
    bad = ["q3", *(f"q{n}" for n in range(93, 100))]
    model = Model(lambda request, attempt: UNAVAILABLE if request.text in bad else "ok")
    run, pauses = online(model, max_concurrent=10)
    rows = await answered(run, [f"q{n}" for n in range(100)])
    assert [text for text, row in rows.items() if row.kind is Kind.SERVER_ERROR] == bad
    assert [request.text for request in model.requests].count("q3") == 5
    assert sum(pauses) < 600


async def test_a_row_that_is_refused_as_if_for_good_after_answers_is_tried_again_and_ends_alone() -> None:
    """A false alarm costs no more than its row."""
    refusal = ApiError(403, "PERMISSION_DENIED", "no")
    model = Model(lambda request, attempt: refusal if request.text == "q50" else "ok")
    run, _ = online(model)
    rows = await answered(run, [f"q{n}" for n in range(100)])
    assert [text for text, row in rows.items() if row.status == "error"] == ["q50"]
    assert rows["q50"].kind is Kind.INVALID_REQUEST
    assert [request.text for request in model.requests].count("q50") == 3
    passing = Model(lambda request, attempt: refusal if request.text == "q50" and attempt == 1 else "ok")
    run, _ = online(passing)
    assert {row.status for row in (await answered(run, [f"q{n}" for n in range(100)])).values()} == {"success"}


async def test_a_prompt_larger_than_the_quota_of_a_minute_costs_the_others_nothing() -> None:
    """It goes last and alone, ends after few attempts, and nobody but it has waited."""
    huge = "word " * 5000
    model = Model(lambda request, attempt: delayed(429, "10s") if request.text == huge else "ok")
    run, _ = online(model, max_concurrent=10)
    limits: list[int] = []
    run.throttle.changed = limits.append
    answers: list[RowAnswer] = []
    await keep(run, [huge if n == 50 else f"question {n}" for n in range(1000)], answers)
    assert answers[-1].error_message.startswith("rate_limit: larger than the quota of a minute: 429")
    assert answers[-1].retryable
    assert [request.text for request in model.requests].count(huge) == 2
    assert {answer.kind for answer in answers[:-1]} == {Kind.ANSWERED}
    assert limits == []


async def test_many_prompts_too_large_for_a_minute_do_not_each_take_a_minute() -> None:
    """What is refused alone says enough about all that are as large."""
    model = Model(lambda request, attempt: TOO_MANY if request.text.startswith("word") else "ok")
    run, _ = online(model, max_concurrent=10)
    rows = await answered(run, ["short"] * 20 + [f"{'word ' * 5000}{n}" for n in range(50)])
    assert {row.kind for text, row in rows.items() if text != "short"} == {Kind.RATE_LIMIT}
    assert len(model.requests) <= 20 + 2 * 50


async def test_a_passing_error_leaves_no_trace_once_it_has_passed() -> None:
    """The row is a success like any other."""
    model = Model(lambda request, attempt: UNAVAILABLE if attempt < 3 else "ok")
    run, _ = online(model)
    rows = await answered(run, ["x"])
    assert (rows["x"].kind, rows["x"].error_message, rows["x"].prompt_tokens) == (Kind.ANSWERED, "", 3)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (ApiError(400, "INVALID_ARGUMENT", "too long"), Kind.INVALID_REQUEST),
        (ApiError(413, "", "too large"), Kind.INVALID_REQUEST),
        (ModelOutput(block_reason="SAFETY"), Kind.BLOCKED),
        (ModelOutput(finish_reason="SAFETY"), Kind.BLOCKED),
        (ModelOutput(finish_reason="MAX_TOKENS"), Kind.EMPTY),
        (ModelOutput(text="half", finish_reason="MAX_TOKENS"), Kind.TRUNCATED),
    ],
)
async def test_what_can_never_pass_is_asked_once(answer: Any, kind: Kind) -> None:
    """It would be paid for, or refused, again."""
    model = Model(lambda request, attempt: answer)
    run, _ = online(model)
    rows = await answered(run, ["x"])
    assert rows["x"].kind is kind
    assert not rows["x"].retryable
    assert len(model.requests) == 1


async def test_429s_use_no_attempts_while_the_run_makes_progress() -> None:
    """A row refused 20 times while others are answered is answered in the end."""
    model = Model(lambda request, attempt: TOO_MANY if request.text == "unlucky" and attempt <= 20 else "ok")
    run, _ = online(model, max_concurrent=2, max_attempts=3)
    unlucky = asyncio.create_task(answered(run, ["unlucky"]))
    while not unlucky.done():
        await answered(run, [f"other {len(model.requests)}"])
    assert (await unlucky)["unlucky"].kind is Kind.ANSWERED


async def test_429s_alone_end_the_run_and_no_row() -> None:
    """Quota or not: with nobody answered for long enough, all rows stay as they are."""
    model = Model(lambda request, attempt: TOO_MANY)
    run, pauses = online(model, max_attempts=3)
    with pytest.raises(RunStopped, match="no answer for 9"):
        await answered(run, ["x", "y"])
    assert sum(pauses) < 1200
    assert len(model.requests) < 100


async def test_a_delay_that_no_run_can_wait_is_said_and_not_slept() -> None:
    """For one row it is a slip; for all it is the end of the run."""
    endless = delayed(429, "9223372036854775807s")
    model = Model(lambda request, attempt: endless if request.text == "q5" and attempt < 3 else "ok")
    run, pauses = online(model)
    rows = await answered(run, [f"q{n}" for n in range(20)])
    assert {row.kind for row in rows.values()} == {Kind.ANSWERED}
    assert max(pauses) <= 60
    run, pauses = online(Model(lambda request, attempt: endless))
    with pytest.raises(RunStopped, match=r"the API asks to wait [\d,]{9,} s"):
        await answered(run, ["x", "y"])
    assert max(pauses, default=0) <= 60


async def test_a_call_that_never_answers_ends_at_the_timeout() -> None:
    """`timeout_seconds` bounds each call, whatever the transport does."""
    model = Model(lambda request, attempt: asyncio.sleep(3600))
    run, _ = online(model, timeout_seconds=0.01, max_attempts=1)
    rows = await answered(run, ["x"])
    assert rows["x"].error_message == "timeout: no answer within 0.01 s"


async def test_a_stopped_run_waits_for_answers_on_their_way() -> None:
    """What is in flight is paid for: it is kept. What waits is not sent."""
    release = asyncio.Event()

    async def slow() -> str:
        await release.wait()
        return "ok"

    model = Model(lambda request, attempt: slow())
    run, _ = online(model, max_concurrent=2)
    answers: list[RowAnswer] = []
    chunk = asyncio.create_task(keep(run, [f"q{n}" for n in range(9)], answers))
    while model.in_flight < 2:
        await asyncio.sleep(0)
    run.stop(StopReason.INTERRUPTED, "Ctrl+C", 30.0)
    release.set()
    with pytest.raises(RunStopped):
        await chunk
    assert len(answers) == len(model.requests) == 2


async def test_a_stopped_run_does_not_wait_for_ever() -> None:
    """An answer that does not come within the grace time leaves its row unsent, not failed."""
    model = Model(lambda request, attempt: asyncio.sleep(3600))
    run, _ = online(model, max_concurrent=2, timeout_seconds=1000)
    answers: list[RowAnswer] = []
    chunk = asyncio.create_task(keep(run, [f"q{n}" for n in range(9)], answers))
    while model.in_flight < 2:
        await asyncio.sleep(0)
    run.stop(StopReason.INTERRUPTED, "Ctrl+C", 0.01)
    with pytest.raises(RunStopped):
        await chunk
    assert answers == []


async def test_a_cancelled_chunk_has_kept_what_arrived() -> None:
    """It was handed over as it came."""
    model = Model(lambda request, attempt: "ok" if request.text == "q0" else asyncio.sleep(3600))
    run, _ = online(model)
    answers: list[RowAnswer] = []
    chunk = asyncio.create_task(keep(run, [f"q{n}" for n in range(3)], answers))
    while not answers:
        await asyncio.sleep(0)
    chunk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await chunk
    assert [answer.id for answer in answers] == ["0"]


def images(row: int) -> bytes | None:
    if row == 1:
        raise MediaError("'x.png' does not exist")
    return [PNG, b"", b"not an image", None][row]


async def test_an_image_goes_out_as_it_is_or_the_text_goes_alone() -> None:
    """Readable, missing, not an image, no image: four rows, four successes."""
    model = Model()
    run, _ = online(model)
    rows = await answered(run, ["image", "missing", "junk", "none"], images)
    sent = {request.text: image_of(request) for request in model.requests}
    assert sent["image"] is not None
    assert (sent["image"].data, sent["image"].mime_type) == (PNG, "image/png")
    assert sent["missing"] is sent["junk"] is sent["none"] is None
    assert rows["missing"].error_message == "image: 'x.png' does not exist"
    assert rows["junk"].error_message == "image: not an image"
    assert rows["none"].error_message == ""
    assert {row.status for row in rows.values()} == {"success"}


async def test_an_image_that_the_api_cannot_read_is_left_out() -> None:
    """Refused requests are free: the text is asked alone, once, and the row says why."""
    refusal = ApiError(400, "INVALID_ARGUMENT", "Unable to process input image.")
    model = Model(lambda request, attempt: refusal if request.media else "ok")
    run, _ = online(model)
    rows = await answered(run, ["x"], lambda row: PNG)
    assert rows["x"].status == "success"
    assert not rows["x"].has_image
    assert "Unable to process input image" in rows["x"].error_message
    assert len(model.requests) == 2


async def test_neither_text_nor_image_makes_no_request() -> None:
    """An error row for nothing."""
    model = Model()
    run, _ = online(model)
    assert (await answered(run, [" "]))[" "].error_message == "input: neither text nor image"
    rows = await answered(run, ["", "\n"], lambda row: images(row + 1))
    assert rows[""].error_message == "input: neither text nor image; image: 'x.png' does not exist"
    assert model.requests == []


def test_planning_and_sending_give_a_sample_the_same_key() -> None:
    """Else everything would be paid for again."""
    media = OnePerRow(images)
    for row in range(4):
        sample = Sample(row, "id", "text")
        assert PREPARER.key_of(sample, media) == PREPARER.prepare(sample, media).key
    changed = Preparer(GenerateConfig(model="m", generation_config={"temperature": 0}))
    key = PREPARER.key_of(Sample(0, "id", "text"), media)
    assert changed.key_of(Sample(0, "id", "text"), media) != key
    assert PREPARER.key_of(Sample(0, "another", "text"), media) == key


def delayed(code: int, delay: str) -> ApiError:
    return ApiError(code, "", "later", [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}])


async def test_a_server_error_that_says_when_to_come_back_is_obeyed() -> None:
    """RetryInfo is not for 429s alone: without a wait, all attempts would be gone at once."""
    model = Model(lambda request, attempt: delayed(503, "7.5s") if attempt == 1 else "ok")
    run, pauses = online(model)
    assert (await answered(run, ["x"]))["x"].status == "success"
    assert pauses == [7.5]


async def test_a_retry_delay_of_nothing_is_no_leave_to_hammer() -> None:
    """`0s` is as good as no delay: exponential back-off."""
    model = Model(lambda request, attempt: delayed(429, "0s"))
    run, pauses = online(model, max_attempts=3)
    with pytest.raises(RunStopped):
        await answered(run, ["x"])
    assert pauses[0] == 2.0
    assert len(model.requests) < 100


async def test_a_row_is_given_up_after_the_longest_time_whatever_attempts_are_left() -> None:
    """429s beside other rows' progress use no attempts: time ends them."""
    now = 0.0

    def refuse(request: Request, attempt: int) -> Any:
        nonlocal now
        if request.text != "unlucky":
            return "ok"
        now += Patience().busy_seconds / 10
        return TOO_MANY

    model = Model(refuse)
    run, _ = online(model, max_concurrent=2, max_attempts=3)
    run.clock = lambda: now
    unlucky = asyncio.create_task(answered(run, ["unlucky"]))
    while not unlucky.done():
        await answered(run, [f"other {len(model.requests)}"])
    assert (await unlucky)["unlucky"].kind is Kind.RATE_LIMIT
    assert [request.text for request in model.requests].count("unlucky") == 12


async def test_the_wait_for_a_first_turn_is_no_try() -> None:
    """A row that stood in line for hours, behind a quota a minute, still gets all of its attempts."""
    now = 0.0

    def answer(request: Request, attempt: int) -> Any:
        nonlocal now
        if request.text == "first":
            now += 2 * Patience().busy_seconds
            return "ok"
        return UNAVAILABLE if attempt < 3 else "ok"

    run, _ = online(Model(answer), max_concurrent=1, max_attempts=3)
    run.clock = lambda: now
    first, second = await asyncio.gather(answered(run, ["first"]), answered(run, ["second"]))
    assert (first["first"].kind, second["second"].kind) == (Kind.ANSWERED, Kind.ANSWERED)


async def test_a_request_whose_image_is_read_when_the_run_stops_is_not_sent() -> None:
    """What is not on its way is not paid for, and nobody waits for it."""
    reading, go_on = threading.Event(), threading.Event()

    def read(row: int) -> bytes:
        reading.set()
        go_on.wait(10)
        return PNG

    model = Model()
    run, _ = online(model, max_concurrent=1)
    answers: list[RowAnswer] = []
    chunk = asyncio.create_task(keep(run, ["q"], answers, read))
    await asyncio.to_thread(reading.wait, 10)
    run.stop(StopReason.INTERRUPTED, "Ctrl+C", 30.0)
    go_on.set()
    with pytest.raises(RunStopped):
        await chunk
    assert model.requests == []
    assert answers == []
    assert run.throttle.in_flight == 0


async def test_an_image_that_is_still_not_read_when_the_grace_time_is_over_leaves_its_row_unsent() -> None:
    """It is the stop that cut the reading short: no fault of the row's."""
    reading, go_on = threading.Event(), threading.Event()

    def read(row: int) -> bytes:
        reading.set()
        go_on.wait(10)
        return PNG

    run, _ = online(Model(), max_concurrent=1, max_attempts=1)
    answers: list[RowAnswer] = []
    chunk = asyncio.create_task(keep(run, ["q"], answers, read))
    await asyncio.to_thread(reading.wait, 10)
    run.stop(StopReason.INTERRUPTED, "Ctrl+C", 0.01)
    with pytest.raises(RunStopped):
        await chunk
    go_on.set()
    assert answers == []


async def test_images_that_the_api_cannot_read_do_not_stop_the_run() -> None:
    """Ten refusals in the same words are a setting that is wrong; refused images are rows that go as text."""
    refusal = ApiError(400, "INVALID_ARGUMENT", "Unable to process input image.")
    model = Model(lambda request, attempt: refusal if request.media else "ok")
    count = 2 * ALIKE_REFUSALS
    run, _ = online(model, max_concurrent=count, allow_missing_images=True)
    rows = await answered(run, [f"q{n}" for n in range(count)], lambda row: PNG)
    assert {row.status for row in rows.values()} == {"success"}


@pytest.mark.parametrize("reason", ["Unable to process input image.", "Request contains an invalid argument."])
async def test_a_model_that_takes_no_images_stops_the_run_before_all_texts_are_paid_for(reason: str) -> None:
    """Ten alike and none ever accepted; one that is accepted, and all others go on as text."""
    refusal = ApiError(400, "INVALID_ARGUMENT", reason)
    model = Model(lambda request, attempt: refusal if request.media else "ok")
    run, _ = online(model)
    with pytest.raises(RunStopped, match=r"the first 10 images all fell away .* --allow-missing-images") as stopped:
        await answered(run, [f"q{n}" for n in range(100)], lambda row: PNG)
    assert stopped.value.reason is StopReason.IMAGES
    assert len(model.requests) <= 2 * FIRST_IMAGES + 4
    model = Model(lambda request, attempt: refusal if request.media and request.text != "q3" else "ok")
    run, _ = online(model)
    rows = await answered(run, [f"q{n}" for n in range(100)], lambda row: PNG)
    assert {row.status for row in rows.values()} == {"success"}
    assert [text for text, row in rows.items() if row.has_image] == ["q3"]
    assert all(reason in row.error_message for text, row in rows.items() if text != "q3")


async def test_images_that_all_fall_away_for_one_reason_stop_the_run_within_ten_rows() -> None:
    """A wrong folder; ten for different reasons are ten bad images."""

    def missing(row: int) -> bytes:
        raise MediaError(f"'pictures/{row}.png' {'does not exist' if row else why}")

    why = "does not exist"
    run, _ = online(model := Model())
    with pytest.raises(RunStopped, match="does not exist"):
        await answered(run, [f"q{n}" for n in range(100)], missing)
    assert len(model.requests) < FIRST_IMAGES
    why = "is not a file"
    run, _ = online(Model())
    assert len(await answered(run, [f"q{n}" for n in range(100)], missing)) == 100


async def test_a_plain_refusal_of_image_and_text_is_no_image_s_fault() -> None:
    """The setting that is wrong is told, not the images."""
    model = Model(lambda request, attempt: ApiError(400, "INVALID_ARGUMENT", "Request contains an invalid argument."))
    run, _ = online(model)
    with pytest.raises(RunStopped, match="the first 10 requests were all refused") as stopped:
        await answered(run, [f"q{n}" for n in range(100)], lambda row: PNG)
    assert stopped.value.reason is StopReason.REFUSED


async def test_an_image_whose_refusal_asks_for_another_try_gets_one() -> None:
    """Before the text goes alone."""
    retry = ApiError(400, "INVALID_ARGUMENT", "Unable to process input image. Please retry or report")
    model = Model(lambda request, attempt: retry if attempt == 1 else "ok")
    run, pauses = online(model)
    assert (await answered(run, ["x"], lambda row: PNG))["x"].has_image
    assert pauses == [1.0]
    model = Model(lambda request, attempt: retry if request.media else "ok")
    run, _ = online(model)
    assert (await answered(run, ["x"], lambda row: PNG))["x"].status == "success"
    assert [bool(request.media) for request in model.requests] == [True, True, False]


async def test_an_image_alone_that_the_api_cannot_read_is_an_error() -> None:
    """There is no text to ask instead."""
    model = Model(lambda request, attempt: ApiError(400, "INVALID_ARGUMENT", "Unable to process input image."))
    run, _ = online(model)
    rows = await answered(run, [""], lambda row: PNG)
    assert (rows[""].kind, rows[""].has_image) == (Kind.INVALID_REQUEST, True)
    assert len(model.requests) == 1


async def test_an_image_alone_is_asked_without_text() -> None:
    """A sample needs one of the two."""
    model = Model()
    run, _ = online(model)
    assert (await answered(run, [""], lambda row: PNG))[""].status == "success"
    assert model.requests[0].text == ""


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (ApiError(429, "", "", [{"violations": [{"quotaId": "RequestsPerDay-Free"}]}]), StopReason.QUOTA),
    ],
)
async def test_what_no_row_can_get_past_stops_the_run_and_is_no_rows_outcome(
    refusal: ApiError, reason: StopReason
) -> None:
    """The rows stay open, what was answered is kept, and nothing more is sent."""
    model = Model(lambda request, attempt: refusal if request.text == "q3" else "ok")
    run, _ = online(model, max_concurrent=1)
    answers: list[RowAnswer] = []
    with pytest.raises(RunStopped) as stopped:
        await keep(run, [f"q{n}" for n in range(9)], answers)
    assert stopped.value.reason is reason
    assert [answer.id for answer in answers] == ["0", "1", "2"]
    assert len(model.requests) == 4


async def test_an_api_that_is_gone_leaves_rows_open_instead_of_failing_them() -> None:
    """When the run gives up, the rows that were being tried are not errors in the CSV."""
    model = Model(lambda request, attempt: UNAVAILABLE)
    run, pauses = online(model, max_concurrent=20, max_attempts=20)
    answers: list[RowAnswer] = []
    with pytest.raises(RunStopped) as stopped:
        await keep(run, [f"q{n}" for n in range(100)], answers)
    assert stopped.value.reason is StopReason.API_DOWN
    assert answers == []
    assert 900 <= sum(pauses) <= 1200
    assert len(model.requests) <= 100


async def test_every_answer_is_handed_over_as_it_comes() -> None:
    """The first row's answer is here, and can be saved, while the others are on their way."""
    release = asyncio.Event()

    async def slow() -> str:
        await release.wait()
        return "ok"

    model = Model(lambda request, attempt: "ok" if request.text == "q0" else slow())
    run, _ = online(model)
    answers: list[RowAnswer] = []
    chunk = asyncio.create_task(keep(run, [f"q{n}" for n in range(20)], answers))
    while not answers or model.in_flight < 4:
        await asyncio.sleep(0)
    assert [answer.row for answer in answers] == [0]
    release.set()
    await chunk
    assert sorted(answer.row for answer in answers) == list(range(20))


async def test_whatever_goes_wrong_with_a_row_is_that_row_s() -> None:
    """A reader that raises what nobody expects, a refusal in an odd shape: the paid siblings are kept."""

    def read(row: int) -> bytes:
        if row == 1:
            raise ZeroDivisionError("a reader's own")
        return PNG

    odd = ApiError(429, "RESOURCE_EXHAUSTED", "slow down", [{"violations": ["PerMinute", 7, None]}, {"violations": 7}])
    model = Model(lambda request, attempt: odd if request.text == "odd" and attempt < 4 else "ok")
    run, _ = online(model, max_attempts=2)
    rows = await answered(run, ["fine", "unread", "odd", "fine too"], read)
    assert {rows["fine"].kind, rows["fine too"].kind} == {Kind.ANSWERED}
    assert rows["unread"].error_message.startswith("server_error: the row could not be handled: ZeroDivisionError")
    assert rows["odd"].kind is Kind.ANSWERED
    assert run.throttle.in_flight == 0


async def test_an_answer_is_not_lost_to_whoever_is_told_of_it() -> None:
    """A log that fails when the limit changes."""

    def fail(limit: int) -> None:
        raise RuntimeError("out of order")

    model = Model(lambda request, attempt: TOO_MANY if attempt == 1 and request.text == "a" else "ok")
    run, _ = online(model, max_concurrent=8)
    run.throttle.changed = fail
    rows = await answered(run, [*"abcdefgh"])
    assert {row.kind for row in rows.values()} == {Kind.ANSWERED}
    assert len(model.requests) == 9


async def test_an_image_that_takes_for_ever_to_read_ends_at_the_timeout_and_gives_its_slot_back() -> None:
    """A share that hangs; its row is worth another try."""
    go_on = threading.Event()
    model = Model()
    run, _ = online(model, max_concurrent=1, max_attempts=1, timeout_seconds=0.05)
    rows = await answered(run, ["hangs", "fine"], lambda row: go_on.wait(30) and PNG if row == 0 else None)
    go_on.set()
    assert rows["hangs"].error_message == "timeout: the image was not read within 0.05 s"
    assert rows["fine"].kind is Kind.ANSWERED
    assert run.throttle.in_flight == 0


async def test_an_image_that_cannot_be_read_for_now_is_tried_again_and_never_left_out() -> None:
    """What is wrong with the machine is no reason to send the text alone, and to call it a success."""
    model, reads = Model(), Counter[int]()

    def read(row: int) -> bytes:
        reads[row] += 1
        if row or reads[row] < 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return PNG

    run, _ = online(model, max_concurrent=2, max_attempts=3)
    rows = await answered(run, ["passes", "stays"], read)
    assert (rows["passes"].kind, rows["passes"].has_image) == (Kind.ANSWERED, True)
    assert rows["stays"].error_message == "server_error: the image could not be read: Input/output error"
    assert (reads[0], reads[1]) == (3, 3)
    assert [request.text for request in model.requests] == ["passes"]


async def test_nothing_is_sent_while_answers_cannot_be_kept() -> None:
    """What has a slot waits as well; then all go on."""
    model = Model()
    run, _ = online(model)
    run.throttle.hold(True)
    waiting = asyncio.create_task(answered(run, ["a", "b"]))
    await asyncio.sleep(0.02)
    assert model.requests == []
    run.throttle.hold(False)
    await waiting
    assert len(model.requests) == 2


async def test_a_run_that_is_held_back_can_be_stopped() -> None:
    """Nobody waits for a storage that never comes back."""
    run, _ = online(Model())
    run.throttle.hold(True)
    waiting = asyncio.create_task(answered(run, ["a", "b"]))
    await asyncio.sleep(0)
    run.stop(StopReason.STORAGE, "full", 30.0)
    with pytest.raises(RunStopped, match="full"):
        await waiting


async def test_who_stops_is_told_how_many_answers_are_on_their_way() -> None:
    """For the line on the terminal."""
    told: list[tuple[StopReason, int]] = []

    class Listener(Watcher):
        def stopping(self, reason: StopReason, on_their_way: int) -> None:
            told.append((reason, on_their_way))

    model = Model(lambda request, attempt: asyncio.sleep(3600))
    run, _ = online(model, Listener(), max_concurrent=3)
    chunk = asyncio.create_task(answered(run, ["a", "b", "c", "d"]))
    while model.in_flight < 3:
        await asyncio.sleep(0)
    run.stop(StopReason.INTERRUPTED, "Ctrl+C", 0.01)
    with pytest.raises(RunStopped):
        await chunk
    assert told == [(StopReason.INTERRUPTED, 3)]


async def test_models_are_a_hint_that_fails_nobody() -> None:
    """Where the API does not say, none are named."""
    run, _ = online(Model())
    assert await run.models() == []
