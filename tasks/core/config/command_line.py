"""The command line of a run, drawn from RunConfig: one flag per field, checked before anything starts."""

import argparse
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, NoReturn, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from tasks.core.config.config_file import read_config
from tasks.core.config.parameters import GROUPS, RunConfig
from tasks.core.config.program import Program, add_version, command
from tasks.core.config.setting_names import flag_of
from tasks.core.errors import InputError
from tasks.core.text import closest

_METAVARS = {"int": "N", "float": "NUMBER", "dict": "JSON|FILE"}
_UNITS = {"_seconds": "SECONDS", "max_cost": "DOLLARS", "max_cost_per_run": "DOLLARS"}  # by how a name ends
EPILOG = """\
exit codes: 0 finished; 1 finished with rows worth trying again, or failed; 2 bad input; 130 interrupted

Keys come from the environment or from .env: GOOGLE_API_KEY or GEMINI_API_KEY; for private data sets, HUGGINGFACE_TOKEN.
A key of Gemini: https://aistudio.google.com/apikey
GOOGLE_GEMINI_BASE_URL points the run at any Gemini-compatible endpoint.
"""


class CommandLine(NamedTuple):
    """A run, or where `show` is not 0 that many of its requests, to be looked at. `job`: the one whose config it is.

    `dry_run`: what it would take, and nothing more.
    """

    config: RunConfig
    show: int
    job: str
    dry_run: bool = False


def parse(arguments: Sequence[str], program: Program = Program.RUN) -> CommandLine:
    """What `arguments` ask for: flags before what the file of `--config` says, and that before the defaults.

    Raises:
        InputError: an unknown flag, or a value out of bounds; one line that names the flag.
    """
    given = vars(_parser(program).parse_args(arguments))
    show, job, path = given.pop("show", 0), given.pop("job", ""), given.pop("config", None)
    dry_run = given.pop("dry_run", False)
    of_file = {} if path is None else read_config(path)
    return CommandLine(checked(of_file | given, dict.fromkeys(of_file.keys() - given, path)), show, job, dry_run)


def checked(parameters: dict[str, Any], files: Mapping[str, str] | None = None) -> RunConfig:
    """`parameters` as a RunConfig. `files`: for those that stand in one, its name.

    Raises:
        InputError: names every parameter that is out of bounds and its value.
    """
    try:
        return RunConfig.model_validate(parameters)
    except ValidationError as error:
        raise InputError("; ".join(_explain(dict(e), files or {}) for e in error.errors())) from None


def resume_command(config: RunConfig) -> str:
    """The command that continues this run's checkpoint."""
    given = config.model_dump(exclude_defaults=True) | {"resume": True}
    return " ".join([command(Program.RUN), *(_as_flag(name, value) for name, value in given.items())])


def _as_flag(name: str, value: Any) -> str:
    if value is True:
        return flag_of(name)
    text = json.dumps(value) if isinstance(value, dict) else ",".join(value) if isinstance(value, list) else str(value)
    text = "" if value is None else text  # a column that is not wanted
    return f"{flag_of(name)}{'=' if text.startswith('-') else ' '}{shlex.quote(text)}"


def _explain(error: dict[str, Any], files: Mapping[str, str]) -> str:
    if not error["loc"]:  # of several flags, which it names
        return _wish(error)
    name = str(error["loc"][0])
    where = f" in {files[name]}" if name in files else ""
    return f"{flag_of(name)} {error['input']!r}{where}: {_wish(error)}"


def _wish(error: dict[str, Any]) -> str:
    """What pydantic says, in words for people."""
    what: str = error["msg"].removeprefix("Value error, ").replace("Input should be", "it must be", 1)
    match error["type"]:
        case "int_parsing" | "int_type" | "int_from_float":
            return "it must be a whole number"
        case "float_parsing" | "float_type":
            return "it must be a number"
        case "enum" | "literal_error":
            return what + closest(str(error["input"]), re.findall("'([^']*)'", what))
        case "string_pattern_mismatch":
            return f"it does not look like one: {RunConfig.model_fields[error['loc'][0]].description}"
        case _:
            return what


class _Parser(argparse.ArgumentParser):
    """Speaks in one line, as every other bad input does."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}{_likely(message) or '; see --help'}")


def _likely(message: str) -> str:
    """`; did you mean '--dataset'?` where an unknown flag is like one that there is."""
    unknown = re.search(r"unrecognized arguments: --([^\s=]+)", message)
    names = [flag_of(name).removeprefix("--") for name in RunConfig.model_fields]  # dashes would be likeness
    return closest(unknown[1], names).replace("'", "'--", 1) if unknown else ""


_EXAMPLES = """

examples:
  {run} --demo                                    bundled samples, no key, no network
  {run} --dataset questions.csv --show 3          look at the first requests, send nothing
  {run} --dataset org/set --split test --limit 20 try a few rows
  {run} --dataset org/set --dry-run               what it takes and costs
  {run} --dataset org/set --resume                go on, send what is missing
"""
_DESCRIPTIONS = {
    Program.RUN: "Send every row of a data set through Gemini and write one CSV with every row in it.",
    Program.CONFIG: "Print the parameters that a run with these flags would have, as a file for --config.",
}


def _parser(program: Program) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=command(program),
        usage=f"{command(program)} --dataset NAME [flags]",
        description=_DESCRIPTIONS[program] + _EXAMPLES.format(run=command(Program.RUN)),
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for group in GROUPS:
        add = parser.add_argument_group(group.__doc__).add_argument
        for name, field in group.model_fields.items():
            _add_flag(add, name, field)
    parser.add_argument("--config", metavar="FILE", help="TOML with any of these parameters; flags win over it.")
    if program is Program.CONFIG:
        parser.add_argument(
            "--job",
            metavar="TEXT",
            help="Those of the last run of the job with TEXT in its name instead.",
        )
    else:
        parser.add_argument(
            "--show",
            type=_positive,
            metavar="N",
            help="Print the first N requests as they would go out, and send nothing. Needs no key.",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="Say what the run would send, take, cost and last, and send nothing that costs. Needs no key.",
        )
    add_version(parser)
    return parser


def _add_flag(add: Callable[..., object], name: str, field: FieldInfo) -> None:
    help_text = (field.description or "").replace("%", "%%")
    if field.annotation is bool:
        add(flag_of(name), action=argparse.BooleanOptionalAction, help=help_text)
        return
    if field.default not in (None, [], {}):
        help_text += f" Default: {field.default}."
    kind = next((word for word in _METAVARS if word in str(field.annotation)), "")
    unit = next((unit for end, unit in _UNITS.items() if name.endswith(end)), "")
    choices = _choices(field.annotation)
    if choices and get_origin(field.annotation) is list:
        help_text += f" Of: {', '.join(choices)}."
    elif choices:
        unit = f"{{{','.join(choices)}}}"
    add(flag_of(name), metavar=unit or _METAVARS.get(kind, "TEXT"), help=help_text)


def _choices(annotation: Any) -> list[str]:
    """The words that a parameter may be, of the enumeration in its type; none where any text will do."""
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return [str(member) for member in annotation]
    return [choice for inner in get_args(annotation) for choice in _choices(inner)]


def _positive(text: str) -> int:
    if not text.isdecimal() or not (number := int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of requests")
    return number
