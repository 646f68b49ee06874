"""Typed answers: which schemas are taken, how they are asked for, and what becomes of an answer that does not fit."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deployments.emulator import Answer, Emulator, Finish, Rule
from deployments.emulator.typed import typed
from flows.preflight import check
from tasks.core.answering.misfits import asking_again, held_to
from tasks.core.config.generation import GenerateConfig, ResponseSchema
from tasks.core.config.parameters import RunConfig
from tasks.core.config.response_schema import fields_of, not_held_to, read_schema
from tasks.core.config.setting_names import settings_named
from tasks.core.errors import InputError, Misfit
from tasks.core.files.own_results import is_result
from tasks.core.gemini.body import BodyWriter
from tasks.core.output.parsed import Parsed
from tasks.core.prompts.schema import SchemaCheck
from tasks.core.records import Kind, Outcome, Request, RowAnswer, Turn
from tests.support import CSV, RunFlow, numbered, read_csv, write_jsonl

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0},
        "born": {"format": "date-time"},
    },
    "required": ["name", "age"],
}
ENDLESS = {"properties": {"inner": {"items": {"$ref": "#/$defs/n"}}}, "required": ["inner"]}
MODULE = """
from enum import Enum
from pydantic import BaseModel, field_validator

class Address(BaseModel):
    city: str

class Person(BaseModel):
    name: str
    home: Address | None = None

    @field_validator("name")
    @classmethod
    def capital(cls, name: str) -> str:
        if not name[0].isupper():
            raise ValueError("begins with no capital")
        return name

class Mood(str, Enum):
    GOOD = "good"
    BAD = "bad"

