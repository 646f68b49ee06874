"""The prices that `genai-prices` brings along. The only place that knows how they are laid out there."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from tasks.core.costs.rates import SEARCH, Rate, Rates
from tasks.core.details import STANDARD

_CONTEXTS = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}
_MODALITIES = ("text", "image", "audio", "video")
_KINDS = {"prompt": "input_{}mtok", "cached": "cache_{}read_mtok", "answer": "output_{}mtok"}


def list_version() -> str:
    """Which list it is."""
    from genai_prices import __version__

    return f"genai-prices {__version__}"


def list_rates(model: str, tier: str, day: date) -> Rates | None:
    """What `model` costs in `tier` on that day; None where the list does not say it."""
    from genai_prices.data_snapshot import get_snapshot  # 70 ms, which `--help` can do without

    try:
        _, found = get_snapshot().find_provider_model(_name(model), None, "google", None)
    except LookupError:
        return None
    moment = datetime.combine(day, time(), UTC)
    standard = found.get_prices(moment)
    prices = standard if tier == STANDARD else found.get_prices(moment, _CONTEXTS[tier])
    if tier != STANDARD and prices == standard:
        return None
    rates = dict(_rates(prices))
    return Rates(rates) if rates.keys() >= {"prompt", "answer"} else None


def _name(model: str) -> str:
    """Without the folder and the version that Vertex AI puts around it."""
    return model.rpartition("/")[2].partition("@")[0]


def _rates(prices: Any) -> Iterator[tuple[str, Rate]]:
    for kind, name in _KINDS.items():
        for modality in ("", *_MODALITIES):
            value = getattr(prices, name.format(f"{modality}_" if modality else ""), None)
            if value is None and kind == "cached" and not modality:
                value = prices.input_mtok  # nobody says that it is cheaper
            if value is not None:
                yield f"{kind}_{modality}" if modality else kind, _rate(value, 1_000_000)
    if prices.web_searches_kcount is not None:
        yield SEARCH, _rate(prices.web_searches_kcount, 1000)


def _rate(value: Any, count: int) -> Rate:
    if isinstance(value, Decimal):
        return Rate(float(value / count))
    return Rate(float(value.base / count), tuple((tier.start, float(tier.price / count)) for tier in value.tiers))
