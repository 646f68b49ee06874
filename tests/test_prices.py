"""What tokens cost, beside what `genai-prices` itself makes of them."""

from datetime import UTC, date, datetime
from random import Random

import pytest
from genai_prices import Usage as ListUsage
from genai_prices import calc_price

from tasks.core.costs.prices import BATCH, FLEX, MILLION, Price, price_of
from tasks.core.details import STANDARD, Usage

DAY = date(2026, 11, 25)
MOMENT = datetime(2026, 11, 25, tzinfo=UTC)
MODELS = ["gemini-2.5-flash", "gemini-2.5-pro", "gemini-3.5-flash-lite", "gemini-3.8-flash", "gemini-flash-latest"]


def price(model: str) -> Price:
    found = price_of(model, day=DAY)
    assert found
    return found


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("tier", "context"), [(STANDARD, None), (BATCH, {"processing": "batch"})])
def test_dollars_are_those_of_the_list(model: str, tier: str, context: dict[str, str] | None) -> None:
    """Cached tokens, a modality that is dearer, long prompts, each alone and together."""
    random = Random(f"{model} {tier}")
    for _ in range(100):
        prompt, answer = random.choice([1_000, 300_000]), random.randrange(5_000)
        cached, audio, heard = random.randrange(400), random.randrange(400), random.randrange(100)
        by_modality = {"prompt_audio": audio + heard, "cached_audio": heard, "prompt_text": prompt - audio - heard}
        usage = Usage(prompt, answer, cached + heard, 0, by_modality)
        theirs = ListUsage(
            input_tokens=prompt,
            output_tokens=answer,
            cache_read_tokens=cached + heard,
            input_audio_tokens=audio + heard,
            cache_audio_read_tokens=heard,
        )
        true = calc_price(
            theirs, model, provider_id="google", genai_request_timestamp=MOMENT, price_context=context
        ).total_price
        assert price(model).dollars(usage, tier) == pytest.approx(float(true), rel=1e-9)


@pytest.mark.parametrize(
    ("model", "prompt", "answer"),
    [("gemini-3.5-flash-lite", 0.30, 2.50), ("gemini-3.5-flash", 1.50, 9.00), ("gemini-3.8-flash", 0.75, 3.75)],
)
def test_flex_and_batch_are_half(model: str, prompt: float, answer: float) -> None:
    million = Usage(1_000_000, 1_000_000)
    assert price(model).dollars(million) == pytest.approx(prompt + answer)
    assert price(model).dollars(million, FLEX) == pytest.approx((prompt + answer) / 2)
    assert price(model).dollars(million, BATCH) == pytest.approx((prompt + answer) / 2)


def test_prices_are_those_of_the_day_of_the_run() -> None:
    """Introductory prices end."""
    later = price_of("gemini-3.8-flash", day=date(2027, 1, 2))
    assert later
    assert later.dollars(Usage(1_000_000)) == pytest.approx(1.5)
    assert later.source.startswith("genai-prices ")
    assert later.source.endswith("2027-01-02")


def test_a_model_is_known_by_its_name_alone() -> None:
    """Without what Vertex AI puts around it; a name that the list has not is no other model."""
    names = ["models/gemini-2.5-pro", "publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro@default"]
    assert {price(name).dollars(Usage(1000, 1000)) for name in names} == {
        price("gemini-2.5-pro").dollars(Usage(1000, 1000))
    }
    assert price_of("gemini-99-flash") is None
    assert price_of("my-tuned-model") is None


def test_a_price_of_ones_own_goes_before_the_list() -> None:
    """What is cached costs as much as the rest where nobody says else."""
    own = price_of("gemini-3.5-flash", {"input": 0.3, "output": 2.5})
    assert own
    assert own.source == "--price"
    assert own.dollars(Usage(1_000_000, 1_000_000, cached_tokens=500_000)) == pytest.approx(2.8)
    assert own.dollars(Usage(1_000_000, 1_000_000), FLEX) == pytest.approx(1.4)
    cheaper = price_of("x", {"input": 1.0, "output": 1.0, "cached": 0.1})
    assert cheaper
    assert cheaper.dollars(Usage(1_000_000, 0, cached_tokens=500_000)) == pytest.approx(0.55)


def test_searches_are_billed_apart() -> None:
    assert price("gemini-3.5-flash").dollars(Usage(), searches=1000) == pytest.approx(14.0)


def test_a_model_that_answers_in_place_of_another_has_its_own_price() -> None:
    """A retired one is routed to its successor, at the successor's price; a price of one's own holds for both."""
    million = Usage(1_000_000)
    assert price("gemini-2.5-flash").of(STANDARD, "gemini-3.8-flash").dollars(million) == pytest.approx(0.75)
    assert price("gemini-2.5-flash").of(STANDARD, "unheard-of").dollars(million) == pytest.approx(0.30)
    own = price_of("gemini-2.5-flash", {"input": 0.1, "output": 1.0})
    assert own
    assert own.of(STANDARD, "gemini-3.8-flash").dollars(million) == pytest.approx(0.1)


def test_a_tier_that_nobody_knows_is_no_cheaper() -> None:
    assert price("gemini-3.5-flash").dollars(Usage(MILLION), "new") == price("gemini-3.5-flash").dollars(Usage(MILLION))