number = 3
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a module of the user's."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "people_of_the_user.py").write_text(MODULE)
    (folder / "breaks_of_the_user.py").write_text("1 / 0")
    return folder


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("gone.json", "neither JSON, nor module:Name, nor a file: No such file or directory"),
        ("{", "not JSON: "),
        ("{}", "a schema is a JSON object that says something"),
        ('{"type": "strin"}', "no JSON Schema: $.type: 'strin' is not valid under any of the given schemas"),
        ('{"$ref": "https://example.com/a.json"}', "$ref 'https://example.com/a.json' leads out of it"),
        ('{"$ref": "#/$defs/gone"}', "$ref '#/$defs/gone' leads nowhere"),
        (
            json.dumps({"$ref": "#/$defs/n", "$defs": {"n": ENDLESS}}),
            "#/$defs/n is required within itself, which the API does not take; make a field optional",
        ),
        ("no_such_module:Name", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        ("breaks_of_the_user:Name", "cannot be imported: ZeroDivisionError: division by zero"),
        ("people_of_the_user:Nobody", "cannot be imported: AttributeError: "),
        ("people_of_the_user:number", "no schema can be drawn from it: "),
    ],
)
def test_a_schema_that_is_none_is_one_line_before_the_run(
    value: str, message: str, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the flag, what was given, and why."""
    monkeypatch.chdir(module)
    with pytest.raises(InputError) as refused:
        read_schema(value)
    assert str(refused.value).startswith(f"--response-schema {value[:90]}")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_schema_goes_out_in_the_one_spelling_that_the_api_takes(tmp_path: Path) -> None:
    """And equal schemas are equal, in whatever order and under whatever name their files say it."""
    old = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "required": ["b", "a"],
        "properties": {
            "a": {"$ref": "#/definitions/x", "description": "an x"},
            "b": {"type": "string", "pattern": "^b"},
            "$comment": {"enum": [{"$comment": "kept"}]},
        },
        "definitions": {"x": {"type": "integer", "$comment": "dropped"}},
        "type": "object",
    }
    (tmp_path / "s.json").write_text(json.dumps(old))
    read = read_schema(str(tmp_path / "s.json"))
    assert read.document == {
        "required": ["a", "b"],
        "properties": {
            "a": {"description": "an x", "anyOf": [{"$ref": "#/$defs/x"}]},
            "b": {"type": "string", "pattern": "^b"},
            "$comment": {"enum": [{"$comment": "kept"}]},
        },
        "$defs": {"x": {"type": "integer"}},
        "type": "object",
    }
    assert (fields_of(read), not_held_to(read)) == (["a", "b", "$comment"], ["pattern"])
    again = read_schema(json.dumps(old | {"required": ["a", "b"]}, sort_keys=True))
    keys = {GenerateConfig(model="m", response_schema=each).fingerprint for each in (read, again)}
    assert len(keys) == 1
    assert GenerateConfig(model="m").fingerprint not in keys
    body = json.loads(BodyWriter(GenerateConfig(model="m", response_schema=read)).body(Request.of("x")))
    assert body["generationConfig"] == {"responseMimeType": "application/json", "responseJsonSchema": read.document}


def test_words_to_choose_from_are_asked_for_as_an_enum(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is the bare word, quoted or not."""
    monkeypatch.chdir(module)
    schema = read_schema("people_of_the_user:Mood")
    body = json.loads(BodyWriter(GenerateConfig(model="m", response_schema=schema)).body(Request.of("x")))
    config = body["generationConfig"]
    assert config["responseMimeType"] == "text/x.enum"
    assert (config["responseSchema"]["type"], config["responseSchema"]["enum"]) == ("STRING", ["good", "bad"])
    check = SchemaCheck(schema)
    assert [check.fitting(text) for text in ("good\n", '"bad"')] == ["good", "bad"]
    with pytest.raises(Misfit, match="it is none of good, bad"):
        check.fitting("very good")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"name": "a", "age": 1}', ""),
        ('\n```json\n{"name": "a", "age": 1}\n```\n', ""),
        ('{"name": "a", "age": 1} That is it.', "it is not JSON: Extra data: "),
        ('{"name": "a"', "it is not JSON: "),
        ('{"name": "a", "age": NaN}', "it is not JSON: NaN is no number of JSON"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"name": "a", "age": -1}', "$.age: -1 is less than the minimum of 0"),
        ('{"name": "a"}', "$: 'age' is a required property"),
        ('{"name": "a", "age": 1, "born": "yesterday"}', "$.born: 'yesterday' is not a 'date-time'"),
    ],
)
def test_an_answer_fits_as_a_whole_or_not_at_all(text: str, why: str) -> None:
    """A fence around all of it says nothing; words around it might say anything."""
    check = SchemaCheck(ResponseSchema(document=PERSON))
    if not why:
        assert json.loads(check.fitting(text)) == {"name": "a", "age": 1}
        return
    with pytest.raises(Misfit) as misfit:
        check.fitting(text)
    assert str(misfit.value).startswith(why)


