"""What data and models say, where people read it."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from flows.logs import without_expected_tracebacks
from tasks.core.errors import InputError
from tasks.core.records import Kind, RowAnswer
from tasks.core.reporting.sample import Looked, SampleOfRows
from tasks.core.reporting.summary import summary_markdown
from tasks.core.reporting.tally import Tally
from tasks.core.text import markdown, visible

HTML = MarkdownIt("commonmark").enable("table")
HOSTILE = (
    "x\x1b[2J\u202e|`a`\n# b [l](http://e.example) ![i](http://e.example/p) <img src=x> http://e.example &lt; 1. *c*"
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, 100 %", "plain, 100 %"),
        ("\x1b[31mred\x07\r\x00\x9b0m\x7f", "\\x1b[31mred\\x07\\r\\x00\\x9b0m\\x7f"),
        ("a\u202egnp.exe\u2066\u200f\u2028b", "a\\u202egnp.exe\\u2066\\u200f\\u2028b"),
        ("half \ud83d", "half \\ud83d"),
        (
            "안녕하세요 👩\u200d💻 ❤\ufe0f 日本語 שלום\ttab\nline",
            "안녕하세요 👩\u200d💻 ❤\ufe0f 日本語 שלום\ttab\nline",
        ),
    ],
)
def test_what_acts_on_a_terminal_is_shown_as_an_escape(text: str, shown: str) -> None:
    """And any language's letters as they are."""
    assert visible(text) == shown
    assert visible(shown) == shown


@given(st.text())
def test_text_in_markdown_is_nothing_but_this_text(text: str) -> None:
    """Whatever it holds, in a cell as in a heading: one text, no other element."""
    expected = visible(" ".join(text.split()))
    [heading, _, _] = HTML.parse(f"# {markdown(text)}")[:3] if expected else [None, None, None]
    table = HTML.parse(f"| a | b |\n|---|---|\n| {markdown(text)} | c |")
    cells = [token for token in table if token.type == "inline"]
    assert [cell.content for cell in cells][-1] == "c"
    assert heading is None or heading.type == "heading_open"
    for inline in [cells[-2], *([HTML.parse(f"# {markdown(text)}")[1]] if expected else [])]:
        children = inline.children or []
        assert {child.type for child in children} <= {"text", "text_special"}
        assert "".join(child.content for child in children) == expected


def test_a_summary_shows_hostile_data_as_text() -> None:
    """Names, ids and messages: no link to click, no image to load, no row that was not there."""
    result = RowAnswer(row=0, id=HOSTILE, key="k", kind=Kind.NETWORK, detail=HOSTILE)
    looked = Looked(result, HOSTILE, [])
    html = HTML.render(summary_markdown(HOSTILE, Tally.of([result]), 2, "", SampleOfRows([looked], [looked])))
    assert not any(tag in html for tag in ("<a", "<img", "<em", "\x1b", "\u202e"))
    assert html.count("<h1") == 1
    assert html.count("<tr") == 6
    assert "http\\:" in markdown("http://e.example")  # what GitHub's Markdown would make a link of without brackets


def test_log_lines_show_what_they_quote(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the UI and on the terminal, a traceback's message too; a call that does not fit is logging's own affair."""
    without_expected_tracebacks()
    logger = logging.getLogger("prefect.flow_runs")
    monkeypatch.setattr(logger, "handlers", [])  # no run, so nothing for the UI
    with caplog.at_level(logging.INFO, "prefect.flow_runs"):
        logger.info("asked %s", "\x1b[2J안녕")
        try:
            raise RuntimeError("\x1b]0;title\x07")
        except RuntimeError:
            logger.exception("failed")
    assert "asked \\x1b[2J안녕" in caplog.text
    assert "RuntimeError: \\x1b]0;title\\x07" in caplog.text
    assert "\x1b" not in caplog.text
    assert InputError("a\x1b[2J\nb").line == "a\\x1b[2J b"
