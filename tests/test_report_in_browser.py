"""The report in a real browser: hostile rows do nothing, and a person finds what they look for."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tasks.core.output.report.comparing import write_comparison
from tasks.core.output.report.placing import place_comparison
from tasks.core.output.report.sides import Side, SideRow
from tasks.core.output.rows import ResultRow
from tasks.core.records import Kind
from tests.browser import BINARY, Tab, browsing
from tests.report_rows import answered, failed, report_at

pytestmark = [
    pytest.mark.skipif(BINARY is None, reason="no browser: apt-get install chromium"),
    pytest.mark.asyncio(loop_scope="module"),
]

RUNS = "window.pwned = 1; alert(1)"
STATUS = "document.getElementById('status').textContent"
DETAIL = "document.getElementById('detail').innerText"
SEEN = "[...document.querySelectorAll('.row .id')].map(each => each.textContent).join(' ')"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def tab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tab]:
    async with browsing(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def hostile(port: int) -> list[str]:
    """What would run, load something from `port`, or pass for another text."""
    there = f"http://127.0.0.1:{port}"
    scripts = [
        f"<script>{RUNS}</script>",
        f"</script><script>{RUNS}</script>",
        f"</script></textarea></title><img src=x onerror='{RUNS}'>",
        f"<!--<script>{RUNS}--></script>",
        f"<svg onload='{RUNS}'><script>{RUNS}</script></svg>",
        f"<iframe srcdoc='<script>parent.{RUNS}</script>'></iframe>",
        f"<a href='javascript:{RUNS}' autofocus onfocus='{RUNS}'>x</a>",
        f"[a](<javascript:{RUNS}>) [b](JaVa&Tab;Script:alert(1)) [c](<data:text/html,<script>{RUNS}</script>>)",
        "[d](vbscript:alert(1)) <javascript:alert(1)> [r]\n\n[r]: javascript:alert(1)",
        "javascript:alert(1)",
        f"```html\n<script>{RUNS}</script>\n```\n`<img src=x onerror='{RUNS}'>`",
        f"{{{{ constructor.constructor('{RUNS}')() }}}}{{% include '/etc/passwd' %}}",
        json.dumps({"__proto__": {"onclick": RUNS}, f"<img src=x onerror='{RUNS}'>": [f"</script><script>{RUNS}"]}),
        '"}],"x":[{"' + RUNS,
    ]
    loads = [
        f"![x]({there}/image.png) <img src={there}/a.png> <link rel=stylesheet href={there}/a.css>",
        f"<link rel=dns-prefetch href=//evil.test><link rel=preload as=image href={there}/b.png>",
        f"<meta http-equiv=refresh content='0;url={there}/c'><base href={there}/>",
        f"<style>@import '{there}/d.css'; body {{ background: url({there}/e.png) }}</style>",
        f"<object data={there}/f></object><embed src={there}/g><video src={there}/h autoplay></video>",
        f"<form action={there}/i><input type=submit autofocus></form> <iframe src={there}/j></iframe>",
        f"[{there}]({there}/k) <{there}/l> www.evil.test",
    ]
    texts = [
        "one\u2028two\u2029three\x00four\x1b[31mfive\r\nsix\rseven",
        "safe\u202egnp.exe \u2066x\u2069 \u200f",
        "half \ud83d of a pair",
        "> " * 3000 + "deep",
        "[" * 20_000 + "]" * 20_000,
        "*a " * 15_000,
        "x" * 1_000_000,
    ]
    return [*scripts, *loads, *texts]


def rows_of(texts: list[str]) -> list[ResultRow]:
    """Each text as prompt, answer, detail, id and all that an API tells beside it."""
    told = {"finish_reason": "{}", "model_version": "{}", "response_id": "{}", "safety_ratings": "{}"}
    rows = []
    for row, text in enumerate(texts):
        source = ("grounding", text[:2000], text[:2000])
        details = dict.fromkeys(told, text[:2000]) | {"sources": [source]}
        made = answered(row, text, text, detail=text[:5000], image_note=text[:5000], told=details)
        rows.append(made._replace(id=text))
    return rows


async def test_no_script_of_hostile_rows_runs_and_no_request_leaves(tab: Tab, tmp_path: Path) -> None:
    """Whatever stands in a row: in the list, opened in each way, searched for. The page stays the page."""
    calls, links = 0, set[str]()

    async def count(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        writer.close()

    async with await asyncio.start_server(count, "127.0.0.1", 0) as server:
        texts = hostile(server.sockets[0].getsockname()[1])
        report_at(tmp_path / "r.html", rows_of(texts))
        await tab.open((tmp_path / "r.html").as_uri())
        for row in range(len(texts)):
            await tab.press("j", "Enter") if row else await tab.press("Enter")
            await tab.until(f"{DETAIL}.startsWith('Row {row}')")
            ways = "document.querySelectorAll('.ways button')"
            for way in range(await tab.run(f"{ways}.length")):
                await tab.run(f"{ways}[{way}].click()")
                links.update(await tab.run("[...document.querySelectorAll('a')].map(each => each.protocol)"))
        await tab.press("/", *"<script>")
        await tab.until(f"{STATUS}.startsWith('{sum('<script>' in text for text in texts)} of')")
        assert await tab.run("window.pwned") is None
        assert await tab.run("document.querySelectorAll('script:not([type])').length") == 1
        found = (
            "#list :is(a, img, script, style, svg, iframe, form, input), #detail :is(img, script, style, svg, iframe)"
        )
        assert await tab.run(f"document.querySelectorAll('{found}').length") == 0
        assert links == {"file:", "http:"}
    assert calls == 0
    assert tab.dialogs == 0
    assert {address.partition(":")[0] for address in tab.requests} == {"file"}
    assert tab.told == []


async def test_what_does_not_show_is_shown_as_an_escape_and_long_cells_say_that_they_are_cut(
    tab: Tab, tmp_path: Path
) -> None:
    """Direction marks, control characters, half a pair, in the list as in the row; a cell of a million characters."""
    report_at(tmp_path / "r.html", rows_of(["safe\u202egnp.exe\x00\u2028\ud83d", "x" * 1_000_000]))
    await tab.open((tmp_path / "r.html").as_uri())
    assert r"safe\u202egnp.exe\x00\u2028\ud83d" in await tab.run("document.getElementById('list').innerText")
    await tab.press("Enter")
    await tab.until(f"{DETAIL}.startsWith('Row 0')")
    assert (await tab.run(DETAIL)).count(r"safe\u202egnp.exe\x00\u2028\ud83d") >= 4
    await tab.press("j")
    await tab.until(f"{DETAIL}.startsWith('Row 1')")
    assert "100,000 of 1,000,000 characters" in await tab.run(DETAIL)


async def test_two_answers_stand_side_by_side_with_what_differs(tab: Tab, tmp_path: Path) -> None:
    """Marked word by word; hostile words stay words."""
    texts = ["Seoul is the <b>capital</b>", "Seoul is <img src=x onerror='window.pwned = 1'> capital"]
    rows = [[SideRow(answered(0, "q", text), None), SideRow(answered(1, "r", "same"), None)] for text in texts]
    left, right = Side("a", lambda: iter(rows[0])), Side("b", lambda: iter(rows[1]))
    page = tmp_path / "c.html"
    place_comparison(page, lambda file: write_comparison(file, left, right))
    await tab.open(page.as_uri())
    assert await tab.run("[...document.querySelectorAll('td .badge')].map(each => each.textContent)") == [
        "same answer",
        "answers differ",
    ]
    await tab.press("Enter")
    await tab.until(f"{DETAIL}.startsWith('Row 0')")
    marked = "[...document.querySelectorAll('#detail section')].map(each => each.querySelector('.text').textContent)"
    assert await tab.run(marked) == texts
    assert "img" in await tab.run("[...document.querySelectorAll('mark')].map(each => each.textContent).join(' ')")
    assert await tab.run("window.pwned") is None


async def test_rows_are_filtered_sorted_opened_and_addressed(tab: Tab, tmp_path: Path) -> None:
    """By kind, by text in any language, by number; by mouse, by key and by address."""
    rows = [answered(row, f"question {row}", f"**Answer** {row}") for row in range(300)]
    rows[7] = answered(7, "한국의 수도는?", '```json\n{"city": "서울", "n": [1, 2]}\n```')
    rows[250] = failed(250, Kind.BLOCKED, "prompt: SAFETY")
    report_at(tmp_path / "r.html", rows)
    await tab.open((tmp_path / "r.html").as_uri())
    assert await tab.run(STATUS) == "300 of 300 rows"
    assert (await tab.run(SEEN)).startswith("id0 id1 id2 ")
    assert await tab.run("document.querySelectorAll('.row').length") < 40

    await tab.run("document.querySelector('td [data-group]:is(.is-final)').click()")
    await tab.until(f"{SEEN} === 'id250'")
    assert await tab.run(STATUS) == "1 of 300 rows"
    await tab.press("Escape")
    await tab.until(f"{STATUS} === '300 of 300 rows'")

    await tab.press("/")
    await tab.send("Input.insertText", text="서울")
    await tab.until(f"{STATUS} === '1 of 300 rows'")
    await tab.press("Enter", "Enter")
    await tab.until(f"{DETAIL}.includes('city: \"서울\"')")
    assert await tab.run("location.hash") == "#row=7"
    await tab.press("Escape", "Escape")
    await tab.until(f"{STATUS} === '300 of 300 rows'")

    await tab.run(
        "(sort => { sort.value = 'latency'; sort.dispatchEvent(new Event('change')) })(document.getElementById('sort'))"
    )
    await tab.until(f"{SEEN}.startsWith('id299 id298 ')")
    await tab.press("j", "j", "Enter")
    await tab.until(f"{DETAIL}.startsWith('Row 298')")
    assert await tab.run("document.querySelector('#detail .markdown strong').textContent") == "Answer"
    await tab.press("j")
    await tab.until(f"{DETAIL}.startsWith('Row 297')")
    await tab.run("document.querySelector('.row').click()")
    await tab.until(f"{DETAIL}.startsWith('Row 299')")

    await tab.run("location.hash = '#row=250'")
    await tab.until(f"{DETAIL}.includes('prompt: SAFETY')")
    await tab.run("location.hash = '#row=4000'")
    await tab.until(f"{STATUS}.startsWith('row 4,000 is not among the rows')")
    before = await tab.run("getComputedStyle(document.body).backgroundColor")
    await tab.press("t")
    assert await tab.run("getComputedStyle(document.body).backgroundColor") != before
    assert tab.told == []