def test_a_pydantic_model_has_the_last_word(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its validators say more than its schema can."""
    monkeypatch.chdir(module)
    check = SchemaCheck(read_schema("people_of_the_user:Person"))
    assert check.fitting('{"name": "Ada", "home": {"city": "London"}}')
    with pytest.raises(Misfit, match=r"\$\.name: Value error, begins with no capital"):
        check.fitting('{"name": "ada"}')


def test_only_an_answer_that_is_whole_is_held_to_the_schema() -> None:
    """One that was cut short stays a truncated one; the others have no text to be held to anything."""
    fitting = SchemaCheck(ResponseSchema(document=PERSON)).fitting
    cut = Outcome(Kind.TRUNCATED, '{"name"', "finish_reason MAX_TOKENS")
    assert held_to(fitting, cut) == cut
    misfit = held_to(fitting, Outcome(Kind.ANSWERED, "no"))
    assert (misfit.kind, misfit.text, misfit.again) == (Kind.SCHEMA, "no", 2)
    assert held_to(None, Outcome(Kind.ANSWERED, "no")).kind is Kind.ANSWERED
    asked = asking_again(Request.of("who?"), misfit)
    assert asked.turns[:2] == (Turn("user", ("who?",)), Turn("model", ("no",)))
    assert f"That does not fit the schema: {misfit.detail}" in str(asked.turns[2].parts[0])


@pytest.mark.parametrize("text", ["a", "ab", "a text that is a little longer"])
def test_the_emulator_answers_in_the_form_that_it_is_asked_for(text: str) -> None:
    """So that a demo shows what a schema is like."""
    inner = {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}, "x": {"type": ["number", "null"]}}}
    several = {"type": "array", "items": {"$ref": "#/$defs/n"}, "minItems": 2}
    nested = {"properties": {**PERSON["properties"], "all": several}, "$defs": {"n": inner}, "required": ["all"]}
    words = {"type": "string", "enum": ["good", "bad"]}
    for schema in (ResponseSchema(document=document) for document in (PERSON, nested, words)):
        body = json.loads(BodyWriter(GenerateConfig(model="m", response_schema=schema)).body(Request.of("x")))
        assert SchemaCheck(schema).fitting(typed(body["generationConfig"], text))


def test_a_refusal_of_the_schema_is_told_with_its_flag() -> None:
    """A model may take less than others do."""
    generation = GenerateConfig(model="m", response_schema=ResponseSchema(document=PERSON))
    told = "; responseSchema is set by --response-schema"
    for message in ("Invalid JSON payload: response_json_schema", "The specified schema produces too many states"):
        assert settings_named(message, generation) == told
    assert settings_named("response_json_schema", GenerateConfig(model="m")) == ""


def test_a_schema_beside_the_apis_own_settings_for_one_is_refused() -> None:
    """One of them would be dropped without a word."""
    for name in ("responseSchema", "response_mime_type"):
        with pytest.raises(ValueError, match=f"--response-schema and {name} in --generation-config say the same"):
            RunConfig(response_schema="{}", generation_config={name: "x"})


def test_answers_are_typed_as_far_as_the_schema_is() -> None:
    """What has no one type is JSON; what is of another type than was asked for is null; a large number costs no row."""
    node = {"type": "object", "properties": {"n": {"type": "integer"}, "next": {"$ref": "#/$defs/node"}}}
    properties: dict[str, Any] = {
        "node": {"$ref": "#/$defs/node"},
        "list": {"type": "array", "items": {"type": ["number", "null"]}},
        "maybe": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        "any": {},
        "either": {"type": ["string", "integer"]},
        "status": {"type": "string"},
        "answer_status": {"type": "string"},
    }
    document = {"type": "object", "properties": properties, "$defs": {"node": node}}
    parsed = Parsed(read_schema(json.dumps(document)))
    value = {
        "node": {"n": 2.0, "next": {"n": 2}},
        "list": [1, 2.5, None, "3"],
        "maybe": True,
        "any": [],
        "either": "a",
        "status": "\ud83d",
    }
    answer = RowAnswer(0, "i", "k", Kind.ANSWERED, response=json.dumps(value))
    read = {
        **{"node": {"n": 2, "next": '{"n": 2}'}, "list": [1.0, 2.5, None, None], "maybe": True},
        **{"any": "[]", "either": '"a"', "status": "\ufffd", "answer_status": None},
    }
    assert pa.array([parsed.value(answer)], parsed.type).to_pylist() == [read]
    assert parsed.names == ["node", "list", "maybe", "any", "either", "answer_status", "answer_answer_status"]
    assert parsed.cells(answer)[3:] == ["[]", "a", "\ufffd", ""]
    large = RowAnswer(0, "i", "k", Kind.ANSWERED, response='{"node": {"n": 1e30}, "list": 3}')
    assert parsed.value(large)["node"] == {"n": None, "next": None}
    assert [parsed.value(replace(answer, **other)) for other in ({"kind": Kind.SCHEMA}, {"response": "no"})] == [
        None
    ] * 2


def test_columns_without_fields_to_make_them_of_are_refused() -> None:
    """Before the run: an answer that is one word has none."""
    for schema in (None, '{"type": "string", "enum": ["a"]}'):
        with pytest.raises(InputError, match="--columns needs a --response-schema of an object with properties"):
            check(RunConfig(dataset="x", demo=True, columns=True, response_schema=schema))


def test_what_the_api_passes_over_is_said_before_the_run(tmp_path: Path) -> None:
    """So that nobody wonders why it is asked for again."""
    data = write_jsonl(tmp_path / "d.jsonl", numbered(1))
    schema = '{"type": "object", "properties": {"a": {"pattern": "b", "maxLength": 3}}}'
    [line] = check(RunConfig(dataset=data, demo=True, response_schema=schema, output_dir=str(tmp_path / "r")))
    assert line.startswith("The API passes over maxLength, pattern of --response-schema")


def test_what_does_not_fit_is_asked_for_again_twice_and_then_an_error_that_is_left_alone(
    run: RunFlow, emulator: Emulator, tmp_path: Path
) -> None:
    """With the reason, in the same conversation; all tries are paid for and counted. `--columns` has its fields."""
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(PERSON | {"properties": {"id": {"items": {}}, **PERSON["properties"]}}))
    good = '```json\n{"name": "김 \\"a\\"", "age": 3, "id": [1, {"b": null}]}\n```'
    emulator.set_rules(
        [
            Rule(Answer(text=good), pattern="question 0$"),
            Rule(Answer(text=good), pattern="question 1\n.*\n.*does not fit the schema"),
            Rule(Finish("MAX_TOKENS", text='{"name": '), pattern="question 3$"),
            Rule(Answer(text="no JSON")),
        ]
    )
    data = write_jsonl(tmp_path / "d.jsonl", numbered(4))
    flags: dict[str, Any] = {
        "dataset": data,
        "response_schema": str(schema),
        "columns": True,
        "format": ["jsonl", "xlsx"],
        "excel": True,
    }
    run(**flags)
    sent = emulator.last_requests
    assert emulator.stats.requests == 1 + 2 + 3 + 1
    assert all(seen.config["responseJsonSchema"]["required"] == ["age", "name"] for seen in sent)
    lines = read_csv()
    assert [line["status"] for line in lines] == ["success", "success", "error", "success"]
    assert lines[2]["response"] == "no JSON"
    assert lines[2]["error_message"].startswith("schema: it is not JSON: ")
    assert list(lines[0])[6:] == ["answer_id", "name", "age", "born"]
    assert [line["answer_id"] for line in lines] == ['[1, {"b": null}]', '[1, {"b": null}]', "", ""]
    assert (lines[0]["name"], lines[0]["age"], lines[0]["born"]) == ('김 "a"', "3", "")
    assert json.loads(lines[0]["response"])["age"] == 3
    assert is_result(Path(CSV))  # by its note: with a further column it might be somebody's own data
    assert (Path(CSV).with_suffix(".excel.csv")).read_text("utf-8-sig").splitlines()[0].endswith('"name","age","born"')
    table = pq.read_table(Path(CSV).with_suffix(".parquet"))
    told = [json.loads(line) for line in Path(CSV).with_suffix(".jsonl").read_text().splitlines()]
    assert [list(line) for line in told] == [table.column_names] * 4
    parsed = table.column("parsed").to_pylist()
    assert [line["parsed"] for line in told] == parsed
    assert parsed == [{"id": '[1, {"b": null}]', "name": '김 "a"', "age": 3, "born": None}] * 2 + [None, None]

    run(**flags, resume=True)
    assert emulator.stats.requests == 7
    emulator.set_rules([Rule(Answer(text=good))])
    run(**flags, resume=True, retry_errors=["schema"])
    assert emulator.stats.requests == 8
    assert read_csv()[2]["status"] == "success"
