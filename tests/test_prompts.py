"""What is asked of a row: templates, conversations, where media stand, and which key it has."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.core.config.command_line import checked
from tasks.core.config.generation import GenerateConfig
from tasks.core.config.parameters import RunConfig
from tasks.core.data.reader import Reader, open_reader
from tasks.core.data.sources import resolve
from tasks.core.errors import InputError
from tasks.core.planning.next_attempt import prompting_of
from tasks.core.planning.sample_keys import sample_keys
from tasks.core.prompts.conversation import messages_in
from tasks.core.prompts.prepare import Prepared, Preparer
from tasks.core.prompts.prompting import Prompting
from tasks.core.records import Kind, Media, Sample, Turn
from tests.media_samples import OTHERS
from tests.samples import PREPARER
from tests.support import write_jsonl

ROW = {"id": "1", "input_query": "why?", "choices": ["a", "b"], "n": 7, "price": 1.50, "ok": False, "empty": None}


def config_of(path: Path, *rows: dict[str, Any], **parameters: Any) -> RunConfig:
    return checked({"dataset": write_jsonl(path / "test.jsonl", list(rows or (ROW,))), **parameters})


def prepared(config: RunConfig) -> list[Prepared]:
    data = resolve(config)
    reader, preparer = open_reader(data), preparer_of(config)
    return [preparer.prepare(sample, reader.media) for sample in reader.samples(range(data.rows))]


def named(found: Prepared) -> list[str]:
    """What is sent, media by name."""
    return [part.name if isinstance(part, Media) else str(part) for part in found.request.parts]


def preparer_of(config: RunConfig) -> Preparer:
    return Preparer(config.generation, prompting_of(config, resolve(config)).draft_of)


def texts(config: RunConfig) -> list[str]:
    return [each.request.text for each in prepared(config)]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Q: {{ input_query }}", "Q: why?"),
        ("{% for c in choices %}{{ loop.index }}. {{ c }}\n{% endfor %}", "1. a\n2. b\n"),
        ("{{ choices }} {{ n + 1 }} {{ price }} {{ empty }}.", '["a", "b"] 8 1.5 .'),
        ("{% if n == 7 and price > 1 and not empty and n * 2 == 14 %}{{ 1 + n }}{{ n ~ 1 }}{% endif %}", "871"),
        ("{% if ok %}yes{% else %}no{% endif %} {{ ok }}", "no false"),
        ("{{ split }}: {{ row.id }}, {{ row['input_query'] | upper }}", "test: 1, WHY?"),
        ("{{ choices | tojson }} {{ input_query | length }}", '["a", "b"] 4'),
        ("no column", "no column"),
    ],
)
def test_a_template_is_rendered_over_the_row(tmp_path: Path, template: str, text: str) -> None:
    assert texts(config_of(tmp_path, prompt_template=template)) == [text]


def test_numbers_keep_their_digits_in_a_template(tmp_path: Path) -> None:
    """Those that Python would write in another way stay text."""
    path = tmp_path / "test.jsonl"
    path.write_text('{"id": 1, "input_query": "q", "a": 1.50, "b": 1e5, "c": 123456789012345678901234567890, "d": 0.1}')
    config = checked({"dataset": str(path), "prompt_template": "{{ a }} {{ b }} {{ c }} {{ d }}"})
    assert texts(config) == ["1.50 1e5 123456789012345678901234567890 0.1"]


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ inputquery }}", "--prompt-template asks for inputquery, which is no column; columns: id, input_query"),
        ("{{ inputquery }}", "; did you mean 'input_query'?"),
        ("{{ a", "--prompt-template is no template: line 1"),
        ("{% if %}", "--prompt-template is no template: line 1"),
        ("@nowhere.txt", "--prompt-template @nowhere.txt: No such file"),
        ("{% include 'other' %}", "--prompt-template asks for another template"),
    ],
)
def test_a_template_that_cannot_be_right_is_refused_before_the_run(tmp_path: Path, template: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        texts(config_of(tmp_path, prompt_template=template))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ n.x.y }}", "has no attribute 'x'"),
        ("{{ input_query + 1 }}", "'why?' is no number"),
        ("{{ 1 / (n - 7) }}", "division by zero"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{% for i in range(999999999) %}x{% endfor %}", "Range too big"),
        ("{{ choices.append(1) }}", "is unsafe"),
        ("{{ input_query | dictsort }}", "has no attribute 'items'"),
        ("{{ range }}", "safe_range is a function, no text"),
        ("{{ row.items }}", "items is a function, no text"),
        ("{{ (image ~ '') | list }}", "changes the place of media"),
    ],
)
def test_a_row_that_cannot_be_rendered_is_an_error_of_that_row(tmp_path: Path, template: str, says: str) -> None:
    """And what would break out of the sandbox is none for anybody."""
    other = ROW | {"n": 8, "input_query": "fine"}
    first, *_ = prepared(config_of(tmp_path, ROW, other, prompt_template=template))
    assert first.fault
    assert first.fault.kind is Kind.INPUT
    assert says in first.fault.detail


def test_a_template_may_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a text may begin with the sign of one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompt.txt").write_text("File: {{ input_query }}\n", encoding="utf-8")
    (tmp_path / "system.txt").write_text("간단히.", encoding="utf-8-sig")
    config = config_of(tmp_path, prompt_template="@prompt.txt", system_instruction="@system.txt")
    assert texts(config) == ["File: why?"]
    assert config.generation.system_instruction == "간단히."
    assert texts(config_of(tmp_path, prompt_template="@@home")) == ["@home"]
    kept = RunConfig.model_validate(config.with_files_read().model_dump(mode="json", exclude_defaults=True))
    (tmp_path / "prompt.txt").unlink()
    assert kept.generation.system_instruction == "간단히."
    assert kept.template_text == "File: {{ input_query }}\n"


def test_a_system_instruction_may_be_a_template(tmp_path: Path) -> None:
    """Each row is asked with its own; one without a column in it stays that of the run."""
    config = config_of(tmp_path, ROW, ROW | {"id": "2", "n": 8}, system_instruction="Be {{ n }}.")
    assert [each.request.system_instruction for each in prepared(config)] == ["Be 7.", "Be 8."]
    assert [each.request.system_instruction for each in prepared(config_of(tmp_path, system_instruction="Be."))] == [
        None
    ]


def test_media_stand_in_no_system_instruction(tmp_path: Path) -> None:
    """It is text."""
    for name in ("image", "image_path"):
        with pytest.raises(InputError, match=f"--system-instruction asks for {name}, and media stand in the prompt"):
            prepared(config_of(tmp_path, ROW | {"image_path": "a.png"}, system_instruction=f"{{{{ {name} }}}}"))


def test_a_column_comes_before_a_word_of_jinja_or_of_ours(tmp_path: Path) -> None:
    """Whatever it is called."""
    row = {"id": "1", "range": "a", "split": "b", "items": "c", "row": "d"}
    assert texts(config_of(tmp_path, row, prompt_template="{{ range }}{{ split }}{{ items }}{{ row }}")) == ["abcd"]
    del row["row"]
    assert texts(config_of(tmp_path, row, prompt_template="{{ row.items }}{{ row['split'] }}")) == ["cb"]


def test_numbers_in_a_structure_stay_numbers(tmp_path: Path) -> None:
    """Digit for digit, as in the text column; and they count as such."""
    path = tmp_path / "test.jsonl"
    path.write_text('{"id": 1, "input_query": {"a": 1.50, "b": [1e5, "7", null, true]}}')
    for template, text in (
        ("{{ input_query }}", '{"a": 1.50, "b": [1e5, "7", null, true]}'),
        ("{{ input_query | tojson }}", '{"a": 1.50, "b": [1e5, "7", null, true]}'),
        ("{{ input_query.b | tojson(indent=1) }}", '[\n 1e5,\n "7",\n null,\n true\n]'),
        ("{{ input_query.a * 2 }} {{ (1, 'x') }}", '3.0 [1, "x"]'),
    ):
        assert texts(checked({"dataset": str(path), "prompt_template": template})) == [text]


def test_a_filter_leaves_media_where_they_stand(tmp_path: Path) -> None:
    """Letters of theirs are none that it knows."""
    (tmp_path / "a.png").write_bytes(picture("a"))
    config = config_of(
        tmp_path, ROW | {"image_path": "a.png"}, prompt_template="{{ (input_query ~ image) | upper | e }}."
    )
    [found] = prepared(config)
    assert named(found) == ["WHY?", "a.png", "."]
    [row] = prepared(config_of(tmp_path, {"id": "1", "image_path": "a.png"}, prompt_template="{{ row }}"))
    assert named(row) == ['{"id": "1", "image_path": "', "a.png", '"}']


def test_a_template_stands_for_the_text_column(tmp_path: Path) -> None:
    """Which the data need not have; the CSV's input_query is what was rendered."""
    config = config_of(
        tmp_path, {"id": "1", "question": "q", "answer": "a"}, prompt_template="{{ question }}={{ answer }}"
    )
    assert texts(config) == ["q=a"]
    data = resolve(config)
    [sample] = open_reader(data).samples(range(1))
    assert prompting_of(config, data).text_of(sample) == "q=a"


