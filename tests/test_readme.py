"""The README is true in both languages, where a test can say so, and says the same in both."""

import re
from pathlib import Path

import pytest

from tasks.core.config.limits import FLEX_PATIENCE, Patience
from tasks.core.config.parameters import RunConfig
from tasks.core.records import Kind

ROOT = Path(__file__).parent.parent
ENGLISH, KOREAN = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md"))
WORDS = {"en": ("off", "on", "none"), "ko": ("끔", "켬", "없음")}


@pytest.mark.parametrize(("page", "language"), [(ENGLISH, "en"), (KOREAN, "ko")], ids=["en", "ko"])
def test_the_table_of_parameters_is_complete(page: str, language: str) -> None:
    """One line per flag, each with its true default."""
    off, on, none = WORDS[language]
    lines = dict(re.findall(r"^\| `--([\w-]+)` \| (.*?) \|", page, re.MULTILINE))
    assert sorted(lines) == sorted(name.replace("_", "-") for name in RunConfig.model_fields)
    for name, field in RunConfig.model_fields.items():
        if name != "dataset":
            empty = {"False": off, "{}": "`{}`", "None": none, "True": on, "[]": none}
            told = empty.get(str(field.default), f"`{field.default}`")
            if name in Patience.model_fields:  # which the service tier decides
                told = f"`{getattr(Patience(), name):g}`, flex `{getattr(FLEX_PATIENCE, name):g}`"
            assert lines[name.replace("_", "-")] == told, name


@pytest.mark.parametrize("page", [ENGLISH, KOREAN], ids=["en", "ko"])
def test_every_kind_of_outcome_is_documented(page: str) -> None:
    """What stands before the colon in `error_message`."""
    documented = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert documented >= set(Kind) - {Kind.ANSWERED}


def test_both_languages_have_the_same_commands_links_and_tables() -> None:
    """In the same order, under headings of the same level; code may differ in what stands behind `#`."""
    for one, other in zip(_shape(ENGLISH), _shape(KOREAN), strict=True):
        assert one == other


def _shape(page: str) -> tuple[list[str], ...]:
    commands = [
        line.partition("  #")[0].rstrip()
        for block in re.findall(r"```\w+\n(.*?)```", page, re.DOTALL)
        for line in block.splitlines()
    ]
    links = [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page) if not link.startswith("README")]
    codes = re.findall(r"^\| (`[^`]*`)", page, re.MULTILINE)
    return commands, links, codes, re.findall(r"^#+(?= )", page, re.MULTILINE)
