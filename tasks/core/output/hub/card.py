"""What a pushed result says of itself: a card for people, whose it is for the next push. Sends nothing."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from huggingface_hub import DatasetCardData

from tasks.core.config.generation import GenerateConfig
from tasks.core.files.own_results import Origin
from tasks.core.reporting.tally import Tally
from tasks.core.text import counted, markdown

DATA_FOLDER = "data"
MARK = "gemini_infer"  # in the card's head: whose the data set is
_UNSHOWN = {"model", "system_instruction", "demo"}


@dataclass(frozen=True, slots=True)
class Pushed:
    """A result as its card has it. `cost`: in words; empty where the price is not known."""

    origin: Origin
    split: str
    generation: GenerateConfig
    template: str
    tally: Tally
    cost: str

    @property
    def files(self) -> str:
        """What the names of its files begin with."""
        return f"{DATA_FOLDER}/{split_name(self.split)}-"


def split_name(spec: str) -> str:
    """A split as the Hub can call it: `test[:100]` becomes `test_100`."""
    return re.sub(r"\W+", "_", spec).strip("_") or "test"


def card_of(result: Pushed) -> str:
    """The README of the data set."""
    files = [{"split": split_name(result.split), "path": f"{result.files}*.parquet"}]
    configs = [{"config_name": "default", "data_files": files}]
    whose = {"job": result.origin.job, "name": result.origin.name}
    others: dict[str, Any] = {"configs": configs, MARK: whose}  # which the class passes on
    head = DatasetCardData(tags=["gemini-infer"], **others).to_yaml()
    tally, usage = result.tally, result.tally.usage
    given = result.generation.model_dump(mode="json", exclude=_UNSHOWN, exclude_defaults=True)
    lines = [
        f"# {markdown(result.origin.name)}",
        "",
        f"Answers of {markdown(result.generation.model)} to {counted(tally.rows, 'row')} of "
        f"{markdown(result.origin.dataset)}, split {markdown(result.split)}, written {datetime.now(UTC):%Y-%m-%d} by "
        "gemini-infer.",
        "",
        "| outcome | rows |",
        "|---|---|",
        *(f"| {kind} | {rows:,} |" for kind, rows in tally.kinds.most_common()),
        "",
        f"Tokens: {usage.prompt_tokens:,} prompt, {usage.answer_tokens:,} answer. "
        f"{f'Cost: {markdown(result.cost)}.' if result.cost else 'Its price is not known.'}",
        *_quoted("System instruction", result.generation.system_instruction),
        *_quoted("Prompt template", result.template),
        *_quoted("Settings", json.dumps(given, indent=1, ensure_ascii=False) if given else ""),
    ]
    return f"---\n{head}\n---\n\n" + "\n".join(lines) + "\n"


def _quoted(title: str, text: str | None) -> list[str]:
    """As it is, in a fence that it cannot close."""
    if not text:
        return []
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=2))
    return ["", f"## {title}", "", f"{fence}text", text, fence]
