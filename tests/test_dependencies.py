"""What the program imports is what `pyproject.toml` asks for, not what happens to come with something else."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = {"flows", "tasks", "deployments"}
MODULES = [path for room in sorted(OWN) for path in (ROOT / room).rglob("*.py")]


def distributions(requirements: Iterable[str]) -> set[str]:
    """Names without versions and extras, as PyPI compares them."""
    return {re.split(r"[\[<>=!~;, ]", line)[0].lower().replace("_", "-") for line in requirements}


def packages(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Top-level packages that these statements import, without Python's own and ours."""
    for node in nodes:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        yield from {name.split(".")[0] for name in names} - OWN - sys.stdlib_module_names


def undeclared(imported: set[str], declared: set[str]) -> set[str]:
    providers = packages_distributions()
    return {name for name in imported if declared.isdisjoint(distributions(providers.get(name, [])))}


def test_what_is_imported_is_declared() -> None:
    """Inside functions an extra will do (a cluster's library is imported where that cluster was asked for)."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in MODULES]
    always = distributions(PROJECT["dependencies"])
    extras = {line for lines in PROJECT["optional-dependencies"].values() for line in lines}
    at_import = {name for tree in trees for name in packages(tree.body)}
    anywhere = {name for tree in trees for name in packages(ast.walk(tree))}
    assert {"prefect", "pyarrow"} <= anywhere
    assert undeclared(at_import, always) == set()
    assert undeclared(anywhere, always | distributions(extras)) == set()
