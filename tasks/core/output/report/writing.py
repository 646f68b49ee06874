"""The page of its template: one file with all that it needs, which may do nothing else.

The browser is told so (https://www.w3.org/TR/CSP3/): it runs the one script whose hash stands in the page's head, loads
nothing from anywhere, sends nothing, and takes no text for HTML.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tasks.core.output.report.spool import Spool
from tasks.core.text import visible

_FOLDER = Path(__file__).parent / "page"
_LIBRARY = "vendor/marked.umd"
_SCRIPTS = ("dom", "store", "markdown", "tree", "diff", "list", "detail", "app")  # of one scope
PROGRAM = "gemini-infer"
# Of JSON in a page: what could end the element that it stands in, or a line of JavaScript.
_UNSAFE = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def write_page(file: TextIO, template: str, spool: Spool, about: dict[str, Any], **values: Any) -> None:
    """Write it bit by bit. `about`: what its script is told; `values`: what stands in the template."""
    parts = (
        _templates()
        .get_template(template)
        .generate(
            assets=_assets(),
            program=f"{PROGRAM} {version(PROGRAM)}",
            about=about,
            index=spool.index(),
            parts=spool.parts(),
            **values,
        )
    )
    file.writelines(parts)


@dataclass(frozen=True, slots=True)
class _Assets:
    """What all pages have in common. `policy`: of the browser."""

    script: Markup
    style: Markup
    policy: str


@cache
def _assets() -> _Assets:
    library, *own = ((_FOLDER / f"{name}.js").read_text("utf-8") for name in (_LIBRARY, *_SCRIPTS))
    scripts = "\n".join([library, '(() => {\n"use strict";', *own, "})();"])
    style = (_FOLDER / "style.css").read_text("utf-8")
    policy = (
        f"default-src 'none'; script-src {_hash(scripts)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return _Assets(Markup(scripts), Markup(style), policy)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["in_script"] = in_script
    return made


def in_script(value: Any) -> Markup:
    """`value` as JSON that stands in a script element and cannot leave it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.translate(_UNSAFE).encode("utf-8", "backslashreplace").decode())


def _finalized(value: Any) -> Any:
    return visible(value) if value.__class__ is str else value
