"""The README is true where a test can say so."""

import re
from pathlib import Path

from tasks.core.config.limits import FLEX_PATIENCE, Patience
from tasks.core.config.parameters import RunConfig
from tasks.core.records import Kind

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_table_of_parameters_is_complete() -> None:
    """One line per flag, each with its true default."""
    lines = dict(re.findall(r"^\| `--([\w-]+)` \| (.*?) \|", README, re.MULTILINE))
    assert sorted(lines) == sorted(name.replace("_", "-") for name in RunConfig.model_fields)
    for name, field in RunConfig.model_fields.items():
        if name != "dataset":
            empty = {"False": "off", "{}": "`{}`", "None": "none", "True": "on", "[]": "none"}
            told = empty.get(str(field.default), f"`{field.default}`")
            if name in Patience.model_fields:  # which the service tier decides
                told = f"`{getattr(Patience(), name):g}`, flex `{getattr(FLEX_PATIENCE, name):g}`"
            assert lines[name.replace("_", "-")] == told, name


def test_every_kind_of_outcome_is_documented() -> None:
    """What stands before the colon in `error_message`."""
    documented = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    assert documented >= set(Kind) - {Kind.ANSWERED}
