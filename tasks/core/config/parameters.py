"""All parameters, once: the command line, the flow's signature and the form in the Prefect UI come from here.

What changes answers (`generation`) is kept apart from what changes only speed (`limits`).
"""

import hashlib
import inspect
import json
from collections.abc import Callable
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tasks.core.config.text_file import text_or_file
from tasks.core.records import Kind


class MediaResolution(StrEnum):
    """How finely Gemini looks at media; the finer, the more tokens."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    ULTRA_HIGH = "ultra_high"


class GenerateConfig(BaseModel):
    """What shapes an answer beside the sample itself."""

    model_config = ConfigDict(frozen=True)

    model: str
    system_instruction: str | None = None
    generation_config: dict[str, Any] = {}
    demo: bool = False  # answers that are made up are no answers of the model
    media_resolution: MediaResolution | None = None

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits; equal for settings that ask for the same answers."""
        unset = {name for name in ("demo", "media_resolution") if not getattr(self, name)}  # as before there were any
        text = json.dumps(self.model_dump(exclude=unset), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def with_system_instruction(self, text: str) -> "GenerateConfig":
        """The same but for that. Made anew: `model_copy` would take the fingerprint along."""
        return type(self)(**self.model_dump() | {"system_instruction": text})


class LimitsConfig(BaseModel):
    """What changes the speed of a run, and nothing else."""

    model_config = ConfigDict(frozen=True)

    max_concurrent: int
    timeout_seconds: float
    rpm: int | None = None
    tpm: int | None = None
    give_up_seconds: float = 900
    max_attempts: int = 5
    grace_seconds: float = 10
    allow_missing_images: bool = False


class TaskRunnerKind(StrEnum):
    """What runs the chunks of a run."""

    LOCAL = "local"
    DASK = "dask"
    RAY = "ray"


def _blank_is_none(value: str | None) -> str | None:
    return value or None


def _split_at_commas(value: Any) -> Any:
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _one_candidate(generation_config: dict[str, Any]) -> dict[str, Any]:
    for name in ("candidateCount", "candidate_count"):
        if (count := generation_config.get(name, 1)) not in (1, None):
            raise ValueError(f"{name} {count!r} would be paid for and thrown away: a row has one answer")
    return generation_config


def _one_character(value: str | None) -> str | None:
    found = {"tab": "\t", "\\t": "\t"}.get(value or "", value or None)
    if found is not None and (len(found) != 1 or found in '\r\n"'):
        raise ValueError("it must be one character, and no quote or line end")
    return found


_Text = Annotated[str | None, AfterValidator(_blank_is_none)]
_Delimiter = Annotated[str | None, AfterValidator(_one_character)]
_Column = Annotated[str | None, AfterValidator(_blank_is_none)]


class RunConfig(BaseModel):
    """Everything a run can be told. Keys never appear here: they come from the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    dataset: str | None = Field(None, description="Hub id, or a local file or folder. Default: INFER_DATASET in .env.")
    dataset_config: str | None = Field(None, description="Configuration name of a Hub data set.")
    revision: str | None = Field(None, description="Commit, tag or branch of a Hub data set.")
    encoding: _Text = Field(None, description="Encoding of CSV, JSON and text files, where it is not recognised.")
    delimiter: _Delimiter = Field(
        None, description="What stands between the cells of CSV files, where it is not recognised; tab for a tab."
    )
    split: str = Field("test", min_length=1, description="Split; slices such as test[:100] work too.")
    text_column: str = Field("input_query", min_length=1, description="Column with the text of the prompt.")
    prompt_template: _Text = Field(
        None, description="Prompt as a Jinja template over the row's columns; @FILE reads it from a file."
    )
    image_column: _Column = Field("image_path", description="Column with the image of the prompt, or a,b for several.")
    media_column: _Column = Field(
        None, description="Columns with PDF, audio, video or images of the prompt, a,b for several."
    )
    fetch_urls: bool = Field(False, description="Fetch media that cells name by an https:// address.")
    id_column: _Column = Field("id", description="Column with the sample id; the row number without it.")
    model: str = Field("gemini-3.5-flash-lite", pattern=r"^[\w./@:-]+$", description="Any Gemini model name.")
    system_instruction: str | None = Field(
        None, description="System instruction sent with every sample; a Jinja template as well, or @FILE."
    )
    generation_config: Annotated[dict[str, Any], AfterValidator(_one_candidate)] = Field(
        {}, description='Gemini\'s generationConfig as JSON, such as {"temperature": 0}.'
    )
    media_resolution: MediaResolution | None = Field(
        None, description="How finely Gemini looks at media: low, medium, high or ultra_high."
    )
    max_concurrent: int = Field(10, ge=1, le=10_000, description="Requests in flight at most.")
    rpm: int | None = Field(None, ge=1, description="Requests a minute at most.")
    tpm: int | None = Field(None, ge=1, description="Prompt tokens a minute at most, as Gemini counts them.")
    save_every: int = Field(10, ge=1, le=10_000, description="Samples per persisted chunk.")
    timeout_seconds: float = Field(180, gt=0, le=3600, description="Longest wait for one answer, in seconds.")
    max_attempts: int = Field(5, ge=1, le=20, description="Attempts per row, as far as other rows are answered.")
    give_up_seconds: float = Field(
        900, gt=0, description="Stop the run after this long without a single answer, in seconds."
    )
    grace_seconds: float = Field(
        10, ge=0, le=3600, description="After Ctrl+C, how long to wait for answers on their way, in seconds."
    )
    allow_missing_images: bool = Field(
        False, description="Go on where the first images all fall away for one reason, with the text alone."
    )
    output_dir: str = Field("result", min_length=1, description="Folder the CSV goes to.")
    where: _Text = Field(
        None, description="Only rows for which this holds: a Jinja expression over columns, such as level == 'hard'."
    )
    shuffle: int | None = Field(
        None, ge=0, le=2**63 - 1, description="Rows in a random order by this seed, before the limit: a fair sample."
    )
    limit: int | None = Field(None, ge=0, description="First N samples only.")
    streaming: bool = Field(
        False, description="Read a Hub data set as a stream that fetches only what the rows need, not whole files."
    )
    resume: bool = Field(False, description="Continue from the checkpoint.")
    retry_errors: Annotated[list[Kind], BeforeValidator(_split_at_commas)] = Field(
        [], description="With resume: kinds of finished rows to send again, such as blocked,image."
    )
    task_runner: TaskRunnerKind = Field(
        TaskRunnerKind.LOCAL, description="Where chunks run: in this process, or on a dask or ray cluster."
    )
    task_runner_address: str | None = Field(
        None, description="Address of a running dask or ray cluster; without one, a local one is started."
    )
    demo: bool = Field(False, description="Run on bundled samples against a local emulator: no key, no network.")

    @cached_property
    def system_text(self) -> str | None:
        """The system instruction, read from its file where it is one.

        Raises:
            InputError: the file cannot be read.
        """
        return text_or_file("--system-instruction", self.system_instruction)

    @cached_property
    def template_text(self) -> str | None:
        """The prompt template, read from its file where it is one; raises as `system_text`."""
        return text_or_file("--prompt-template", self.prompt_template)

    def with_files_read(self) -> "RunConfig":
        """The same, with the texts of files in place of their names: it is of use where the files are not."""
        texts = {"system_instruction": self.system_text, "prompt_template": self.template_text}
        kept = {name: f"@{text}" if text.startswith("@") else text for name, text in texts.items() if text}
        return type(self).model_validate(self.model_dump() | kept)

    @property
    def generation(self) -> GenerateConfig:
        given = self.model_dump(include=set(GenerateConfig.model_fields))
        return GenerateConfig(**given | {"system_instruction": self.system_text})

    @property
    def limits(self) -> LimitsConfig:
        return LimitsConfig(**self.model_dump(include=set(LimitsConfig.model_fields)))


def with_parameters_of[**P, R](config: type[BaseModel]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give a function of `**parameters` the fields of `config` as its signature and docstring.

    Prefect draws the form of a deployment from both.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=Annotated[field.annotation, *field.metadata, Field(description=field.description)],
            )
            for name, field in config.model_fields.items()
        ]
        lines = [f"    {name}: {field.description}" for name, field in config.model_fields.items()]
        function.__doc__ = "\n".join([inspect.getdoc(function) or "", "", "Args:", *lines])
        function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return function

    return decorate