def test_media_stand_where_the_template_has_them(tmp_path: Path) -> None:
    """By column, or all; those it does not name stand first."""
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(picture(name[0]))
    row = {"id": "1", "input_query": "q", "left": "a.png", "right": ["b.png", "a.png"]}
    a, b = picture("a"), picture("b")
    for template, parts in [
        ("{{ input_query }}", [a, b, a, "q"]),
        ("Left {{ left }} right {{ right }} end", ["Left ", a, " right ", b, a, " end"]),
        ("first\n{{ right }}\n", [a, "first", b, a]),
        ("{{ images }}\n{{ input_query }}", [a, b, a, "q"]),
    ]:
        [found] = prepared(config_of(tmp_path, row, prompt_template=template, image_column="left,right"))
        assert [part if isinstance(part, str) else part.data for part in found.request.parts] == parts, template  # type: ignore[union-attr]


def picture(name: str) -> bytes:
    from io import BytesIO

    from PIL import Image

    buffer = BytesIO()
    Image.new("RGB", (4, 4), (ord(name), 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_template_that_renders_the_same_request_has_the_same_key(tmp_path: Path) -> None:
    """So its answers are kept; another text, order, role or place of media is another question."""
    (tmp_path / "a.png").write_bytes(picture("a"))
    (tmp_path / "b.png").write_bytes(picture("b"))
    row = {"id": "1", "input_query": "q", "left": "a.png", "right": "b.png", "system": "Be brief."}

    def key(**parameters: Any) -> str:
        config = config_of(tmp_path, row, image_column="left,right", **parameters)
        [(found, _)] = sample_keys(resolve(config), preparer_of(config))
        assert found == prepared(config)[0].key
        return found

    plain = key()
    assert key(prompt_template="{{ input_query }}") == key(prompt_template="{{ left }}{{ right }}q") == plain
    assert key(system_instruction="{{ system }}") == key(system_instruction="Be brief.") != plain
    others = [
        "{{ right }}{{ left }}q",
        "q{{ image }}",
        "{{ left }}q{{ right }}",
        "q ",
        "{{ left }}{{ left }}{{ right }}q",
    ]
    assert len({plain, *(key(prompt_template=other) for other in others)}) == len(others) + 1


def test_the_system_instruction_of_a_row_is_part_of_its_key_whenever_it_is_asked_for() -> None:
    """Also where the run's own settings were looked at before, as planning does."""
    generation = GenerateConfig(model="m")
    run = generation.fingerprint

    def key(said: str) -> str:
        talk = [{"role": "system", "content": said}, {"role": "user", "content": "a"}]
        return Preparer(generation, Prompting("m").draft_of).key_of(Sample(0, "", "", {"m": talk}), None)

    assert len({key("be brief"), key("be long"), key("be brief")}) == 2
    assert generation.with_system_instruction("be brief").fingerprint != run == generation.fingerprint


def test_a_text_cannot_pass_for_a_conversation_in_its_key() -> None:
    """Each says something else to the model."""
    talk = Sample(0, "", "", {"m": [{"role": "user", "content": "a"}, {"role": "model", "content": "b"}]})
    said = Preparer(GenerateConfig(model="m"), Prompting("m").draft_of).prepare(talk, None)
    assert [turn.role for turn in said.request.turns] == ["user", "model"]
    pretended = '\0turns:[["user", ["a"]], ["model", ["b"]]]'
    assert PREPARER.prepare(Sample(0, "", pretended), None).key != said.key


CONVERSATION = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": [{"type": "text", "text": "what"}, {"type": "text", "text": "is this?"}]},
    {"role": "assistant", "content": "A cat."},
    {"role": "user", "content": "Sure?"},
]


def test_roles_of_a_conversation_are_kept(tmp_path: Path) -> None:
    [found] = prepared(config_of(tmp_path, {"id": "1", "input_query": CONVERSATION}, system_instruction="Korean."))
    assert found.request.system_instruction == "Korean.\n\nbe brief"
    assert found.request.turns == (
        Turn("user", ("what", "is this?")),
        Turn("model", ("A cat.",)),
        Turn("user", ("Sure?",)),
    )


def test_media_of_a_row_stand_where_its_conversation_has_them_or_with_the_last_words(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture("a"))
    placed = [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image"}]}, *CONVERSATION[2:]]
    for talk, places in ((placed, [1, 0, 0]), (CONVERSATION, [0, 0, 1])):
        row = {"id": "1", "input_query": talk, "image_path": "a.png"}
        [found] = prepared(config_of(tmp_path, row))
        assert [sum(not isinstance(part, str) for part in turn.parts) for turn in found.request.turns] == places


@pytest.mark.parametrize(
    ("talk", "says"),
    [
        ([{"role": "tool", "content": "x"}], "role 'tool' is none that Gemini knows"),
        ([{"role": "user", "content": [{"type": "thinking", "thought": "x"}]}], "a part of type 'thinking'"),
        ([{"role": "user", "content": None}], "the conversation says nothing"),
        ([{"role": "user", "content": [[7]]}], "a part is a list"),
        (
            [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [1]}],
            "has 'tool_calls', which",
        ),
        ([{"role": "user", "content": "x", "images": ["a.png"]}], "a message has 'images', which is not sent"),
        ([{"role": "user", "content": [{"type": "image"}]}], "places for 1 media, and those of the row are none"),
    ],
)
def test_a_conversation_that_cannot_be_sent_whole_is_not_sent_in_part(tmp_path: Path, talk: Any, says: str) -> None:
    [found] = prepared(config_of(tmp_path, {"id": "1", "input_query": talk}))
    assert found.fault
    assert says in found.fault.detail


@pytest.mark.parametrize("value", [None, [], "text", [{"role": "user"}], ["a"], {"role": "user", "content": "a"}])
def test_a_list_of_anything_else_is_text(value: Any) -> None:
    assert messages_in(value) is None


def test_each_place_of_a_conversation_takes_the_next_of_the_rows_media(tmp_path: Path) -> None:
    """All in a single place; where the row has columns of images and of others, each of its own kind."""
    names = ["a.png", "b.png"]
    for name in names:
        (tmp_path / name).write_bytes(picture(name[0]))
    (tmp_path / "c.wav").write_bytes(OTHERS["audio/wav"])
    image, sound = {"type": "image"}, {"type": "audio"}
    row = {"id": "1", "image_path": names, "sound": "c.wav"}

    def sent(*parts: Any, **parameters: Any) -> list[str]:
        talk = [{"role": "user", "content": list(parts)}]
        [found] = prepared(config_of(tmp_path, row | {"input_query": talk}, **parameters))
        if found.fault:
            return [found.fault.detail]
        return named(found)

    assert sent("x", image, "y", image) == ["x", "a.png", "y", "b.png"]
    assert sent("x", image, "y") == ["x", "a.png", "b.png", "y"]
    assert sent(sound, image, image, media_column="sound") == ["c.wav", "a.png", "b.png"]
    for parts in ([image] * 3, [image, image, image, sound], [image, sound, sound]):
        assert "the conversation has places for" in sent(*parts, media_column="sound")[0]


def test_a_part_may_hold_text_and_a_medium(tmp_path: Path) -> None:
    """As a column with types has every key in every row."""
    (tmp_path / "a.png").write_bytes(picture("a"))
    talk = [{"role": "user", "content": [{"type": "image", "text": text, "image": "a.png"} for text in ("", "x")]}]
    [found] = prepared(config_of(tmp_path, {"id": "1", "input_query": talk}))
    assert [part if isinstance(part, str) else "picture" for part in found.request.parts] == ["picture", "x", "picture"]


def test_a_conversation_may_be_written_as_json_and_in_other_words(tmp_path: Path) -> None:
    """In CSV it must be; with its media. A row of a text column that is none is text."""
    (tmp_path / "a.png").write_bytes(picture("a"))
    shared = [{"from": "human", "value": "q"}, None, {"from": "gpt", "value": "a"}]
    talk = json.dumps([{"role": "User", "content": [{"image": "a.png"}, {"text": "q"}]}])
    for cell, turns in ((json.dumps(shared), [("user", 1), ("model", 1)]), (talk, [("user", 2)])):
        path = tmp_path / "test.csv"
        path.write_text("id,input_query\n" + "".join(f'1,"{text}"\n' for text in (cell.replace('"', '""'), "plain")))
        first, second = prepared(checked({"dataset": str(path)}))
        assert [(turn.role, len(turn.parts)) for turn in first.request.turns] == turns, first
        assert second.request.text == "plain"


def test_rows_without_a_conversation_stand_beside_those_with_one(tmp_path: Path) -> None:
    found = prepared(config_of(tmp_path, {"id": "1", "input_query": CONVERSATION}, {"id": "2", "input_query": "plain"}))
    assert [len(each.request.turns) for each in found] == [3, 1]


def test_a_reader_gives_values_only_of_columns_that_are_asked_for(tmp_path: Path) -> None:
    data = resolve(config_of(tmp_path, prompt_template="{{ n }}"))
    [sample] = Reader(data).samples(range(1))
    assert sample.values == {"n": "7"}
