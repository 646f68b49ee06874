"""One definition for the command line, the flow and the form in the UI."""

import inspect
import shlex
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prefect.exceptions import ParameterTypeError
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate
from pydantic import BaseModel, Field, ValidationError

from flows.infer import infer
from tasks.core.config.api_settings import Tool
from tasks.core.config.command_line import parse, resume_command
from tasks.core.config.config_file import as_toml
from tasks.core.config.generation import GenerateConfig, MediaResolution
from tasks.core.config.limits import LimitsConfig, ServiceTier
from tasks.core.config.parameters import RunConfig
from tasks.core.config.signature import with_parameters_of
from tasks.core.errors import InputError
from tasks.core.records import Kind

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a machine may be busy

NAMED_COLUMNS = {"image_column", "id_column"}  # which may be none, and are not by default


def config(**parameters: Any) -> RunConfig:
    return RunConfig(**parameters)


def test_every_flag_is_a_parameter_of_the_flow_with_its_bounds_and_description() -> None:
    """The form in the UI is drawn from this schema."""
    properties = infer.parameters.properties
    assert sorted(properties) == sorted(RunConfig.model_fields)
    assert all(properties[name]["description"] == field.description for name, field in RunConfig.model_fields.items())
    assert (properties["max_concurrent"]["minimum"], properties["max_concurrent"]["maximum"]) == (1, 10_000)
    assert infer.parameters.required == []


def test_the_form_begins_with_what_is_needed_and_is_valid_untouched() -> None:
    """The rest stands in its groups; the data set is a plain text."""
    schema = parameter_schema(infer).model_dump_for_openapi()  # as `prefect deploy` draws it
    properties = schema["properties"]
    order = sorted(properties, key=lambda name: int(properties[name]["position"]))
    assert order == list(properties)
    assert order[:4] == ["dataset", "demo", "limit", "resume"]
    groups = [properties[name]["title"].partition(": ")[0] for name in order[4:]]
    assert list(dict.fromkeys(groups)) == (
        ["data", "prompt", "model", "speed and limits", "cost", "batch", "output", "checkpoint", "server"]
    )
    assert groups == sorted(groups, key=list(dict.fromkeys(groups)).index)
    texts = [name for name, field in RunConfig.model_fields.items() if field.annotation == str | None]
    assert {properties[n]["type"]: properties[n]["default"] for n in texts if n not in NAMED_COLUMNS} == {"string": ""}
    choices = properties["media_resolution"]
    assert (choices["enum"], choices["default"], "type" in choices) == ([None, *MediaResolution], None, False)
    untouched = {name: field["default"] for name, field in properties.items()}
    assert validate(untouched, schema, raise_on_error=False) == []  # as the server does
    assert RunConfig(**infer.validate_parameters(untouched)) == RunConfig()


def test_the_flow_refuses_what_is_out_of_bounds() -> None:
    """As the form does, before anything starts."""
    with pytest.raises(ParameterTypeError, match="max_concurrent: Input should be greater than or equal to 1"):
        infer.validate_parameters({"max_concurrent": 0})


def test_flags_become_a_config() -> None:
    """With the defaults for what is not said."""
    asked = parse(
        ["--dataset", "d", "--limit", "5", "--resume", "--generation-config", '{"topK": 1}', "--image-column", ""]
    ).config
    assert (asked.dataset, asked.limit, asked.resume, asked.generation_config) == ("d", 5, True, {"topK": 1})
    assert asked.image_column is None
    assert parse(["--retry-errors", "blocked, truncated"]).config.retry_errors == [Kind.BLOCKED, Kind.TRUNCATED]
    assert parse([]).config == config()


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--save-every", "0"], "--save-every '0': it must be greater than or equal to 1"),
        (["--limit", "many"], "--limit 'many': it must be a whole number"),
        (["--generation-config", "{"], "not JSON"),
        (["--generation-config", "7"], "--generation-config '7': neither a JSON object nor a file that can be read"),
        (["--generation-config", '{"candidateCount": 2}'], "candidateCount 2 would be paid for and thrown away"),
        (["--generation-config", '{"candidate_count": 8}'], "candidate_count 8 would be paid for and thrown away"),
        (["--retry-errors", "blcked"], "--retry-errors 'blcked': it must be 'answered', 'truncated', "),
        (["--retry-errors", "blcked"], "; did you mean 'blocked'?"),
        (["--mode", "bach"], "--mode 'bach': it must be 'online', 'batch' or 'auto'; did you mean 'batch'?"),
        (["--push-to-hub", "x"], "--push-to-hub 'x': it does not look like one: "),
        (["--model", "a model?"], "--model 'a model?'"),
        (["--datset", "d"], "unrecognized arguments: --datset d; did you mean '--dataset'?"),
        (["--batch-size", "3"], "unrecognized arguments: --batch-size 3; see --help"),
    ],
)
def test_a_wrong_flag_is_one_line(flags: list[str], line: str) -> None:
    """The flag, the value, what it may be."""
    with pytest.raises(InputError) as caught:
        parse(flags)
    assert line in caught.value.line
    assert "\n" not in caught.value.line


