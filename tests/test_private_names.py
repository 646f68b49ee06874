"""What a library has not promised is touched in one module of ours a library, and nowhere else."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {"os._exit", "ssl._create_unverified_context"}  # documented, whatever their names
OF_NAMED_TUPLES = {"_asdict", "_fields", "_replace"}  # so that they can be no field's
# Public spellings that no version promises either.
ELSEWHERE = {"run_results", "empirical_policy", "drain_all", "packaged_modules"}
OWNERS = (
    "tasks/prefect_internals.py",
    "tasks/core/data/datasets_internals.py",
    "tasks/core/data/openpyxl_internals.py",
    "tasks/core/gemini/sdk_internals.py",
)


def test_private_names_are_touched_by_their_owners_alone() -> None:
    """Those of any library: a new version that moves one is felt in one place, which a contract test watches."""
    touched = {str(path.relative_to(ROOT)): private_names(path) for path in sources()}
    assert {path: names for path, names in touched.items() if names and path not in OWNERS} == {}
    assert all(touched[path] for path in OWNERS)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from prefect._internal.x import y", ["1: prefect._internal.x.y"]),
        ("import datasets.packaged_modules.csv", ["1: datasets.packaged_modules.csv"]),
        ("print(table._fingerprint)", ["1: _fingerprint"]),
        ("Context.__var__.set(1)", ["1: __var__"]),
        ("read('a', _sync=True)", ["1: _sync"]),
        ("class A:\n    def _b(self):\n        self._c = 1\n        return self._b, self._c, self.__dict__", []),
    ],
)
def test_a_touch_is_seen_however_it_is_written(tmp_path: Path, source: str, found: list[str]) -> None:
    """An import, an attribute, an argument; a module's own private names are its own affair."""
    path = tmp_path / "module.py"
    path.write_text(source)
    assert private_names(path) == found


def private_names(path: Path) -> list[str]:
    """`line: name` of each touch in the file at `path`; names that it defines itself are its own."""
    tree = ast.parse(path.read_text())
    own = {name for node in ast.walk(tree) for name in _defined(node)}
    found = [*_imported(tree), *((line, name) for line, name in _attributes(tree) if name not in own)]
    return [f"{line}: {name}" for line, name in found]


def sources() -> list[Path]:
    """All modules of the program."""
    return [path for folder in ("flows", "tasks", "deployments") for path in sorted((ROOT / folder).rglob("*.py"))]


def _imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        module = f"{node.module}." if isinstance(node, ast.ImportFrom) and node.module else ""
        names = [f"{module}{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] not in ("__future__", "flows", "tasks") and any(map(_is_private, name.split("."))):
                yield node.lineno, name


def _attributes(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and ast.unparse(node) not in ALLOWED:
            yield node.lineno, node.attr
        elif isinstance(node, ast.keyword) and node.arg == "_sync":
            yield node.value.lineno, "_sync"


def _is_private(name: str) -> bool:
    if name in OF_NAMED_TUPLES:
        return False
    return name in ELSEWHERE or name == "__var__" or (name.startswith("_") and not name.endswith("__"))


def _defined(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield node.attr
