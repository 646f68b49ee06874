"""The layout that CONTRIBUTING draws is the one in the tree; the READMEs draw its rooms."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
TOP = ("flows", "tasks", "tasks/core", "deployments")


def drawn(page: str) -> list[str]:
    """Paths of the code block that begins with `flows/`. A line is names, two spaces or more, and what they are for."""
    [block] = re.findall(r"```\n(flows/ .*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    return list(_paths(block.splitlines()))


def _paths(lines: list[str]) -> Iterator[str]:
    folder = ""
    for line in lines:
        names = re.split(r" {2,}", line.strip())[0].split()
        if not line.startswith(" "):
            [folder] = names
            yield folder
        else:
            yield from (folder + name for name in names)


def rooms_and_modules() -> set[str]:
    """Packages, and the modules of flows, tasks and deployments that lie in none."""
    found = {f"{top}/" for top in TOP}
    for top in TOP:
        children = [path for path in (ROOT / top).iterdir() if not path.name.startswith("__")]
        found |= {f"{top}/{path.name}" for path in children if path.suffix == ".py"}
        found |= {f"{top}/{path.name}/" for path in children if (path / "__init__.py").exists()}
    return found


def test_the_drawn_layout_is_the_one_in_the_tree() -> None:
    """Nothing is drawn that is not there, or twice; no room and no module beside the rooms is left out."""
    assert sorted(drawn("CONTRIBUTING.md")) == sorted(rooms_and_modules())
    for page in ("README.md", "README.ko.md"):
        assert sorted(drawn(page)) == sorted(path for path in rooms_and_modules() if path.endswith("/"))


def test_the_walk_of_a_sample_names_each_room_once_and_rooms_that_exist() -> None:
    """From the table in CONTRIBUTING and the line below it, every room of the core is there."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    [walk] = re.findall(r"## The way of the data\n(.*?)\n## ", text, re.DOTALL)
    named = re.findall(r"`tasks/core/(\w+)[/`]", walk)
    assert sorted(named) == sorted(path.parent.name for path in (ROOT / "tasks" / "core").glob("*/__init__.py"))