def test_help_names_every_flag_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """And leaves with 0."""
    with pytest.raises(SystemExit) as left:
        parse(["--help"])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    assert all("--" + name.replace("_", "-") in shown for name in RunConfig.model_fields)
    assert "exit codes: 0 finished" in shown


def test_the_command_that_resumes_says_what_was_said() -> None:
    """It can be pasted into a shell."""
    asked = parse(
        ["--dataset", "my data.csv", "--generation-config", '{"temperature": 0}', "--retry-errors", "blocked"]
    ).config
    assert resume_command(asked) == (
        "python flows/infer.py --dataset 'my data.csv' --generation-config '{\"temperature\": 0}'"
        " --retry-errors blocked --resume"
    )


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | TEXTS, lambda inner: st.lists(inner, max_size=3))
NAMES = st.sampled_from(["topK", "labels", "a b", "이름", "'\"\n"])  # any text would now and then be what a flag says
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "dataset": TEXTS,
        "revision": TEXTS,
        "split": TEXTS,
        "text_column": TEXTS,
        "image_column": st.none() | TEXTS,
        "id_column": st.none() | TEXTS,
        "system_instruction": TEXTS,
        "generation_config": st.dictionaries(NAMES, JSON, max_size=3),
        "max_concurrent": st.integers(1, 10_000),
        "rpm": st.integers(1),
        "timeout_seconds": st.floats(0.001, 3600),
        "give_up_seconds": st.floats(0.001),
        "output_dir": TEXTS,
        "limit": st.integers(0),
        "retry_errors": st.lists(st.sampled_from(Kind)),
        "demo": st.booleans(),
        "temperature": st.floats(0, 2),
        "thinking": st.sampled_from(["-1", "0", "high"]),
        "tools": st.lists(st.sampled_from(Tool), unique=True),
        "request_body": st.dictionaries(NAMES, JSON, max_size=3),
        "service_tier": st.sampled_from(ServiceTier),
    },
)


@PATIENT
@given(CONFIGS)
def test_the_command_that_resumes_is_understood_as_it_was_meant(parameters: dict[str, Any]) -> None:
    """By a shell and by the parser: a column that is not wanted, a text that looks like a flag."""
    asked = config(**parameters)
    program, script, *flags = shlex.split(resume_command(asked))
    assert (program, script) == ("python", "flows/infer.py")
    assert parse(flags).config == asked.model_copy(update={"resume": True})


@settings(PATIENT, max_examples=30)
@given(CONFIGS)
def test_the_config_that_is_printed_is_read_as_it_was_meant(parameters: dict[str, Any]) -> None:
    """Columns that are not wanted, null in JSON and texts of any letters among it."""
    asked = config(**parameters)
    with NamedTemporaryFile("w", encoding="utf-8", newline="") as file:
        file.write(as_toml(asked))
        file.flush()
        assert parse(["--config", file.name]).config == asked


def test_flags_win_over_the_file_and_the_file_over_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its paths are those of the working directory, as a flag's are; a name may be spelled as its flag."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "system.txt").write_text("Be brief.")
    (tmp_path / "sub" / "run.toml").write_text(
        "limit = 5\nmax-concurrent = 7\nthinking = 512\ntools = ['url_context']\nsystem_instruction = '@system.txt'\n"
        "[generation_config]\ntopK = 1\n"
    )
    asked = parse(["--config", "sub/run.toml", "--limit", "9"]).config
    assert (asked.limit, asked.max_concurrent, asked.split) == (9, 7, "test")
    assert asked.generation.generation_config == {"topK": 1, "thinkingConfig": {"thinkingBudget": 512}}
    assert (asked.tools, asked.system_text) == ([Tool.URL_CONTEXT], "Be brief.")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("temprature = 1", "--config run.toml: no parameter is called temprature; did you mean 'temperature'?"),
        ("xyz = 1\nlimt = 2", "no parameter is called xyz; no parameter is called limt; did you mean 'limit'?"),
        ("limit = -", "--config run.toml: no TOML: Invalid value (at line 1, column 9)"),
        ("# \udcff", "--config run.toml: no TOML: 'utf-8' codec can't decode byte 0xff"),
        ("limit = -1", "--limit -1 in run.toml: it must be greater than or equal to 0"),
        ("split = 2", "--split 2 in run.toml: it must be a valid string"),
        (None, "FileNotFoundError: --config run.toml: No such file or directory"),
    ],
)
def test_a_wrong_config_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, line: str
) -> None:
    """The file, the name, what it may be."""
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "run.toml").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as caught:
        parse(["--config", "run.toml"])
    assert line in caught.value.line


