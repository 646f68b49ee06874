"""One definition for the command line, the flow and the form in the UI."""

import pytest
from prefect.exceptions import ParameterTypeError

from flows.infer import infer
from tasks.core.command_line import parse, resume_command
from tasks.core.config import RunConfig
from tasks.core.errors import InputError
from tasks.core.records import Kind


def test_every_flag_is_a_parameter_of_the_flow_with_its_bounds_and_description() -> None:
    """The form in the UI is drawn from this schema."""
    properties = infer.parameters.properties
    assert list(properties) == list(RunConfig.model_fields)
    assert all(properties[name]["description"] == field.description for name, field in RunConfig.model_fields.items())
    assert (properties["max_concurrent"]["minimum"], properties["max_concurrent"]["maximum"]) == (1, 10_000)
    assert infer.parameters.required == []


def test_the_flow_refuses_what_is_out_of_bounds() -> None:
    """As the form does, before anything starts."""
    with pytest.raises(ParameterTypeError, match="max_concurrent: Input should be greater than or equal to 1"):
        infer.validate_parameters({"max_concurrent": 0})


def test_flags_become_a_config() -> None:
    """With the defaults for what is not said."""
    config = parse(
        ["--dataset", "d", "--limit", "5", "--resume", "--generation-config", '{"topK": 1}', "--image-column", ""]
    )
    assert (config.dataset, config.limit, config.resume, config.generation_config) == ("d", 5, True, {"topK": 1})
    assert config.image_column is None
    assert parse(["--retry-errors", "blocked, truncated"]).retry_errors == [Kind.BLOCKED, Kind.TRUNCATED]
    assert parse([]) == RunConfig()


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--save-every", "0"], "ValueError: --save-every '0': Input should be greater than or equal to 1"),
        (["--limit", "many"], "ValueError: --limit 'many': Input should be a valid integer"),
        (["--generation-config", "{"], "not JSON"),
        (["--generation-config", "7"], "--generation-config 7: Input should be a valid dictionary"),
        (["--retry-errors", "blcked"], "--retry-errors 'blcked'"),
        (["--model", "a model?"], "--model 'a model?'"),
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
    config = parse(
        ["--dataset", "my data.csv", "--generation-config", '{"temperature": 0}', "--retry-errors", "blocked"]
    )
    assert resume_command(config) == (
        "python flows/infer.py --dataset 'my data.csv' --generation-config '{\"temperature\": 0}'"
        " --retry-errors blocked --resume"
    )
