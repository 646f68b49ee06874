"""What every chunk of a run needs to know."""

from dataclasses import dataclass

from tasks.core.config.batch import BatchRun
from tasks.core.config.generation import GenerateConfig
from tasks.core.config.limits import LimitsConfig
from tasks.core.costs.terms import Terms
from tasks.core.data.sources import DatasetRef
from tasks.core.prefix import Prefix
from tasks.core.prompts.prepare import Preparer
from tasks.core.prompts.prompting import Prompting


@dataclass(frozen=True, slots=True)
class Run:
    """What every chunk of a run needs to know; small, and the same on every machine."""

    job: str
    attempt: str
    data: DatasetRef
    generation: GenerateConfig
    limits: LimitsConfig
    prompting: Prompting
    dedupe: bool = True
    prefix: Prefix | None = None  # what their requests begin with, where Gemini keeps it for them
    terms: Terms | None = None  # of what it may spend, where that is bounded
    batch: BatchRun | None = None  # None: online
    owner: str = ""  # of the job's lock, for the processes of a cluster: they stop when the run has lost it

    @property
    def preparer(self) -> Preparer:
        """How its samples become requests."""
        return Preparer(self.generation, self.prompting.draft_of)