@pytest.mark.parametrize(
    ("name", "least", "below", "most", "above"),
    [
        ("max_concurrent", 1, 0, 10_000, 10_001),
        ("save_every", 1, 0, 10_000, 10_001),
        ("max_attempts", 1, 0, 20, 21),
        ("rpm", 1, 0, None, None),
        ("tpm", 1, 0, None, None),
        ("limit", 0, -1, None, None),
        ("timeout_seconds", 0.001, 0, 3600, 3601),
        ("timeout_seconds", 1, -1, 3600, float("nan")),
        ("give_up_seconds", 0.001, 0, None, float("nan")),
        ("split", "x", "", None, None),
        ("text_column", "x", "", None, None),
        ("output_dir", "x", "", None, None),
        ("model", "models/gemini-2.5-pro", "", "publishers/google/models/a@001", "gemini 2.5"),
    ],
)
def test_bounds_hold(name: str, least: Any, below: Any, most: Any, above: Any) -> None:
    """At both ends, where there are two."""
    for value in (least, most):
        if value is not None:
            assert getattr(RunConfig.model_validate({name: value}), name) == value
    for value in (below, above):
        if value is not None:
            with pytest.raises(ValidationError):
                RunConfig.model_validate({name: value})


def test_an_unknown_parameter_is_refused() -> None:
    """A typing error must not be a default in disguise."""
    with pytest.raises(ValidationError):
        RunConfig.model_validate({"max_concurent": 5})


def test_a_config_does_not_change() -> None:
    """It travels between machines and names a checkpoint."""
    with pytest.raises(ValidationError):
        config().limit = 3  # type: ignore[misc]


def test_what_changes_answers_changes_the_fingerprint_and_nothing_else_does() -> None:
    """The order of generation settings is no difference."""
    asked = config(generation_config={"topK": 1, "temperature": 0}, system_instruction="s")
    same = config(generation_config={"temperature": 0, "topK": 1}, system_instruction="s", max_concurrent=99, rpm=7)
    assert asked.generation.fingerprint == same.generation.fingerprint
    others = [
        config(),
        config(model="m"),
        config(system_instruction="s"),
        config(generation_config={"topK": 1}),
        config(generation_config={"topK": 2}),
    ]
    assert len({other.generation.fingerprint for other in [asked, *others]}) == 6
    assert set(LimitsConfig.model_fields).isdisjoint(GenerateConfig.model_fields)


def test_a_function_takes_the_fields_of_a_model() -> None:
    """As keyword parameters with bounds and defaults in its signature, descriptions in its docstring."""

    class Settings(BaseModel):
        size: int = Field(3, ge=1, description="How many.")
        name: str = Field("n", description="Who.")

    @with_parameters_of(Settings)
    def work(**parameters: Any) -> dict[str, Any]:
        """Do it."""
        return parameters

    signature = inspect.signature(work)
    assert [(p.name, p.default, p.kind) for p in signature.parameters.values()] == [
        ("size", 3, inspect.Parameter.KEYWORD_ONLY),
        ("name", "n", inspect.Parameter.KEYWORD_ONLY),
    ]
    assert "Do it." in (work.__doc__ or "")
    assert "    size: How many.\n    name: Who." in (work.__doc__ or "")
    assert work(size=1) == {"size": 1}


def test_every_mistake_of_a_command_line_is_told_at_once() -> None:
    """Not one per attempt."""
    with pytest.raises(InputError) as caught:
        parse(["--save-every", "0", "--limit", "-1", "--model", ""])
    assert all(flag in caught.value.line for flag in ("--save-every", "--limit", "--model"))


def test_a_flag_is_not_abbreviated_and_a_switch_can_be_switched_off() -> None:
    """`--lim` may mean something else next year."""
    with pytest.raises(InputError):
        parse(["--lim", "3"])
    assert parse(["--resume", "--no-resume"]).config.resume is False


def test_a_nightly_run_that_costs_money_waits_for_somebody_to_turn_it_on() -> None:
    """As prefect.yaml deploys it; nothing else has a schedule."""
    deployments = yaml.safe_load((Path(__file__).parents[1] / "prefect.yaml").read_text())["deployments"]
    schedules = {made["name"]: [schedule["active"] for schedule in made["schedules"]] for made in deployments}
    assert schedules == {"on-demand": [], "nightly": [False]}
