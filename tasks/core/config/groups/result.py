"""What a run writes, and where."""

from pydantic import Field

from tasks.core.config.groups.base import Parameters


class ResultParameters(Parameters):
    """result"""

    output_dir: str = Field("result", min_length=1, description="Folder the CSV goes to.")
