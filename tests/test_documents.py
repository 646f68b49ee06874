"""What the pages of the project point at is there: files, headings, flags, messages."""

import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live
from rich.text import Text

from tasks.core.config.parameters import RunConfig
from tests.pictures import parts

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*ROOT.glob("README*.md"), *ROOT.glob("C*.md"), ROOT / "deployments" / "README.md", *ROOT.glob("docs/**/*.md")]
)
OURS = r"(?:gemini-infer|flows/\w+\.py|deployments/bootstrap\.py|examples/\w+\.py|tests[./]\w+) "


def names(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        file, _, heading = link.partition("#")
        there = (page.parent / file).resolve() if file else page
        if "://" not in link and (not there.exists() or (heading and heading not in _headings(there))):
            dead.append(link)
    assert not dead


def _headings(page: Path) -> list[str]:
    """As an address has them: small letters, hyphens for blanks, no other signs."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found]


@pytest.fixture(scope="module")
def source() -> str:
    files = (
        path for room in ("flows", "tasks", "deployments", "examples", "tests") for path in ROOT.glob(f"{room}/**/*.py")
    )
    return "\n".join(path.read_text(encoding="utf-8") for path in files if path != Path(__file__))


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_flag_that_is_named_exists(page: Path, source: str) -> None:
    """Those that stand first in a piece of code, and those behind one of our programs."""
    known = {name.replace("_", "-") for name in RunConfig.model_fields} | set(re.findall(r"--([a-z][\w-]+)", source))
    unknown = {flag for flag in _flags(page.read_text(encoding="utf-8")) if flag.removeprefix("no-") not in known}
    assert not unknown


def _flags(text: str) -> Iterator[str]:
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if found := re.search(OURS, line):
                yield from re.findall(r"(?<=\s)--([a-z][\w-]+)", line[found.end() - 1 :].partition("#")[0])
    for code in re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if code.startswith("--") or re.search(OURS, code):
            yield from re.findall(r"(?<!\S)--([a-z][\w-]+)", code)


@pytest.mark.parametrize("page", sorted(ROOT.glob("README*.md")), ids=names)
def test_messages_in_the_table_of_troubles_are_those_of_the_program(page: Path, source: str) -> None:
    """Each part of them between two values, as it stands in the source."""
    [table] = re.findall(r"\| \*\*[^|]+\*\* \| \|\n.*?\n\n", page.read_text(encoding="utf-8"), re.DOTALL)
    quoted = re.findall(r"`([^`]+)`", " ".join(re.findall(r"^\| (.+?) \| ", table, re.MULTILINE)))
    parts = [part.strip() for message in quoted for part in re.split(r"…|\d+|: |; ", message)]
    whole = re.sub(r'"\s*\n\s*f?"', "", source)  # literals of several lines
    assert len(quoted) > 20
    assert not [part for part in parts if part not in whole]


def test_the_picture_of_a_run_is_cut_out_of_what_the_terminal_was_sent() -> None:
    """What stood above the display, all its states, and what took its place."""
    console = Console(file=StringIO(), force_terminal=True, width=40)
    console.print("Starting")
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for done in (3, 9):
            live.update(Text(f"{done} of 9 rows, fast\n{done} ok"), refresh=True)
    console.print("CSV")
    assert isinstance(console.file, StringIO)
    before, frames, after = parts(console.file.getvalue())
    assert (before, after) == ("Starting\n", "CSV\n")
    assert [frame.splitlines()[-1] for frame in frames] == ["3 ok", "9 ok", "9 ok"]  # the last once more, at its end
