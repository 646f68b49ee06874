"""The columns of the result's table, in all of its forms: the CSV's own, then what is known of each row beside them.

A column that is added raises no version; one that changes its name, type or meaning does.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import pyarrow as pa

from tasks.core.config.parameters import RunConfig
from tasks.core.costs.prices import Price
from tasks.core.costs.rows import row_dollars
from tasks.core.details import Details, unpacked
from tasks.core.files.own_results import COLUMNS, TABLE_MARK, Origin
from tasks.core.output.parsed import Parsed
from tasks.core.output.rows import ResultRow

VERSION = 1
_TOKENS = pa.struct([("modality", pa.string()), ("tokens", pa.int64())])  # no map, which datasets does not know
_SOURCE = pa.struct([("kind", pa.string()), ("uri", pa.string()), ("title", pa.string())])
_COLUMNS = [
    ("id", pa.string()),
    ("input_query", pa.string()),
    ("has_image", pa.bool_()),
    ("response", pa.string()),
    ("status", pa.string()),
    ("error_message", pa.string()),
    ("kind", pa.string()),
    ("finish_reason", pa.string()),
    ("prompt_tokens", pa.int64()),
    ("cached_tokens", pa.int64()),
    ("answer_tokens", pa.int64()),
    ("thought_tokens", pa.int64()),
    ("tokens_by_modality", pa.list_(_TOKENS)),
    ("dollars", pa.float64()),
    ("latency_seconds", pa.float64()),
    ("attempts", pa.int64()),
    ("failed_prompt_tokens", pa.int64()),
    ("failed_answer_tokens", pa.int64()),
    ("maybe_billed", pa.int64()),
    ("service_tier", pa.string()),
    ("model_version", pa.string()),
    ("response_id", pa.string()),
    ("sources", pa.list_(_SOURCE)),
    ("searches", pa.int64()),
    ("safety_ratings", pa.string()),
    ("key", pa.string()),
    ("settings", pa.string()),
    ("template", pa.string()),
    ("answered_at", pa.timestamp("ms", "UTC")),
]
NAMES = [name for name, _ in _COLUMNS]


@dataclass(frozen=True, slots=True)
class About:
    """What all rows of a table have in common: whose they are, and what tokens cost, where that is known.

    `parsed`: how their answers are read, where a schema was asked for; `in_csv`: as columns of the CSV as well.
    """

    origin: Origin
    price: Price | None = None
    parsed: Parsed | None = None
    in_csv: bool = False

    @property
    def columns(self) -> list[tuple[str, pa.DataType]]:
        return [*_COLUMNS, *([("parsed", self.parsed.type)] if self.parsed else [])]

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return [name for name, _ in self.columns]

    @property
    def header(self) -> list[str]:
        """Of the CSV."""
        return [*COLUMNS, *(self.parsed.names if self.parsed and self.in_csv else [])]

    def line(self, row: ResultRow) -> tuple[Any, ...]:
        """The cells of a row in the CSV."""
        return (*row.line, *self.parsed.cells(row.answer)) if self.parsed and self.in_csv else row.line

    def schema(self) -> pa.Schema:
        """With its version, and whose the table is, as metadata."""
        program = f"gemini-infer {version('gemini-infer')}"
        prices = self.price.source if self.price else None
        about = {"schema": VERSION, "program": program, **self.origin.model_dump(), "prices": prices}
        return pa.schema(self.columns, metadata={TABLE_MARK: json.dumps(about)})


def about_of(config: RunConfig, origin: Origin, price: Price | None) -> About:
    """What the rows of a run with `config` have in common."""
    schema = config.schema_read
    return About(origin, price, Parsed(schema) if schema else None, config.columns)


def columns_of(rows: Sequence[ResultRow], about: About) -> list[Sequence[Any]]:
    """The cells of `rows`, of which there is one at least, by column; None: not known."""
    answers = [row.answer for row in rows]
    details = [unpacked(answer.details) for answer in answers]
    origin, price = about.origin, about.price

    def told(name: str, otherwise: Any = None) -> list[Any]:
        return [each.get(name, otherwise) for each in details]

    def same(value: Any) -> list[Any]:
        return [value] * len(rows)

    return [
        *zip(*(row.line for row in rows), strict=True),
        [str(answer.kind) for answer in answers],
        told("finish_reason"),
        [answer.prompt_tokens for answer in answers],
        [answer.cached_tokens for answer in answers],
        [answer.answer_tokens for answer in answers],
        [answer.thought_tokens for answer in answers],
        [_tokens_of(each) for each in details],
        [row_dollars(price, answer) for answer in answers] if price else same(None),
        told("latency_seconds"),
        told("attempts"),
        told("failed_prompt_tokens", 0),
        told("failed_answer_tokens", 0),
        [answer.timeouts + answer.lost for answer in answers],
        [answer.service_tier for answer in answers],
        [told or answer.answered_by or None for told, answer in zip(told("model_version"), answers, strict=True)],
        told("response_id"),
        [[dict(zip(_SOURCE.names, source, strict=True)) for source in sources] for sources in told("sources", ())],
        told("searches", 0),
        told("safety_ratings"),
        [answer.key or None for answer in answers],
        same(origin.settings or None),
        same(origin.template or None),
        [None if moment is None else datetime.fromtimestamp(moment, UTC) for moment in told("answered_at")],
        *([[about.parsed.value(answer) for answer in answers]] if about.parsed else []),
    ]


def _tokens_of(details: Details) -> list[dict[str, Any]]:
    return [{"modality": name, "tokens": count} for name, count in details.get("by_modality", {}).items()]
