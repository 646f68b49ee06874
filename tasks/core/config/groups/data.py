"""Which data set, how its files are read, and which of its rows."""

from typing import Annotated

from pydantic import AfterValidator, Field

from tasks.core.config.groups.base import Parameters, Text


def _one_character(value: str | None) -> str | None:
    found = {"tab": "\t", "\\t": "\t"}.get(value or "", value or None)
    if found is not None and (len(found) != 1 or found in '\r\n"'):
        raise ValueError("it must be one character, and no quote or line end")
    return found


class DataParameters(Parameters):
    """data"""

    dataset: str | None = Field(None, description="Hub id, or a local file or folder. Default: INFER_DATASET in .env.")
    demo: bool = Field(False, description="Run on bundled samples against a local emulator: no key, no network.")
    dataset_config: str | None = Field(None, description="Configuration name of a Hub data set.")
    revision: str | None = Field(None, description="Commit, tag or branch of a Hub data set.")
    encoding: Text = Field(None, description="Encoding of CSV, JSON and text files, where it is not recognised.")
    delimiter: Annotated[str | None, AfterValidator(_one_character)] = Field(
        None, description="What stands between the cells of CSV files, where it is not recognised; tab for a tab."
    )
    split: str = Field("test", min_length=1, description="Split; slices such as test[:100] work too.")
    where: Text = Field(
        None, description="Only rows for which this holds: a Jinja expression over columns, such as level == 'hard'."
    )
    shuffle: int | None = Field(
        None, ge=0, le=2**63 - 1, description="Rows in a random order by this seed, before the limit: a fair sample."
    )
    limit: int | None = Field(None, ge=0, description="First N samples only.")
    streaming: bool = Field(
        False, description="Read a Hub data set as a stream that fetches only what the rows need, not whole files."
    )
